//! A plan: the immutable, fully decided list of steps for one job, signed by the server.
//!
//! Invariant: the signature covers the very bytes that were stored and shown; nobody re-serialises a plan.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ClientId, JobId, Sha256, enrol::Realm, step::Step};

/// Everything that will happen in one attempt of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The job that the plan belongs to.
    pub job: JobId,
    /// The one client that may carry it out.
    pub client: ClientId,
    /// The job script's name, such as `package-install`.
    pub job_type: String,
    /// Where it runs; `None` means in any realm.
    pub realm: Option<Realm>,
    /// What to do, in order; the first failure ends the attempt.
    pub steps: Vec<Step>,
}

/// A plan as it travels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedPlan {
    /// JSON text of a [`Plan`].
    pub text: String,
    /// Hash of the text.
    pub sha256: Sha256,
    /// Ed25519 signature (base64) over the text, by the plan key of [`crate::enrol::Identity`].
    pub signature: String,
}
