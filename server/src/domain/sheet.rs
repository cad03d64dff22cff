//! A table of machines as people paste or upload it: from a spreadsheet, by hand, or written by ourselves. Pure.

use std::collections::BTreeMap;

use wire::problem::FieldProblem;

/// What a column of the table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// Host name.
    Name,
    /// Hardware addresses, with spaces between them.
    Mac,
    /// Serial number of the machine.
    Serial,
    /// Fixed IPv4 address with the length of the network part.
    Address,
    /// Default gateway.
    Gateway,
    /// Names of groups, with spaces between them.
    Groups,
    /// Distribution.
    Distribution,
    /// Storage layout.
    Layout,
    /// Login name of the first user.
    User,
    /// Full name of the first user.
    FullName,
    /// Password of the first user.
    Password,
    /// Fingerprint of the machine's key as it was shown.
    Fingerprint,
}

/// Every column, its name, and what else people call it.
const COLUMNS: [(Column, &str, &[&str]); 12] = [
    (Column::Name, "name", &["hostname", "host", "client", "rechner", "rechnername"]),
    (Column::Mac, "mac", &["macs", "mac address", "mac-adresse", "hardware address", "hardwareadresse"]),
    (Column::Serial, "serial", &["serial number", "seriennummer", "sn"]),
    (Column::Address, "address", &["ip", "ip address", "ip-adresse", "adresse", "ipv4"]),
    (Column::Gateway, "gateway", &["router"]),
    (Column::Groups, "groups", &["group", "gruppe", "gruppen", "raum", "room"]),
    (Column::Distribution, "distribution", &["os", "betriebssystem"]),
    (Column::Layout, "layout", &["storage", "speicherlayout"]),
    (Column::User, "user", &["login", "benutzer", "anmeldename"]),
    (Column::FullName, "full_name", &["full name", "voller name", "vollständiger name"]),
    (Column::Password, "password", &["passwort", "kennwort"]),
    (Column::Fingerprint, "fingerprint", &["fingerabdruck"]),
];

impl Column {
    /// All, in the order in which they are written.
    pub fn all() -> impl Iterator<Item = Self> {
        COLUMNS.iter().map(|(column, ..)| *column)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        COLUMNS.iter().find(|(column, ..)| *column == self).map_or("", |(_, name, _)| name)
    }

    fn from_head(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase();
        let found = COLUMNS.iter().find(|(_, name, others)| *name == text || others.contains(&text.as_str()));
        found.map(|(column, ..)| *column)
    }
}

/// One machine of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// The line in the text where it stands, from 1.
    pub line: u64,
    /// What stands there; empty cells are left out.
    pub cells: BTreeMap<Column, String>,
}

impl Row {
    /// A cell; empty when there is nothing in it.
    pub fn get(&self, column: Column) -> &str {
        self.cells.get(&column).map(String::as_str).unwrap_or_default()
    }

    /// Writes a cell.
    pub fn set(&mut self, column: Column, value: impl Into<String>) {
        let value = value.into();
        if value.is_empty() {
            self.cells.remove(&column);
        } else {
            self.cells.insert(column, value);
        }
    }
}

/// Reads a table: separated by `;`, tabs or commas, with or without quotes and byte-order mark, with a head that names the columns.
///
/// # Errors
/// What is wrong, as `sheet` or `rows[N].COLUMN`.
pub fn read(text: &str) -> Result<Vec<Row>, Vec<FieldProblem>> {
    let problem = |field: &str, message: String| vec![FieldProblem { field: field.to_owned(), message }];
    let text = text.trim_start_matches('\u{feff}');
    let Some(first) = text.lines().find(|line| !line.trim().is_empty()) else { return Ok(Vec::new()) };
    let count = |sign: char| first.matches(sign).count();
    let delimiter = [';', '\t', ','].into_iter().rev().max_by_key(|sign| count(*sign)).unwrap_or(';');
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(u8::try_from(delimiter).unwrap_or(b';'))
        .flexible(true)
        .trim(csv::Trim::All)
        .has_headers(true)
        .from_reader(text.as_bytes());
    let broken = |error: csv::Error| problem("sheet", format!("cannot be read: {error}"));
    let head = reader.headers().map_err(broken)?.clone();
    let mut columns = Vec::new();
    let mut problems = Vec::new();
    for name in &head {
        let column = Column::from_head(name);
        if column.is_none() && !name.is_empty() {
            let known = COLUMNS.map(|(_, name, _)| name).join(", ");
            problems
                .extend(problem("sheet", format!("the column `{name}` is not known; known are: {known}")));
        }
        if column.is_some() && columns.contains(&column) {
            problems.extend(problem("sheet", format!("the column `{name}` is there twice")));
        }
        columns.push(column);
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(broken)?;
        let line = record.position().map_or(0, csv::Position::line);
        let mut row = Row { line, cells: BTreeMap::new() };
        for (at, cell) in record.iter().enumerate() {
            match columns.get(at) {
                Some(Some(column)) => row.set(*column, cell),
                Some(None) => {}
                None if cell.is_empty() => {}
                None => problems.extend(problem(
                    "sheet",
                    format!("line {line} has more cells than the head has columns"),
                )),
            }
        }
        if !row.cells.is_empty() {
            rows.push(row);
        }
    }
    if problems.is_empty() { Ok(rows) } else { Err(problems) }
}

/// Writes a table with the columns that are in use.
pub fn write(rows: &[Row]) -> String {
    let columns: Vec<Column> =
        Column::all().filter(|column| rows.iter().any(|row| row.cells.contains_key(column))).collect();
    let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(Vec::new());
    // Writing to memory fails only when memory does.
    writer.write_record(columns.iter().map(|column| column.as_str())).ok();
    for row in rows {
        writer.write_record(columns.iter().map(|column| row.get(*column))).ok();
    }
    writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Vec<Vec<String>> {
        let rows = read(text).unwrap();
        rows.iter()
            .map(|row| Column::all().take(2).map(|column| row.get(column).to_owned()).collect())
            .collect()
    }

    #[test]
    fn what_spreadsheets_give_is_read_whatever_separates_its_cells() {
        let wanted = [["pc-1", "52:54:00:00:00:01"], ["pc-2", ""]];
        for text in [
            "\u{feff}Name;MAC\r\npc-1;52:54:00:00:00:01\r\npc-2;\r\n",
            "Rechner\tMAC-Adresse\npc-1\t52:54:00:00:00:01\n\npc-2\t\n",
            "\"name\",\"mac\"\n\"pc-1\",\"52:54:00:00:00:01\"\n\"pc-2\",\"\"\n",
            "name; mac\n pc-1 ; 52:54:00:00:00:01 \n;\npc-2\n",
        ] {
            assert_eq!(cells(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_instead_of_being_left_out() {
        assert!(read("name;colour\npc-1;red\n").unwrap_err()[0].message.contains("colour"));
        assert!(read("name;name\npc-1;pc-2\n").unwrap_err()[0].message.contains("twice"));
        assert!(read("name;mac\npc-1;52:54:00:00:00:01;x\n").unwrap_err()[0].message.contains("line 2"));
        assert_eq!(read(" \n").unwrap(), []);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(words in proptest::collection::vec("[a-zäß;,\" \n]{0,9}[a-z]", 1..8)) {
            let rows: Vec<Row> = words.iter().map(|word| {
                let mut row = Row::default();
                row.set(Column::FullName, word.trim());
                row.set(Column::Name, "x");
                row
            }).collect();
            let read: Vec<_> = read(&write(&rows)).unwrap().into_iter().map(|row| row.cells).collect();
            prop_assert_eq!(read, rows.into_iter().map(|row| row.cells).collect::<Vec<_>>());
        }
    }
}
