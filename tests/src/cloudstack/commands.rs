//! What commands do.

use serde_json::{Value, json};

use super::{
    jobs::{self, Work, begin},
    lists,
    signature::Params,
    world::{ImageThere, Machine, NETWORK, Rule, RuleKind, SHARED, TEMPLATE, Told, World},
};

/// Every command that it knows.
pub(super) const ALL: &[&str] = &[
    "listZones",
    "listServiceOfferings",
    "listDiskOfferings",
    "listNetworks",
    "listNetworkOfferings",
    "listTemplates",
    "listIsos",
    "listVirtualMachines",
    "listVolumes",
    "listPublicIpAddresses",
    "listPortForwardingRules",
    "listFirewallRules",
    "listEgressFirewallRules",
    "listAccounts",
    "listHypervisors",
    "listOsTypes",
    "listApis",
    "listCapabilities",
    "deployVirtualMachine",
    "startVirtualMachine",
    "stopVirtualMachine",
    "rebootVirtualMachine",
    "destroyVirtualMachine",
    "expungeVirtualMachine",
    "detachIso",
    "attachIso",
    "associateIpAddress",
    "disassociateIpAddress",
    "createPortForwardingRule",
    "deletePortForwardingRule",
    "createFirewallRule",
    "deleteFirewallRule",
    "createEgressFirewallRule",
    "deleteEgressFirewallRule",
    "queryAsyncJobResult",
    "registerIso",
    "deleteIso",
    "createConsoleEndpoint",
];

type Answer = Result<(Value, Vec<Told>), (u16, String)>;

fn not_there(what: &str, id: &str) -> (u16, String) {
    (
        431,
        format!(
            "Invalid parameter {what} value={id} due to incorrect long value format, or entity does not exist"
        ),
    )
}

/// Carries out a command; with `fails` its job ends with that code.
pub(super) fn run(world: &mut World, params: &Params, fails: Option<u16>) -> Answer {
    if let Some(found) = lists::list(world, params) {
        return found.map(|answer| (answer, Vec::new()));
    }
    let answer = match params.get("command") {
        "listCapabilities" => {
            json!({ "capability": { "cloudstackversion": "4.19.1.0", "securitygroupsenabled": false } })
        }
        "queryAsyncJobResult" => {
            let id = params.need("jobid")?;
            jobs::shown(world, id).ok_or_else(|| not_there("jobid", id))?
        }
        "registerIso" => register(world, params)?,
        "deleteIso" => drop_image(world, params, fails)?,
        "deployVirtualMachine" => deploy(world, params, fails)?,
        "startVirtualMachine" => power(world, params, fails, &["Stopped"], "Running")?,
        "stopVirtualMachine" => power(world, params, fails, &["Running", "Stopped"], "Stopped")?,
        "rebootVirtualMachine" => power(world, params, fails, &["Running"], "Running")?,
        "destroyVirtualMachine" | "expungeVirtualMachine" => {
            let id = machine(world, params, "id")?;
            begin(world, Work::Destroy(id), None, fails)
        }
        "detachIso" => {
            let id = machine(world, params, "virtualmachineid")?;
            if world.machines[&id].iso.is_none() {
                return Err((431, "The specified instance has no ISO attached to it.".to_owned()));
            }
            begin(world, Work::Detach(id), None, fails)
        }
        "attachIso" => {
            let id = machine(world, params, "virtualmachineid")?;
            if let Some(machine) = world.machines.get_mut(&id) {
                machine.iso = Some(params.need("id")?.to_owned());
            }
            let state = world.machines[&id].state;
            begin(world, Work::State(id, state), None, fails)
        }
        "createConsoleEndpoint" => {
            let id = machine(world, params, "virtualmachineid")?;
            console(&id, world.machines[&id].state)
        }
        "associateIpAddress" => {
            let network = params.need("networkid")?;
            if network != NETWORK {
                return Err(not_there("networkid", network));
            }
            let id = world.add_address(network, false);
            begin(world, Work::Allocate(id.clone()), Some(&id), fails)
        }
        "disassociateIpAddress" => {
            let id = params.need("id")?;
            let found = world.addresses.get(id).ok_or_else(|| not_there("id", id))?;
            if found.is_networks_own {
                return Err((431, "source nat of the network cannot be released".to_owned()));
            }
            begin(world, Work::Release(id.to_owned()), None, fails)
        }
        "createPortForwardingRule" => forward(world, params, fails)?,
        "createFirewallRule" => firewall(world, params, fails)?,
        "createEgressFirewallRule" => egress(world, params, fails)?,
        "deletePortForwardingRule" => close(world, params, RuleKind::Forwarding, fails)?,
        "deleteFirewallRule" => close(world, params, RuleKind::Firewall, fails)?,
        "deleteEgressFirewallRule" => close(world, params, RuleKind::Egress, fails)?,
        other => {
            return Err((
                432,
                format!(
                    "The given command '{other}' either does not exist, is not available for user, or not available from ip address"
                ),
            ));
        }
    };
    Ok((answer, Vec::new()))
}

/// As the API reference of 4.18 and newer shows it.
fn console(id: &str, state: &str) -> Value {
    if state != "Running" {
        let details = format!("Vm must be running, it is in state {state}");
        return json!({ "consoleendpoint": { "success": false, "details": details } });
    }
    let token = id.replace('-', "");
    json!({ "consoleendpoint": {
        "success": true,
        "url": format!("https://console.example/resource/noVNC/vnc.html?autoconnect=true&port=8443&token={token}"),
        "websocket": { "token": token, "host": "console.example", "port": "8443", "path": "websockify", "extra": "" },
    }})
}

fn machine(world: &World, params: &Params, name: &str) -> Result<String, (u16, String)> {
    let id = params.need(name)?;
    if world.machines.contains_key(id) { Ok(id.to_owned()) } else { Err(not_there(name, id)) }
}

fn register(world: &mut World, params: &Params) -> Result<Value, (u16, String)> {
    for name in ["name", "displaytext", "url", "zoneid", "ostypeid"] {
        params.need(name)?;
    }
    let image = ImageThere {
        id: world.new_id(),
        name: params.need("name")?.to_owned(),
        url: params.need("url")?.to_owned(),
        checksum: params.get("checksum").to_owned(),
        percent: 0,
        fault: None,
    };
    let shown = lists::registered(&image);
    world.images.push(image);
    Ok(json!({ "count": 1, "iso": [shown] }))
}

fn drop_image(world: &mut World, params: &Params, fails: Option<u16>) -> Result<Value, (u16, String)> {
    let id = params.need("id")?;
    if !world.images.iter().any(|image| image.id == id) {
        return Err(not_there("id", id));
    }
    if world.machines.values().any(|machine| machine.iso.as_deref() == Some(id)) {
        return Err((431, "Unable to delete iso, as it's used by other vms".to_owned()));
    }
    Ok(begin(world, Work::DropImage(id.to_owned()), None, fails))
}

fn deploy(world: &mut World, params: &Params, fails: Option<u16>) -> Result<Value, (u16, String)> {
    params.need("zoneid")?;
    let (offering, image) = (params.need("serviceofferingid")?.to_owned(), params.need("templateid")?);
    if !["so-1", "so-2"].contains(&offering.as_str()) {
        return Err(not_there("serviceofferingid", &offering));
    }
    let is_iso = image != TEMPLATE;
    if is_iso && (params.get("hypervisor").is_empty() || params.get("diskofferingid").is_empty()) {
        return Err((431, "hypervisor and disk offering are required when deploying from ISO".to_owned()));
    }
    if is_iso && !world.is_bootable(image) {
        return Err((431, "the ISO is not there or not ready".to_owned()));
    }
    if params.get("diskofferingid") == "do-2" {
        params.number("size")?;
    }
    let network = match params.get("networkids") {
        "" => NETWORK,
        network if [NETWORK, SHARED].contains(&network) => network,
        network => return Err(not_there("networkids", network)),
    };
    let user_data = World::user_data(params.get("userdata"))?;
    if world.machines.len() >= world.limit {
        return Err((
            535,
            "Maximum number of resources of type 'user_vm' for account name=test has been exceeded."
                .to_owned(),
        ));
    }
    if world.machines.len() >= world.room {
        return Err((533, "Unable to create a deployment for VM: insufficient capacity".to_owned()));
    }
    let id = world.new_id();
    let name = match params.get("name") {
        "" => format!("VM-{id}"),
        name => name.to_owned(),
    };
    if world.machines.values().any(|machine| machine.name == name) {
        return Err((431, format!("The vm with hostName {name} already exists in the network domain: test")));
    }
    let number = world.number();
    let title = match params.get("displayname") {
        "" => name.clone(),
        title => title.to_owned(),
    };
    let made = Machine {
        id: id.clone(),
        name,
        title,
        state: "Starting",
        offering,
        network: network.to_owned(),
        address: format!("10.1.{}.{}", number / 250 % 250, number % 250 + 2),
        mac: format!("02:00:7d:{:02x}:{:02x}:{:02x}", number >> 16 & 255, number >> 8 & 255, number & 255),
        iso: is_iso.then(|| image.to_owned()),
        user_data,
        volume: format!("volume-{id}"),
    };
    world.machines.insert(id.clone(), made);
    let state = if params.get("startvm").eq_ignore_ascii_case("false") { "Stopped" } else { "Running" };
    Ok(begin(world, Work::Deploy(id.clone(), state), Some(&id), fails))
}

fn power(
    world: &mut World,
    params: &Params,
    fails: Option<u16>,
    from: &[&str],
    to: &'static str,
) -> Result<Value, (u16, String)> {
    let id = machine(world, params, "id")?;
    let state = world.machines[&id].state;
    if !from.contains(&state) {
        return Err((431, format!("VM is in the state {state}")));
    }
    Ok(begin(world, Work::State(id, to), None, fails))
}

fn port(params: &Params, name: &str) -> Result<u16, (u16, String)> {
    u16::try_from(params.number(name)?).map_err(|_| (431, format!("{name} is no port")))
}

fn address(world: &World, params: &Params) -> Result<String, (u16, String)> {
    let id = params.need("ipaddressid")?;
    if world.addresses.contains_key(id) { Ok(id.to_owned()) } else { Err(not_there("ipaddressid", id)) }
}

fn add(world: &mut World, rule: Rule, fails: Option<u16>) -> Result<Value, (u16, String)> {
    let collides = |other: &&Rule| {
        other.kind == rule.kind
            && other.place == rule.place
            && match rule.kind {
                RuleKind::Egress => other.sources == rule.sources,
                RuleKind::Forwarding | RuleKind::Firewall => {
                    other.first <= rule.last && rule.first <= other.last
                }
            }
    };
    if world.rules.values().find(collides).is_some() {
        return Err((537, "The range specified conflicts with rule which is already defined".to_owned()));
    }
    let id = world.new_id();
    world.rules.insert(id.clone(), rule);
    Ok(begin(world, Work::Rule(id.clone()), Some(&id), fails))
}

fn forward(world: &mut World, params: &Params, fails: Option<u16>) -> Result<Value, (u16, String)> {
    let first = port(params, "publicport")?;
    let rule = Rule {
        kind: RuleKind::Forwarding,
        place: address(world, params)?,
        first,
        last: port(params, "publicendport").unwrap_or(first),
        private: port(params, "privateport")?,
        protocol: params.need("protocol")?.to_lowercase(),
        sources: String::new(),
        machine: machine(world, params, "virtualmachineid")?,
    };
    add(world, rule, fails)
}

fn firewall(world: &mut World, params: &Params, fails: Option<u16>) -> Result<Value, (u16, String)> {
    let first = port(params, "startport")?;
    let rule = Rule {
        kind: RuleKind::Firewall,
        place: address(world, params)?,
        first,
        last: port(params, "endport").unwrap_or(first),
        private: 0,
        protocol: params.need("protocol")?.to_lowercase(),
        sources: params.get("cidrlist").to_owned(),
        machine: String::new(),
    };
    add(world, rule, fails)
}

fn egress(world: &mut World, params: &Params, fails: Option<u16>) -> Result<Value, (u16, String)> {
    let network = params.need("networkid")?;
    if network != NETWORK {
        return Err(not_there("networkid", network));
    }
    let rule = Rule {
        kind: RuleKind::Egress,
        place: network.to_owned(),
        first: 0,
        last: 0,
        private: 0,
        protocol: params.need("protocol")?.to_lowercase(),
        sources: params.get("cidrlist").to_owned(),
        machine: String::new(),
    };
    add(world, rule, fails)
}

fn close(
    world: &mut World,
    params: &Params,
    kind: RuleKind,
    fails: Option<u16>,
) -> Result<Value, (u16, String)> {
    let id = params.need("id")?;
    match world.rules.get(id) {
        Some(rule) if rule.kind == kind => Ok(begin(world, Work::CloseRule(id.to_owned()), None, fails)),
        _ => Err(not_there("id", id)),
    }
}
