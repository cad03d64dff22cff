//! A client whose machine another one hosts, and what that has printed.

use anyhow::{Context as _, Result};
use server::{
    db::{clients, hosted, serial},
    domain::job::NewJob,
    queue,
};
use wire::{console::SerialPlace, enrol::Realm, vm::HostedMachine};

use super::{MINUTE, Site, report::Report};

/// What a machine prints when it starts.
const PRINTED: &str = "\u{1b}[2J\u{1b}[1;1HGNU GRUB  version 2.12\r\nBooting `Debian GNU/Linux'\r\n\
     [    0.000000] Linux version 6.12.48+deb13-amd64 (build@example)\r\n\
     [    0.000000] Command line: console=ttyS0 lotse.token=hidden\r\n\
     [    1.204518] virtio_blk virtio1: [vda] 83886080 512-byte logical blocks (42.9 GB/40.0 GiB)\r\n\
     [\u{1b}[0;32m  OK  \u{1b}[0m] Started \u{1b}[0;1;39mlotse-agent.service\u{1b}[0m.\r\n\
     Debian GNU/Linux 13 lab-02 ttyS0\r\n\r\nlab-02 login: ";

/// Lets one client host the machine of another one.
pub(super) async fn add(site: &Site<'_>, host: &str, client: &str) -> Result<()> {
    let ctx = site.ctx;
    let mut tx = ctx.db.read().await?;
    let host = clients::find_by_name(&mut tx, host).await?.context("no host")?.id;
    let machine = clients::find_by_name(&mut tx, client).await?.context("no client")?;
    drop(tx);
    let mac = machine.macs.first().context("it has no address")?;
    let at = site.now - 30 * MINUTE;
    let known = ctx.catalog.job_type("vm-create").context("no such job type")?;
    let job = NewJob {
        client: host,
        job_type: "vm-create".to_owned(),
        params: serde_json::json!({ "name": client, "mac": mac, "boot": "network" }),
        realm: known.realm,
        priority: known.priority,
        held: None,
        not_before: None,
        expires_at: None,
        max_attempts: 1,
        retry_after_s: 60,
        created_by: "admin".to_owned(),
        needs: Vec::new(),
    };
    let mut tx = ctx.db.write().await?;
    queue::enqueue(&mut tx, &job, at).await?;
    tx.commit().await?;
    let report = Report::new(at).step("create").done();
    site.attempt(host, Realm::System, at, report.ends(wire::event::Outcome::Succeeded)).await?;
    let mut tx = ctx.db.write().await?;
    let told = HostedMachine { name: client.to_owned(), ours: true, ..HostedMachine::default() };
    hosted::follow(&mut tx, host, &[told], at).await?;
    let console = serial::begin(&mut tx, host, client, at).await?;
    serial::add(&mut tx, &console, SerialPlace::default(), PRINTED, (1 << 20, site.now - MINUTE)).await?;
    Ok(tx.commit().await?)
}
