//! The table that dnf shows before it changes anything, as a transaction; its lines of progress. Pure.

use wire::package_work::{ChangeKind, Transaction, TransactionChange};

/// What stands above the packages that something happens to, what that is, and whether nobody asked for them by name.
const SECTIONS: [(&str, ChangeKind, bool); 11] = [
    ("Installing:", ChangeKind::Install, false),
    ("Installing dependencies:", ChangeKind::Install, true),
    ("Installing weak dependencies:", ChangeKind::Install, true),
    ("Installing group/module packages:", ChangeKind::Install, true),
    ("Upgrading:", ChangeKind::Upgrade, false),
    ("Downgrading:", ChangeKind::Downgrade, false),
    ("Reinstalling:", ChangeKind::Reinstall, false),
    ("Removing:", ChangeKind::Remove, false),
    ("Removing dependent packages:", ChangeKind::Remove, true),
    ("Removing unused dependencies:", ChangeKind::Remove, true),
    ("Removing conflicting packages:", ChangeKind::Remove, true),
];

/// The changes of a table. `asked`: the packages that somebody asked for, by name; nobody did where everything is upgraded.
pub(super) fn transaction(printed: &str, asked: &[String]) -> Transaction {
    let mut transaction = Transaction::default();
    let mut section = None;
    // A name that is too long for its column stands in a line of its own.
    let mut begun: Vec<&str> = Vec::new();
    for line in printed.lines() {
        if line.starts_with("Transaction Summary") {
            section = None;
        } else if !line.starts_with(' ') {
            section = SECTIONS.iter().find(|(title, ..)| *title == line.trim_end());
            begun.clear();
            if let Some(bytes) = bytes_of(line, &["Total download size: ", "Total size: "]) {
                transaction.download_bytes = bytes.unsigned_abs();
            } else if let Some(bytes) = bytes_of(line, &["Installed size: "]) {
                transaction.disk_bytes += bytes;
            } else if let Some(bytes) = bytes_of(line, &["Freed space: "]) {
                transaction.disk_bytes -= bytes;
            }
        } else if let Some((_, change, is_dependency)) = section {
            let words: Vec<&str> = line.split_whitespace().collect();
            if let ["replacing", name, version, ..] = words.as_slice() {
                let (package, architecture) = name.rsplit_once('.').unwrap_or((name, ""));
                let gone = row(package, architecture, version.trim_end_matches('.'), ChangeKind::Remove);
                transaction.changes.push(TransactionChange { is_dependency: true, ..gone });
                continue;
            }
            begun.extend(words);
            if let [package, architecture, version, _, _, ..] = begun.as_slice() {
                let one = row(package, architecture, version, *change);
                let is_named = asked.is_empty() || asked.iter().any(|name| name == package);
                let is_dependency = *is_dependency || !is_named;
                transaction.changes.push(TransactionChange { is_dependency, ..one });
                begun.clear();
            }
        }
    }
    let key = |it: &TransactionChange| (it.package.clone(), it.architecture.clone(), it.change);
    transaction.changes.sort_by_key(key);
    transaction.changes.dedup_by_key(|it| key(it));
    transaction
}

fn row(package: &str, architecture: &str, version: &str, change: ChangeKind) -> TransactionChange {
    let (from, to) = if change == ChangeKind::Remove { (version, "") } else { ("", version) };
    TransactionChange {
        package: package.to_owned(),
        architecture: architecture.to_owned(),
        change,
        from: from.to_owned(),
        to: to.to_owned(),
        is_security: false,
        is_dependency: false,
    }
}

/// `5.4 k` behind one of these words, in bytes; dnf counts by 1024.
fn bytes_of(line: &str, words: &[&str]) -> Option<i64> {
    let text = words.iter().find_map(|word| line.strip_prefix(word))?.trim();
    let (number, unit) = text.split_once(' ').unwrap_or((text, ""));
    let factor: i64 = match unit.trim() {
        "" => 1,
        "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    let (whole, tenths) = number.split_once('.').unwrap_or((number, "0"));
    let (whole, tenths): (i64, i64) = (whole.parse().ok()?, tenths.parse().ok()?);
    Some(whole * factor + tenths * factor / 10)
}

/// `  Installing       : hello-1.0-1.noarch      2/3`: how many of how many, and what is said.
pub(super) fn progress(line: &str) -> Option<(u32, u32, &str)> {
    let (message, count) = line.trim().rsplit_once(' ')?;
    let (done, of) = count.split_once('/')?;
    let (verb, name) = message.split_once(" : ").or_else(|| message.split_once(": "))?;
    (line.starts_with("  ") && !verb.trim().is_empty() && !name.trim().is_empty())
        .then_some(())
        .and_then(|()| Some((done.parse().ok()?, of.parse().ok()?, name.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, asked: &str) -> Vec<String> {
        let asked: Vec<String> = asked.split_whitespace().map(str::to_owned).collect();
        let one = |it: &TransactionChange| {
            let mark = if it.is_dependency { " (needed)" } else { "" };
            format!("{:?} {}.{} {}>{}{mark}", it.change, it.package, it.architecture, it.from, it.to)
        };
        transaction(text, &asked).changes.iter().map(one).collect()
    }

    #[test]
    fn what_comes_goes_and_changes_is_read_from_the_table_that_dnf_shows() {
        let cases: [(&str, &str, &[&str]); 7] = [
            (
                include_str!("testdata/dnf-assumeno-install.txt"),
                "hello",
                &["Install hello.noarch >1.0-1", "Install hello-data.noarch >1.0-1 (needed)"],
            ),
            (
                include_str!("testdata/dnf-assumeno-allowerasing.txt"),
                "right",
                &["Remove left.noarch 1.0-1> (needed)", "Install right.noarch >1.0-1"],
            ),
            (
                include_str!("testdata/dnf-assumeno-upgrade.txt"),
                "",
                &["Upgrade hello.noarch >2.0-1", "Upgrade hello-data.noarch >2.0-1"],
            ),
            (
                include_str!("testdata/dnf-assumeno-remove.txt"),
                "hello-data",
                &["Remove hello.noarch 1.0-1> (needed)", "Remove hello-data.noarch 1.0-1>"],
            ),
            (
                include_str!("testdata/dnf-assumeno-downgrade.txt"),
                "hello",
                &["Downgrade hello.noarch >1.0-1"],
            ),
            (include_str!("testdata/dnf-nothing.txt"), "left", &[]),
            (
                include_str!("testdata/dnf-shell.txt"),
                "left broken hello",
                &["Downgrade hello.noarch >1.0-1", "Remove left.noarch 1.0-1>"],
            ),
        ];
        for (text, asked, expected) in cases {
            assert_eq!(read(text, asked), expected, "{text}");
        }
    }

    #[test]
    fn a_long_name_in_a_line_of_its_own_and_what_it_replaces_are_read() {
        let found = read(include_str!("testdata/dnf-assumeno-long.txt"), "");
        let long = "a-shell-with-a-name-that-is-long-enough-to-break-the-line";
        assert!(found.contains(&format!("Install {long}.noarch >1.0-1")), "{found:?}");
        assert!(found.contains(&"Remove right.noarch 1.0-1> (needed)".to_owned()), "{found:?}");
    }

    #[test]
    fn sizes_and_progress_are_read() {
        let install = transaction(include_str!("testdata/dnf-assumeno-install.txt"), &[]);
        assert_eq!(install.download_bytes, 11 << 10);
        assert_eq!(bytes_of("Freed space: 1.5 M", &["Freed space: "]), Some((1 << 20) + (5 << 20) / 10));
        let lines: Vec<_> = include_str!("testdata/dnf-install.txt").lines().filter_map(progress).collect();
        assert_eq!(lines[0], (1, 3, "hello-data-1.0-1.noarch"));
        assert_eq!(progress("Total size: 16 k"), None);
    }
}
