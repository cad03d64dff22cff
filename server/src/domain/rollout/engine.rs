//! What a rollout does next: from what it is, the window and the time to actions. It remembers nothing; asked twice, it answers the same.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    spec::{RolloutLimits, RolloutSpec},
    windows::Window,
    words::{RolloutClientState, RolloutState},
};

/// How many clients are in which state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RolloutCounts)]
pub struct Counts {
    /// Their turn has not come, or they are offline.
    pub waiting: i64,
    /// Somebody holds their jobs.
    pub held: i64,
    /// Their agents have not taken their jobs.
    pub queued: i64,
    /// Their agents work.
    pub running: i64,
    /// It went well.
    pub succeeded: i64,
    /// It did not.
    pub failed: i64,
    /// They stayed offline for too long.
    pub offline_expired: i64,
    /// They were left out.
    pub skipped: i64,
    /// Somebody cancelled them.
    pub cancelled: i64,
}

impl Counts {
    /// Adds clients in a state.
    pub fn add(&mut self, state: RolloutClientState, count: i64) {
        *(match state {
            RolloutClientState::Waiting => &mut self.waiting,
            RolloutClientState::Held => &mut self.held,
            RolloutClientState::Queued => &mut self.queued,
            RolloutClientState::Running => &mut self.running,
            RolloutClientState::Succeeded => &mut self.succeeded,
            RolloutClientState::Failed => &mut self.failed,
            RolloutClientState::OfflineExpired => &mut self.offline_expired,
            RolloutClientState::Skipped => &mut self.skipped,
            RolloutClientState::Cancelled => &mut self.cancelled,
        }) += count;
    }

    /// The counts of two waves together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            waiting: self.waiting + other.waiting,
            held: self.held + other.held,
            queued: self.queued + other.queued,
            running: self.running + other.running,
            succeeded: self.succeeded + other.succeeded,
            failed: self.failed + other.failed,
            offline_expired: self.offline_expired + other.offline_expired,
            skipped: self.skipped + other.skipped,
            cancelled: self.cancelled + other.cancelled,
        }
    }

    /// Clients with an open job.
    pub fn in_flight(&self) -> i64 {
        self.held + self.queued + self.running
    }

    /// Clients that have not reached an end.
    pub fn open(&self) -> i64 {
        self.waiting + self.in_flight()
    }

    /// Clients of which something is wanted: all but those that are left out.
    pub fn asked(&self) -> i64 {
        self.open() + self.succeeded + self.failed + self.offline_expired
    }

    /// All clients.
    pub fn total(&self) -> i64 {
        self.asked() + self.skipped + self.cancelled
    }
}

/// How a wave stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WaveProgress {
    /// Its clients.
    pub counts: Counts,
    /// When it began.
    pub started_at: Option<i64>,
    /// When it was good enough to go on: from then on it soaks.
    pub settled_at: Option<i64>,
    /// Failed clients that somebody knew of when they let it go on.
    pub forgiven: i64,
    /// Somebody let it go on although it is not good enough.
    pub waved_through: bool,
    /// Somebody let it begin where a pause is wanted.
    pub released: bool,
}

/// How a rollout stands: everything that decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub state: RolloutState,
    /// Its waves, in order; latecomers' waves behind those of the specification.
    pub waves: Vec<WaveProgress>,
    /// Whoever waits then is left out: the period of a recurring rollout is over.
    pub ends_at: Option<i64>,
}

impl Progress {
    /// The wave that began last.
    pub fn current(&self) -> Option<usize> {
        self.waves.iter().rposition(|wave| wave.started_at.is_some())
    }

    /// All clients together.
    pub fn counts(&self) -> Counts {
        self.waves.iter().fold(Counts::default(), |sum, wave| sum.plus(wave.counts))
    }
}

/// Why a rollout does not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schema(as = RolloutWhy)]
pub enum Why {
    /// More clients failed than allowed.
    TooManyFailed {
        /// Which wave, from 1; absent for all together.
        wave: Option<usize>,
        /// How many failed that nobody had forgiven.
        failed: i64,
        /// Of how many.
        of: i64,
        /// At most so many, when that was the limit.
        max: Option<i64>,
        /// At most so many percent, when that was the limit.
        max_percent: Option<i64>,
    },
    /// A wave ended, and fewer succeeded than wanted.
    NotEnoughSucceeded {
        /// Which wave, from 1; absent for all together.
        wave: Option<usize>,
        /// How many succeeded.
        succeeded: i64,
        /// Of how many.
        of: i64,
    },
    /// A wave ended, and nobody succeeded: it proves nothing.
    NobodySucceeded {
        /// Which wave, from 1.
        wave: usize,
        /// How many were asked.
        of: i64,
    },
    /// A wave waits for somebody to let it begin.
    PausePoint {
        /// Which wave, from 1.
        wave: usize,
    },
    /// Somebody wants it.
    Person {
        /// Who.
        actor: String,
        /// What they said.
        reason: String,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place =
            |wave: &Option<usize>| wave.map_or_else(|| "all waves".to_owned(), |wave| format!("wave {wave}"));
        match self {
            Self::TooManyFailed { wave, failed, of, max, max_percent } => {
                write!(f, "{failed} of {of} clients of {} failed, ", place(wave))?;
                match (max, max_percent) {
                    (Some(max), _) => write!(f, "at most {max} may"),
                    (None, Some(percent)) => write!(f, "at most {percent} % may"),
                    (None, None) => f.write_str("more than may"),
                }
            }
            Self::NotEnoughSucceeded { wave, succeeded, of } => {
                write!(f, "only {succeeded} of {of} clients of {} succeeded", place(wave))
            }
            Self::NobodySucceeded { wave, of } => {
                write!(f, "none of the {of} clients of wave {wave} succeeded, so it shows nothing")
            }
            Self::PausePoint { wave } => write!(f, "wave {wave} waits for somebody to resume the rollout"),
            Self::Person { actor, reason } if reason.is_empty() => write!(f, "{actor} wants it so"),
            Self::Person { actor, reason } => write!(f, "{actor}: {reason}"),
        }
    }
}

/// What is to be done. Each is done as a whole or not at all, and the next decision looks at what it has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A wave begins: its clients may be given work, and those that are offline have time until they expire.
    Begin {
        /// Its place, from 0.
        wave: usize,
    },
    /// A wave is good enough: it soaks.
    Settle {
        /// Its place, from 0.
        wave: usize,
    },
    /// Clients that wait and are online are given work, those of earlier waves first.
    Order {
        /// The last wave that may have some.
        up_to: usize,
        /// To how many.
        at_most: i64,
        /// What is not begun by then, is not begun.
        until: Option<i64>,
    },
    /// What no agent has taken yet is taken back.
    TakeBack,
    /// Whoever waits is left out, because the period is over.
    LeaveOut,
    /// Pauses.
    Pause(Why),
    /// Stops by itself.
    Halt(Why),
    /// Is at its end.
    Finish,
}

/// What a rollout does next. Nothing of it depends on anything but these arguments.
pub fn decide(spec: &RolloutSpec, at: &Progress, window: Window, now: i64) -> Option<Action> {
    let all = at.counts();
    match at.state {
        RolloutState::Planned | RolloutState::Finished => None,
        RolloutState::Paused | RolloutState::Halted => (all.queued > 0).then_some(Action::TakeBack),
        RolloutState::Cancelled => (all.queued + all.held > 0).then_some(Action::TakeBack),
        RolloutState::Running => run(spec, at, all, window, now),
    }
}

fn run(spec: &RolloutSpec, at: &Progress, all: Counts, window: Window, now: i64) -> Option<Action> {
    if let Some(why) = too_many_failed(spec, at, all) {
        return Some(Action::Halt(why));
    }
    if at.ends_at.is_some_and(|end| end <= now) {
        return match (all.queued + all.held, all.waiting, all.open()) {
            (1.., _, _) => Some(Action::TakeBack),
            (_, 1.., _) => Some(Action::LeaveOut),
            (_, _, 0) => Some(Action::Finish),
            _ => None,
        };
    }
    let is_open = matches!(window, Window::Open { .. });
    let Some(current) = at.current() else {
        if at.waves.is_empty() {
            return Some(Action::Finish);
        }
        return is_open.then_some(Action::Begin { wave: 0 });
    };
    if let Some(action) = advance(spec, at, all, current, is_open, now) {
        return Some(action);
    }
    let ready: i64 = at.waves.iter().take(current + 1).map(|wave| wave.counts.waiting).sum();
    match window {
        Window::Closed { .. } => (all.queued > 0).then_some(Action::TakeBack),
        Window::Open { until } => {
            let at_most = ready.min(spec.at_once - all.in_flight());
            (at_most > 0).then_some(Action::Order { up_to: current, at_most, until })
        }
    }
}

/// What becomes of the present wave.
fn advance(
    spec: &RolloutSpec,
    at: &Progress,
    all: Counts,
    current: usize,
    is_open: bool,
    now: i64,
) -> Option<Action> {
    let wave = at.waves.get(current)?;
    let next = at.waves.get(current + 1);
    match quality(&wave.counts, spec.limits_of(current), wave.waved_through) {
        Quality::Open => return None,
        Quality::Poor => {
            let (succeeded, of) = (wave.counts.succeeded, wave.counts.asked());
            return Some(Action::Halt(Why::NotEnoughSucceeded { wave: Some(current + 1), succeeded, of }));
        }
        // With nobody behind it there is nothing left to prove.
        Quality::Nobody if at.waves.iter().skip(current + 1).any(|wave| wave.counts.total() > 0) => {
            return Some(Action::Halt(Why::NobodySucceeded { wave: current + 1, of: wave.counts.asked() }));
        }
        Quality::Nobody | Quality::Good => {}
    }
    let Some(settled_at) = wave.settled_at else { return Some(Action::Settle { wave: current }) };
    let soak = if wave.counts.total() == 0 { 0 } else { spec.soak_of(current) };
    if now < settled_at.saturating_add(soak) {
        return None;
    }
    match next {
        None if all.open() > 0 => None,
        None => Some(match quality(&all, spec.limits, wave.waved_through) {
            Quality::Poor => Action::Halt(Why::NotEnoughSucceeded {
                wave: None,
                succeeded: all.succeeded,
                of: all.asked(),
            }),
            _ => Action::Finish,
        }),
        Some(next) => {
            let place = current + 1;
            let pause = spec.waves.get(place).is_some_and(|wave| wave.pause);
            if pause && !next.released && next.counts.total() > 0 {
                return Some(Action::Pause(Why::PausePoint { wave: place + 1 }));
            }
            is_open.then_some(Action::Begin { wave: place })
        }
    }
}

/// How good a wave is.
enum Quality {
    /// Nobody knows yet.
    Open,
    /// Good enough to go on.
    Good,
    /// All ended, and too few succeeded.
    Poor,
    /// All ended, and nobody succeeded.
    Nobody,
}

fn quality(counts: &Counts, limits: RolloutLimits, waved_through: bool) -> Quality {
    let of = counts.asked();
    let by_count = limits.min_succeeded.map(|least| counts.succeeded >= least.min(of));
    let by_percent = limits.min_succeeded_percent.map(|least| counts.succeeded * 100 >= least * of);
    let enough = match (by_count, by_percent) {
        (None, None) => None,
        (count, percent) => Some(count.unwrap_or(true) && percent.unwrap_or(true)),
    };
    match enough {
        // Those who are still at it may yet fail, but nobody waits for those who do not come.
        Some(true) if counts.in_flight() == 0 && counts.succeeded > 0 => Quality::Good,
        _ if counts.open() > 0 => Quality::Open,
        _ if waved_through || of == 0 => Quality::Good,
        Some(false) => Quality::Poor,
        _ if counts.succeeded == 0 => Quality::Nobody,
        _ => Quality::Good,
    }
}

/// Whether more failed than allowed: in a wave that began, or in all.
fn too_many_failed(spec: &RolloutSpec, at: &Progress, all: Counts) -> Option<Why> {
    let forgiven = at.waves.iter().map(|wave| wave.forgiven).sum();
    let waves = at.waves.iter().enumerate().find_map(|(place, wave)| {
        exceeded(spec.limits_of(place), Some(place + 1), &wave.counts, wave.forgiven)
    });
    waves.or_else(|| exceeded(spec.limits, None, &all, forgiven))
}

fn exceeded(limits: RolloutLimits, wave: Option<usize>, counts: &Counts, forgiven: i64) -> Option<Why> {
    let (failed, of) = (counts.failed - forgiven, counts.asked());
    let max = limits.max_failed.filter(|max| failed > *max);
    let max_percent = limits.max_failed_percent.filter(|max| failed > 0 && failed * 100 > max * of);
    (max.is_some() || max_percent.is_some()).then_some(Why::TooManyFailed {
        wave,
        failed,
        of,
        max,
        max_percent,
    })
}

#[cfg(test)]
mod tests;
