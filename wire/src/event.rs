//! `POST /agent/v1/attempts/{id}/report`: numbered events of one attempt. Repeating a number is safe.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::package_work::Transaction;

/// A batch of events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReportRequest {
    /// The boot in which the agent runs.
    pub boot_id: String,
    /// In ascending order of their numbers; empty as a mere heartbeat.
    pub events: Vec<Event>,
}

/// Something that happened in an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// From 1, without gaps, per attempt.
    pub seq: u64,
    /// When, by the agent's clock.
    pub at: i64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// A step began.
    StepStarted {
        /// The step's id.
        step: String,
    },
    /// One line of output, without its line end; bytes that are not UTF-8 are replaced, lines over 16 KiB are cut with a mark.
    Output {
        /// The step's id.
        step: String,
        /// Where the line came from.
        stream: Stream,
        /// The line.
        line: String,
    },
    /// How far the step is.
    Progress {
        /// The step's id.
        step: String,
        /// 0 to 100.
        percent: u8,
        /// What is being done; may be empty.
        #[serde(default)]
        message: String,
    },
    /// What a package manager is about to do, or would do.
    Transaction {
        /// The step's id.
        step: String,
        /// It is not carried out: somebody only wants to know.
        is_preview: bool,
        /// What changes.
        transaction: Transaction,
    },
    /// A step ended well, or had been done before this attempt went on.
    StepFinished {
        /// The step's id.
        step: String,
    },
    /// The attempt ended; always the last event.
    Finished {
        /// How.
        outcome: Outcome,
    },
    /// An event of a newer version.
    #[serde(other)]
    Unknown,
}

/// Where a line of output came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The agent itself says what it does.
    Agent,
    /// A stream of a newer version.
    #[serde(other)]
    Unknown,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// Every step ended well.
    Succeeded,
    /// A step failed; the machine may be in between.
    Failed {
        /// The step's id; empty when the plan as a whole could not be begun.
        step: String,
        /// What was attempted, on what, and why it did not work.
        reason: String,
        /// Trying again may help (network, lock, mirror).
        transient: bool,
    },
    /// The agent did not begin: signature, client, realm, unknown step or a precondition does not hold. Nothing was changed.
    Refused {
        /// Why.
        reason: String,
    },
    /// Stopped because the server said so.
    Cancelled,
    /// An outcome of a newer version.
    #[serde(other)]
    Unknown,
}

/// The answer to a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportResponse {
    /// Every event up to this number is stored; the agent may forget them.
    pub stored_seq: u64,
    /// Go on, or stop.
    pub verdict: Verdict,
}

/// Whether an attempt goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Go on; the lease is extended.
    Continue,
    /// Somebody cancelled the job: stop the step, report [`Outcome::Cancelled`].
    Cancel {
        /// Why.
        reason: String,
    },
    /// Somebody released the job (rescue): end the step well.
    Release,
    /// The attempt is not the agent's any more: stop, forget, report nothing more.
    Superseded {
        /// Why.
        reason: String,
    },
    /// A verdict of a newer version: go on.
    #[serde(other)]
    Unknown,
}
