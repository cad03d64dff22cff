//! How long to wait before trying again: exponential, with full jitter, so that a server's restart is no stampede.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// One more failure. `random` spreads the wait evenly between 100 ms and the bound, which doubles up to a minute.
    pub fn fail(&mut self, random: u32) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(6)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(f64::from(random) / f64::from(u32::MAX)).max(Duration::from_millis(100))
    }

    /// It worked.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(self) -> u32 {
        self.failures
    }
}

/// Randomness for [`Backoff::fail`].
pub fn random() -> u32 {
    let mut bytes = [0; 4];
    // Without randomness everybody waits for the full time: slower, but not wrong.
    match aws_lc_rs::rand::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_minute_and_start_over_after_success() {
        let mut backoff = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| backoff.fail(u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        backoff.succeed();
        assert_eq!(backoff.fail(u32::MAX), Duration::from_secs(1));
        assert_eq!(backoff.fail(0), Duration::from_millis(100));
    }
}
