//! What a machine prints on its serial line: which piece is new, and lines of it that anybody can look at. Pure.
//!
//! Invariant: a line that is shown holds no sign that a terminal or a browser would do something for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::console::{SerialPiece, SerialPlace};

/// Longest line that is shown, in letters; the rest of it is left out.
const LONGEST_LINE: usize = 4096;
/// What stands for signs that are not shown.
const HIDDEN: char = '\u{fffd}';

/// What was kept at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of text before it, from the machine's first on.
    pub start: i64,
    /// The text.
    pub text: String,
    /// When it came.
    pub came_at: i64,
}

/// A line that a machine has printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SerialLine {
    /// Where it begins: bytes of text before it.
    pub place: i64,
    /// When its beginning came.
    pub at: i64,
    /// The line, without anything that a terminal would obey.
    pub text: String,
}

/// Whole lines, and the beginning of the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines that are over.
    pub lines: Vec<SerialLine>,
    /// What stands behind the last of them.
    pub unfinished: String,
    /// Where that begins.
    pub next: i64,
}

/// What an agent has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was there already, all of it or its beginning.
    Repeated,
    /// It is new, behind so many bytes that nobody has sent.
    New(u64),
}

/// What a piece is, when everything up to a place is known.
pub fn arrival(known: Option<SerialPlace>, piece: &SerialPiece) -> Arrival {
    let begins = known.filter(|known| known.file == piece.from.file).map_or(0, |known| known.offset_bytes);
    piece.from.offset_bytes.checked_sub(begins).map_or(Arrival::Repeated, Arrival::New)
}

/// The lines of pieces that follow each other, from the first that begins at `after` or later.
pub fn lines(pieces: &[Piece], after: i64) -> Lines {
    let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    let first = pieces.first().map_or(after, |piece| piece.start);
    let mut found = Lines { next: after.max(first), ..Lines::default() };
    let came = |place: i64| {
        let at = pieces.partition_point(|piece| piece.start <= place).saturating_sub(1);
        pieces.get(at).map_or(0, |piece| piece.came_at)
    };
    let mut place = first;
    // What was before the first piece may have been the beginning of its line.
    let mut begins_anew = first == 0 || first == after;
    for line in text.split_inclusive('\n') {
        let end = place + i64::try_from(line.len()).unwrap_or(0);
        if begins_anew && place >= after {
            if line.ends_with('\n') {
                found.lines.push(SerialLine { place, at: came(place), text: readable(line) });
                found.next = end;
            } else {
                found.unfinished = readable(line);
                found.next = place;
            }
        }
        (place, begins_anew) = (end, true);
    }
    found
}

/// A line as it can be shown: without escape sequences (ECMA-48), what was overwritten, control signs and changes of direction.
pub fn readable(line: &str) -> String {
    let line = line.trim_end_matches(['\n', '\r']);
    // Whoever goes back to the beginning of a line writes over it.
    let mut shown = String::new();
    for part in line.split('\r') {
        let part = without_sequences(part);
        if !part.is_empty() {
            shown = part;
        }
    }
    if let Some((end, _)) = shown.char_indices().nth(LONGEST_LINE) {
        shown.truncate(end);
        shown.push('…');
    }
    shown
}

fn without_sequences(text: &str) -> String {
    let mut shown = String::new();
    let mut signs = text.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\u{1b}' => skip_sequence(&mut signs),
            '\u{9b}' => skip_control(&mut signs),
            '\u{8}' => {
                shown.pop();
            }
            '\t' => shown.push('\t'),
            '\u{0}' | '\u{7}' | '\u{e}' | '\u{f}' => {}
            // Directions and marks of Unicode's bidirectional algorithm would let a line be read as another one.
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => shown.push(HIDDEN),
            sign if sign.is_control() => shown.push(HIDDEN),
            sign => shown.push(sign),
        }
    }
    shown
}

type Signs<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What follows an escape sign.
fn skip_sequence(signs: &mut Signs<'_>) {
    match signs.next() {
        Some('[') => skip_control(signs),
        // Texts for the terminal end with a bell, or with another escape sign and a backslash.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(sign) = signs.next() {
                if sign == '\u{7}' || (sign == '\u{1b}' && signs.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        Some(' '..='/') => {
            while signs.next_if(|sign| (' '..='/').contains(sign)).is_some() {}
            signs.next();
        }
        _ => {}
    }
}

/// Parameters and the final letter of a control sequence.
fn skip_control(signs: &mut Signs<'_>) {
    while signs.next_if(|sign| (' '..='?').contains(sign)).is_some() {}
    signs.next_if(|sign| ('@'..='~').contains(sign));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn piece(start: i64, text: &str) -> Piece {
        Piece { start, text: text.to_owned(), came_at: start * 10 }
    }

    fn sent(file: u64, offset_bytes: u64) -> SerialPiece {
        let from = SerialPlace { file, offset_bytes };
        SerialPiece { machine: "m".to_owned(), from, length_bytes: 1, text: "x".to_owned() }
    }

    #[test]
    fn what_comes_twice_is_known_and_what_is_missing_is_counted() {
        let known = Some(SerialPlace { file: 1, offset_bytes: 100 });
        assert_eq!(arrival(known, &sent(1, 99)), Arrival::Repeated);
        assert_eq!(arrival(known, &sent(1, 100)), Arrival::New(0));
        assert_eq!(arrival(known, &sent(1, 130)), Arrival::New(30));
        assert_eq!(arrival(known, &sent(2, 0)), Arrival::New(0));
        assert_eq!(arrival(None, &sent(2, 7)), Arrival::New(7));
    }

    #[test]
    fn lines_are_the_same_however_they_came() {
        let text = "one\r\ntwo\nthree";
        let whole = lines(&[piece(0, text)], 0);
        let texts: Vec<_> = whole.lines.iter().map(|line| (line.place, line.text.as_str())).collect();
        assert_eq!(texts, [(0, "one"), (5, "two")]);
        assert_eq!((whole.unfinished.as_str(), whole.next), ("three", 9));
        for cut in 1..text.len() {
            let torn = lines(&[piece(0, &text[..cut]), piece(i64::try_from(cut).unwrap(), &text[cut..])], 0);
            let torn_texts: Vec<_> = torn.lines.iter().map(|line| (line.place, line.text.as_str())).collect();
            assert_eq!((torn_texts, torn.next), (texts.clone(), 9), "{cut}");
        }
    }

    #[test]
    fn reading_goes_on_where_it_ended_and_never_with_half_a_line() {
        let kept = [piece(100, "lf a line\nwhole\n"), piece(116, "more\nrest")];
        let all = lines(&kept, 0);
        assert_eq!(all.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["whole", "more"]);
        assert_eq!(all.lines[1].at, 1160);
        let again = lines(&kept[1..], 116);
        assert_eq!(again.lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), ["more"]);
        let end = lines(&kept[1..], all.next);
        assert_eq!((end.lines.len(), end.unfinished.as_str(), end.next), (0, "rest", all.next));
        assert_eq!(lines(&[], 7).next, 7);
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        for (line, shown) in [
            ("\u{1b}[0;32m  OK  \u{1b}[0m Started\r\n", "  OK   Started"),
            ("\u{1b}]0;root@host\u{7}$ ls", "$ ls"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("10%\r20%\r100%\r\n", "100%"),
            ("passx\u{8}word", "password"),
            ("\u{1b}(B\u{1b}=plain\u{1b}", "plain"),
            ("a\u{0}b\u{1}c", "ab\u{fffd}c"),
            ("safe\u{202e}gpj.exe", "safe\u{fffd}gpj.exe"),
            ("\u{9b}31mred", "red"),
            ("tab\there", "tab\there"),
        ] {
            assert_eq!(readable(line), shown, "{line:?}");
        }
        assert_eq!(readable(&"x".repeat(9000)).chars().count(), LONGEST_LINE + 1);
    }

    proptest! {
        #[test]
        fn nothing_makes_a_line_dangerous(line in "(\\PC|[\\x00-\\x1f\\x7f-\\x9f]|\\x1b[\\[\\]P(]){0,80}") {
            let shown = readable(&line);
            prop_assert!(shown.chars().all(|sign| sign == '\t' || !sign.is_control()), "{shown:?}");
        }
    }
}
