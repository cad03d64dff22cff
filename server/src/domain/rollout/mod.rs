//! A rollout: the same work for many clients, in waves, and when it goes on, waits or stops by itself. Pure.
//!
//! Invariants, proved against a plain model (`engine/tests.rs`): a client is given the work once for each time that somebody asked for it; no
//! more clients than allowed are at it at the same time; nothing is ordered while a rollout does not run or its window is closed; each
//! client is in exactly one state that has a name. The state is only what the database holds: [`decide`] forgets everything.

mod calendar;
mod cause;
mod engine;
mod follow;
mod spec;
mod waves;
mod windows;
mod words;
mod written;

pub use self::{
    cause::cause,
    engine::{Action, Counts, Progress, WaveProgress, Why, decide},
    follow::{Followed, JobSeen, follow},
    spec::{
        Latecomers, RolloutJob, RolloutLimits, RolloutSpec, RolloutTarget, RolloutWave, RolloutWork,
        SpecProblem,
    },
    waves::{WaveSize, order_of, split},
    windows::{Hours, RolloutWindows, Weekly, Window},
    words::{ROLLOUT_CLIENT_STATES, RolloutClientState, RolloutState},
    written::{Unreadable, seconds, written},
};
