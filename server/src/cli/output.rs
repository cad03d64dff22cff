//! What people read: tables, and JSON when they ask for it.

use std::io::{IsTerminal, Write};

/// Writes lines to standard output; a reader that has gone away ends the program quietly.
pub(super) fn say(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A note beside the answer, on standard error.
#[expect(clippy::print_stderr, reason = "notes are for people")]
pub(super) fn note(text: &str) {
    eprintln!("{text}");
}

/// Writes columns, each as wide as its widest entry; the last one is not padded.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = head.iter().map(|text| text.chars().count()).collect();
    for row in rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: Vec<_> = cells.zip(&widths).map(|(text, width)| format!("{text:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    say(&line(&mut head.iter().copied()));
    for row in rows {
        say(&line(&mut row.iter().map(String::as_str)));
    }
}

/// A time for people: local to nobody, so UTC, to the second.
pub(super) fn time(at: i64) -> String {
    crate::clock::rfc3339(at).replace('T', " ").replace('Z', "")
}

/// Whether somebody watches.
pub(super) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}
