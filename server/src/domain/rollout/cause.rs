//! What two failures have in common: the same reason without what differs from machine to machine.

use std::sync::LazyLock;

use regex::Regex;

/// Longest cause that is kept, in characters.
const LONGEST: usize = 300;

/// What differs although the failure is the same, and what stands in its place.
static VARYING: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"(?i)\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "‹uuid›"),
        (r"(?i)\b(?:[0-9a-f]{2}:){5}[0-9a-f]{2}\b", "‹mac›"),
        (r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?", "‹time›"),
        (r"\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b", "‹time›"),
        (r"\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b", "‹address›"),
        (r"(?i)\b[0-9a-f]{1,4}(?::[0-9a-f]{0,4}){3,7}\b", "‹address›"),
        (r"(?i)\b[0-9a-f]{16,}\b", "‹hex›"),
        (r"\b0x[0-9a-fA-F]+\b", "‹hex›"),
        (r"(?i)\b(pid|process)([ =:]+)\d+", "$1$2‹number›"),
        (r"/(tmp|var/tmp|run|proc)/[^\s'\x22:,]+", "/$1/‹path›"),
        (r"\b\d+(?:[.,]\d+)? ?(?:ms|s|sec|secs|seconds|min|minutes|B|kB|KB|MB|GB|KiB|MiB|GiB)\b", "‹amount›"),
        (r"\[\d+\]", "[‹number›]"),
        (r"\s+", " "),
    ]
    .into_iter()
    // Each stands above, and a test compiles them all.
    .filter_map(|(pattern, instead)| Regex::new(pattern).ok().map(|regex| (regex, instead)))
    .collect()
});

/// The cause of a failure, the same for all clients that failed in the same way. Versions and names of packages stay: they tell failures
/// apart.
pub fn cause(reason: &str, client: &str) -> String {
    let mut text = reason.trim().to_owned();
    if !client.is_empty() {
        text = without_name(&text, client);
    }
    for (regex, instead) in VARYING.iter() {
        text = regex.replace_all(&text, *instead).into_owned();
    }
    if text.chars().count() > LONGEST {
        text = text.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    text
}

/// The client's own name, where it stands as a word of its own.
fn without_name(text: &str, client: &str) -> String {
    let part = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '_';
    let mut rest = text;
    let mut found = String::with_capacity(text.len());
    while let Some(at) = rest.find(client) {
        let (before, after) = (&rest[..at], &rest[at + client.len()..]);
        let alone = !before.ends_with(part) && !after.starts_with(part) && !found.ends_with(part);
        found.push_str(before);
        found.push_str(if alone || (before.is_empty() && found.is_empty() && !after.starts_with(part)) {
            "‹client›"
        } else {
            client
        });
        rest = after;
    }
    found + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_can_be_read() {
        assert_eq!(VARYING.len(), 13);
    }

    #[test]
    fn the_same_failure_of_two_machines_is_one_cause() {
        let one = cause(
            "step 10-install: E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 4711 (apt) at 09:12:01",
            "lab-01",
        );
        let other = cause(
            "step 10-install: E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 90 (apt) at 11:40:59",
            "lab-02",
        );
        assert_eq!(one, other);
        assert_eq!(
            cause("lab-01: Failed to fetch http://10.0.0.7:8080/x after 12 s", "lab-01"),
            cause("lab-22: Failed to fetch http://10.0.3.19:8080/x after 9.5 s", "lab-22"),
        );
    }

    #[test]
    fn another_package_is_another_cause() {
        let of = |package: &str| cause(&format!("E: Unable to locate package {package}"), "lab-01");
        assert_ne!(of("hello"), of("helo"));
        assert!(of("lab-010").ends_with("lab-010"), "a longer name is another one");
        assert_eq!(of("libc6 2.36-9"), "E: Unable to locate package libc6 2.36-9");
    }

    #[test]
    fn a_long_reason_is_cut() {
        assert_eq!(cause(&"x ".repeat(1000), "").chars().count(), LONGEST);
    }
}
