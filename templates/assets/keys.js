// Which keys somebody would press to write a text, by the keyboard that the machine believes to have. Names of keys are those of the
// UI Events specification ("code"): of the place on the keyboard, whatever is printed on it.
const PLACES = [
  "Backquote", "Digit1", "Digit2", "Digit3", "Digit4", "Digit5", "Digit6", "Digit7", "Digit8", "Digit9", "Digit0", "Minus", "Equal",
  "KeyQ", "KeyW", "KeyE", "KeyR", "KeyT", "KeyY", "KeyU", "KeyI", "KeyO", "KeyP", "BracketLeft", "BracketRight", "Backslash",
  "KeyA", "KeyS", "KeyD", "KeyF", "KeyG", "KeyH", "KeyJ", "KeyK", "KeyL", "Semicolon", "Quote",
  "KeyZ", "KeyX", "KeyC", "KeyV", "KeyB", "KeyN", "KeyM", "Comma", "Period", "Slash", "IntlBackslash", "Space",
];

// In the order of the places: alone, and with Shift. A blank stands for nothing that this key writes at once.
const LAYOUTS = {
  us: [
    "`1234567890-=qwertyuiop[]\\asdfghjkl;'zxcvbnm,./  ",
    "~!@#$%^&*()_+QWERTYUIOP{}|ASDFGHJKL:\"ZXCVBNM<>?  ",
  ],
  de: [
    " 1234567890ß qwertzuiopü+#asdfghjklöäyxcvbnm,.-< ",
    "°!\"§$%&/()=? QWERTZUIOPÜ*'ASDFGHJKLÖÄYXCVBNM;:_> ",
  ],
};

// With AltGr on a German keyboard.
const GERMAN_THIRD = {
  "²": "Digit2", "³": "Digit3", "{": "Digit7", "[": "Digit8", "]": "Digit9", "}": "Digit0", "\\": "Minus",
  "@": "KeyQ", "€": "KeyE", "~": "BracketRight", "|": "IntlBackslash", "µ": "KeyM",
};
// Keys that write nothing before the next one; a blank after them writes the sign itself.
const GERMAN_DEAD = { "^": ["Backquote", ""], "´": ["Equal", ""], "`": ["Equal", "shift"] };

const RETURN = 0xff0d;
const TAB = 0xff09;
const BLANK = 0x20;

function strokes(sign, layout) {
  const keysym = keysymOf(sign);
  if (sign === "\n") return [{ keysym: RETURN, code: "Enter" }];
  if (sign === "\t") return [{ keysym: TAB, code: "Tab" }];
  if (sign === " ") return [{ keysym: BLANK, code: "Space" }];
  const [alone, shifted] = LAYOUTS[layout] ?? LAYOUTS.us;
  if (alone.includes(sign)) return [{ keysym, code: PLACES[alone.indexOf(sign)] }];
  if (shifted.includes(sign)) return [{ keysym, code: PLACES[shifted.indexOf(sign)], shift: true }];
  if (layout === "de" && GERMAN_THIRD[sign]) return [{ keysym, code: GERMAN_THIRD[sign], third: true }];
  if (layout === "de" && GERMAN_DEAD[sign]) {
    const [code, shift] = GERMAN_DEAD[sign];
    return [{ keysym, code, shift: Boolean(shift) }, { keysym: BLANK, code: "Space" }];
  }
  // No key of this keyboard writes it; the machine may know what to do.
  return [{ keysym, code: null }];
}

// RFC 6143, 7.5.4: Latin-1 as it is, the euro sign by its own number, everything else by its number in Unicode.
function keysymOf(sign) {
  const point = sign.codePointAt(0);
  if (sign === "€") return 0x20ac;
  return point < 0x100 ? point : 0x01000000 + point;
}

// The strokes that write a text.
export function strokesOf(text, layout) {
  return [...text.replaceAll("\r\n", "\n").replaceAll("\r", "\n")].flatMap((sign) => strokes(sign, layout));
}
