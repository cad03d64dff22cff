//! A report: a table with a head that says what each column holds, as people, spreadsheets and programs read it.
//!
//! Invariant: every row has as many cells as there are columns. What nobody has reported is an empty cell, never a guess.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock;

/// Which reports there are.
pub const NAMES: [&str; 11] = [
    "updates", "reboots", "silent", "failures", "hardware", "software", "packages", "disks", "space", "age",
    "changes",
];

/// A report that was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// Which.
    pub name: String,
    /// Only members of this group.
    pub group: Option<String>,
    /// When it was made.
    pub made_at: i64,
    /// What each column holds.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
    /// What its reader has to know, as keys of the pages' texts.
    pub notes: Vec<String>,
    /// Counts by day, oldest first; empty when there are none.
    pub days: Vec<DayCount>,
}

/// A count of a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DayCount {
    /// Days since the Unix epoch, UTC.
    pub day: i64,
    /// How many.
    pub count: i64,
}

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Of which kind its cells are.
    pub kind: Kind,
}

/// Of which kind a column's cells are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ReportColumnKind)]
pub enum Kind {
    /// Text.
    Text,
    /// Name of a client.
    Client,
    /// A number of a job.
    Job,
    /// A number.
    Number,
    /// A number of bytes.
    Bytes,
    /// Microseconds since the Unix epoch, UTC.
    Time,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Cell {
    /// A number, a length or a time.
    Number(i64),
    /// A text.
    Text(String),
    /// Nothing is known.
    Nothing,
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(text.to_owned()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        if text.is_empty() { Self::Nothing } else { Self::Text(text) }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }
}

/// The columns of a report, from pairs.
pub fn columns(pairs: &[(&str, Kind)]) -> Vec<Column> {
    pairs.iter().map(|(name, kind)| Column { name: (*name).to_owned(), kind: *kind }).collect()
}

impl Report {
    /// The table as CSV (RFC 4180). Machines choose some of the texts: one that a spreadsheet would take for a formula begins with an
    /// apostrophe.
    pub fn to_csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
        let head = self.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let rows = self.rows.iter().map(|row| {
            row.iter().zip(&self.columns).map(|(cell, column)| plain(cell, column.kind)).collect::<Vec<_>>()
        });
        for row in std::iter::once(head).chain(rows) {
            // Writing to memory does not fail, and every row has the same length.
            if writer.write_record(&row).is_err() {
                break;
            }
        }
        writer.into_inner().map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

fn plain(cell: &Cell, kind: Kind) -> String {
    match (cell, kind) {
        (Cell::Number(at), Kind::Time) => clock::rfc3339(*at),
        (Cell::Number(number), _) => number.to_string(),
        (Cell::Text(text), _) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        (Cell::Text(text), _) => text.clone(),
        (Cell::Nothing, _) => String::new(),
    }
}

/// The cause of a failure: its reason without what is different each time, such as numbers, addresses and identifiers. The same cause
/// gives the same text.
pub fn cause(reason: &str) -> String {
    let line = reason.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let hex = word.chars().filter(char::is_ascii_hexdigit).count();
        let is_identifier = word.len() >= 12 && digits > 0 && hex * 4 >= word.len() * 3;
        words.push(if is_identifier { "…".to_owned() } else { without_numbers(word) });
    }
    let text = words.join(" ");
    match text.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Each run of digits, and what is only dots and colons between such runs, becomes one sign.
fn without_numbers(word: &str) -> String {
    let mut text = String::new();
    let mut waiting = String::new();
    let mut in_number = false;
    for c in word.chars() {
        if c.is_ascii_digit() {
            if !in_number {
                text.push('…');
            }
            waiting.clear();
            in_number = true;
        } else if in_number && ".:-".contains(c) {
            waiting.push(c);
        } else {
            text.push_str(&waiting);
            waiting.clear();
            in_number = false;
            text.push(c);
        }
    }
    text + &waiting
}

/// When a machine's firmware was made, `MM/DD/YYYY` (SMBIOS, 7.1), in days since the Unix epoch.
pub fn firmware_day(date: &str) -> Option<i64> {
    let mut parts = date.trim().split('/');
    let mut next = || parts.next()?.parse::<i32>().ok();
    let (month, day, year) = (next()?, next()?, next()?);
    // The oldest form has two digits of the twentieth century.
    let year = if year < 100 { year + 1900 } else { year };
    self::day(year, month, day)
}

/// `YYYY-MM-DD` in days since the Unix epoch.
pub fn iso_day(date: &str) -> Option<i64> {
    let mut parts = date.trim().splitn(3, '-');
    let mut next = || parts.next()?.parse::<i32>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    self::day(year, month, day)
}

fn day(year: i32, month: i32, day: i32) -> Option<i64> {
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = time::Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    Some(i64::from(
        date.to_julian_day()
            - time::Date::from_calendar_date(1970, time::Month::January, 1).ok()?.to_julian_day(),
    ))
}

/// A day as `YYYY-MM-DD`.
pub fn shown_day(day: i64) -> String {
    clock::rfc3339(day.saturating_mul(86_400 * clock::SECOND)).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_cause_is_the_same_text() {
        for (reason, text) in [
            (
                "exit status 100: E: Unable to locate package foo",
                "exit status …: E: Unable to locate package foo",
            ),
            ("could not reach 10.0.0.17:8444 after 30s", "could not reach … after …s"),
            ("disk 5f2c9a7be01d44aa is gone\nmore", "disk … is gone"),
            ("", ""),
            ("sda1: no room", "sda…: no room"),
            ("version 1.2.3-4 of libc6", "version … of libc…"),
        ] {
            assert_eq!(cause(reason), text, "{reason}");
        }
        assert_eq!(cause("lost 10.0.0.1"), cause("lost 192.168.178.200"));
        assert_eq!(cause(&"ä ".repeat(500)).chars().count(), 201);
    }

    #[test]
    fn what_a_machine_says_is_no_formula_in_a_spreadsheet() {
        let report = Report {
            name: "x".to_owned(),
            group: None,
            made_at: 0,
            columns: columns(&[("a", Kind::Text), ("b", Kind::Time), ("c", Kind::Number)]),
            rows: vec![
                vec![Cell::from("=1+1"), Cell::Number(0), Cell::Number(-3)],
                vec![Cell::from("a \"b\", c\nd"), Cell::Nothing, Cell::Nothing],
            ],
            notes: Vec::new(),
            days: Vec::new(),
        };
        let text = "a,b,c\r\n'=1+1,1970-01-01T00:00:00Z,-3\r\n\"a \"\"b\"\", c\nd\",,\r\n";
        assert_eq!(report.to_csv(), text);
    }

    #[test]
    fn dates_of_firmware_and_of_people_are_read() {
        assert_eq!(firmware_day("01/02/1970"), Some(1));
        assert_eq!(firmware_day("12/31/99"), iso_day("1999-12-31"));
        assert_eq!(iso_day("2024-02-29").map(shown_day).as_deref(), Some("2024-02-29"));
        for wrong in ["", "2023-02-29", "31.12.2024", "13/01/2020", "x"] {
            assert_eq!((firmware_day(wrong), iso_day(wrong)), (None, None), "{wrong}");
        }
    }
}
