//! How large waves are, and who comes first.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How many clients a wave has: `5`, `10%` or `rest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WaveSize {
    /// So many clients.
    Count(i64),
    /// So many percent of all clients.
    Percent(i64),
    /// All that are left.
    Rest,
}

impl fmt::Display for WaveSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Rest => f.write_str("rest"),
        }
    }
}

/// A size that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size of a wave: give a number such as 5, percents such as 10%, or rest")]
pub struct UnknownSize(String);

impl FromStr for WaveSize {
    type Err = UnknownSize;

    fn from_str(text: &str) -> Result<Self, UnknownSize> {
        let unknown = || UnknownSize(text.to_owned());
        let text = text.trim();
        if text == "rest" {
            return Ok(Self::Rest);
        }
        match text.strip_suffix('%') {
            Some(percent) => match percent.trim().parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(unknown()),
            },
            None => match text.parse() {
                Ok(count @ 1..=1_000_000) => Ok(Self::Count(count)),
                _ => Err(unknown()),
            },
        }
    }
}

impl TryFrom<String> for WaveSize {
    type Error = UnknownSize;

    fn try_from(text: String) -> Result<Self, UnknownSize> {
        text.parse()
    }
}

impl From<WaveSize> for String {
    fn from(size: WaveSize) -> Self {
        size.to_string()
    }
}

/// How many of `total` clients each wave gets. All are given out: what the others leave goes into the last wave. Percents are of all
/// clients, rounded up, so that a first wave of 1 % is never empty.
pub fn split(total: i64, sizes: &[WaveSize]) -> Vec<i64> {
    let mut left = total.max(0);
    let mut parts: Vec<i64> = sizes
        .iter()
        .map(|size| {
            let wanted = match size {
                WaveSize::Count(count) => *count,
                WaveSize::Percent(percent) => total.saturating_mul(*percent).saturating_add(99) / 100,
                WaveSize::Rest => left,
            };
            let part = wanted.clamp(0, left);
            left -= part;
            part
        })
        .collect();
    if let Some(last) = parts.last_mut() {
        *last += left;
    }
    parts
}

/// Where a client stands in the order of a rollout: scattered over all clients, so that not always the same ones come first, and the same
/// however often it is asked (the finalizer of `SplitMix64`).
pub fn order_of(rollout: i64, client: i64) -> u64 {
    let mut mixed = (rollout.unsigned_abs() << 32) ^ client.unsigned_abs();
    mixed = mixed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_size_is_read_as_people_write_it() {
        assert_eq!("10 %".parse(), Ok(WaveSize::Percent(10)));
        assert_eq!(" 5 ".parse(), Ok(WaveSize::Count(5)));
        assert_eq!("rest".parse(), Ok(WaveSize::Rest));
        for wrong in ["0", "101%", "0%", "-3", "all", ""] {
            assert!(wrong.parse::<WaveSize>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_first_wave_of_one_percent_has_somebody() {
        let sizes = [WaveSize::Percent(1), WaveSize::Percent(10), WaveSize::Rest];
        assert_eq!(split(7, &sizes), [1, 1, 5]);
        assert_eq!(split(5000, &sizes), [50, 500, 4450]);
        assert_eq!(split(0, &sizes), [0, 0, 0]);
    }

    proptest! {
        #[test]
        fn every_client_is_in_one_wave(
            total in 0_i64..60_000,
            sizes in proptest::collection::vec(
                prop_oneof![(1_i64..5000).prop_map(WaveSize::Count), (1_i64..=100).prop_map(WaveSize::Percent), Just(WaveSize::Rest)],
                1..8,
            ),
        ) {
            let parts = split(total, &sizes);
            prop_assert_eq!(parts.len(), sizes.len());
            prop_assert_eq!(parts.iter().sum::<i64>(), total);
            prop_assert!(parts.iter().all(|part| *part >= 0));
            for (size, part) in sizes.iter().zip(&parts).rev().skip(1) {
                match size {
                    WaveSize::Count(count) => prop_assert!(part <= count),
                    WaveSize::Percent(percent) => prop_assert!(*part * 100 < total * percent + 100),
                    WaveSize::Rest => {}
                }
            }
        }
    }
}
