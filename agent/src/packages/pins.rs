//! What apt was told to prefer (`apt_preferences(5)`). Pins that apt cannot read it says itself, at its next run.

use std::path::Path;

use wire::packages::{LONGEST_PIN, MOST_PINS, Pin};

use crate::host::Host;

/// The folder of pins; below it, and in the one file beside it, they stand.
pub(super) const FOLDER: &str = "/etc/apt/preferences.d";
pub(super) const FILE: &str = "/etc/apt/preferences";
/// Files that Lotse writes begin so.
const OURS: &str = "lotse-";
/// Nobody writes more into one file.
const LARGEST: usize = 256 << 10;

/// The pins of this system, file by file.
pub fn pins(host: &dyn Host) -> Vec<Pin> {
    let names = host.list(Path::new(FOLDER)).unwrap_or_default();
    let is_read = |name: &String| {
        let sound = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        sound && (!name.contains('.') || name.ends_with(".pref"))
    };
    let parts = names
        .iter()
        .filter(|name| is_read(name))
        .map(|name| (Path::new(FOLDER).join(name), name.starts_with(OURS)));
    let mut found = Vec::new();
    for (path, by_lotse) in [(Path::new(FILE).to_owned(), false)].into_iter().chain(parts) {
        let Ok(content) = host.read_at(&path, 0, LARGEST) else { continue };
        found.extend(parse(&String::from_utf8_lossy(&content), by_lotse));
    }
    found.truncate(MOST_PINS);
    found
}

/// Reads the paragraphs of one file; one that lacks a field is none.
fn parse(text: &str, by_lotse: bool) -> Vec<Pin> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let paragraphs = lines.split(|line| line.trim().is_empty());
    let pin = |paragraph: &[&str]| {
        let field = |name: &str| {
            paragraph.iter().find_map(|line| {
                let (known, value) = line.split_once(':')?;
                known
                    .eq_ignore_ascii_case(name)
                    .then(|| value.split_whitespace().collect::<Vec<_>>().join(" "))
            })
        };
        let (packages, pin) = (field("Package")?, field("Pin")?);
        let fits = packages.len() <= LONGEST_PIN && pin.len() <= LONGEST_PIN;
        Some(Pin { packages, pin, priority: field("Pin-Priority")?.parse().ok()?, by_lotse }).filter(|_| fits)
    };
    paragraphs.filter_map(pin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[test]
    fn what_apt_reads_is_told_and_nothing_else() {
        let host = FakeHost::new(0)
            .with_file(
                FILE,
                "Explanation: ours\nPackage: *\nPin: release o=Debian,\nPin-Priority: 900\n\nPackage: half\n",
            )
            .with_file(
                "/etc/apt/preferences.d/lotse-hello.pref",
                "# Written by Lotse.\nPackage: hello\nPin:  version 2.10*\nPin-Priority: 1001\n",
            )
            .with_file("/etc/apt/preferences.d/old.bak", "Package: old\nPin: version 1\nPin-Priority: 1\n")
            .with_file(
                "/etc/apt/preferences.d/vendor",
                "package: tool\npin: origin \"a.example\"\npin-priority: -1\n",
            );
        let told: Vec<_> = pins(&host)
            .into_iter()
            .map(|pin| format!("{} | {} | {} | {}", pin.packages, pin.pin, pin.priority, pin.by_lotse))
            .collect();
        assert_eq!(
            told,
            [
                "* | release o=Debian, | 900 | false",
                "hello | version 2.10* | 1001 | true",
                "tool | origin \"a.example\" | -1 | false",
            ]
        );
    }
}
