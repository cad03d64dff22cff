//! `lotse pxe`: dnsmasq is configured once, and tells the server whom it gives addresses.

use std::{net::Ipv4Addr, path::PathBuf};

use anyhow::Context;
use clap::Subcommand;
use serde_json::{Value, json};
use wire::Mac;

use super::{
    Exit, Failure,
    api::{Api, local_data},
    output::say,
};
use crate::context::Addresses;

#[derive(Subcommand)]
pub(super) enum PxeCommand {
    /// Write the configuration of dnsmasq; nothing of it changes when clients come and go
    #[command(
        after_help = "Examples:\n  lotse pxe dnsmasq --interface eth0 --range 10.0.0.100,10.0.0.200,255.255.255.0 --router 10.0.0.1\n  lotse pxe dnsmasq --interface eth0 --proxy 10.0.0.0      # beside another DHCP server"
    )]
    Dnsmasq(Dnsmasq),
    /// Report a lease to the server; dnsmasq calls it (--dhcp-script)
    #[command(hide = true)]
    Event {
        /// add, old or del.
        action: String,
        /// The machine's hardware address.
        mac: Mac,
        /// The address it has.
        address: std::net::IpAddr,
        /// Its host name, which is not used.
        name: Option<String>,
    },
}

#[derive(clap::Args)]
pub(super) struct Dnsmasq {
    /// The network interface that the machines are on.
    #[arg(long)]
    interface: String,
    /// Give out addresses: FIRST,LAST,NETMASK.
    #[arg(long, value_name = "FIRST,LAST,NETMASK", value_delimiter = ',', conflicts_with = "proxy")]
    range: Vec<Ipv4Addr>,
    /// Stand beside another DHCP server of this network, and only say what to boot.
    #[arg(long, value_name = "NETWORK", required_unless_present = "range")]
    proxy: Option<Ipv4Addr>,
    /// Router for the machines.
    #[arg(long)]
    router: Option<Ipv4Addr>,
    /// Name server for the machines.
    #[arg(long)]
    dns: Option<Ipv4Addr>,
    /// Address of this server in that network; default is the host of its boot URL.
    #[arg(long)]
    host: Option<Ipv4Addr>,
    /// UEFI machines start signed shim and GRUB instead of iPXE.
    #[arg(long)]
    secure_boot: bool,
    /// Program that dnsmasq calls for every lease, so that it stands on the boot timeline; default is the one beside the templates.
    #[arg(long, value_name = "FILE")]
    event_script: Option<PathBuf>,
    /// How long an address is given for.
    #[arg(long, default_value = "1h")]
    lease_time: String,
    /// Directory with `pxe`.
    #[arg(long, env = "LOTSE_SHARE", default_value = "/usr/share/lotse")]
    share: PathBuf,
}

pub(super) async fn run(
    command: PxeCommand,
    connect: impl Fn() -> anyhow::Result<Api>,
) -> anyhow::Result<()> {
    match command {
        PxeCommand::Dnsmasq(words) => {
            let server: Value = connect()?.get("/server").await?;
            say(dnsmasq(&words, server["boot"].as_str().unwrap_or_default())?.trim_end());
            Ok(())
        }
        PxeCommand::Event { action, mac, address, name: _ } => {
            let url = format!("{}/boot/dhcp", own_boot_url()?);
            let body = json!({ "action": action, "mac": mac, "address": address });
            reqwest::Client::builder().build()?.post(url).json(&body).send().await?.error_for_status()?;
            Ok(())
        }
    }
}

/// The boot URL of the server on this machine. dnsmasq hands no environment on, so without one the server's own note tells.
fn own_boot_url() -> anyhow::Result<String> {
    if let Some(url) = std::env::var_os("LOTSE_BOOT_URL") {
        return Ok(url.to_string_lossy().into_owned());
    }
    let file = local_data().join("run/addresses.json");
    let addresses: Addresses = serde_json::from_slice(&fs_err::read(&file)?)
        .with_context(|| format!("understanding {}", file.display()))?;
    Ok(addresses.boot)
}

fn dnsmasq(words: &Dnsmasq, boot_url: &str) -> anyhow::Result<String> {
    let host = match words.host {
        Some(host) => host,
        None => boot_url
            .trim_start_matches("http://")
            .rsplit_once(':')
            .and_then(|(host, _)| host.parse().ok())
            .context("the server's boot URL has no IPv4 address; give --host ADDRESS")?,
    };
    let mut context = tera::Context::new();
    context.insert("interface", &words.interface);
    context.insert("server_host", &host.to_string());
    context.insert("script_url", &format!("{boot_url}/boot/ipxe?mac=${{netX/mac}}&platform=${{platform}}"));
    let event_script = words.event_script.clone().unwrap_or_else(|| words.share.join("pxe/dnsmasq/event"));
    context.insert("event_script", &std::path::absolute(event_script)?.display().to_string());
    context.insert("secureboot", &words.secure_boot);
    context.insert("lease_time", &words.lease_time);
    context.insert("router", &words.router.map(|router| router.to_string()).unwrap_or_default());
    context.insert("dns", &words.dns.map(|dns| dns.to_string()).unwrap_or_default());
    let name = match (words.range.as_slice(), words.proxy) {
        ([first, last, netmask], None) => {
            context.insert("range_start", &first.to_string());
            context.insert("range_end", &last.to_string());
            context.insert("netmask", &netmask.to_string());
            "dhcp.conf.tera"
        }
        (_, Some(network)) => {
            context.insert("network", &network.to_string());
            "proxy.conf.tera"
        }
        _ => {
            return Err(Failure::error(
                Exit::Usage,
                "--range must be three addresses, FIRST,LAST,NETMASK; or give --proxy NETWORK",
            ));
        }
    };
    let template = fs_err::read_to_string(words.share.join("pxe/dnsmasq").join(name))
        .context("reading the template; --share names the directory that has `pxe`")?;
    tera::Tera::default()
        .render_str(&template, &context, false)
        .map_err(|error| anyhow::anyhow!("rendering {name}: {error}"))
}
