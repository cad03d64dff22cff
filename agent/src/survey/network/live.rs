//! What the kernel has now, by `ip -j` (ip(8) of iproute2).

use std::path::Path;

use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use wire::Mac;

use super::Files;
use crate::host::Command;

/// An interface that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) name: String,
    pub(super) mac: Option<Mac>,
    pub(super) kind: String,
    pub(super) is_hardware: bool,
    /// With prefix length; those that only count on the link are left out.
    pub(super) addresses: Vec<String>,
    pub(super) gateways: Vec<String>,
}

#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the names of ip(8)")]
struct Link {
    #[serde(default)]
    ifname: String,
    #[serde(default)]
    link_type: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    linkinfo: LinkInfo,
    #[serde(default)]
    addr_info: Vec<Address>,
}

#[derive(Default, Deserialize)]
struct LinkInfo {
    #[serde(default)]
    info_kind: String,
}

#[derive(Deserialize)]
struct Address {
    #[serde(default)]
    local: String,
    #[serde(default)]
    prefixlen: u8,
    #[serde(default)]
    scope: String,
}

#[derive(Deserialize)]
struct Route {
    #[serde(default)]
    gateway: String,
    #[serde(default)]
    dev: String,
}

pub(super) async fn gather(files: &mut Files<'_>) -> Vec<Live> {
    let links = ask(files, &["-d", "address"]).await;
    let (v4, v6) = (
        ask(files, &["-4", "route", "show", "default"]).await,
        ask(files, &["-6", "route", "show", "default"]).await,
    );
    let mut found = interfaces(&links, &[v4, v6]);
    for live in &mut found {
        let directory = format!("/sys/class/net/{}", live.name);
        live.is_hardware |= files.host.exists(Path::new(&format!("{directory}/device")));
        if files.host.exists(Path::new(&format!("{directory}/wireless")))
            || files.host.exists(Path::new(&format!("{directory}/phy80211")))
        {
            "wifi".clone_into(&mut live.kind);
        }
    }
    found
}

async fn ask(files: &mut Files<'_>, words: &[&str]) -> String {
    let command = Command::new(["ip", "-j"].iter().chain(words).copied());
    match files.host.run(&command, &|_, _| {}, &CancellationToken::new()).await {
        Ok(text) => text,
        Err(error) => {
            files.fail(&error);
            String::new()
        }
    }
}

/// Interfaces but the loopback. In a container none is hardware: there those count that look like Ethernet and are made of no others.
fn interfaces(links: &str, routes: &[String]) -> Vec<Live> {
    let links: Vec<Link> = serde_json::from_str(links).unwrap_or_default();
    let routes: Vec<Route> =
        routes.iter().flat_map(|text| serde_json::from_str::<Vec<Route>>(text).unwrap_or_default()).collect();
    let live = |link: Link| {
        let kind = match link.linkinfo.info_kind.as_str() {
            "" | "veth" => "ethernet",
            kind => kind,
        };
        let addresses =
            link.addr_info.iter().filter(|address| address.scope != "link" && !address.local.is_empty());
        let mut gateways: Vec<String> = Vec::new();
        for route in routes.iter().filter(|route| route.dev == link.ifname && !route.gateway.is_empty()) {
            if !gateways.contains(&route.gateway) {
                gateways.push(route.gateway.clone());
            }
        }
        Live {
            mac: link.address.parse().ok(),
            kind: kind.to_owned(),
            is_hardware: link.linkinfo.info_kind == "veth",
            addresses: addresses.map(|address| format!("{}/{}", address.local, address.prefixlen)).collect(),
            gateways,
            name: link.ifname,
        }
    };
    // The end of a veth that a host gives to a container has its name with the other end's: `veth1a2b@if3`, and the host's is no network card of
    // the machine; but inside of one it is all there is. A gateway tells them apart.
    let all = links.into_iter().filter(|link| link.link_type == "ether").map(live);
    all.map(|live| Live { is_hardware: live.is_hardware && !live.gateways.is_empty(), ..live }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ip_says_becomes_interfaces_with_their_addresses_and_gateways() {
        let links = include_str!("fixtures/ip-address.json");
        let route = include_str!("fixtures/ip-route.json").to_owned();
        let found = interfaces(links, &[route, "[]".to_owned()]);
        let names: Vec<(&str, &str)> =
            found.iter().map(|live| (live.name.as_str(), live.kind.as_str())).collect();
        assert_eq!(names, [("eth0", "ethernet"), ("br0", "bridge")]);
        assert_eq!(found[0].addresses, ["10.77.0.2/24", "fd00:77::2/64"]);
        assert_eq!(found[0].gateways, ["10.77.0.1"]);
        assert!(found[0].is_hardware && !found[1].is_hardware);
        assert!(interfaces("busybox says no JSON", &[]).is_empty());
    }
}
