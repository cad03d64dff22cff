//! What server and agent say to each other: types only, no IO, no clock.
//!
//! Reading order: [`ids`], [`enrol`], [`trust`], [`poll`], [`plan`], [`step`], [`storage`], [`package_work`], [`event`], [`facts`],
//! [`survey`], [`packages`], [`problem`], [`user_data`], [`vm`], [`console`].
//!
//! Invariants: a message of any released version still parses (`golden/`); an enum value that this version does not
//! know parses as `Unknown`, so old agents and new servers live together. Times are microseconds since the Unix epoch,
//! UTC, in fields that end in `_at`; sizes are bytes in fields that end in `_bytes`; durations end in `_s` (seconds).

pub mod console;
pub mod enrol;
pub mod event;
pub mod facts;
pub mod ids;
pub mod package_work;
pub mod packages;
pub mod plan;
pub mod poll;
pub mod problem;
pub mod step;
pub mod storage;
pub mod survey;
pub mod trust;
pub mod user_data;
pub mod vm;

pub use ids::{AttemptId, ClientId, GroupId, JobId, Mac, Sha256};
