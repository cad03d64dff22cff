//! Apache `CloudStack` (API of 4.x; answers as far back as 2.2 are understood).

mod answers;
mod call;
mod faults;
mod sign;
mod trust;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use serde_json::Value;

pub use self::call::Keys;
use self::{
    call::{Caller, failed, known, number, text, yes},
    faults::Effect,
};
use super::{
    AccountLimit, Begun, Capabilities, Doing, Error, Iso, NewIso, NewRule, NewVm, Offers, Progress, Provider,
    ProviderAnswer, RulesOf, Vm, VmState, Volume,
};
use crate::{
    clock::Clock,
    domain::{
        desktop::{FaultClass, PartKind, PowerOrder},
        provider::ProviderWish,
    },
};

/// Items of one page of a list; every server allows so many.
const PAGE: usize = 100;
/// No list is longer: a server that never ends one is broken.
const PAGES: usize = 1000;
/// The user-data of a machine may be so long on every server, in bytes before base64.
const LONGEST_USER_DATA: usize = 2048;

/// Calls without which no desktop can be made and removed.
const NEEDED: [&str; 24] = [
    "listZones",
    "listServiceOfferings",
    "listDiskOfferings",
    "listNetworks",
    "listIsos",
    "registerIso",
    "deleteIso",
    "listVirtualMachines",
    "deployVirtualMachine",
    "startVirtualMachine",
    "stopVirtualMachine",
    "rebootVirtualMachine",
    "destroyVirtualMachine",
    "detachIso",
    "listVolumes",
    "listPublicIpAddresses",
    "createPortForwardingRule",
    "deletePortForwardingRule",
    "listPortForwardingRules",
    "createFirewallRule",
    "deleteFirewallRule",
    "listFirewallRules",
    "createEgressFirewallRule",
    "queryAsyncJobResult",
];

/// Whether a provider's certificate could be checked as the wish wants it; nothing is sent.
///
/// # Errors
/// The certificates cannot be read; in words.
pub fn check(wish: &ProviderWish) -> Result<(), String> {
    trust::client(wish).map(drop)
}

/// An account at a `CloudStack`.
pub struct CloudStack {
    caller: Caller,
    project: String,
}

type Params = Vec<(&'static str, String)>;

/// Parameters of a call.
macro_rules! params {
    ($($name:literal: $value:expr),* $(,)?) => { vec![$(($name, $value.to_string())),*] };
}

impl CloudStack {
    /// Sets up the client; nothing is sent yet.
    ///
    /// # Errors
    /// The certificates cannot be read; in words.
    pub fn new(wish: &ProviderWish, keys: Keys, clock: Clock) -> Result<Self, String> {
        let caller = Caller { http: trust::client(wish)?, endpoint: wish.endpoint.clone(), keys, clock };
        Ok(Self { caller, project: wish.project.clone() })
    }

    fn scoped(&self, mut params: Params) -> Params {
        if !self.project.is_empty() {
            params.push(("projectid", self.project.clone()));
        }
        params
    }

    /// All items of a list, page by page.
    async fn list(&self, command: &str, item: &str, params: Params) -> Result<Vec<Value>, Error> {
        let attempt = format!("asking the provider ({command})");
        let mut all: Vec<Value> = Vec::new();
        for page in 1..=PAGES {
            let mut params = params.clone();
            params.extend(params!["page": page, "pagesize": PAGE]);
            let mut answer = self.caller.call(Effect::Looks, &attempt, command, params).await?;
            // Old servers do not count.
            let count = number(&answer, "count").and_then(|count| usize::try_from(count).ok());
            let Value::Array(items) = answer[item].take() else { return Ok(all) };
            let few = items.len() < PAGE;
            if items.is_empty() {
                return Ok(all);
            }
            // Servers that know no pages send the whole list each time.
            if page > 1
                && items.first().map(|item| text(item, "id")) == all.first().map(|item| text(item, "id"))
            {
                return Ok(all);
            }
            all.extend(items);
            if few || count.is_some_and(|count| all.len() >= count) {
                return Ok(all);
            }
        }
        Err(Error::new(FaultClass::Transient, &attempt, "the list does not end"))
    }

    async fn change(&self, attempt: &str, command: &str, params: Params) -> Result<Begun, Error> {
        let answer = self.caller.call(Effect::Changes, attempt, command, params).await?;
        if yes(&answer, "success") == Some(false) {
            return Err(failed(530, &text(&answer, "displaytext"), Effect::Looks, attempt));
        }
        Ok(Begun { id: known(&answer, "id"), job: known(&answer, "jobid") })
    }

    async fn offers_there(&self) -> Result<Offers, Error> {
        let all = || self.scoped(Vec::new());
        let zones = self.list("listZones", "zone", params!["available": true]).await?;
        let offerings = self.list("listServiceOfferings", "serviceoffering", Vec::new()).await?;
        let disks = self.list("listDiskOfferings", "diskoffering", Vec::new()).await?;
        let networks = self.list("listNetworks", "network", all()).await?;
        let policies = self.list("listNetworkOfferings", "networkoffering", Vec::new()).await;
        // Whether a network lets everything out stands in its offering only, and not every account may see those.
        let policies = match policies {
            Ok(policies) => policies,
            Err(error) if error.class == FaultClass::Authentication => Vec::new(),
            Err(error) => return Err(error),
        };
        let closed = |network: &Value| {
            let offering = known(network, "networkofferingid")?;
            let policy = policies.iter().find(|policy| text(policy, "id") == offering)?;
            yes(policy, "egressdefaultpolicy").map(|open| !open)
        };
        let mut images = Vec::new();
        // What the account has is shown there whether or not it can be used already; what others share only here.
        for (command, filter, item, which) in [
            ("listTemplates", "templatefilter", "template", "executable"),
            ("listIsos", "isofilter", "iso", "executable"),
            ("listIsos", "isofilter", "iso", "self"),
        ] {
            let mut params = all();
            params.push((filter, which.to_owned()));
            let found = self.list(command, item, params).await?;
            images.push(found.iter().map(answers::image).collect::<Vec<_>>());
        }
        let own = images.pop().unwrap_or_default();
        let mut isos = images.pop().unwrap_or_default();
        isos.extend(
            own.into_iter().filter(|iso| !isos.iter().any(|known| known.id == iso.id)).collect::<Vec<_>>(),
        );
        Ok(Offers {
            isos,
            templates: images.pop().unwrap_or_default(),
            zones: zones.iter().map(answers::zone).collect(),
            offerings: offerings.iter().map(answers::offering).collect(),
            disks: disks.iter().map(answers::disk).collect(),
            networks: networks.iter().map(|network| answers::network(network, closed(network))).collect(),
        })
    }

    async fn about_there(&self) -> Result<ProviderAnswer, Error> {
        let attempt = "asking the provider what it is";
        let answer = self.caller.call(Effect::Looks, attempt, "listCapabilities", Vec::new()).await?;
        let version = text(&answer["capability"], "cloudstackversion");
        let accounts = self.list("listAccounts", "account", Vec::new()).await?;
        let limits = accounts.first().map(limits).unwrap_or_default();
        let known = self.list("listApis", "api", Vec::new()).await;
        let refused = match known {
            Ok(known) => {
                let known: Vec<_> = known.iter().map(|api| text(api, "name")).collect();
                NEEDED
                    .into_iter()
                    .filter(|name| !known.iter().any(|known| known == name))
                    .map(str::to_owned)
                    .collect()
            }
            // A server that has no such list, or does not show it: what is missing comes out when it is used.
            Err(error) if error.class == FaultClass::Authentication => Vec::new(),
            Err(error) => return Err(error),
        };
        Ok(ProviderAnswer { version, limits, refused })
    }

    async fn register_there(&self, new: &NewIso<'_>) -> Result<String, Error> {
        let attempt = format!("registering the image {}", new.name);
        let systems = self.list("listOsTypes", "ostype", Vec::new()).await?;
        let named = |words: &[&str]| {
            let fits = |system: &&Value| words.iter().all(|word| text(system, "description").contains(word));
            systems.iter().find(fits).map(|system| text(system, "id"))
        };
        // A bootable image needs one; it decides which devices a machine gets, and every newer Debian stands for all of Linux.
        let system =
            named(&["Debian", "64"]).or_else(|| named(&["Other Linux", "64"])).or_else(|| named(&["Linux"]));
        let mut params = self.scoped(params![
            "name": new.name, "displaytext": new.name, "url": new.url, "zoneid": new.zone, "bootable": true,
            "ispublic": false,
        ]);
        params.extend(system.map(|id| ("ostypeid", id)));
        params.extend(new.sha256.map(|sha256| ("checksum", format!("{{SHA-256}}{sha256}"))));
        let answer = self.caller.call(Effect::Changes, &attempt, "registerIso", params).await?;
        let id = known(&answer["iso"][0], "id");
        id.ok_or_else(|| Error::new(FaultClass::Ambiguous, &attempt, "the answer names no image"))
    }

    async fn deploy_there(&self, new: &NewVm<'_>) -> Result<Begun, Error> {
        let attempt = format!("making the machine {}", new.name);
        if new.user_data.len() > LONGEST_USER_DATA {
            let reason =
                format!("its user-data has {} bytes, {LONGEST_USER_DATA} are allowed", new.user_data.len());
            return Err(Error::new(FaultClass::Caller, &attempt, reason));
        }
        let place = new.place;
        let mut params = self.scoped(params![
            "zoneid": place.zone,
            "serviceofferingid": place.offering,
            "templateid": place.iso,
            "hypervisor": place.hypervisor,
            "diskofferingid": place.disk,
            "networkids": place.network,
            "name": new.name,
            "displayname": new.title,
            "userdata": BASE64.encode(new.user_data),
            "startvm": false,
        ]);
        if let Some(gib) = place.disk_gib {
            params.push(("size", gib.to_string()));
        }
        self.change(&attempt, "deployVirtualMachine", params).await
    }

    async fn vms_there(&self, params: Params) -> Result<Vec<Vm>, Error> {
        let found = self.list("listVirtualMachines", "virtualmachine", self.scoped(params)).await?;
        Ok(found.iter().map(answers::vm).filter(|vm| vm.state != VmState::Removed).collect())
    }

    async fn console_there(&self, id: &str) -> Result<String, Error> {
        let attempt = "opening the console of the machine";
        let command = "createConsoleEndpoint";
        let answer = self.caller.call(Effect::Looks, attempt, command, params!["virtualmachineid": id]).await;
        let answer = answer.map_err(|error| match error.class {
            // So it refuses what it does not know as well.
            FaultClass::Authentication => {
                let hint = "the call is new in CloudStack 4.18, and the account's role may lack it";
                Error::new(error.class, attempt, format!("{} ({command}: {hint})", error.reason))
            }
            _ => error,
        })?;
        let endpoint = &answer["consoleendpoint"];
        if yes(endpoint, "success") == Some(false) {
            let said = known(endpoint, "details").unwrap_or_else(|| "the provider gives none".to_owned());
            return Err(Error::new(FaultClass::Transient, attempt, said));
        }
        // Somebody's browser is led there.
        let url = text(endpoint, "url");
        let leads = reqwest::Url::parse(&url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
        if leads {
            Ok(url)
        } else {
            Err(Error::new(FaultClass::Transient, attempt, "the answer holds no address"))
        }
    }

    async fn job_there(&self, id: &str) -> Result<Progress, Error> {
        let attempt = format!("waiting for job {id} of the provider");
        let answer =
            self.caller.call(Effect::Looks, &attempt, "queryAsyncJobResult", params!["jobid": id]).await?;
        let result = &answer["jobresult"];
        Ok(match number(&answer, "jobstatus") {
            Some(1) => {
                // The object is in there under its own name.
                let inside = result
                    .as_object()
                    .and_then(|object| object.values().find_map(|value| known(value, "id")));
                Progress::Done(known(&answer, "jobinstanceid").or(inside))
            }
            Some(2 | 3) => {
                let code =
                    number(result, "errorcode").or_else(|| number(&answer, "jobresultcode")).unwrap_or(530);
                // It is over, so there is no question whether it may still happen.
                Progress::Failed(failed(code, &text(result, "errortext"), Effect::Looks, &attempt))
            }
            _ => Progress::Pending,
        })
    }
}

/// Limits of an account, from the pairs `…limit` and `…total`.
fn limits(account: &Value) -> Vec<AccountLimit> {
    ["vm", "cpu", "memory", "primarystorage", "volume", "ip", "network", "template"]
        .into_iter()
        .filter_map(|of| {
            let used = number(account, &format!("{of}total"))?;
            // `Unlimited`, or -1.
            let limit = number(account, &format!("{of}limit")).filter(|limit| *limit >= 0);
            Some(AccountLimit { of: of.to_owned(), used, limit })
        })
        .collect()
}

impl Provider for CloudStack {
    fn capabilities(&self) -> Capabilities {
        Capabilities { boots_iso: true, forwards_ports: true, user_data: true }
    }

    fn about(&self) -> Doing<'_, ProviderAnswer> {
        Box::pin(self.about_there())
    }

    fn offers(&self) -> Doing<'_, Offers> {
        Box::pin(self.offers_there())
    }

    fn register_iso<'a>(&'a self, new: &'a NewIso<'a>) -> Doing<'a, String> {
        Box::pin(self.register_there(new))
    }

    fn keeps_images(&self) -> bool {
        true
    }

    fn isos<'a>(&'a self, name: &'a str) -> Doing<'a, Vec<Iso>> {
        Box::pin(async move {
            let params = self.scoped(params!["isofilter": "self", "name": name]);
            let found = self.list("listIsos", "iso", params).await?;
            // The server finds every image whose name contains it.
            Ok(found.iter().map(answers::iso).filter(|iso| iso.name == name).collect())
        })
    }

    fn delete_iso<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        Box::pin(self.change("removing the boot image", "deleteIso", params!["id": id]))
    }

    fn deploy<'a>(&'a self, new: &'a NewVm<'a>) -> Doing<'a, Begun> {
        Box::pin(self.deploy_there(new))
    }

    fn vms<'a>(&'a self, name: Option<&'a str>) -> Doing<'a, Vec<Vm>> {
        Box::pin(async move {
            let params = name.map(|name| params!["name": name]).unwrap_or_default();
            let mut found = self.vms_there(params).await?;
            // The server finds every machine whose name contains it.
            found.retain(|vm| name.is_none_or(|name| vm.name == name));
            Ok(found)
        })
    }

    fn vm<'a>(&'a self, id: &'a str) -> Doing<'a, Option<Vm>> {
        Box::pin(async move {
            match self.vms_there(params!["id": id]).await {
                Ok(found) => Ok(found.into_iter().find(|vm| vm.id == id)),
                Err(error) if error.class == FaultClass::Gone => Ok(None),
                Err(error) => Err(error),
            }
        })
    }

    fn power<'a>(&'a self, id: &'a str, order: PowerOrder) -> Doing<'a, Begun> {
        let (command, attempt) = match order {
            PowerOrder::Start => ("startVirtualMachine", "starting the machine"),
            PowerOrder::Stop => ("stopVirtualMachine", "stopping the machine"),
            PowerOrder::Reboot => ("rebootVirtualMachine", "restarting the machine"),
        };
        Box::pin(self.change(attempt, command, params!["id": id]))
    }

    fn detach_iso<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        let params = params!["virtualmachineid": id];
        Box::pin(self.change("taking the image out of the machine's drive", "detachIso", params))
    }

    fn console<'a>(&'a self, id: &'a str) -> Doing<'a, String> {
        Box::pin(self.console_there(id))
    }

    fn destroy<'a>(&'a self, id: &'a str) -> Doing<'a, Begun> {
        let params = params!["id": id, "expunge": true];
        Box::pin(self.change("removing the machine", "destroyVirtualMachine", params))
    }

    fn volumes(&self) -> Doing<'_, Vec<Volume>> {
        Box::pin(async move {
            let found = self.list("listVolumes", "volume", self.scoped(Vec::new())).await?;
            Ok(found.iter().map(answers::volume).collect())
        })
    }

    fn addresses<'a>(&'a self, network: &'a str) -> Doing<'a, Vec<super::PublicAddress>> {
        Box::pin(async move {
            let params = self.scoped(params!["associatednetworkid": network]);
            let found = self.list("listPublicIpAddresses", "publicipaddress", params).await?;
            Ok(found.iter().map(answers::address).collect())
        })
    }

    fn allocate<'a>(&'a self, network: &'a str) -> Doing<'a, Begun> {
        let params = self.scoped(params!["networkid": network]);
        Box::pin(self.change("getting a public address", "associateIpAddress", params))
    }

    fn release<'a>(&'a self, address: &'a str) -> Doing<'a, Begun> {
        Box::pin(self.change(
            "giving the public address back",
            "disassociateIpAddress",
            params!["id": address],
        ))
    }

    fn rules<'a>(&'a self, of: &'a RulesOf) -> Doing<'a, Vec<super::Rule>> {
        Box::pin(async move {
            let (command, item, place, id) = match of {
                RulesOf::Forwarding(id) => {
                    ("listPortForwardingRules", "portforwardingrule", "ipaddressid", id)
                }
                RulesOf::Firewall(id) => ("listFirewallRules", "firewallrule", "ipaddressid", id),
                RulesOf::Egress(id) => ("listEgressFirewallRules", "firewallrule", "networkid", id),
            };
            let found = match self.list(command, item, self.scoped(vec![(place, id.clone())])).await {
                // An address or a network that is gone has no rules.
                Err(error) if error.class == FaultClass::Gone => Vec::new(),
                found => found?,
            };
            let read =
                if matches!(of, RulesOf::Forwarding(_)) { answers::forwarding } else { answers::firewall };
            Ok(found.iter().map(read).collect())
        })
    }

    fn open<'a>(&'a self, rule: &'a NewRule) -> Doing<'a, Begun> {
        let (attempt, command, params) = match rule {
            NewRule::Forwarding { address, port, vm, guest_port } => (
                format!("forwarding port {port}"),
                "createPortForwardingRule",
                params![
                    "ipaddressid": address, "protocol": "tcp", "publicport": port, "privateport": guest_port,
                    "virtualmachineid": vm, "openfirewall": false,
                ],
            ),
            NewRule::Firewall { address, port, sources } => (
                format!("opening port {port}"),
                "createFirewallRule",
                params![
                    "ipaddressid": address, "protocol": "tcp", "startport": port, "endport": port,
                    "cidrlist": sources.join(","),
                ],
            ),
            NewRule::Egress { network, source } => (
                format!("letting {source} out"),
                "createEgressFirewallRule",
                params!["networkid": network, "protocol": "all", "cidrlist": format!("{source}/32")],
            ),
        };
        Box::pin(async move { self.change(&attempt, command, params).await })
    }

    fn close<'a>(&'a self, kind: PartKind, id: &'a str) -> Doing<'a, Begun> {
        let command = match kind {
            PartKind::Forwarding => "deletePortForwardingRule",
            PartKind::Egress => "deleteEgressFirewallRule",
            PartKind::Firewall | PartKind::Vm | PartKind::Address => "deleteFirewallRule",
        };
        Box::pin(self.change("removing a rule", command, params!["id": id]))
    }

    fn job<'a>(&'a self, id: &'a str) -> Doing<'a, Progress> {
        Box::pin(self.job_there(id))
    }
}
