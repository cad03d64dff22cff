//! The packages of the sample's machines: those of a real system, of which some lack updates.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use server::{app::inventory, context::Ctx};
use wire::{
    AttemptId, ClientId,
    packages::{Condition, Package, PackageKey, PackageUpdate, PackagesRequest, PackagesResponse, Pin},
};

use crate::told::message;

const INSTALLED: &str = include_str!("../../../agent/src/packages/testdata/dpkg-query.txt");
const AUTOMATIC: &str = include_str!("../../../agent/src/packages/testdata/showauto.txt");
const UPDATES: &str = include_str!("../../../agent/src/packages/testdata/simulate.txt");

fn updates() -> BTreeMap<String, PackageUpdate> {
    let update = |line: &str| {
        let (name, rest) = line.strip_prefix("Inst ")?.split_once(" [")?;
        let (_, rest) = rest.split_once("] (")?;
        let version = rest.split(' ').next()?.to_owned();
        Some((name.to_owned(), PackageUpdate { version, security: rest.contains("Security") }))
    };
    UPDATES.lines().filter_map(update).collect()
}

/// What is installed; with the updates that are to be had, or after them.
fn system(upgraded: bool) -> Vec<Package> {
    let updates = updates();
    let package = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [name, architecture, version, size, wanted] = words.as_slice() else { return None };
        let update = updates.get(*name).cloned();
        let (version, update) = match update {
            Some(update) if upgraded => (update.version, None),
            update => ((*version).to_owned(), update),
        };
        Some(Package {
            key: PackageKey { name: (*name).to_owned(), architecture: (*architecture).to_owned(), version },
            automatic: AUTOMATIC.lines().any(|automatic| automatic == *name),
            held: *wanted == "hold",
            size_bytes: size.parse::<u64>().unwrap_or(0) << 10,
            update,
        })
    };
    let mut packages: Vec<Package> = INSTALLED.lines().filter_map(package).collect();
    packages.sort_by(|a, b| a.key.cmp(&b.key));
    packages
}

async fn tell(
    ctx: &Ctx,
    client: ClientId,
    packages: Vec<Package>,
    condition: Condition,
    attempt: Option<AttemptId>,
) -> Result<()> {
    let request = PackagesRequest { collected_at: ctx.now(), condition, attempt, ..message(None, &packages) };
    ensure!(
        inventory::receive(ctx, client, &request).await? == PackagesResponse::Kept,
        "packages are not kept"
    );
    Ok(())
}

/// What the agent of a machine has told: every third is up to date, every fourth wants a restart.
pub(super) async fn told(ctx: &Ctx, client: ClientId, number: u8, attempt: AttemptId) -> Result<()> {
    let mut before = system(false);
    before.retain(|package| package.key.name != "vim-tiny");
    tell(ctx, client, before, Condition::default(), None).await?;
    let wants_restart = number % 4 == 1;
    let condition = Condition {
        reboot_why: if wants_restart {
            "kernel 6.1.0-40-amd64 is installed, 6.1.0-37-amd64 runs".to_owned()
        } else {
            String::new()
        },
        services: if wants_restart {
            vec!["ssh.service".to_owned(), "cron.service".to_owned()]
        } else {
            Vec::new()
        },
        updates_unknown: if number == 8 {
            "`apt-get` ended with status 100: E: Unmet dependencies.".to_owned()
        } else {
            String::new()
        },
        pins: pins(),
    };
    tell(ctx, client, system(number.is_multiple_of(3)), condition, Some(attempt)).await
}

fn pins() -> Vec<Pin> {
    let pin = |packages: &str, pin: &str, priority, by_lotse| Pin {
        packages: packages.to_owned(),
        pin: pin.to_owned(),
        priority,
        by_lotse,
    };
    vec![
        pin("firefox-esr", "version 128.*", 1001, true),
        pin("*", "release n=bookworm-backports", 100, false),
    ]
}
