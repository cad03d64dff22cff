//! What people read: tables, and JSON when they ask for it.
//!
//! Invariant: what machines and their users wrote cannot steer the reader's terminal; control characters do not get through.

use std::{
    borrow::Cow,
    io::{IsTerminal, Write},
};

use console::Term;

/// Writes lines to standard output; a reader that has gone away ends the program quietly.
pub(super) fn say(text: &str) {
    write(&printable(text));
}

/// Writes JSON, in which every character that could steer a terminal is escaped.
pub(super) fn say_json(text: &str) {
    write(&escaped(text));
}

/// Writes a value as JSON.
pub(super) fn write_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say_json(&serde_json::to_string_pretty(value)?);
    Ok(())
}

fn write(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if writeln!(stdout, "{text}").and_then(|()| stdout.flush()).is_err() {
        std::process::exit(0);
    }
}

/// A note beside the answer, on standard error.
#[expect(clippy::print_stderr, reason = "notes are for people")]
pub(super) fn note(text: &str) {
    eprintln!("{}", printable(text));
}

/// Text without colours and control characters other than line ends and tabs. Of a line that was written over by
/// carriage returns, as progress is, the last state stays.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let lines = text.split('\n').map(|line| {
        let line = line.trim_end_matches('\r');
        let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
        console::strip_ansi_codes(line).replace(steers, "\u{fffd}")
    });
    Cow::Owned(lines.collect::<Vec<_>>().join("\n"))
}

fn escaped(json: &str) -> Cow<'_, str> {
    // JSON itself escapes what is below U+0020; the line ends of its layout are the only ones left.
    let steers = |c: char| c.is_control() && c != '\n';
    if !json.contains(steers) {
        return Cow::Borrowed(json);
    }
    let escape = |c: char| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(json.chars().map(escape).collect())
}

/// Writes columns, each as wide as its widest entry. On a terminal the last column ends at its edge.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) {
    let width = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    let width = width.filter(|_| std::io::stdout().is_terminal());
    for line in lines(head, rows, width) {
        say(&line);
    }
}

fn lines(head: &[&str], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let head: Vec<String> = head.iter().map(|&text| text.to_owned()).collect();
    let one_line = |text: &String| printable(text).replace(['\n', '\t'], " ");
    let rows: Vec<Vec<String>> =
        std::iter::once(&head).chain(rows).map(|row| row.iter().map(one_line).collect()).collect();
    let widest = |column: usize| {
        rows.iter().filter_map(move |row| row.get(column)).map(|text| console::measure_text_width(text))
    };
    let widths: Vec<usize> = (0..head.len()).map(|column| widest(column).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(text, width)| {
            let blank = width.saturating_sub(console::measure_text_width(text));
            format!("{text}{}", " ".repeat(blank))
        });
        let line = cells.collect::<Vec<_>>().join("  ").trim_end().to_owned();
        match width {
            Some(width) => console::truncate_str(&line, width, "…").into_owned(),
            None => line,
        }
    };
    rows.iter().map(line).collect()
}

/// A time for people: local to nobody, so UTC, to the second.
pub(super) fn time(at: i64) -> String {
    crate::clock::rfc3339(at).replace('T', " ").replace('Z', "")
}

/// Whether somebody watches.
pub(super) fn is_watched() -> bool {
    std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_a_machine_cannot_steer_the_terminal() {
        assert_eq!(
            printable("\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{9b}2Jy\u{8}z"),
            "red xy\u{fffd}z"
        );
        assert_eq!(printable("10%\r50%\r100%\r\nnext\tone"), "100%\nnext\tone");
        assert_eq!(escaped("{\n\"a\": \"\u{9b}2J\"}"), "{\n\"a\": \"\\u009b2J\"}");
    }

    #[test]
    fn columns_are_aligned_by_what_is_seen() {
        let rows = [vec!["käse".to_owned(), "1".to_owned()], vec!["x".to_owned(), "two\nlines".to_owned()]];
        assert_eq!(lines(&["NAME", "N"], &rows, None), ["NAME  N", "käse  1", "x     two lines"]);
        assert_eq!(lines(&["NAME", "N"], &rows, Some(9))[2], "x     tw…");
    }
}
