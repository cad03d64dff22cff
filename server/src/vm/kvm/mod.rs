//! Machines on a client that hosts them with KVM: each change is a job of that client, each answer is what its agent has told.
//!
//! A machine's id is its name, which the host gives only once. Jobs are carried out one after the other and may be repeated, so no answer is
//! ever ambiguous: a job that is lost is taken again, and one that has failed leaves the host to be looked at anew.

mod host;
mod room;

use serde_json::json;
use wire::vm::HostedMachine;

pub use self::host::{Coming, Fits, Host, HostOrder, View};
use super::{
    Begun, Capabilities, DiskOffer, Doing, Error, NetworkOffer, NewIso, NewRule, NewVm, Offer, Offers,
    Progress, Provider, ProviderAnswer, PublicAddress, Rule, RulesOf, Vm, VmState,
};
use crate::domain::{
    desktop::{FaultClass, PartKind, PowerOrder},
    provider::{HOST_NAME, ProviderWish},
};

/// A host, as a provider.
pub struct Kvm {
    host: Box<dyn Host>,
    wish: ProviderWish,
}

impl Kvm {
    /// A host with what is wanted of it.
    pub fn new(host: Box<dyn Host>, wish: ProviderWish) -> Self {
        Self { host, wish }
    }

    async fn about_there(&self) -> Result<ProviderAnswer, Error> {
        let view = self.host.view().await?;
        let speed = if view.told.kvm { "with KVM" } else { "without /dev/kvm, so machines are emulated" };
        Ok(ProviderAnswer {
            version: format!("libvirt {} {speed}", view.told.version),
            limits: room::limits(&view, self.wish.most_machines),
            refused: Vec::new(),
        })
    }

    async fn offers_there(&self) -> Result<Offers, Error> {
        let view = self.host.view().await?;
        let offer = |name: &str, about: String| Offer {
            id: name.to_owned(),
            name: name.to_owned(),
            about,
            zone: String::new(),
            usable: true,
        };
        // Any size can be had: those that are asked for are offered.
        let sizes = self.wish.sizes.values().filter_map(|size| {
            let known = room::size(&size.offering)?;
            Some(offer(&size.offering, format!("{} CPU, {} MiB", known.processors, known.memory_mib)))
        });
        let room = format!("{} GiB free", view.told.disk_free_bytes >> 30);
        Ok(Offers {
            zones: vec![offer(&view.name, "host".to_owned())],
            offerings: sizes.collect(),
            disks: vec![DiskOffer { offer: offer(HOST_NAME, room), open_size: true }],
            networks: view
                .told
                .networks
                .iter()
                .filter(|name| *name == HOST_NAME)
                .map(|name| NetworkOffer {
                    offer: offer(name, String::new()),
                    isolated: false,
                    closed_outwards: None,
                })
                .collect(),
            templates: Vec::new(),
            isos: vec![Offer {
                usable: view.iso.is_ok(),
                ..offer(HOST_NAME, view.iso.unwrap_or_else(|missing| missing))
            }],
        })
    }

    async fn deploy_there(&self, new: &NewVm<'_>) -> Result<Begun, Error> {
        let attempt = format!("making the machine {}", new.name);
        let refused = |reason: &str| Error::new(FaultClass::Caller, &attempt, reason);
        let size = room::size(&new.place.offering)
            .ok_or_else(|| refused("its size is not PROCESSORSxMIB, such as 2x4096"))?;
        let disk_gib = new.place.disk_gib.ok_or_else(|| refused("its size has no GiB of disk"))?;
        let wanted = Coming::new(new.name, size.processors, size.memory_mib, disk_gib);
        let reference = format!("vm {}", new.name);
        let order = HostOrder {
            attempt: &attempt,
            job_type: "vm-create",
            params: json!({
                "name": new.name, "title": new.title, "processors": size.processors,
                "memory_mib": size.memory_mib, "disk_gib": disk_gib, "user_data": reference,
            }),
            secret: Some((&reference, new.user_data)),
        };
        let most = self.wish.most_machines;
        let job = self.host.order(order, &|view| room::fits(view, &wanted, most)).await?;
        Ok(Begun { id: Some(new.name.to_owned()), job: Some(job) })
    }

    /// Orders something of a machine that is there.
    async fn change(
        &self,
        attempt: &str,
        id: &str,
        job_type: &str,
        mut params: serde_json::Value,
    ) -> Result<Begun, Error> {
        params["name"] = json!(id);
        let order = HostOrder { attempt, job_type, params, secret: None };
        let is_there = |view: &View| {
            if view.told.machines.iter().any(|machine| machine.name == id) {
                return Ok(());
            }
            let reason = format!("there is no machine {id} on {}", view.name);
            Err(Error::new(FaultClass::Gone, attempt, reason))
        };
        let job = self.host.order(order, &is_there).await?;
        Ok(Begun { id: None, job: Some(job) })
    }

    async fn vms_there(&self) -> Result<Vec<Vm>, Error> {
        let view = self.host.view().await?;
        let mut found: Vec<Vm> =
            view.told.machines.iter().filter(|machine| machine.ours).map(shown).collect();
        for coming in view.coming {
            if found.iter().all(|vm| vm.name != coming.name) {
                let state_text = "being made".to_owned();
                found.push(Vm {
                    id: coming.name.clone(),
                    name: coming.name,
                    state: VmState::Moving,
                    state_text,
                    ..Vm::default()
                });
            }
        }
        Ok(found)
    }
}

/// A machine as its host tells of it.
fn shown(machine: &HostedMachine) -> Vm {
    let state = match machine.state.as_str() {
        "running" | "idle" => VmState::Running,
        "shut off" => VmState::Stopped,
        "in shutdown" => VmState::Moving,
        "crashed" => VmState::Broken,
        // It stands still, or sleeps.
        _ => VmState::Unknown,
    };
    Vm {
        id: machine.name.clone(),
        name: machine.name.clone(),
        state,
        state_text: machine.state.clone(),
        address: machine.address.clone(),
        iso: Some(machine.iso.clone()).filter(|iso| !iso.is_empty()),
    }
}

fn unknown<T>(attempt: &str) -> Doing<'static, T>
where
    T: Send + 'static,
{
    let error = Error::new(
        FaultClass::Caller,
        attempt,
        "a client that hosts machines has no public addresses and no rules",
    );
    Box::pin(async { Err(error) })
}

impl Provider for Kvm {
    fn capabilities(&self) -> Capabilities {
        Capabilities { boots_iso: true, forwards_ports: false, user_data: true }
    }

    fn about(&self) -> Doing<'_, ProviderAnswer> {
        Box::pin(self.about_there())
    }

    fn offers(&self) -> Doing<'_, Offers> {
        Box::pin(self.offers_there())
    }

    fn register_iso<'a>(&'a self, new: &'a NewIso<'a>) -> Doing<'a, String> {
        let reason =
            "a client that hosts machines fetches this server's own boot image: `lotse image build iso`";
        let attempt = format!("registering the image {}", new.name);
        Box::pin(async move { Err(Error::new(FaultClass::Caller, &attempt, reason)) })
    }

    fn deploy<'a>(&'a self, new: &'a NewVm<'a>) -> Doing<'a, Begun> {
        Box::pin(self.deploy_there(new))
    }

    fn vms<'a>(&'a self, name: Option<&'a str>) -> Doing<'a, Vec<Vm>> {
        Box::pin(async move {
            let mut found = self.vms_there().await?;
            found.retain(|vm| name.is_none_or(|name| vm.name == name));
            Ok(found)
        })
    }

    fn vm<'a>(&'a self, id: &'a str) -> Doing<'a, Option<Vm>> {
        Box::pin(async move { Ok(self.vms_there().await?.into_iter().find(|vm| vm.id == id)) })
    }

    fn power<'a>(&'a self, id: &'a str, order: PowerOrder) -> Doing<'a, Begun> {
        let (word, attempt) = match order {
            PowerOrder::Start => ("start", "starting the machine"),
            PowerOrder::Stop => ("stop", "stopping the machine"),
            PowerOrder::Reboot => ("reboot", "restarting the machine"),
        };
        Box::pin(self.change(attempt, id, "vm-power", json!({ "order": word })))
    }

    fn detach_iso<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        Box::pin(self.change("taking the image out of the machine's drive", id, "vm-eject", json!({})))
    }

    fn destroy<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        Box::pin(self.change("removing the machine", id, "vm-delete", json!({})))
    }

    fn addresses<'a>(&'a self, _network: &'a str) -> Doing<'a, Vec<PublicAddress>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn allocate<'a>(&'a self, _network: &'a str) -> Doing<'a, Begun> {
        unknown("getting a public address")
    }

    fn release<'a>(&'a self, _address: &'a str) -> Doing<'a, Begun> {
        unknown("giving a public address back")
    }

    fn rules<'a>(&'a self, _of: &'a RulesOf) -> Doing<'a, Vec<Rule>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn open<'a>(&'a self, _rule: &'a NewRule) -> Doing<'a, Begun> {
        unknown("making a rule")
    }

    fn close<'a>(&'a self, _kind: PartKind, _id: &'a str) -> Doing<'a, Begun> {
        unknown("removing a rule")
    }

    fn job<'a>(&'a self, id: &'a str) -> Doing<'a, Progress> {
        self.host.job(id)
    }
}
