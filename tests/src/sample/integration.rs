//! A client of the sample that somebody else has installed: with what its record cannot hold, so that its page has something to show.

use anyhow::{Context, Result};
use serde_json::json;
use server::{
    context::Ctx,
    db::{clients, integrations},
};
use wire::survey::Survey;

/// Makes `name` a client that was taken over.
///
/// # Errors
/// There is no such client.
pub(super) async fn fill(ctx: &Ctx, name: &str) -> Result<()> {
    let mut tx = ctx.db.write().await?;
    let client = clients::find_by_name(&mut tx, name).await?.context("a client of the sample is gone")?;
    let place = ("admin@accounts.schule.example:22", "SHA256:uNiVztksCsDhcc0u9e8BrUjHs1pWfDPO3HyaGWfLQtg");
    integrations::order(&mut tx, client.id, place, "admin", ctx.now()).await?;
    integrations::set_survey(&mut tx, client.id, &survey(ctx.now())?, ctx.now()).await?;
    integrations::set_taken_over(&mut tx, client.id, ctx.now()).await?;
    tx.commit().await.map_err(Into::into)
}

fn survey(now: i64) -> Result<Survey> {
    let source = |uri: &str, suites: &[&str]| {
        json!({ "file": "/etc/apt/sources.list", "types": ["deb"], "uris": [uri], "suites": suites, "components": ["main"],
                "enabled": true, "signed_by": "" })
    };
    let user = |name: &str, uid: u32, full_name: &str, groups: &[&str], keys: &[&str]| {
        json!({ "name": name, "uid": uid, "full_name": full_name, "home": format!("/home/{name}"), "groups": groups,
                "key_fingerprints": keys })
    };
    let key = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
    let survey = json!({
        "surveyed_at": now, "packages": "dpkg", "hostname": "accounts", "domain": "schule.example", "timezone": "Europe/Berlin",
        "os": { "id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)", "kernel": "", "hostname": "accounts", "reboot_wanted": "" },
        "locale": "de_DE.UTF-8", "keyboard": "de", "keyboard_variant": "nodeadkeys", "ntp": ["ntp.schule.example"],
        "proxy": "", "nameservers": ["10.20.0.1"], "unread": [],
        "interfaces": [
            { "name": "enp1s0", "mac": "3c:52:82:1f:40:1d", "kind": "ethernet", "managed_by": "ifupdown", "file": "/etc/network/interfaces",
              "ipv4": "fixed", "ipv6": "automatic", "fixed": ["10.20.0.79/24"], "gateways": ["10.20.0.1"], "addresses": ["10.20.0.79/24"] },
            { "name": "br0", "mac": "3c:52:82:1f:40:ff", "kind": "bridge", "managed_by": "ifupdown", "file": "/etc/network/interfaces",
              "ipv4": "automatic", "ipv6": "unknown", "fixed": [], "gateways": [], "addresses": ["10.30.0.4/24"] },
        ],
        "users": [user("root", 0, "root", &["root"], &[]), user("renate", 1000, "Renate Vogel", &["renate", "sudo"], &[key])],
        "sources": [source("http://deb.example/debian", &["bookworm", "bookworm-updates"]), source("https://accounts.example/apt", &["stable"])],
    });
    serde_json::from_value(survey).context("the survey of the sample")
}
