//! Lists: items as the API shows them, filters, pages.

use serde_json::{Value, json};

use super::{
    signature::Params,
    world::{
        Address, ISO, ImageThere, Machine, NETWORK, NETWORK_OFFERING, Rule, RuleKind, SHARED, TEMPLATE,
        World, ZONE,
    },
};

/// Largest page (`default.page.size`).
const LARGEST_PAGE: i64 = 500;

/// The answer to a command that lists; nothing when it is no such command.
pub(super) fn list(world: &World, params: &Params) -> Option<Result<Value, (u16, String)>> {
    let place = |kind: RuleKind| {
        let items = world.rules.iter().filter(move |(_, rule)| rule.kind == kind);
        items.map(|(id, rule)| rule_shown(id, rule)).collect::<Vec<_>>()
    };
    let (item, items) = match params.get("command") {
        "listZones" => ("zone", zones()),
        "listServiceOfferings" => ("serviceoffering", offerings()),
        "listDiskOfferings" => ("diskoffering", disks()),
        "listNetworks" => ("network", networks()),
        "listNetworkOfferings" => (
            "networkoffering",
            vec![json!({ "id": NETWORK_OFFERING, "name": "isolated", "egressdefaultpolicy": false })],
        ),
        "listTemplates" => ("template", vec![image(TEMPLATE, "Debian 12", 100)]),
        "listIsos" => {
            let first = image(ISO, "lotse", world.image_percent);
            let all = [first].into_iter().chain(world.images.iter().map(registered));
            // What cannot be used yet is shown to those only who ask for all that is theirs.
            let everything = params.get("isofilter") == "self";
            ("iso", all.filter(|image| everything || image["isready"] == true).collect())
        }
        "listVirtualMachines" => {
            ("virtualmachine", world.machines.values().map(|found| machine(world, found)).collect())
        }
        "listVolumes" => {
            let loose = world.loose.iter().map(|(id, machine, name)| volume(id, machine, name));
            let all = world.machines.values().map(|found| volume(&found.volume, &found.id, &found.name));
            ("volume", all.chain(loose).collect())
        }
        "listPublicIpAddresses" => ("publicipaddress", world.addresses.values().map(address).collect()),
        "listPortForwardingRules" => ("portforwardingrule", place(RuleKind::Forwarding)),
        "listFirewallRules" => ("firewallrule", place(RuleKind::Firewall)),
        "listEgressFirewallRules" => ("firewallrule", place(RuleKind::Egress)),
        "listAccounts" => ("account", vec![account(world)]),
        "listHypervisors" => ("hypervisor", vec![json!({ "name": "KVM" })]),
        "listOsTypes" => {
            ("ostype", vec![json!({ "id": "o1", "description": "Debian GNU/Linux 12 (64-bit)" })])
        }
        "listApis" => ("api", super::commands::ALL.iter().map(|name| json!({ "name": name })).collect()),
        "listIpForwardingRules" => ("ipforwardingrule", Vec::new()),
        "listTags" => ("tag", Vec::new()),
        "listAffinityGroups" => ("affinitygroup", Vec::new()),
        _ => return None,
    };
    Some(paged(params, item, filtered(params, items)))
}

fn filtered(params: &Params, mut items: Vec<Value>) -> Vec<Value> {
    for (param, field) in [
        ("id", "id"),
        ("zoneid", "zoneid"),
        ("state", "state"),
        ("associatednetworkid", "associatednetworkid"),
        ("ipaddressid", "ipaddressid"),
        ("networkid", "networkid"),
        ("virtualmachineid", "virtualmachineid"),
    ] {
        let wanted = params.get(param);
        if !wanted.is_empty() {
            items.retain(|item| item.get(field).is_none_or(|value| value == wanted));
        }
    }
    for param in ["name", "keyword"] {
        // The server looks for a part of the name.
        let wanted = params.get(param).to_lowercase();
        if !wanted.is_empty() {
            items.retain(|item| {
                item["name"].as_str().is_some_and(|name| name.to_lowercase().contains(&wanted))
            });
        }
    }
    items
}

fn paged(params: &Params, item: &str, items: Vec<Value>) -> Result<Value, (u16, String)> {
    let count = items.len();
    let items = match (params.get("page"), params.get("pagesize")) {
        ("", "" | "-1") => items,
        ("", _) | (_, "") => return Err((431, "page and pagesize have to be given together".to_owned())),
        _ => {
            let (page, size) = (params.number("page")?, params.number("pagesize")?);
            if !(1..=LARGEST_PAGE).contains(&size) || page < 1 {
                return Err((431, "pageSize exceeds the largest page size".to_owned()));
            }
            let (page, size) = (usize::try_from(page).unwrap_or(1), usize::try_from(size).unwrap_or(1));
            items.into_iter().skip((page - 1) * size).take(size).collect()
        }
    };
    Ok(if items.is_empty() { json!({}) } else { json!({ "count": count, item: items }) })
}

fn zones() -> Vec<Value> {
    vec![
        json!({ "id": ZONE, "name": "north", "networktype": "Advanced", "allocationstate": "Enabled", "securitygroupsenabled": false }),
    ]
}

fn offerings() -> Vec<Value> {
    let offering = |id: &str, name: &str, processors: u32, memory: u32| json!({ "id": id, "name": name, "displaytext": name, "cpunumber": processors, "cpuspeed": 2000, "memory": memory, "iscustomized": false });
    vec![offering("so-1", "small", 1, 1024), offering("so-2", "medium", 2, 4096)]
}

fn disks() -> Vec<Value> {
    vec![
        json!({ "id": "do-1", "name": "twenty", "displaytext": "20 GB", "disksize": 20, "iscustomized": false }),
        json!({ "id": "do-2", "name": "custom", "displaytext": "any", "disksize": 0, "iscustomized": true }),
    ]
}

fn networks() -> Vec<Value> {
    vec![
        json!({ "id": NETWORK, "name": "desktops", "displaytext": "desktops", "type": "Isolated", "zoneid": ZONE, "state": "Implemented",
            "cidr": "10.1.0.0/16", "gateway": "10.1.0.1", "networkofferingid": NETWORK_OFFERING, "networkofferingname": "isolated",
            "networkdomain": "test", "service": [{ "name": "Dhcp" }, { "name": "UserData" }] }),
        json!({ "id": SHARED, "name": "open", "displaytext": "open", "type": "Shared", "zoneid": ZONE, "state": "Implemented",
            "cidr": "192.0.2.0/24", "networkofferingid": "other", "networkofferingname": "shared", "networkdomain": "test", "service": [] }),
    ]
}

pub(super) fn image(id: &str, name: &str, percent: u8) -> Value {
    let status =
        if percent >= 100 { "Successfully Installed".to_owned() } else { format!("{percent}% Downloaded") };
    json!({ "id": id, "name": name, "displaytext": name, "zoneid": ZONE, "isready": percent >= 100, "status": status, "bootable": true,
        "hypervisor": "KVM", "format": "ISO", "ostypeid": "o1", "ostypename": "Debian", "size": 100_000_000_u64 })
}

/// An image that somebody has registered.
pub(super) fn registered(found: &ImageThere) -> Value {
    let mut shown = image(&found.id, &found.name, found.percent);
    if let Some(fault) = &found.fault {
        shown["status"] = json!(fault);
    }
    shown
}

pub(super) fn machine(world: &World, machine: &Machine) -> Value {
    let name = if machine.network == SHARED { "open" } else { "desktops" };
    let mut shown = json!({
        "id": machine.id, "name": machine.name, "displayname": machine.title, "state": machine.state, "zoneid": ZONE, "zonename": "north",
        "hypervisor": "KVM", "account": "test", "domain": "ROOT", "haenable": false, "created": "2026-11-21T00:00:00+0000",
        "serviceofferingid": machine.offering, "serviceofferingname": machine.offering, "cpunumber": 1, "memory": 1024, "passwordenabled": false,
        "templateid": machine.iso.clone().unwrap_or_default(), "templatename": "lotse", "securitygroup": [], "tags": [], "affinitygroup": [],
        "nic": [{ "id": format!("nic-{}", machine.id), "networkid": machine.network, "networkname": name, "ipaddress": machine.address,
            "macaddress": machine.mac, "isdefault": true, "type": "Isolated", "traffictype": "Guest", "netmask": "255.255.0.0", "gateway": "10.1.0.1" }],
    });
    if let Some(iso) = &machine.iso {
        shown["isoid"] = json!(iso);
        shown["isoname"] = json!("lotse");
    }
    let forwarded = world.rules.values().any(|rule| rule.machine == machine.id);
    shown["details"] = json!({ "forwarded": forwarded.to_string() });
    shown
}

fn volume(id: &str, machine: &str, name: &str) -> Value {
    json!({ "id": id, "name": format!("ROOT-{name}"), "type": "ROOT", "zoneid": ZONE, "virtualmachineid": machine, "vmname": name,
        "size": 20_000_000_000_u64, "state": "Ready", "created": "2026-11-21T00:00:00+0000" })
}

pub(super) fn address(address: &Address) -> Value {
    json!({ "id": address.id, "ipaddress": address.text, "state": "Allocated", "issourcenat": address.is_networks_own, "isstaticnat": false,
        "associatednetworkid": address.network, "associatednetworkname": "desktops", "zoneid": ZONE })
}

fn rule_shown(id: &str, rule: &Rule) -> Value {
    match rule.kind {
        // Ports of forwardings are texts.
        RuleKind::Forwarding => {
            json!({ "id": id, "ipaddressid": rule.place, "ipaddress": "203.0.113.10", "protocol": rule.protocol,
            "publicport": rule.first.to_string(), "publicendport": rule.last.to_string(), "privateport": rule.private.to_string(),
            "privateendport": rule.private.to_string(), "virtualmachineid": rule.machine, "state": "Active", "cidrlist": "" })
        }
        RuleKind::Firewall => {
            json!({ "id": id, "ipaddressid": rule.place, "ipaddress": "203.0.113.10", "networkid": NETWORK,
            "protocol": rule.protocol, "startport": rule.first, "endport": rule.last, "cidrlist": rule.sources, "state": "Active" })
        }
        RuleKind::Egress => {
            json!({ "id": id, "networkid": rule.place, "protocol": rule.protocol, "cidrlist": rule.sources, "state": "Active" })
        }
    }
}

pub(super) fn rule_result(id: &str, rule: &Rule) -> Value {
    let name = if rule.kind == RuleKind::Forwarding { "portforwardingrule" } else { "firewallrule" };
    json!({ name: rule_shown(id, rule) })
}

fn account(world: &World) -> Value {
    let limit = if world.limit == usize::MAX { "Unlimited".to_owned() } else { world.limit.to_string() };
    json!({ "id": "a", "name": "test", "vmlimit": limit, "vmtotal": world.machines.len(), "iplimit": "20", "iptotal": world.addresses.len() })
}
