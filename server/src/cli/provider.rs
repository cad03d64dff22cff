//! `lotse provider`

use std::{collections::BTreeMap, io::Read, path::PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::json;
use wire::Sha256;

use super::{
    api::{Api, Name, fingerprint},
    output::{note, say, table, time},
};
use crate::{
    app::providers::{IsoWish, NewProvider, ProviderChange, ProviderKeys, ProviderTest, ProviderView},
    db::providers::ProviderRecord,
    domain::provider::{Pool, PoolMember, ProviderDifference, ProviderWish, SizeThere},
    vm::{Offer, Offers},
};

#[derive(Subcommand)]
pub(super) enum ProviderCommand {
    /// List providers
    List,
    /// Show a provider
    Show {
        /// Its name.
        name: Name,
    },
    /// Register an account at a CloudStack, whose two keys are read from a file or from standard input; or a client that hosts machines
    #[command(
        after_help = "Example:\n  lotse provider add north --endpoint https://cloud.example.org/client/api --keys keys.txt --zone north \\\n    --network desktops --iso lotse --size standard=medium,custom,40\n  lotse provider add attic --host attic-01 --size standard=2x4096,lotse,40\nThe file with the keys has the API key in its first line and the secret key in its second."
    )]
    Add {
        /// Its name.
        name: Name,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Change what is wanted of a provider; what is not given stays
    Change {
        /// Its name.
        name: Name,
        #[command(flatten)]
        wanted: Wanted,
    },
    /// Try what a desktop needs, without making anything: version, limits, what is missing
    Test {
        /// Its name.
        name: Name,
    },
    /// What a provider offers: zones, sizes, disks, networks, images
    Offers {
        /// Its name.
        name: Name,
    },
    /// Let a provider fetch the boot image, under the name that its desktops boot from
    RegisterIso {
        /// The provider's name.
        name: Name,
        /// Where it fetches the image; it must be reachable from there.
        url: String,
        /// SHA-256 of the image, which the provider then checks.
        #[arg(long, value_name = "HEX", value_parser = fingerprint)]
        sha256: Option<Sha256>,
    },
    /// Remove a provider at which nothing of ours is
    Delete {
        /// Its name.
        name: Name,
    },
    /// List pools
    Pools,
    /// Keep a pool: providers of which one is as good as the other
    #[command(
        after_help = "Example:\n  lotse provider pool cloud north:0:3 south:0:1 far:1\nOf those with the lowest order one is tried first, by weight."
    )]
    Pool {
        /// Its name.
        name: Name,
        /// PROVIDER, PROVIDER:ORDER or PROVIDER:ORDER:WEIGHT.
        #[arg(required = true, value_parser = member)]
        members: Vec<PoolMember>,
    },
    /// Remove a pool
    DeletePool {
        /// Its name.
        name: Name,
    },
}

/// What is wanted of a provider.
#[derive(Args)]
pub(super) struct Wanted {
    /// Where its API is.
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// The client that hosts the machines with KVM, instead of an account.
    #[arg(long, value_name = "CLIENT", conflicts_with_all = ["endpoint", "keys"])]
    host: Option<Name>,
    /// So many machines of Lotse may be on that host.
    #[arg(long, value_name = "NUMBER")]
    most_machines: Option<u32>,
    /// File with API key and secret key, one a line; `-` reads standard input.
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,
    /// File with the certificates that it is checked by, in PEM.
    #[arg(long, value_name = "FILE", conflicts_with = "fingerprint")]
    provider_ca: Option<PathBuf>,
    /// SHA-256 of its certificate: the only one that counts.
    #[arg(long, value_name = "HEX", value_parser = fingerprint)]
    fingerprint: Option<Sha256>,
    /// The zone.
    #[arg(long)]
    zone: Option<String>,
    /// The network of the desktops.
    #[arg(long)]
    network: Option<String>,
    /// The boot image.
    #[arg(long)]
    iso: Option<String>,
    /// The hypervisor, as the provider calls it.
    #[arg(long)]
    hypervisor: Option<String>,
    /// The project in which everything is made.
    #[arg(long)]
    project: Option<String>,
    /// A size, NAME=OFFERING,DISK or NAME=OFFERING,DISK,GIB (on a host, OFFERING is processors and MiB: 2x4096); repeat it for several.
    #[arg(long = "size", value_name = "SIZE", value_parser = size)]
    sizes: Vec<(String, SizeThere)>,
    /// The public address that is shared by forwarded ports.
    #[arg(long)]
    address: Option<String>,
    /// A TCP port of the desktops that is reached from outside; repeat it for several.
    #[arg(long = "port", value_name = "PORT")]
    ports: Vec<u16>,
    /// The first port that is given on the public address.
    #[arg(long, value_name = "PORT")]
    first_port: Option<u16>,
    /// Who may reach the ports, as 192.0.2.0/24; repeat it for several.
    #[arg(long = "source", value_name = "NETWORK")]
    sources: Vec<String>,
    /// Whoever says nothing for so long has not heard.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
    /// Make no new desktops there.
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Make new desktops there again.
    #[arg(long)]
    enable: bool,
}

fn size(text: &str) -> Result<(String, SizeThere), String> {
    let wrong = || "must be NAME=OFFERING,DISK or NAME=OFFERING,DISK,GIB".to_owned();
    let (name, there) = text.split_once('=').ok_or_else(wrong)?;
    let parts: Vec<_> = there.split(',').collect();
    let (offering, disk, gib) = match parts.as_slice() {
        [offering, disk] => (offering, disk, None),
        [offering, disk, gib] => (offering, disk, Some(gib.parse().map_err(|_| wrong())?)),
        _ => return Err(wrong()),
    };
    let there = SizeThere { offering: (*offering).to_owned(), disk: (*disk).to_owned(), disk_gib: gib };
    Ok((name.to_owned(), there))
}

fn member(text: &str) -> Result<PoolMember, String> {
    let wrong = || "must be PROVIDER, PROVIDER:ORDER or PROVIDER:ORDER:WEIGHT".to_owned();
    let mut parts = text.split(':');
    let provider = parts.next().unwrap_or_default().to_owned();
    let order = parts.next().map_or(Ok(0), str::parse).map_err(|_| wrong())?;
    let weight = parts.next().map_or(Ok(1), str::parse).map_err(|_| wrong())?;
    if parts.next().is_some() { Err(wrong()) } else { Ok(PoolMember { provider, order, weight }) }
}

impl Wanted {
    fn read_keys(&self) -> anyhow::Result<Option<ProviderKeys>> {
        let Some(path) = &self.keys else { return Ok(None) };
        let text = if path.as_os_str() == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text)?;
            text
        } else {
            fs_err::read_to_string(path)?
        };
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
        let missing = "the file must have the API key in its first line and the secret key in its second";
        let (api_key, secret_key) = (lines.next().context(missing)?, lines.next().context(missing)?);
        Ok(Some(ProviderKeys { api_key, secret_key }))
    }

    /// What is wanted, from what is there.
    fn apply(self, mut wish: ProviderWish) -> anyhow::Result<ProviderWish> {
        for (field, given) in [
            (&mut wish.endpoint, self.endpoint),
            (&mut wish.zone, self.zone),
            (&mut wish.network, self.network),
            (&mut wish.iso, self.iso),
            (&mut wish.hypervisor, self.hypervisor),
            (&mut wish.project, self.project),
            (&mut wish.address, self.address),
        ] {
            if let Some(given) = given {
                *field = given;
            }
        }
        if let Some(host) = self.host {
            wish.host = host.to_string();
        }
        wish.most_machines = self.most_machines.or(wish.most_machines);
        if let Some(path) = &self.provider_ca {
            (wish.ca_pem, wish.fingerprint) = (fs_err::read_to_string(path)?, None);
        }
        if self.fingerprint.is_some() {
            (wish.ca_pem, wish.fingerprint) = (String::new(), self.fingerprint);
        }
        if !self.sizes.is_empty() {
            wish.sizes = self.sizes.into_iter().collect::<BTreeMap<_, _>>();
        }
        if !self.ports.is_empty() {
            wish.ports = self.ports;
        }
        if !self.sources.is_empty() {
            wish.sources = self.sources;
        }
        wish.first_port = self.first_port.unwrap_or(wish.first_port);
        wish.timeout_s = self.timeout.unwrap_or(wish.timeout_s);
        wish.enabled = (wish.enabled || self.enable) && !self.disable;
        Ok(wish)
    }
}

pub(super) async fn run(api: &Api, command: ProviderCommand) -> anyhow::Result<()> {
    match command {
        ProviderCommand::List => list(api).await,
        ProviderCommand::Show { name } => show(api, &name).await,
        ProviderCommand::Add { name, wanted } => {
            let (empty, keys) = if let Some(host) = &wanted.host {
                (ProviderWish::kvm(&host.to_string()), ProviderKeys::default())
            } else {
                let keys = wanted.read_keys()?.context("the account's keys are missing: give --keys FILE")?;
                (ProviderWish::default(), keys)
            };
            let new = NewProvider { name: name.to_string(), wish: wanted.apply(empty)?, keys };
            let made: ProviderRecord = api.send_json(Method::POST, "/providers", &new).await?;
            if !api.wrote_json(&made)? {
                say(&format!(
                    "The provider {name} is registered; `lotse provider test {name}` shows whether it works."
                ));
            }
            Ok(())
        }
        ProviderCommand::Change { name, wanted } => {
            let path = format!("/providers/{name}");
            let record: ProviderRecord = api.get(&path).await?;
            let change = ProviderChange { keys: wanted.read_keys()?, wish: wanted.apply(record.wish)? };
            let changed: ProviderRecord = api.send_json(Method::PUT, &path, &change).await?;
            if !api.wrote_json(&changed)? {
                say(&format!(
                    "The provider {name} is changed; `lotse provider test {name}` shows whether it works."
                ));
            }
            Ok(())
        }
        ProviderCommand::Test { name } => test(api, &name).await,
        ProviderCommand::Offers { name } => offers(api, &name).await,
        ProviderCommand::RegisterIso { name, url, sha256 } => {
            let body = IsoWish { url, sha256 };
            let _: Option<()> =
                api.send_json(Method::POST, &format!("/providers/{name}/isos"), &body).await?;
            api.told(&format!(
                "{name} fetches the image; `lotse provider test {name}` says when it can be used."
            ));
            Ok(())
        }
        ProviderCommand::Delete { name } => {
            let done = format!("The provider {name} is removed.");
            api.order(Method::DELETE, &format!("/providers/{name}"), &done).await
        }
        ProviderCommand::Pools => pools(api).await,
        ProviderCommand::Pool { name, members } => {
            let pool: Pool = api.send_json(Method::PUT, &format!("/provider-pools/{name}"), &members).await?;
            if !api.wrote_json(&pool)? {
                say(&format!("The pool {name} has {} providers.", pool.members.len()));
            }
            Ok(())
        }
        ProviderCommand::DeletePool { name } => {
            let done = format!("The pool {name} is removed.");
            api.order(Method::DELETE, &format!("/provider-pools/{name}"), &done).await
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let providers: Vec<ProviderRecord> = api.get("/providers").await?;
    if api.wrote_json(&providers)? {
        return Ok(());
    }
    if providers.is_empty() {
        note("There is no provider yet: `lotse provider add --help`.");
        return Ok(());
    }
    let rows: Vec<_> = providers
        .into_iter()
        .map(|provider| {
            let state = match (provider.wish.enabled, provider.standing.rests_until) {
                (false, _) => "off".to_owned(),
                (true, 0) => "on".to_owned(),
                (true, until) => format!("left alone until {}", time(until)),
            };
            let sizes: Vec<_> = provider.wish.sizes.keys().cloned().collect();
            let location = provider.wish.location().to_owned();
            vec![
                provider.name,
                provider.wish.endpoint,
                location,
                sizes.join(","),
                state,
                provider.standing.problem,
            ]
        })
        .collect();
    table(&["NAME", "ENDPOINT", "ZONE OR HOST", "SIZES", "STATE", "LAST PROBLEM"], &rows);
    Ok(())
}

async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let view: ProviderView = api.get(&format!("/providers/{name}")).await?;
    if api.wrote_json(&view)? {
        return Ok(());
    }
    let ProviderView { record: provider, images } = view;
    let text = serde_yaml::to_string(
        &json!({ "name": provider.name, "wish": provider.wish, "standing": provider.standing }),
    )?;
    say(text.trim_end());
    let rows: Vec<_> = images
        .into_iter()
        .map(|image| vec![image.name, image.state.as_str().to_owned(), time(image.changed_at), image.said])
        .collect();
    if !rows.is_empty() {
        say("");
        table(&["BOOT IMAGE", "STATE", "SINCE", ""], &rows);
    }
    for difference in &provider.differences {
        let ProviderDifference { missing, kind, name, id, desktop } = difference;
        let whose = desktop.as_ref().map(|desktop| format!(" of desktop {desktop}")).unwrap_or_default();
        let how = if *missing { "should be there and is not" } else { "is there, and nobody here knows it" };
        note(&format!("The {} {name}{whose} ({id}) {how}.", kind.as_str()));
    }
    Ok(())
}

async fn test(api: &Api, name: &Name) -> anyhow::Result<()> {
    let test: ProviderTest =
        api.send_json(Method::POST, &format!("/providers/{name}/test"), &json!({})).await?;
    if !api.wrote_json(&test)? {
        if let Some(answer) = &test.answer {
            say(&format!("Version {}", answer.version));
            let rows: Vec<_> = answer
                .limits
                .iter()
                .map(|limit| {
                    let most = limit.limit.map_or("any number".to_owned(), |most| most.to_string());
                    vec![limit.of.clone(), limit.used.to_string(), most]
                })
                .collect();
            table(&["LIMIT OF", "USED", "ALLOWED"], &rows);
        }
        for problem in &test.problems {
            say(&format!("- {problem}"));
        }
        if test.good {
            say("Desktops can be made there.");
        }
    }
    anyhow::ensure!(test.good, "no desktops can be made at {name} like this");
    Ok(())
}

async fn offers(api: &Api, name: &Name) -> anyhow::Result<()> {
    let offers: Offers = api.get(&format!("/providers/{name}/offers")).await?;
    if api.wrote_json(&offers)? {
        return Ok(());
    }
    let row = |kind: &str, offer: &Offer| {
        let usable = if offer.usable { "" } else { "not usable now" };
        vec![kind.to_owned(), offer.name.clone(), offer.id.clone(), offer.about.clone(), usable.to_owned()]
    };
    let mut rows: Vec<_> = offers.zones.iter().map(|offer| row("zone", offer)).collect();
    rows.extend(offers.offerings.iter().map(|offer| row("service offering", offer)));
    rows.extend(offers.disks.iter().map(|disk| row("disk offering", &disk.offer)));
    rows.extend(offers.networks.iter().map(|network| row("network", &network.offer)));
    rows.extend(offers.isos.iter().map(|offer| row("ISO image", offer)));
    rows.extend(offers.templates.iter().map(|offer| row("template", offer)));
    table(&["KIND", "NAME", "ID", "IS", ""], &rows);
    Ok(())
}

async fn pools(api: &Api) -> anyhow::Result<()> {
    let pools: Vec<Pool> = api.get("/provider-pools").await?;
    if api.wrote_json(&pools)? {
        return Ok(());
    }
    let rows: Vec<_> = pools
        .into_iter()
        .flat_map(|pool| {
            let row = move |member: PoolMember| {
                vec![pool.name.clone(), member.order.to_string(), member.provider, member.weight.to_string()]
            };
            pool.members.into_iter().map(row)
        })
        .collect();
    table(&["POOL", "ORDER", "PROVIDER", "WEIGHT"], &rows);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_members_are_read() {
        let (name, there) = size("big=Large VM,custom,80").unwrap();
        assert_eq!((name.as_str(), there.offering.as_str(), there.disk_gib), ("big", "Large VM", Some(80)));
        assert!(size("big").is_err() && size("big=a").is_err() && size("big=a,b,c").is_err());
        let found = member("north:2:5").unwrap();
        assert_eq!((found.provider.as_str(), found.order, found.weight), ("north", 2, 5));
        assert_eq!(member("north").unwrap().weight, 1);
        assert!(member("a:b").is_err() && member("a:1:1:1").is_err());
    }
}
