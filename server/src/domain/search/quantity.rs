//! Sizes and ages as people type them into a search: `4G`, `500GB`, `7d`, `36h`.

use crate::clock::SECOND;

/// Units of sizes; the first that divides a size is the one that it is written with. `4G` and `4GiB` are the same, `4GB` is less.
const SIZES: [(&str, u64); 14] = [
    ("T", 1 << 40),
    ("G", 1 << 30),
    ("M", 1 << 20),
    ("K", 1 << 10),
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

const AGES: [(&str, i64); 5] = [
    ("w", 7 * 24 * 3600 * SECOND),
    ("d", 24 * 3600 * SECOND),
    ("h", 3600 * SECOND),
    ("m", 60 * SECOND),
    ("s", SECOND),
];

/// Bytes; at most what a database can keep.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let (_, factor) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let whole = whole.parse::<u64>().ok()?.checked_mul(*factor)?;
    let part = match part.len() {
        0 => 0,
        digits @ 1..=3 => part.parse::<u64>().ok()? * (factor / 10_u64.pow(u32::try_from(digits).ok()?)),
        _ => return None,
    };
    whole.checked_add(part).filter(|bytes| i64::try_from(*bytes).is_ok())
}

pub(super) fn show_size(bytes: u64) -> String {
    let unit =
        SIZES.iter().find(|(name, factor)| name.len() == 1 && bytes > 0 && bytes.is_multiple_of(*factor));
    match unit {
        Some(("B", _)) | None => bytes.to_string(),
        Some((name, factor)) => format!("{}{name}", bytes / factor),
    }
}

/// Microseconds; at most a thousand years.
pub(super) fn age(text: &str) -> Option<i64> {
    let (number, unit) = split(text);
    let (_, factor) = AGES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let longest = 1000 * 366 * AGES[1].1;
    number.parse::<i64>().ok()?.checked_mul(*factor).filter(|age| *age <= longest)
}

pub(super) fn show_age(micros: i64) -> String {
    let unit = AGES.iter().find(|(_, factor)| micros % factor == 0 && micros > 0).unwrap_or(&AGES[4]);
    format!("{}{}", micros / unit.1, unit.0)
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) { text.split_at(end) } else { ("-", text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_units_that_people_use() {
        for (text, bytes) in [
            ("4G", 4 << 30),
            ("4gib", 4 << 30),
            ("500GB", 500_000_000_000),
            ("1.5T", (1 << 40) + (1 << 39)),
            ("0", 0),
            ("123", 123),
        ] {
            // Tenths of a binary unit are not whole bytes.
            let read = size(text).unwrap();
            assert!(read.abs_diff(bytes) < 10, "{text}: {read}");
        }
        for text in ["", "G", "4X", "-4G", "1.2.3G", "99999999T", "."] {
            assert_eq!(size(text), None, "{text}");
        }
        assert_eq!((show_size(4 << 30), show_size(1500)), ("4G".to_owned(), "1500".to_owned()));
    }

    #[test]
    fn ages_are_read_and_written() {
        assert_eq!(age("7d"), Some(7 * 24 * 3600 * SECOND));
        assert_eq!(show_age(7 * 24 * 3600 * SECOND), "1w");
        assert_eq!((show_age(0), show_age(90 * 60 * SECOND)), ("0s".to_owned(), "90m".to_owned()));
        for text in ["", "7", "d", "7y", "99999999999w", "1.5d"] {
            assert_eq!(age(text), None, "{text}");
        }
    }
}
