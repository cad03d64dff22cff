//! Work on virtual machines, from the parameters of its job. Pure.

use serde::de::DeserializeOwned;
use serde_json::Value;
use wire::{
    Mac,
    enrol::BlobRef,
    vm::{NewMachine, VmBoot, VmNetwork, VmWork},
};

use super::{Error, PlanRequest};
use crate::{catalog::VmStep, domain::image};

/// Most processors, MiB of memory and GiB of disk of one machine.
const MOST_PROCESSORS: i64 = 512;
const MOST_MEMORY_MIB: i64 = 8 << 20;
const MOST_DISK_GIB: i64 = 64 << 10;

/// What a step does with machines.
pub(super) fn work(step: VmStep, request: &PlanRequest<'_>) -> Result<VmWork, Error> {
    let params = Params(request.params);
    Ok(match step {
        VmStep::Prepare => VmWork::Prepare {
            network: match params.text("bridge") {
                "" => VmNetwork::Nat { address: params.text("address").to_owned() },
                bridge => VmNetwork::Bridge { interface: bridge.to_owned() },
            },
        },
        VmStep::Create => VmWork::Create { machine: machine(&params, request)? },
        VmStep::Power => VmWork::Power { name: params.name()?, order: params.word("order")? },
        VmStep::Snapshot => VmWork::Snapshot {
            name: params.name()?,
            snapshot: checked_name(params.text("snapshot"), "snapshot")?,
            order: params.word("order")?,
        },
        VmStep::Eject => VmWork::Eject { name: params.name()? },
        VmStep::Delete => VmWork::Delete { name: params.name()? },
    })
}

fn machine(params: &Params<'_>, request: &PlanRequest<'_>) -> Result<NewMachine, Error> {
    let boot = if params.text("boot") == "network" {
        VmBoot::Network {}
    } else {
        VmBoot::Iso { blob: boot_image(request)? }
    };
    let mac = Some(params.text("mac")).filter(|mac| !mac.is_empty());
    let mac = mac.map(str::parse::<Mac>).transpose();
    let user_data = Some(params.text("user_data")).filter(|name| !name.is_empty());
    Ok(NewMachine {
        name: params.name()?,
        title: params.text("title").to_owned(),
        processors: u32::try_from(params.number("processors", MOST_PROCESSORS)?).unwrap_or(1),
        memory_bytes: params.number("memory_mib", MOST_MEMORY_MIB)? << 20,
        disk_bytes: params.number("disk_gib", MOST_DISK_GIB)? << 30,
        boot,
        mac: mac.map_err(|error| Error::Params(format!("`mac` is no hardware address: {error}")))?,
        user_data: user_data.map(str::to_owned),
    })
}

fn boot_image(request: &PlanRequest<'_>) -> Result<BlobRef, Error> {
    let iso = request.images.get(image::ISO);
    let blob = iso.and_then(|iso| iso.parts.get(image::FILE)).cloned();
    blob.ok_or_else(|| Error::NoImage(image::ISO.to_owned()))
}

struct Params<'a>(&'a Value);

impl<'a> Params<'a> {
    fn text(&self, name: &str) -> &'a str {
        self.0[name].as_str().unwrap_or_default()
    }

    fn name(&self) -> Result<String, Error> {
        checked_name(self.text("name"), "machine")
    }

    fn number(&self, name: &str, most: i64) -> Result<u64, Error> {
        let number = self.0[name].as_i64().filter(|number| (1..=most).contains(number));
        let number = number.and_then(|number| u64::try_from(number).ok());
        number.ok_or_else(|| Error::Params(format!("`{name}` must be from 1 to {most}")))
    }

    fn word<T: DeserializeOwned>(&self, name: &str) -> Result<T, Error> {
        serde_json::from_value(self.0[name].clone())
            .map_err(|_| Error::Params(format!("the parameter `{name}` is none of its words")))
    }
}

/// A name that libvirt, file names and people take for nothing else.
fn checked_name(name: &str, of: &str) -> Result<String, Error> {
    let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    // Digits alone are libvirt's running numbers.
    let begins = !name.starts_with('-') && name.bytes().any(|b| b.is_ascii_lowercase());
    if plain && begins && name.len() <= 100 {
        return Ok(name.to_owned());
    }
    Err(Error::Params(format!(
        "`{name}` cannot be the name of a {of}: it has small letters, digits and hyphens, at least one letter, and begins with no hyphen"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_taken_for_anything_else() {
        for name in ["web", "7-of-9", "ann-desk-lotse-0123456789ab"] {
            assert!(checked_name(name, "machine").is_ok(), "{name}");
        }
        for name in ["", "7", "-web", "Web", "we b", "../web", "web.xml", &"a".repeat(101)] {
            assert!(checked_name(name, "machine").is_err(), "{name}");
        }
    }
}
