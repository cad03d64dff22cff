//! Waves and spans of time as people write them, the same on pages and on the command line: `10%/1h/pause`, `90s`, `7d`.

use std::{fmt, str::FromStr};

use super::spec::RolloutWave;

/// A word that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{word}` is no {what}: write it like {like}")]
pub struct Unreadable {
    word: String,
    what: &'static str,
    like: &'static str,
}

/// A span of time in seconds, such as `90s`, `15m`, `2h` or `7d`.
///
/// # Errors
/// It cannot be read.
pub fn seconds(text: &str) -> Result<i64, Unreadable> {
    let unknown = || Unreadable { word: text.to_owned(), what: "span of time", like: "90s, 15m, 2h or 7d" };
    let text = text.trim();
    let unit = text.chars().last().ok_or_else(unknown)?;
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(unknown()),
    };
    let count: i64 =
        text.strip_suffix(unit).and_then(|count| count.trim().parse().ok()).ok_or_else(unknown)?;
    count.checked_mul(factor).filter(|seconds| *seconds >= 0).ok_or_else(unknown)
}

/// Seconds as people write them, in the largest unit that fits.
pub fn written(seconds: i64) -> String {
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    match units.into_iter().find(|(size, _)| seconds > 0 && seconds % size == 0) {
        Some((size, unit)) => format!("{}{unit}", seconds / size),
        None => format!("{seconds}s"),
    }
}

impl FromStr for RolloutWave {
    type Err = Unreadable;

    /// `SIZE`, `SIZE/SOAK` or `SIZE/SOAK/pause`; blanks may stand in place of slashes.
    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let unknown = || Unreadable {
            word: text.trim().to_owned(),
            what: "wave",
            like: "1, 10%/1h, 20%/0s/pause or rest",
        };
        let mut parts = text.split(['/', ' ']).map(str::trim).filter(|part| !part.is_empty());
        let size = parts.next().ok_or_else(unknown)?.parse().map_err(|_| unknown())?;
        let mut wave = Self { size, soak_s: 0, pause: false, limits: None };
        for part in parts {
            match part {
                "pause" if !wave.pause => wave.pause = true,
                _ if !wave.pause && wave.soak_s == 0 => wave.soak_s = seconds(part).map_err(|_| unknown())?,
                _ => return Err(unknown()),
            }
        }
        Ok(wave)
    }
}

impl fmt::Display for RolloutWave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.size)?;
        if self.soak_s > 0 {
            write!(f, "/{}", written(self.soak_s))?;
        }
        if self.pause { f.write_str("/pause") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_written_in_one_word() {
        for (text, shown) in [
            ("10%/1h/pause", "10%/1h/pause"),
            ("10% 90m", "10%/90m"),
            ("5/0s/pause", "5/pause"),
            ("1 / 86400s", "1/1d"),
            ("rest", "rest"),
        ] {
            assert_eq!(text.parse::<RolloutWave>().map(|wave| wave.to_string()), Ok(shown.to_owned()));
        }
        for wrong in ["", "5/1", "5/1h/stop", "5/-1h", "5/h", "all", "5/1h/1h"] {
            assert!(wrong.parse::<RolloutWave>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_span_of_time_is_written_in_its_largest_unit() {
        for (text, shown) in [("60s", "1m"), ("90s", "90s"), ("24h", "1d"), ("0s", "0s")] {
            assert_eq!(seconds(text).map(written), Ok(shown.to_owned()));
        }
    }
}
