// Numbers beside the lines of a text field, and the way from a problem to its line.
"use strict";

function numberLines(field) {
  const gutter = document.createElement("pre");
  gutter.className = "gutter";
  gutter.setAttribute("aria-hidden", "true");
  field.before(gutter);
  const draw = () => {
    const count = field.value.split("\n").length;
    gutter.textContent = Array.from({ length: count }, (_, at) => at + 1).join("\n");
    gutter.scrollTop = field.scrollTop;
  };
  field.addEventListener("input", draw);
  field.addEventListener("scroll", () => { gutter.scrollTop = field.scrollTop; });
  // Text that a script has set is told by this event.
  field.addEventListener("lotse-text", draw);
  draw();
}

// Puts the cursor on a line (from 1) and selects it.
function selectLine(field, line) {
  const lines = field.value.split("\n");
  const start = lines.slice(0, line - 1).reduce((sum, text) => sum + text.length + 1, 0);
  field.focus();
  field.setSelectionRange(start, start + (lines[line - 1] ?? "").length);
  const height = field.scrollHeight / lines.length;
  field.scrollTop = Math.max(0, (line - 4) * height);
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("textarea[data-lines]").forEach(numberLines);
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-line]");
    if (!link) return;
    const field = document.querySelector(link.getAttribute("href"));
    if (!field) return;
    event.preventDefault();
    selectLine(field, Number(link.dataset.line));
  });
});
