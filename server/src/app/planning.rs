//! From a job to its signed plan. A plan is made once, when the job is queued and the machine is known, or when an agent takes the job.

use std::collections::BTreeMap;

use serde_json::Value;
use wire::{
    JobId,
    plan::{Plan, SignedPlan},
    step::StepKind,
    vm::VmWork,
};

use super::{Error, settings, source_lists};
use crate::{
    catalog::Catalog,
    clock::SECOND,
    context::Ctx,
    db::{Tx, clients, images, jobs, layouts},
    domain::{client::Client, job::Job},
    planner::{self, PlanRequest, ServerView},
};

/// The job's plan, made now when it has none yet.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Conflict`] with what stands against it.
pub async fn plan(ctx: &Ctx, tx: &mut Tx, job: &Job) -> Result<SignedPlan, Error> {
    if let Some(plan) = jobs::find_plan(tx, job.id).await? {
        return Ok(plan);
    }
    let client = clients::find(tx, job.client)
        .await?
        .ok_or_else(|| Error::not_found(format!("client {}", job.client)))?;
    let plan = preview(ctx, tx, job, &client).await?;
    let signed = ctx.authority.sign(&plan).map_err(|error| Error::Internal(error.into()))?;
    jobs::set_plan(tx, job.id, &signed, ctx.now()).await?;
    Ok(signed)
}

/// What the job's plan would be now; nothing is stored.
///
/// # Errors
/// As [`plan`].
pub async fn preview(ctx: &Ctx, tx: &mut Tx, job: &Job, client: &Client) -> Result<Plan, Error> {
    dry_run(ctx, tx, &ctx.catalog, (job.id, &job.job_type, &job.params), client).await
}

/// What the plan of a job would be by another catalogue; the job need not exist, and nothing is stored.
///
/// # Errors
/// As [`plan`].
pub(super) async fn dry_run(
    ctx: &Ctx,
    tx: &mut Tx,
    catalog: &Catalog,
    (job, job_type, params): (JobId, &str, &Value),
    client: &Client,
) -> Result<Plan, Error> {
    let images: BTreeMap<_, _> =
        images::list(tx).await?.into_iter().map(|image| (image.name.clone(), image)).collect();
    let own_layout = layouts::find(tx, &client.config.layout).await?;
    let layout = own_layout.as_deref().or_else(|| ctx.catalog.layout(&client.config.layout));
    let request = PlanRequest {
        job,
        job_type,
        params,
        client,
        facts: client.facts.as_ref(),
        images: &images,
        server: &ServerView {
            https_url: ctx.addresses.https.clone(),
            agents_url: ctx.addresses.agents.clone(),
            boot_url: ctx.addresses.boot.clone(),
            ca: ctx.addresses.ca.clone(),
        },
        layout,
        retracted: &settings::current(tx).await?.retracted(),
        sources: &source_lists::of_client(ctx, tx, client).await?,
    };
    planner::plan(&request, catalog).map_err(Error::from)
}

/// From the end of an agent's trial until the old one is back and heard.
const GOING_BACK_US: i64 = 180 * SECOND;

/// How long the agent may be silent in the middle of this plan, beyond its lease: while it is replaced, nobody speaks for the client.
pub fn silence(plan: &SignedPlan) -> i64 {
    let plan: Option<Plan> = serde_json::from_str(&plan.text).ok();
    let steps = plan.iter().flat_map(|plan| &plan.steps);
    let limits = steps.filter_map(|step| match &step.kind {
        StepKind::UpgradeAgent { limit_s, .. } => Some(i64::from(*limit_s) * SECOND + GOING_BACK_US),
        _ => None,
    });
    limits.max().unwrap_or(0)
}

/// Whether a step of a plan (JSON text) names a secret.
pub fn names_secret(plan: &str, reference: &str) -> bool {
    serde_json::from_str::<Plan>(plan).is_ok_and(|plan| {
        plan.steps.iter().any(|step| match &step.kind {
            StepKind::Script { secrets, .. } => secrets.values().any(|named| named == reference),
            StepKind::Packages(work) => {
                work.answers.iter().any(|answer| answer.secret.as_deref() == Some(reference))
            }
            StepKind::Vm { work: VmWork::Create { machine } } => {
                machine.user_data.as_deref() == Some(reference)
            }
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use wire::Sha256;

    use super::*;

    #[test]
    fn only_who_is_replaced_may_be_silent_and_longer_than_the_trial() {
        let plan = |step: &str| SignedPlan {
            text: format!(r#"{{"job":1,"client":2,"job_type":"x","realm":"system","steps":[{step}]}}"#),
            sha256: Sha256::from_bytes([0; 32]),
            signature: String::new(),
        };
        let step = |kind: &str| format!(r#"{{"id":"a","title":{{}},"timeout_s":9,{kind}}}"#);
        assert_eq!(silence(&plan(&step(r#""kind":"facts""#))), 0);
        let package = format!(r#""package":{{"sha256":"{}","size_bytes":1}}"#, "0".repeat(64));
        let upgrade = step(&format!(r#""kind":"upgrade-agent",{package},"limit_s":60"#));
        assert_eq!(silence(&plan(&upgrade)), 240 * SECOND);
    }
}
