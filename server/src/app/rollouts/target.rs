//! For whom a rollout is: who is meant at this moment, in which order, and for whom it makes no sense.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wire::{ClientId, enrol::Realm};

use super::{Error, RolloutSkipped};
use crate::{
    app::{clients, groups, search::Search},
    context::Ctx,
    db::{Tx, batches},
    domain::{
        batch::{Action, Candidate, Skip, skip},
        client_status::ONLINE_FOR,
        rollout::{RolloutSpec, RolloutWork, order_of},
    },
};

/// Who is meant at this moment.
///
/// # Errors
/// The group or a client does not exist, or the search cannot be read.
pub(super) async fn choose(ctx: &Ctx, tx: &mut Tx, spec: &RolloutSpec) -> Result<Vec<ClientId>, Error> {
    let target = &spec.target;
    let mut ids = match (&target.group, &target.query) {
        (Some(group), _) => groups::member_ids(ctx, tx, group).await?,
        (None, Some(query)) => Search::new(ctx, tx, query).await?.all(tx).await?,
        (None, None) => {
            let mut ids = Vec::with_capacity(target.clients.len());
            let mut known = BTreeSet::new();
            for name in &target.clients {
                let id = clients::get(tx, name).await?.id;
                if known.insert(id) {
                    ids.push(id);
                }
            }
            return Ok(ids);
        }
    };
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

/// Puts clients into the order of their turns: as they were named, or scattered, so that not always the same ones come first.
pub(super) fn sort(spec: &RolloutSpec, rollout: i64, ids: &mut [ClientId]) {
    if spec.target.clients.is_empty() {
        ids.sort_by_cached_key(|id| order_of(rollout, id.0));
    }
}

/// What decides whether the work makes sense for a client, as an order for many asks it.
fn action(ctx: &Ctx, spec: &RolloutSpec) -> Action {
    match &spec.work {
        RolloutWork::Reinstall => Action::Redo,
        RolloutWork::Jobs { jobs } => {
            let realm = |name: &str| ctx.catalog.job_type(name).and_then(|found| found.realm);
            match jobs.first().and_then(|job| realm(&job.job_type)) {
                Some(Realm::Installer) => Action::Install,
                _ => Action::PackageUpgrade,
            }
        }
    }
}

/// Why the work makes no sense for some clients.
///
/// # Errors
/// The database refuses.
pub(super) async fn skipped(
    ctx: &Ctx,
    tx: &mut Tx,
    spec: &RolloutSpec,
    ids: &[ClientId],
) -> Result<HashMap<ClientId, Skip>, Error> {
    let (action, now) = (action(ctx, spec), ctx.now());
    let candidates = batches::candidates(tx, ids, None).await?;
    Ok(candidates
        .into_iter()
        .filter_map(|candidate| Some((candidate.id, skip(&action, &candidate, now)?)))
        .collect())
}

/// How many clients are offline, and how many would be left out for which reason.
///
/// # Errors
/// The database refuses.
pub(super) async fn look(
    ctx: &Ctx,
    tx: &mut Tx,
    spec: &RolloutSpec,
    ids: &[ClientId],
) -> Result<(i64, Vec<RolloutSkipped>), Error> {
    let (action, now) = (action(ctx, spec), ctx.now());
    let mut offline = 0;
    let mut reasons: BTreeMap<Skip, i64> = BTreeMap::new();
    for candidate in batches::candidates(tx, ids, None).await? {
        let reason = skip(&action, &candidate, now);
        if let Some(reason) = reason {
            *reasons.entry(reason).or_default() += 1;
        } else if !is_online(ctx, &candidate, now) {
            offline += 1;
        }
    }
    let skipped = reasons.into_iter().map(|(reason, count)| RolloutSkipped { reason, count }).collect();
    Ok((offline, skipped))
}

fn is_online(ctx: &Ctx, candidate: &Candidate, now: i64) -> bool {
    let seen = ctx.presence.seen(candidate.id).map(|seen| seen.at).max(candidate.last_seen_at);
    seen.is_some_and(|at| now - at < ONLINE_FOR)
}
