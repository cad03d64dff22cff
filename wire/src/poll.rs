//! `POST /agent/v1/poll`: "I am here; is there work?" Waits up to a minute on the server, answers at once when there is work.

use serde::{Deserialize, Serialize};

use crate::{
    AttemptId,
    enrol::{BlobRef, Realm},
    plan::SignedPlan,
};

/// What the agent says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollRequest {
    /// The boot in which the agent runs.
    pub boot_id: String,
    /// Where the agent runs.
    pub realm: Realm,
    /// The agent's version.
    pub agent_version: String,
    /// The attempt that the agent holds, by its journal; absent when it is idle.
    #[serde(default)]
    pub working: Option<AttemptId>,
    /// Longest time that the server may keep the request waiting.
    pub wait_s: u32,
}

/// What the agent shall do now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PollResponse {
    /// The server's time, microseconds since the Unix epoch.
    pub server_at: i64,
    /// What to do.
    pub order: Order,
}

/// One order to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order {
    /// Nothing to do; ask again after the given time, which the server spreads over its agents.
    Rest {
        /// Milliseconds until the next poll.
        again_ms: u64,
    },
    /// Carry out a plan, or go on with it where the journal says that it has begun.
    Run(Box<Lease>),
    /// The attempt that the agent holds is over for the server: stop it, forget it, report nothing more of it.
    Drop {
        /// The attempt to drop.
        attempt: AttemptId,
        /// Why.
        reason: String,
    },
    /// An order of a newer version: treated as rest.
    #[serde(other)]
    Unknown,
}

/// Work, held by the agent until the lease runs out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// The attempt; each report carries it.
    pub attempt: AttemptId,
    /// The lease ends when no report or poll arrived for this long.
    pub lease_s: u32,
    /// What to do.
    pub plan: SignedPlan,
    /// The tool set that the installer realm enters before its first step.
    #[serde(default)]
    pub tools: Option<BlobRef>,
}
