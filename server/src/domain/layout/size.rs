//! Sizes as people write them: `512MiB`, `10GB`, `60%`, `rest`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A wanted size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// So many bytes.
    Bytes(u64),
    /// So many per cent of what the disk has for partitions.
    Percent(u8),
    /// Everything that the others leave.
    Rest,
}

const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write it like 512MiB, 10GB, 60% or rest")]
pub struct NoSize(String);

impl FromStr for Size {
    type Err = NoSize;

    fn from_str(text: &str) -> Result<Self, NoSize> {
        let no_size = || NoSize(text.to_owned());
        if text == "rest" {
            return Ok(Self::Rest);
        }
        if let Some(number) = text.strip_suffix('%') {
            let percent: u8 = number.trim().parse().map_err(|_| no_size())?;
            return if (1..=100).contains(&percent) { Ok(Self::Percent(percent)) } else { Err(no_size()) };
        }
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, factor)| text.strip_suffix(name).map(|number| (number, *factor)))
            .ok_or_else(no_size)?;
        let number: u64 = number.trim().parse().map_err(|_| no_size())?;
        number.checked_mul(unit).filter(|bytes| *bytes > 0).map(Self::Bytes).ok_or_else(no_size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => f.write_str(&exact(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

/// Bytes in the largest unit that divides them: what is written is read back as the same size.
fn exact(bytes: u64) -> String {
    let fitting = UNITS.iter().filter(|(_, factor)| bytes.is_multiple_of(*factor));
    let (unit, factor) = fitting.max_by_key(|(_, factor)| *factor).unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / factor)
}

/// Bytes for people: in the largest binary unit that they fill, with one digit after the point unless it is whole. The space does not
/// break (BIPM, SI brochure, 5.4.3).
pub fn human(bytes: u64) -> String {
    for (name, factor) in [("TiB", 1_u64 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            let (whole, tenths) = (bytes / factor, bytes % factor / factor.div_ceil(10));
            return match tenths {
                0 => format!("{whole}\u{a0}{name}"),
                _ => format!("{whole}.{tenths}\u{a0}{name}"),
            };
        }
    }
    format!("{bytes}\u{a0}B")
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
