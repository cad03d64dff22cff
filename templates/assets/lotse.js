// What pages need beyond links and forms: they follow what happens, and follow a job's output.
"use strict";

// An event on the server refreshes the parts of the page that depend on it, at most once a second; and once more when it has become
// quiet, because what follows from the last event is worked out a moment later.
function followEvents() {
  if (!document.querySelector("[data-live]")) return;
  const refresh = () => document.body.dispatchEvent(new CustomEvent("lotse-changed"));
  let waiting = false;
  let quiet;
  new EventSource("/live").addEventListener("changed", () => {
    clearTimeout(quiet);
    quiet = setTimeout(refresh, 5000);
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      refresh();
    }, 1000);
  });
}

const signs = { install: "+", upgrade: "↑", downgrade: "↓", reinstall: "=", remove: "−", purge: "−" };

function packageChange(change) {
  const versions = [change.from, change.to].filter(Boolean).join(" → ");
  return `${signs[change.change] ?? "?"} ${change.package} ${versions}${change.is_security ? "  (security)" : ""}`;
}

// Lines have numbers: the browser sends the last one when it comes back, so none is lost or shown twice.
function followOutput(output) {
  const source = new EventSource(output.dataset.output);
  const titles = JSON.parse(output.dataset.steps || "{}");
  const kinds = { stdout: "", stderr: "stderr", agent: "agent" };
  const line = (text, kind) => {
    // A newer attempt has taken its place.
    if (!output.isConnected) source.close();
    const atEnd = output.scrollHeight - output.scrollTop - output.clientHeight < 40;
    const element = document.createElement("span");
    element.className = kind;
    element.textContent = `${text}\n`;
    output.append(element);
    if (atEnd) output.scrollTop = output.scrollHeight;
  };
  source.addEventListener("output", (message) => {
    const event = JSON.parse(message.data);
    if (event.event === "output") line(event.line, kinds[event.stream] ?? "");
    if (event.event === "transaction") event.transaction.changes.forEach((change) => line(packageChange(change), "agent"));
    if (event.event === "step-started") line(`── ${titles[event.step] ?? event.step}`, "step");
    if (event.event === "finished" && event.outcome.outcome === "failed") {
      line(`${titles[event.outcome.step] ?? event.outcome.step}: ${event.outcome.reason}`, "failed");
    }
  });
  source.addEventListener("end", () => source.close());
}

// Pages that follow what happens may come to show the output of a newer attempt.
const followed = new WeakSet();
function followOutputs() {
  for (const output of document.querySelectorAll("[data-output]")) {
    if (followed.has(output)) continue;
    followed.add(output);
    followOutput(output);
  }
}

// What was said to be so old when the page was written gets older while somebody looks. Not by the browser's clock, which may be wrong.
const ages = new WeakMap();
function ago(seconds) {
  const german = document.documentElement.lang === "de";
  if (seconds < 5) return german ? "jetzt" : "now";
  let [count, unit] = [seconds, "s"];
  if (seconds >= 60) [count, unit] = [seconds / 60, "min"];
  if (seconds >= 3600) [count, unit] = [seconds / 3600, "h"];
  if (seconds >= 172800) [count, unit] = [seconds / 86400, german ? "Tagen" : "days"];
  return german ? `vor ${Math.floor(count)} ${unit}` : `${Math.floor(count)} ${unit} ago`;
}
function growOlder() {
  for (const time of document.querySelectorAll("time[data-age]")) {
    let age = ages.get(time);
    if (age?.said !== time.dataset.age) {
      age = { said: time.dataset.age, since: performance.now() };
      ages.set(time, age);
    }
    const text = ago(Number(age.said) + Math.floor((performance.now() - age.since) / 1000));
    if (time.textContent !== text) time.textContent = text;
  }
}

// Whatever is clicked, whenever it came to the page.
function copyOnClick() {
  document.documentElement.classList.add("scripted");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      // Not every browser lets a page do that; what is selected can always be copied.
      getSelection().selectAllChildren(button.previousElementSibling);
      if (!document.execCommand("copy")) return;
    }
    const label = button.firstChild;
    const text = label.textContent;
    label.textContent = button.dataset.done;
    setTimeout(() => { label.textContent = text; }, 2000);
  });
}

// The link of the first login carries its secret behind the hash sign, which no browser sends by itself.
function loginByLink() {
  const field = document.querySelector("input[name=link]");
  if (!field || !location.hash.startsWith("#lotse_")) return;
  field.value = location.hash.slice(1);
  history.replaceState(null, "", location.pathname);
  field.form.submit();
}

window.addEventListener("hashchange", loginByLink);
document.addEventListener("DOMContentLoaded", () => {
  loginByLink();
  followEvents();
  followOutputs();
  copyOnClick();
  document.body.addEventListener("htmx:after:swap", followOutputs);
  growOlder();
  setInterval(growOlder, 5000);
});
