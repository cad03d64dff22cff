//! What agents tell of their packages.
//!
//! Invariant: what is kept has the hash that the agent has given; when it has not, nothing is changed and the agent is asked for the whole.

use std::collections::BTreeMap;

use wire::{
    ClientId, JobId,
    packages::{
        LONGEST_PIN, LONGEST_WORD, MOST_PACKAGES, MOST_PINS, MOST_SERVICES, Package, PackageKey,
        PackagesRequest, PackagesResponse,
    },
};

use super::super::Error;
use crate::{
    context::Ctx,
    db::{Tx, attempts, clients, packages},
    domain::inventory::{self, Inventory},
};

/// Longest sentence of a condition, in bytes.
const LONGEST_WHY: usize = 4000;
fn check(request: &PackagesRequest) -> Result<(), Error> {
    let wrong = |title: &str| {
        Err(Error::invalid(title, "the agent and this server do not fit together: upgrade both"))
    };
    if request.set.len() > MOST_PACKAGES || request.gone.len() > MOST_PACKAGES {
        return wrong("the agent tells of too many packages");
    }
    if !request.set.iter().all(Package::is_plain) {
        return wrong("the agent tells of a package whose name, architecture or version is none");
    }
    let condition = &request.condition;
    let long = |text: &String, most: usize| text.len() > most;
    if condition.services.len() > MOST_SERVICES
        || condition.services.iter().any(|service| long(service, LONGEST_WORD))
        || condition.pins.len() > MOST_PINS
        || condition.pins.iter().any(|pin| long(&pin.packages, LONGEST_PIN) || long(&pin.pin, LONGEST_PIN))
        || long(&condition.reboot_why, LONGEST_WHY)
        || long(&condition.updates_unknown, LONGEST_WHY)
    {
        return wrong("the agent says too much about the condition of its system");
    }
    Ok(())
}

fn hash(packages: &[Package]) -> String {
    let mut text = String::new();
    for package in packages {
        text.push_str(&package.line());
        text.push('\n');
    }
    crate::blobs::hash(text.as_bytes()).to_string()
}

/// The state that a message leads to.
fn applied(known: &[Package], request: &PackagesRequest) -> Vec<Package> {
    let mut state: BTreeMap<&PackageKey, &Package> = match request.base {
        Some(_) => known.iter().map(|package| (&package.key, package)).collect(),
        None => BTreeMap::new(),
    };
    for key in &request.gone {
        state.remove(key);
    }
    state.extend(request.set.iter().map(|package| (&package.key, package)));
    state.into_values().cloned().collect()
}

/// Takes what an agent tells of its packages. Telling the same again changes nothing.
///
/// # Errors
/// What it tells is too much or is not what it says, or the database refuses.
pub async fn receive(
    ctx: &Ctx,
    client: ClientId,
    request: &PackagesRequest,
) -> Result<PackagesResponse, Error> {
    check(request)?;
    let now = ctx.now();
    let (stored, known, job) = {
        let mut tx = ctx.db.read().await?;
        let stored = packages::inventory(&mut tx, client).await?;
        let known = packages::installed(&mut tx, client).await?;
        (stored, known, job(&mut tx, client, request).await?)
    };
    let sha256 = request.sha256.to_string();
    let stored_hash = stored.as_ref().map(|(hash, _)| hash.clone());
    let same = stored_hash.as_ref() == Some(&sha256);
    if same && stored.as_ref().is_some_and(|(_, inventory)| inventory.condition == request.condition) {
        return Ok(PackagesResponse::Kept);
    }
    let is_base = |base: &wire::Sha256| stored_hash.as_deref() == Some(base.as_str());
    if !same && request.base.as_ref().is_some_and(|base| !is_base(base)) {
        return Ok(PackagesResponse::SendWhole);
    }
    let new = if same { known.clone() } else { applied(&known, request) };
    if hash(&new) != sha256 {
        if request.base.is_some() {
            return Ok(PackagesResponse::SendWhole);
        }
        return Err(Error::invalid(
            "the packages have another hash than the agent says",
            "the agent and this server do not fit together: upgrade both",
        ));
    }
    let mut tx = ctx.db.write().await?;
    packages::make_known(&mut tx, new.iter().filter(|one| !is_there(&known, one)).map(|one| &one.key))
        .await?;
    tx.commit().await?;
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let again = packages::inventory(&mut tx, client).await?.map(|(hash, _)| hash);
    if again != stored_hash {
        // Another message of the same agent was faster: it told the same, or this one begins from a state that is over.
        return Ok(if again == Some(sha256) { PackagesResponse::Kept } else { PackagesResponse::SendWhole });
    }
    packages::store(&mut tx, client, &known, &new).await?;
    // What a system has when it is first told of has not come just now.
    if stored.is_some() {
        let changes = inventory::changes(&known, &new);
        packages::add_changes(&mut tx, client, &changes, job, now).await?;
    }
    let count = |list: &dyn Fn(&Package) -> bool| {
        let counted = new.iter().filter(|package| list(package)).count();
        i64::try_from(counted).unwrap_or(i64::MAX)
    };
    let is_known = request.condition.updates_unknown.is_empty();
    let inventory = Inventory {
        family: request.family,
        collected_at: request.collected_at,
        received_at: now,
        first_at: stored.as_ref().map_or(now, |(_, inventory)| inventory.first_at),
        packages: count(&|_| true),
        updates: is_known.then(|| count(&|package| package.update.is_some())),
        security_updates: is_known
            .then(|| count(&|package| package.update.as_ref().is_some_and(|update| update.security))),
        condition: request.condition.clone(),
    };
    packages::set_inventory(&mut tx, client, &sha256, &inventory).await?;
    tx.commit().await?;
    Ok(PackagesResponse::Kept)
}

fn is_there(known: &[Package], package: &Package) -> bool {
    known.binary_search_by(|other| other.key.cmp(&package.key)).is_ok()
}

/// The job of the attempt that the agent names, when it is one of its own.
async fn job(tx: &mut Tx, client: ClientId, request: &PackagesRequest) -> Result<Option<JobId>, Error> {
    let Some(attempt) = request.attempt else { return Ok(None) };
    let attempt = attempts::find(tx, attempt).await?;
    Ok(attempt.filter(|attempt| attempt.client == client).map(|attempt| attempt.job))
}
