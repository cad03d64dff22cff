// What pages need beyond links and forms: they follow what happens, and follow a job's output.
"use strict";

// An event on the server refreshes the parts of the page that depend on it, at most once a second.
function followEvents() {
  if (!document.querySelector("[data-live]")) return;
  let waiting = false;
  new EventSource("/live").addEventListener("changed", () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      document.body.dispatchEvent(new CustomEvent("lotse-changed"));
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
  const kinds = { stdout: "", stderr: "stderr", agent: "agent" };
  const line = (text, kind) => {
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
    if (event.event === "step-started") line(`── ${event.step}`, "step");
    if (event.event === "finished" && event.outcome.outcome === "failed") {
      line(`${event.outcome.step}: ${event.outcome.reason}`, "failed");
    }
  });
  source.addEventListener("end", () => source.close());
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
  document.querySelectorAll("[data-output]").forEach(followOutput);
});
