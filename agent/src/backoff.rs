//! How long to wait before trying again: exponential, with full jitter, so that a server's restart is no stampede.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_mins(1);

/// Counts failures in a row.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { failures: 0, longest: LONGEST }
    }
}

impl Backoff {
    /// Waits that leave time for several tries before a lease of so many seconds runs out.
    pub fn within_lease(lease_s: u32) -> Self {
        Self { failures: 0, longest: longest_within(lease_s) }
    }

    /// One more failure. `random` spreads the wait evenly between 100 ms and the bound, which doubles up to the longest.
    pub fn fail(&mut self, random: u32) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.failures.min(6)).min(self.longest);
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

/// The longest wait of whoever holds a lease of so many seconds: between two tries it must not run out.
pub fn longest_within(lease_s: u32) -> Duration {
    Duration::from_secs((lease_s / 4).max(1).into()).min(LONGEST)
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

    #[test]
    fn whoever_holds_a_lease_tries_several_times_before_it_runs_out() {
        let mut backoff = Backoff::within_lease(20);
        let waits: Vec<u64> = (0..6).map(|_| backoff.fail(u32::MAX).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5, 5]);
        assert_eq!(longest_within(3), Duration::from_secs(1));
        assert_eq!(longest_within(3600), LONGEST);
    }
}
