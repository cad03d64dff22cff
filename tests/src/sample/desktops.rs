//! Desktops in every stage at two providers: one that somebody uses, one that is being made, one that failed, one that goes.
//!
//! Nobody works on them while somebody looks: their turn is taken for as long as the sample lasts.

use anyhow::{Context as _, Result};
use server::{
    app::providers::{self as cases, seal_purpose},
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, boot, clients,
        desktops::{
            self,
            parts::{self, Intended},
            trials,
        },
        providers,
    },
    domain::{
        boot::BootEventKind,
        client::{ClientConfig, DesktopChoice, DesktopEnvironment, RemoteAccess, Stage, User},
        desktop::{DesktopState, DesktopWish, FaultClass, PartKind, PartState, TrialState},
        provider::{PoolMember, ProviderDifference, ProviderStanding, ThereKind},
    },
    planner,
};
use wire::{ClientId, enrol::Realm, event::Outcome};

use super::{DAY, HOUR, MINUTE, Site, consoles, mac, report::Report};
use crate::cloudstack::{Cloud, keys};

/// Longer than anybody looks.
const LONG: i64 = DAY;

/// Adds providers and desktops to a server that has the sample; gives the cloud that both providers are.
///
/// # Errors
/// The server refuses something of it.
pub async fn add(ctx: &Ctx) -> Result<Cloud> {
    let cloud = Cloud::start(ctx.clock.clone()).await?;
    let north = provider(ctx, &cloud, "north").await?;
    let south = provider(ctx, &cloud, "south").await?;
    let mut tx = ctx.db.write().await?;
    let problem = "asking the provider (listZones): no answer after 30 s".to_owned();
    let tired = ProviderStanding { failures: 4, rests_until: ctx.now() + 12 * MINUTE, problem };
    providers::set_standing(&mut tx, south, &tired).await?;
    tx.commit().await?;
    let member = |provider: &str, order| PoolMember { provider: provider.to_owned(), order, weight: 1 };
    cases::set_pool(ctx, "cloud", &[member("south", 0), member("north", 1)], None).await?;

    let site = Site { ctx, now: ctx.now() };
    used(&site, north, south).await?;
    under_way(&site, north).await?;
    failed(&site, south).await?;
    leaving(&site, north).await?;
    consoles::add(&site, "office-09", "lab-01").await?;
    Ok(cloud)
}

async fn provider(ctx: &Ctx, cloud: &Cloud, name: &str) -> Result<i64> {
    let sealed = ctx.authority.seal(&seal_purpose(name), &serde_json::to_string(&keys())?)?;
    let mut tx = ctx.db.write().await?;
    let id = providers::create(&mut tx, name, &cloud.wish(), &sealed, ctx.now()).await?;
    // What the sample says is there is in no cloud.
    let unknown = ProviderDifference {
        missing: false,
        kind: ThereKind::Vm,
        name: "old-desk-lotse-5f01c3a97be2".to_owned(),
        id: "7d3a1c52-0000-4000-8000-0000000000c1".to_owned(),
        desktop: None,
    };
    let missing = ProviderDifference {
        missing: true,
        kind: ThereKind::Firewall,
        name: "203.0.113.10 port 20000".to_owned(),
        id: "7d3a1c52-0000-4000-8000-0000000000c2".to_owned(),
        desktop: Some("ann-desk".to_owned()),
    };
    let found = if name == "south" { vec![missing, unknown] } else { Vec::new() };
    providers::set_compared(&mut tx, id, &found, ctx.now() + LONG).await?;
    tx.commit().await?;
    Ok(id)
}

/// A desktop with its client; whoever comes later finds its turn taken.
async fn desktop(site: &Site<'_>, name: &str, user: &str, at: i64) -> Result<(i64, ClientId)> {
    let remote = DesktopChoice { environment: DesktopEnvironment::Mate, remote: RemoteAccess::X2go };
    let config = ClientConfig {
        users: vec![User { name: user.to_owned(), ..User::default() }],
        desktop: Some(remote),
        ..ClientConfig::default()
    };
    let wish = DesktopWish { pool: Some("cloud".to_owned()), ..DesktopWish::sized("standard") };
    let mut tx = site.ctx.db.write().await?;
    let client = clients::create(&mut tx, name, Stage::Registered, &config, &[], at).await?;
    let id = desktops::create(&mut tx, name, client, &wish, "admin", at).await?;
    desktops::take(&mut tx, id, site.now, site.now + LONG).await?.context("somebody has the turn")?;
    tx.commit().await?;
    Ok((id, client))
}

/// The parts of a machine that is reached by a port.
async fn make_parts(
    tx: &mut Tx,
    desktop: i64,
    trial: i64,
    provider: i64,
    name: &str,
    at: i64,
) -> Result<i64> {
    let tag = format!("{name}-lotse-0123456789ab");
    let address = ("7d3a1c52-0000-4000-8000-000000000065", "203.0.113.10");
    let at_port = format!("{} port 20000", address.1);
    let part = |kind, tag| Intended { desktop, trial, provider, kind, tag, address: None, ports: None };
    let reached =
        |kind| Intended { address: Some(address), ports: Some((20_000, 22)), ..part(kind, &at_port) };
    let mut vm = 0;
    for (after, intended) in [
        part(PartKind::Vm, tag.as_str()),
        part(PartKind::Egress, "desktops 10.1.0.3"),
        reached(PartKind::Forwarding),
        reached(PartKind::Firewall),
    ]
    .into_iter()
    .enumerate()
    {
        let at = at + i64::try_from(after)? * 4 * SECOND;
        let id = parts::intend(tx, &intended, at).await?;
        let remote = format!("7d3a1c52-0000-4000-8000-{id:012x}");
        parts::set_state(tx, id, PartState::Made, Some(&remote), None, at + 3 * SECOND).await?;
        if intended.kind == PartKind::Vm {
            vm = id;
        }
    }
    Ok(vm)
}

/// Somebody works on it; the first provider had no room.
async fn used(site: &Site<'_>, north: i64, south: i64) -> Result<()> {
    let at = site.now - 26 * HOUR;
    let (id, client) = desktop(site, "ann-desk", "ann", at).await?;
    let mut tx = site.ctx.db.write().await?;
    let first = trials::begin(&mut tx, id, (south, "south"), 1, at + SECOND).await?;
    let full = "making the machine ann-desk-lotse-5c1b7e0a9d24: Unable to create a deployment for VM";
    trials::give_up(&mut tx, first, FaultClass::Capacity, full).await?;
    trials::end(&mut tx, first, TrialState::Failed, at + 9 * SECOND).await?;
    let second = trials::begin(&mut tx, id, (north, "north"), 1, at + 9 * SECOND).await?;
    make_parts(&mut tx, id, second, north, "ann-desk", at + 10 * SECOND).await?;
    trials::end(&mut tx, second, TrialState::Succeeded, at + 41 * SECOND).await?;
    desktops::set_state(&mut tx, id, DesktopState::Ready, "", at + 41 * SECOND).await?;
    desktops::set_power(&mut tx, id, "Running", false).await?;
    clients::add_mac(&mut tx, client, mac(90)).await?;
    for (kind, detail, after) in [
        (BootEventKind::Searched, "CloudStack: http://10.1.0.1/latest/user-data", 78),
        (BootEventKind::Enrolled, "by token", 80),
    ] {
        boot::add(&mut tx, mac(90), kind, detail, at + after * SECOND).await?;
    }
    clients::set_stage(&mut tx, client, Stage::Installing).await?;
    let record = clients::find(&mut tx, client).await?.context("a client is gone")?;
    tx.commit().await?;
    let mut at = at + 80 * SECOND;
    for entry in planner::installation(&record) {
        site.order(client, &entry.job_type, site.now - 26 * HOUR, None).await?;
    }
    for (realm, jobs) in [(Realm::Installer, 5), (Realm::System, 2)] {
        for _ in 0..jobs {
            let report = Report::new(at).step("work").done();
            at = report.at + 35 * SECOND;
            site.attempt(client, realm, at, Report { at, ..report }.ends(Outcome::Succeeded)).await?;
        }
    }
    let mut tx = site.ctx.db.write().await?;
    clients::set_stage(&mut tx, client, Stage::Installed).await?;
    Ok(tx.commit().await?)
}

/// Its provider is at it.
async fn under_way(site: &Site<'_>, north: i64) -> Result<()> {
    let at = site.now - 3 * MINUTE;
    let (id, _) = desktop(site, "bob-desk", "bob", at).await?;
    let mut tx = site.ctx.db.write().await?;
    let trial = trials::begin(&mut tx, id, (north, "north"), 1, at + SECOND).await?;
    let reason = "making the machine bob-desk-lotse-41d09a77ce10: the provider answers with 503";
    trials::note(&mut tx, trial, FaultClass::Transient, reason).await?;
    let tag = "bob-desk-lotse-41d09a77ce10";
    let intended =
        Intended { desktop: id, trial, provider: north, kind: PartKind::Vm, tag, address: None, ports: None };
    let part = parts::intend(&mut tx, &intended, at + 2 * SECOND).await?;
    parts::set_state(&mut tx, part, PartState::Making, None, Some("job-1"), at + 3 * SECOND).await?;
    Ok(tx.commit().await?)
}

/// Nobody had room.
async fn failed(site: &Site<'_>, south: i64) -> Result<()> {
    let at = site.now - 5 * HOUR;
    let (id, _) = desktop(site, "carl-desk", "carl", at).await?;
    let mut tx = site.ctx.db.write().await?;
    let reason = "making the machine carl-desk-lotse-90c2d7b1f3aa: Maximum number of resources of type 'user_vm' has been exceeded";
    for round in 1..=3 {
        let begun = at + round * MINUTE;
        let trial = trials::begin(&mut tx, id, (south, "south"), round, begun).await?;
        trials::give_up(&mut tx, trial, FaultClass::Quota, reason).await?;
        trials::end(&mut tx, trial, TrialState::Failed, begun + 6 * SECOND).await?;
    }
    desktops::set_state(&mut tx, id, DesktopState::Failed, &format!("south: {reason}"), at + 4 * MINUTE)
        .await?;
    Ok(tx.commit().await?)
}

/// Its provider keeps something back.
async fn leaving(site: &Site<'_>, north: i64) -> Result<()> {
    let at = site.now - 2 * DAY;
    let (id, _) = desktop(site, "dora-desk", "dora", at).await?;
    let mut tx = site.ctx.db.write().await?;
    let trial = trials::begin(&mut tx, id, (north, "north"), 1, at + SECOND).await?;
    let tag = "dora-desk-lotse-77ab01c4e9d2";
    let intended =
        Intended { desktop: id, trial, provider: north, kind: PartKind::Vm, tag, address: None, ports: None };
    let part = parts::intend(&mut tx, &intended, at + 2 * SECOND).await?;
    let remote = Some("7d3a1c52-0000-4000-8000-0000000000f7");
    parts::set_state(&mut tx, part, PartState::Leaving, remote, None, site.now - 2 * MINUTE).await?;
    let problem = "removing the machine: The given command does not exist or it is not available for user (432); look \
                   at the account's keys and role at the provider; then `lotse provider change --keys`";
    parts::set_problem(&mut tx, part, problem).await?;
    trials::end(&mut tx, trial, TrialState::Succeeded, at + MINUTE).await?;
    desktops::set_state(&mut tx, id, DesktopState::Deleting, "admin has deleted it", site.now - 3 * MINUTE)
        .await?;
    Ok(tx.commit().await?)
}
