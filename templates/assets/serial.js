// What a machine prints: lines that are over stay, the one that is not is written anew each time.
const LOOK_EVERY = 2000;
const MOST = 5000;

const list = document.querySelector("#serial-lines");
const unfinished = list.querySelector(".unfinished");
let next = Number(list.dataset.next);

function atEnd() {
  return list.scrollHeight - list.scrollTop - list.clientHeight < 40;
}

async function look() {
  const query = new URLSearchParams({ after: next, search: list.dataset.search });
  const response = await fetch(`${list.dataset.lines}?${query}`);
  if (!response.ok || response.redirected) return;
  const found = await response.json();
  next = found.next;
  const follows = atEnd();
  const lines = found.lines.map((line) => {
    const element = document.createElement("span");
    element.textContent = `${line.text}\n`;
    return element;
  });
  unfinished.before(...lines);
  unfinished.textContent = found.unfinished;
  if (lines.length || found.unfinished) {
    list.hidden = false;
    document.querySelector("#serial-empty")?.remove();
  }
  while (list.children.length > MOST) list.firstElementChild.remove();
  if (follows) list.scrollTop = list.scrollHeight;
  if (found.more) await look();
}

async function follow() {
  // Nobody looks at a page that is hidden.
  if (!document.hidden) await look().catch(() => {});
  setTimeout(follow, LOOK_EVERY);
}

list.scrollTop = list.scrollHeight;
follow();
