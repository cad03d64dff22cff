//! Package jobs that wait one behind the other are carried out together: one attempt, one run of the package manager, each job with its
//! own end.
//!
//! Invariant: whoever is joined would have been the next to be claimed, and was not changed since, because the client is locked.

use wire::{
    AttemptId, JobId,
    enrol::Realm,
    plan::{Plan, SignedPlan},
};

use super::{Error, planning};
use crate::{
    context::Ctx,
    db::{Tx, attempts, jobs},
    domain::job::Job,
    planner::joining::{self, MOST_JOINED},
    queue,
};

/// Joins to a job that was just claimed what waits behind it and fits. Gives the plan of the attempt.
pub(super) async fn join(
    ctx: &Ctx,
    tx: &mut Tx,
    (job, attempt): (&Job, AttemptId),
    realm: Realm,
    signed: SignedPlan,
) -> Result<SignedPlan, Error> {
    if job.alone {
        return Ok(signed);
    }
    let mut plan = read(&signed)?;
    if !joining::is_joinable(&plan) {
        return Ok(signed);
    }
    let limit = i64::try_from(MOST_JOINED).unwrap_or(i64::MAX);
    let mut joined: Vec<Job> = Vec::new();
    for next in jobs::due(tx, job.client, realm, ctx.now(), limit).await? {
        let company = |id: &JobId| *id == job.id || joined.iter().any(|other| other.id == *id);
        let unmet = if next.needs.is_empty() { Vec::new() } else { jobs::unmet(tx, next.id).await? };
        if !unmet.is_empty() && !unmet.iter().all(company) {
            // It could not be claimed, so it is not in between.
            continue;
        }
        if !unmet.is_empty() || next.alone {
            break;
        }
        let its = match planning::plan(ctx, tx, &next).await {
            Ok(signed) => read(&signed)?,
            Err(Error::Internal(error)) => return Err(Error::Internal(error)),
            // It will say why when its turn comes.
            Err(_) => break,
        };
        let Some(both) = joining::join(&plan, &its) else { break };
        plan = both;
        joined.push(next);
    }
    if joined.is_empty() {
        return Ok(signed);
    }
    queue::join(tx, (job, attempt), &joined, ctx.now()).await?;
    let signed = ctx.authority.sign(&plan).map_err(|error| Error::Internal(error.into()))?;
    attempts::set_plan(tx, attempt, &signed).await?;
    Ok(signed)
}

fn read(signed: &SignedPlan) -> Result<Plan, Error> {
    serde_json::from_str(&signed.text).map_err(|error| Error::Internal(error.into()))
}
