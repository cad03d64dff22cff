//! What `CloudStack` shows, as we know it. Unknown fields, numbers as ids and fields that are missing are taken as they come: servers are
//! of many ages.

use serde_json::Value;

use super::call::{known, number, text, yes};
use crate::vm::{DiskOffer, Iso, NetworkOffer, Offer, PublicAddress, Rule, Vm, VmState, Volume};

/// Id, name and zone of anything.
pub(super) fn offer(value: &Value, about: String, usable: bool) -> Offer {
    Offer { id: text(value, "id"), name: text(value, "name"), about, zone: text(value, "zoneid"), usable }
}

pub(super) fn zone(value: &Value) -> Offer {
    let usable = known(value, "allocationstate").is_none_or(|state| state == "Enabled");
    Offer { zone: String::new(), ..offer(value, text(value, "networktype"), usable) }
}

pub(super) fn offering(value: &Value) -> Offer {
    let about = match (number(value, "cpunumber"), number(value, "memory")) {
        (Some(processors), Some(memory)) => format!("{processors} CPU, {memory} MiB"),
        _ => "custom".to_owned(),
    };
    offer(value, about, true)
}

pub(super) fn disk(value: &Value) -> DiskOffer {
    let open_size = yes(value, "iscustomized").unwrap_or(false);
    let about = match number(value, "disksize") {
        Some(size) if !open_size => format!("{size} GiB"),
        _ => "any size".to_owned(),
    };
    DiskOffer { offer: offer(value, about, true), open_size }
}

/// A network. `closed_outwards` comes from its offering, which the caller looks up.
pub(super) fn network(value: &Value, closed_outwards: Option<bool>) -> NetworkOffer {
    let kind = text(value, "type");
    let about = [kind.clone(), text(value, "cidr")].join(" ").trim().to_owned();
    NetworkOffer { isolated: kind == "Isolated", closed_outwards, offer: offer(value, about, true) }
}

pub(super) fn image(value: &Value) -> Offer {
    let usable = yes(value, "isready").unwrap_or(false);
    let about =
        known(value, "status").unwrap_or_else(|| if usable { "ready" } else { "not ready" }.to_owned());
    offer(value, about, usable)
}

/// What the management server writes while it is at it; everything else is why it gave up.
fn is_progress(said: &str) -> bool {
    said.is_empty()
        || said.ends_with("% Downloaded")
        || [
            "Processing",
            "Installing ISO",
            "Installing Template",
            "Download Complete",
            "Successfully Installed",
        ]
        .contains(&said)
}

pub(super) fn iso(value: &Value) -> Iso {
    let (ready, said) = (yes(value, "isready").unwrap_or(false), text(value, "status"));
    let percent = said.strip_suffix("% Downloaded").and_then(|percent| percent.trim().parse().ok());
    let failed = !ready && !is_progress(&said);
    Iso { id: text(value, "id"), name: text(value, "name"), ready, failed, percent, said }
}

pub(super) fn vm(value: &Value) -> Vm {
    let state_text = text(value, "state");
    let state = match state_text.as_str() {
        "Running" => VmState::Running,
        "Stopped" | "Shutdown" => VmState::Stopped,
        "Starting" | "Stopping" | "Migrating" => VmState::Moving,
        "Error" => VmState::Broken,
        "Destroyed" | "Expunging" | "Expunged" => VmState::Removed,
        _ => VmState::Unknown,
    };
    let nics = value["nic"].as_array().map(Vec::as_slice).unwrap_or_default();
    let main = nics.iter().find(|nic| yes(nic, "isdefault") == Some(true)).or_else(|| nics.first());
    Vm {
        id: text(value, "id"),
        name: text(value, "name"),
        state,
        state_text,
        address: main.map(|nic| text(nic, "ipaddress")).unwrap_or_default(),
        iso: known(value, "isoid"),
    }
}

pub(super) fn volume(value: &Value) -> Volume {
    Volume {
        id: text(value, "id"),
        name: text(value, "name"),
        vm: text(value, "virtualmachineid"),
        vm_name: text(value, "vmname"),
    }
}

pub(super) fn address(value: &Value) -> PublicAddress {
    PublicAddress {
        id: text(value, "id"),
        address: text(value, "ipaddress"),
        is_networks_own: yes(value, "issourcenat").unwrap_or(false),
        usable: known(value, "state").is_none_or(|state| state == "Allocated")
            && yes(value, "isstaticnat") != Some(true),
    }
}

pub(super) fn forwarding(value: &Value) -> Rule {
    let port = port(value, "publicport").unwrap_or(0);
    Rule {
        id: text(value, "id"),
        port,
        last_port: self::port(value, "publicendport").unwrap_or(port),
        vm: text(value, "virtualmachineid"),
        active: known(value, "state").is_none_or(|state| state == "Active"),
        ..Rule::default()
    }
}

pub(super) fn firewall(value: &Value) -> Rule {
    let port = port(value, "startport").unwrap_or(0);
    Rule {
        id: text(value, "id"),
        port,
        last_port: self::port(value, "endport").unwrap_or(port),
        sources: text(value, "cidrlist").split(',').map(|part| part.trim().to_owned()).collect(),
        active: known(value, "state").is_none_or(|state| state == "Active"),
        ..Rule::default()
    }
}

fn port(value: &Value, name: &str) -> Option<u16> {
    number(value, name).and_then(|port| port.try_into().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whether_an_image_comes_is_read_from_its_status() {
        let read = |ready: bool, status: &str| iso(&json!({ "id": 1, "isready": ready, "status": status }));
        let coming = read(false, "37% Downloaded");
        assert_eq!((coming.ready, coming.failed, coming.percent), (false, false, Some(37)));
        assert!(!read(false, "Installing ISO").failed && !read(false, "").failed);
        assert!(read(true, "Successfully Installed").ready);
        assert!(read(false, "Failed post download script: checksum did not match").failed);
    }

    #[test]
    fn answers_of_old_and_new_servers_are_read() {
        let old = vm(
            &json!({ "id": 1234, "name": "a", "state": "Running", "nic": [{ "ipaddress": "10.0.0.1" }], "x": {} }),
        );
        assert_eq!(
            (old.id.as_str(), old.state, old.address.as_str()),
            ("1234", VmState::Running, "10.0.0.1")
        );
        let nics = json!([{ "ipaddress": "10.9.0.1" }, { "ipaddress": "10.0.0.2", "isdefault": true }]);
        assert_eq!(vm(&json!({ "id": "u", "nic": nics, "isoid": "i" })).address, "10.0.0.2");
        assert_eq!(vm(&json!({})), Vm { state: VmState::Unknown, ..Vm::default() });
        let rule = forwarding(
            &json!({ "id": 7, "publicport": "20022", "publicendport": "20022", "state": "Active" }),
        );
        assert_eq!((rule.id.as_str(), rule.port, rule.last_port, rule.active), ("7", 20022, 20022, true));
        assert!(!address(&json!({ "id": 1, "state": "Allocating" })).usable);
    }
}
