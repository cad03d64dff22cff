// The screen of a machine by noVNC: a ticket, a WebSocket, and keys that browsers keep for themselves.
import { strokesOf } from "/assets/keys.js";

const console_ = document.querySelector("#console");
const words = console_.dataset;
const target = document.querySelector("#console-screen");
const state = document.querySelector("#console-state");
const why = document.querySelector("#console-why");
const scale = document.querySelector("#console-scale");
const keys = document.querySelector("#console-keys");
const paste = document.querySelector("#console-paste");
const button = (name) => console_.querySelector(`[data-do="${name}"]`);
const needed = ["ctrl-alt-del", "keyboard", "paste"].map(button);

const CONTROL = 0xffe3;
const ALT = 0xffe9;
const ALT_GR = 0xfe03;
const SHIFT = 0xffe1;
const DELETE = 0xffff;
const BACKSPACE = 0xff08;
// A machine that is asked for more keys at once forgets some.
const BETWEEN_KEYS = 12;

let screen = null;

function show(text, kind, reason = "") {
  state.textContent = text;
  state.className = `chip ${kind}`;
  why.textContent = reason;
  why.hidden = !reason;
  button("connect").hidden = kind !== "bad";
  for (const one of needed) one.disabled = kind !== "good";
}

// What the server says of the end, in the reader's language; what it says of the machine, as it is.
function reasonOf(code, said) {
  const known = words[`why-${code}`] ?? words["why-1006"];
  return code === 4004 && said ? `${known} ${said}` : known;
}

async function ticket() {
  const response = await fetch(`/clients/${encodeURIComponent(words.client)}/console/ticket`, { method: "POST" });
  if (response.redirected) throw new Error(words["why-4001"]);
  if (!response.ok) {
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    throw new Error(page.querySelector(".notice b")?.textContent ?? words["why-1011"]);
  }
  return (await response.json()).ticket;
}

async function connect() {
  show(words.begin, "busy");
  try {
    const { default: RFB } = await import("/assets/novnc/core/rfb.js");
    const secret = await ticket();
    const address = new URL(`/clients/${encodeURIComponent(words.client)}/console/screen`, location.href);
    address.protocol = "wss:";
    const socket = new WebSocket(address, ["binary", `ticket.${secret}`]);
    socket.addEventListener("close", (event) => {
      screen = null;
      show(words.closed, "bad", reasonOf(event.code, event.reason));
    });
    target.replaceChildren();
    screen = new RFB(target, socket, { shared: true });
    screen.background = "transparent";
    screen.scaleViewport = scale.checked;
    screen.addEventListener("connect", () => {
      show(words.open, "good");
      screen.focus();
    });
  } catch (error) {
    show(words.closed, "bad", error.message);
  }
}

const pause = (time) => new Promise((done) => { setTimeout(done, time); });

// Each key goes down and up by its place, so that the machine's own layout makes the sign of it.
async function type(text) {
  const layout = document.querySelector("#paste-layout").value;
  for (const { keysym, code, shift, third } of strokesOf(text, layout)) {
    if (!screen) return;
    if (shift) screen.sendKey(SHIFT, "ShiftLeft", true);
    if (third) screen.sendKey(ALT_GR, "AltRight", true);
    screen.sendKey(keysym, code, true);
    screen.sendKey(keysym, code, false);
    if (third) screen.sendKey(ALT_GR, "AltRight", false);
    if (shift) screen.sendKey(SHIFT, "ShiftLeft", false);
    await pause(BETWEEN_KEYS);
  }
}

function press(keysym, code) {
  screen?.sendKey(keysym, code);
}

button("connect").addEventListener("click", connect);
button("full").addEventListener("click", () => {
  if (document.fullscreenElement) document.exitFullscreen();
  else console_.requestFullscreen().catch(() => {});
});
button("ctrl-alt-del").addEventListener("click", () => {
  if (!screen) return;
  screen.sendKey(CONTROL, "ControlLeft", true);
  screen.sendKey(ALT, "AltLeft", true);
  press(DELETE, "Delete");
  screen.sendKey(ALT, "AltLeft", false);
  screen.sendKey(CONTROL, "ControlLeft", false);
  screen.focus();
});
scale.addEventListener("change", () => {
  if (screen) screen.scaleViewport = scale.checked;
});

// A telephone shows its keyboard for a field only.
button("keyboard").addEventListener("click", () => keys.focus());
keys.addEventListener("beforeinput", (event) => {
  if (event.inputType === "deleteContentBackward") press(BACKSPACE, "Backspace");
});
keys.addEventListener("input", async () => {
  const text = keys.value;
  keys.value = "";
  await type(text);
});

paste.addEventListener("submit", async (event) => {
  event.preventDefault();
  const field = document.querySelector("#paste-text");
  const submit = button("paste");
  submit.disabled = true;
  await type(field.value);
  field.value = "";
  submit.disabled = !screen;
  screen?.focus();
});

// Who leaves the page leaves the machine.
addEventListener("pagehide", () => screen?.disconnect());
connect();
