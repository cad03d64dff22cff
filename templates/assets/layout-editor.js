// A storage layout as a picture: bars to scale whose borders move, fields beside them, and the text below; each follows the other.
// The server decides: every change goes there as a draft and comes back as text, sizes and what stands against it.
"use strict";

(() => {
  const form = document.querySelector("[data-layout-editor]");
  if (!form) return;
  const yaml = form.querySelector("#yaml");
  const client = form.querySelector("#client");
  const picture = form.querySelector("#layout-picture");
  const stage = picture.querySelector(".body");
  const problems = form.querySelector("#layout-problems");
  const effect = form.querySelector("#layout-effect");
  const words = form.querySelector("#layout-words").dataset;
  const editable = !yaml.readOnly;
  const UNITS = { "%": 0, B: 1, kB: 1e3, KiB: 2 ** 10, MB: 1e6, MiB: 2 ** 20, GB: 1e9, GiB: 2 ** 30, TB: 1e12, TiB: 2 ** 40 };
  const FORMATS = ["", "ext4", "xfs", "btrfs", "vfat", "swap"];
  let model = null;
  let drawn = [];

  // Elements without a framework.
  const svgNames = new Set(["svg", "rect", "text", "line", "title"]);
  function make(name, attributes = {}, ...children) {
    const element = svgNames.has(name) ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== false && value != null) element.setAttribute(key, value);
    }
    element.append(...children);
    return element;
  }

  // Asks the server; a newer question makes the answer to an older one worthless.
  let asked = 0;
  let timer = 0;
  function ask(draft, delay) {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const number = ++asked;
      try {
        const response = await fetch("/layout-check", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ draft, client: client.value }),
        });
        if (number !== asked) return;
        if (!response.ok) throw new Error(String(response.status));
        answered(await response.json(), "layout" in draft);
      } catch {
        if (number === asked) showProblems([{ line: 0, message: words.offline }]);
      }
    }, delay);
  }
  const askText = (delay) => ask({ yaml: yaml.value }, delay);
  const askModel = (delay) => ask({ layout: model }, delay);

  function answered(answer, fromPicture) {
    if (fromPicture && yaml.value !== answer.yaml) {
      yaml.value = answer.yaml;
      yaml.dispatchEvent(new Event("lotse-text"));
    }
    showProblems(answer.problems);
    if (answer.layout) model = answer.layout;
    if (answer.disks.length) drawn = answer.disks.map((disk, at) => ({ ...disk, sizes: answer.sizes[at] }));
    showEffect(answer.disks, answer.sizes, answer.client);
    showPicture();
  }

  function showProblems(found) {
    problems.hidden = found.length === 0;
    const list = problems.querySelector("ul");
    list.replaceChildren(...found.map((problem) => {
      const line = problem.line > 0
        ? [make("a", { href: "#yaml", "data-line": problem.line }, words.line.replace("#", problem.line)), " "] : [];
      return make("li", {}, ...line, make("span", {}, problem.message));
    }));
  }

  const percent = (bytes, whole) => Math.round(bytes / whole * 10000) / 100;

  function bars(disk, sizes) {
    const svg = make("svg", { width: "100%", "aria-hidden": "true" });
    for (const part of disk.written) {
      const name = part.mount || part.id;
      svg.append(make("svg", {
        x: `${percent(part.start_bytes, disk.size_bytes)}%`,
        width: `${Math.max(0.4, percent(part.size_bytes, disk.size_bytes))}%`,
        height: "100%", class: part.mount ? "mounted" : part.kept ? "kept" : "",
      }, make("rect", { width: "100%", height: "100%" }), make("text", { x: 6, y: "50%", "dominant-baseline": "central" }, name)));
    }
    const list = make("ul", { class: "parts" }, ...disk.written.map((part, at) =>
      make("li", {}, make("b", {}, part.mount || part.id), ` ${part.kept ? words.kept : part.content} ${sizes[at]}`)));
    return [svg, list];
  }

  function showEffect(disks, sizes, whose) {
    form.querySelector("#layout-of").textContent = whose ?? words.example;
    if (!disks.length) return effect.replaceChildren(make("p", { class: "soft" }, words.none));
    effect.replaceChildren(...disks.map((disk, at) => make("div", { class: "disk" },
      make("b", {}, `${disk.name}: ${disk.disk}`),
      ...(whose ? [disk.destroyed
        ? make("div", { class: "notice bad" }, make("b", {}, words.destroyed), make("span", {}, disk.destroyed))
        : make("div", { class: "notice good" }, make("b", {}, words.blank))] : []),
      ...bars(disk, sizes[at]))));
  }

  // Sizes as the text has them: a number with a unit, or `rest`.
  function split(size) {
    const found = /^(\d+)\s*(%|[A-Za-z]+)$/.exec(size ?? "");
    return found && found[2] in UNITS ? { number: Number(found[1]), unit: found[2] } : { number: 0, unit: "rest" };
  }

  // A size of so many bytes in the unit that the partition is written in.
  function written(part, bytes, usable) {
    const { unit } = split(part.size);
    if (unit === "%") return `${Math.min(100, Math.max(1, Math.round(bytes / usable * 100)))}%`;
    const coarse = bytes >= 2 ** 34 ? "GiB" : "MiB";
    const factor = UNITS[unit] >= UNITS[coarse] ? UNITS[unit] : UNITS[coarse];
    const name = factor === UNITS[unit] ? unit : coarse;
    return `${Math.max(1, Math.round(bytes / factor))}${name}`;
  }

  // Moves the border behind a partition: it grows, or, when it takes the rest, its right neighbour shrinks.
  function move(diskName, left, right, bytes, usable, delay) {
    const parts = model.disks[diskName].partitions;
    const byId = (id) => parts.find((part) => part.id === id);
    const [a, b] = [byId(left.id), byId(right?.id)];
    if (a && a.size !== "rest") a.size = written(a, left.size_bytes + bytes, usable);
    else if (b && b.size !== "rest") b.size = written(b, right.size_bytes - bytes, usable);
    else return;
    askModel(delay);
  }

  let focused = null;
  function rememberFocus() {
    focused = stage.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  }
  function bringFocusBack() {
    if (focused) stage.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  let dragging = false;
  function showPicture() {
    picture.hidden = !model;
    if (!model || dragging) return;
    rememberFocus();
    const names = Object.keys(model.disks);
    stage.replaceChildren(...names.map(diskPicture), ...(editable ? [make("div", { class: "row" },
      make("button", { type: "button", onclick: addDisk }, words.adddisk))] : []));
    bringFocusBack();
  }

  function diskPicture(name) {
    const disk = model.disks[name];
    const shown = drawn.find((one) => one.name === name);
    const box = make("fieldset", { class: "disk editor-disk" }, make("legend", {}, name + (shown ? ` · ${shown.disk}` : "")));
    if (shown) box.append(handles(name, shown));
    if (editable) box.append(diskFields(name, disk), partTable(name, disk));
    return box;
  }

  function handles(name, shown) {
    const svg = bars(shown, shown.sizes)[0];
    svg.removeAttribute("aria-hidden");
    svg.setAttribute("role", "group");
    svg.setAttribute("aria-label", name);
    const usable = shown.size_bytes - 2 * 2 ** 20;
    if (!editable) return svg;
    shown.written.forEach((left, at) => {
      const right = shown.written[at + 1];
      const known = (id) => model.disks[name].partitions.some((part) => part.id === id);
      const size = (id) => model.disks[name].partitions.find((part) => part.id === id)?.size;
      const moves = (known(left.id) && size(left.id) !== "rest") || (right && known(right.id) && size(right.id) !== "rest");
      if (!moves) return;
      const end = percent(left.start_bytes + left.size_bytes, shown.size_bytes);
      const label = words.border.replace("{a}", left.mount || left.id).replace("{b}", right ? right.mount || right.id : "–");
      const grip = make("svg", {
        x: `${end}%`, width: 18, height: "100%", overflow: "visible", class: "grip", tabindex: 0, role: "slider",
        "aria-label": label, "aria-orientation": "horizontal", "aria-valuemin": 0, "aria-valuemax": 100,
        "aria-valuenow": Math.round(end), "aria-valuetext": `${left.mount || left.id} ${shown.sizes[at]}`, "data-key": `grip ${name} ${left.id}`,
      }, make("rect", { x: -9, width: 18, height: "100%", class: "reach" }), make("rect", { x: -2, width: 4, height: "100%", class: "mark" }),
      make("title", {}, label));
      grip.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        const one = split(size(left.id)).unit === "%" || split(size(right?.id)).unit === "%" ? usable / 100
          : left.size_bytes >= 2 ** 34 ? 2 ** 30 : 2 ** 27;
        move(name, left, right, step * one * (event.shiftKey ? 10 : 1), usable, 60);
      });
      grip.addEventListener("pointerdown", (event) => drag(event, grip, svg, name, left, right, shown, usable));
      svg.append(grip);
    });
    return svg;
  }

  function drag(event, grip, svg, name, left, right, shown, usable) {
    event.preventDefault();
    grip.focus();
    grip.setPointerCapture(event.pointerId);
    dragging = true;
    const begin = event.clientX;
    const width = svg.getBoundingClientRect().width;
    let bytes = 0;
    const follow = (moved) => {
      bytes = (moved.clientX - begin) / width * shown.size_bytes;
      const least = 2 ** 20 - left.size_bytes;
      bytes = Math.max(least, right ? Math.min(bytes, right.size_bytes - 2 ** 20) : bytes);
      grip.setAttribute("x", `${percent(left.start_bytes + left.size_bytes + bytes, shown.size_bytes)}%`);
      move(name, left, right, bytes, usable, 120);
    };
    const end = () => {
      grip.removeEventListener("pointermove", follow);
      dragging = false;
      if (bytes) move(name, left, right, bytes, usable, 0);
      else showPicture();
    };
    grip.addEventListener("pointermove", follow);
    grip.addEventListener("pointerup", end, { once: true });
    grip.addEventListener("pointercancel", end, { once: true });
  }

  const changed = (apply) => (event) => {
    apply(event.target);
    askModel(150);
  };

  function select(options, value, label, key, apply) {
    return make("select", { "aria-label": label, "data-key": key, onchange: changed((field) => apply(field.value)) },
      ...options.map(([word, text]) => make("option", { value: word, selected: word === value }, text)));
  }

  function diskFields(name, disk) {
    const wipe = make("input", { type: "checkbox", checked: disk.wipe, "data-key": `wipe ${name}`, onchange: changed((field) => { disk.wipe = field.checked; }) });
    const least = make("input", {
      value: disk.match.min_size ?? "", placeholder: "8GiB", size: 8, "data-key": `min ${name}`, "aria-label": words.minsize,
      onchange: changed((field) => { disk.match.min_size = field.value.trim() || null; }),
    });
    return make("div", { class: "row disk-fields" },
      make("label", { class: "check" }, wipe, make("span", {}, words.wipe)),
      make("label", { class: "inline" }, make("span", {}, words.minsize), least),
      make("label", { class: "inline" }, make("span", {}, words.table),
        select([["gpt", "GPT"], ["mbr", "MBR"]], disk.table, words.table, `table ${name}`, (word) => { disk.table = word; })),
      ...(Object.keys(model.disks).length > 1 ? [make("button", {
        type: "button", class: "small", onclick: () => { delete model.disks[name]; askModel(0); },
      }, words.removedisk)] : []));
  }

  function partTable(name, disk) {
    const head = [words.id, words.size, words.unit, words.min, words.format, words.mount, words.when, ""];
    const body = make("tbody", {}, ...disk.partitions.map((part, at) => partRow(name, disk, part, at)));
    return make("div", {}, make("table", { class: "table fields-table" },
      make("thead", {}, make("tr", {}, ...head.map((word) => make("th", { scope: "col" }, word)))), body),
    make("div", { class: "row" }, make("button", { type: "button", "data-key": `add ${name}`, onclick: () => addPart(disk) }, words.add)));
  }

  function partRow(name, disk, part, at) {
    const { number, unit } = split(part.size);
    const key = (word) => `${word} ${name} ${at}`;
    const text = (word, value, apply, width) => make("input", {
      value: value ?? "", size: width, "aria-label": `${words[word]} ${part.id}`, "data-key": key(word), autocapitalize: "none",
      onchange: changed((field) => apply(field.value.trim())),
    });
    const units = [...new Set(["MiB", "GiB", "TiB", "%", "rest", unit])];
    const amount = make("input", {
      type: "number", min: 1, value: unit === "rest" ? "" : number, disabled: unit === "rest", "aria-label": `${words.size} ${part.id}`, "data-key": key("size"),
      onchange: changed((field) => { part.size = `${Math.max(1, Math.round(Number(field.value) || 1))}${unit}`; }),
    });
    const chosen = select(units.map((word) => [word, word === "rest" ? words.rest : word]), unit, `${words.unit} ${part.id}`, key("unit"), (word) => {
      const shown = drawn.find((one) => one.name === name);
      const bytes = shown?.written.find((one) => one.id === part.id)?.size_bytes ?? 2 ** 30;
      if (word === "rest") part.size = "rest";
      else if (word === "%") part.size = `${Math.min(100, Math.max(1, Math.round(bytes / (shown?.size_bytes ?? bytes) * 100)))}%`;
      else part.size = `${Math.max(1, Math.round(bytes / UNITS[word]))}${word}`;
    });
    const special = part.type && part.type !== "linux" ? part.type : "";
    const cells = [
      [words.id, text("id", part.id, (value) => { part.id = value; }, 8)],
      [words.size, amount],
      [words.unit, chosen],
      [words.min, text("min", part.min, (value) => { part.min = value || null; }, 6)],
      [words.format, special === "bios-boot" ? make("span", { class: "soft small" }, special)
        : select(FORMATS.map((word) => [word, word || "–"]), part.format ?? "", `${words.format} ${part.id}`, key("format"), (word) => {
          part.format = word || null;
          if (word === "swap") part.mount = null;
        })],
      [words.mount, part.format === "swap" || special === "bios-boot" ? make("span", { class: "soft" }, "–")
        : text("mount", part.mount, (value) => { part.mount = value || null; }, 10)],
      [words.when, select([["", words.any], ["uefi", "UEFI"], ["bios", "BIOS"]], part.when ?? "", `${words.when} ${part.id}`, key("when"), (word) => { part.when = word || null; })],
      ["", make("button", { type: "button", "aria-label": `${words.remove} ${part.id}`, "data-key": key("remove"), onclick: () => { disk.partitions.splice(at, 1); askModel(0); } }, "✕")],
    ];
    return make("tr", {}, ...cells.map(([label, field]) => make("td", label ? { "data-label": label } : {}, field)));
  }

  function free(taken, base) {
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? base : `${base}${number}`;
      if (!taken.includes(name)) return name;
    }
  }

  function addPart(disk) {
    const id = free(disk.partitions.map((part) => part.id), "data");
    const before = disk.partitions.findIndex((part) => part.size === "rest");
    const part = { id, size: "1GiB", format: "ext4", mount: `/${id}` };
    disk.partitions.splice(before < 0 ? disk.partitions.length : before, 0, part);
    askModel(0);
  }

  function addDisk() {
    const name = free(Object.keys(model.disks), "data");
    model.disks[name] = {
      match: { serial: "SERIAL" }, table: "gpt", wipe: true,
      partitions: [{ id: name, size: "rest", format: "ext4", mount: `/srv/${name}` }],
    };
    askModel(0);
  }

  form.querySelectorAll("[data-without-scripts]").forEach((button) => { button.hidden = true; });
  yaml.addEventListener("input", () => askText(350));
  client.addEventListener("change", () => askText(0));
  askText(0);
})();
