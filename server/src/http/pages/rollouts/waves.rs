//! Waves as they are drawn: one bar for each, its parts as wide as there are clients in a state.

use serde::Serialize;

use super::super::moment::Moment;
use crate::{app::rollouts::RolloutWaveView, domain::rollout::Counts};

/// A part of a bar, in per cent of its width.
#[derive(Serialize)]
pub(super) struct Part {
    state: &'static str,
    count: i64,
    x: f64,
    width: f64,
}

/// A wave.
#[derive(Serialize)]
pub(super) struct WaveRow {
    number: i64,
    size: String,
    counts: Counts,
    total: i64,
    parts: Vec<Part>,
    /// `waits`, `goes`, `stands` (because the rollout does), `soaks` or `done`.
    standing: &'static str,
    started: Option<Moment>,
    soaks_until: String,
    pause: bool,
}

/// The bar of some clients: what is done on the left, what waits on the right.
#[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than an f64 has digits")]
pub(super) fn parts(counts: &Counts) -> Vec<Part> {
    let total = counts.total().max(1) as f64;
    let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
    let mut from = 0;
    let mut parts = Vec::new();
    for (state, count) in [
        ("succeeded", counts.succeeded),
        ("failed", counts.failed),
        ("offline-expired", counts.offline_expired),
        ("cancelled", counts.cancelled),
        ("skipped", counts.skipped),
        ("running", counts.running),
        ("queued", counts.queued),
        ("held", counts.held),
        ("waiting", counts.waiting),
    ] {
        if count > 0 {
            let (x, to) = (from as f64 / total * 100.0, (from + count) as f64 / total * 100.0);
            parts.push(Part { state, count, x: rounded(x), width: rounded(to - x) });
            from += count;
        }
    }
    parts
}

impl WaveRow {
    pub(super) fn new(wave: &RolloutWaveView, runs: bool, now: i64, language: &str) -> Self {
        let standing = match (wave.started_at, wave.settled_at, wave.soaks_until) {
            (None, _, _) => "waits",
            (Some(_), None, _) if !runs && wave.counts.in_flight() == 0 => "stands",
            (Some(_), None, _) => "goes",
            (Some(_), Some(_), Some(_)) => "soaks",
            (Some(_), Some(_), None) if wave.counts.open() > 0 => "goes",
            (Some(_), Some(_), None) => "done",
        };
        Self {
            number: wave.number,
            size: wave.size.clone(),
            counts: wave.counts,
            total: wave.counts.total(),
            parts: parts(&wave.counts),
            standing,
            started: wave.started_at.map(|at| Moment::new(at, now, language)),
            soaks_until: wave
                .soaks_until
                .map(|at| Moment::new(at, now, language).full().to_owned())
                .unwrap_or_default(),
            pause: wave.pause,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_bar_fill_it() {
        let counts = Counts { succeeded: 1, failed: 1, waiting: 1, ..Counts::default() };
        let parts = parts(&counts);
        assert_eq!(
            parts.iter().map(|part| part.state).collect::<Vec<_>>(),
            ["succeeded", "failed", "waiting"]
        );
        let last = parts.last().unwrap();
        assert!((last.x + last.width - 100.0).abs() < 0.01);
        assert!(super::parts(&Counts::default()).is_empty());
    }
}
