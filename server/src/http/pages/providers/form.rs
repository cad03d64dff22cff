//! The forms of a provider: a new one, which is where it is and who we are there; and what is wanted of it, chosen from what it offers.

use std::collections::BTreeMap;

use axum::{
    Form,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;
use wire::problem::{FieldProblem, Problem};

use super::{Ctx, Frame, Page, Rejection, Visitor, page, problem, providers};
use crate::{
    app::{
        Error,
        providers::{HostChoice, NewProvider, ProviderChange, ProviderKeys},
        tag,
    },
    domain::{
        desktop::standard,
        provider::{ProviderKind, ProviderWish, SizeThere},
    },
    http::pages::words,
    vm::{Offer, Offers},
};

/// What somebody types.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Words {
    name: String,
    kind: ProviderKind,
    host: String,
    most_machines: String,
    endpoint: String,
    api_key: String,
    secret_key: String,
    ca_pem: String,
    fingerprint: String,
    enabled: bool,
    zone: String,
    network: String,
    iso: String,
    hypervisor: String,
    project: String,
    address: String,
    ports: String,
    first_port: String,
    sources: String,
    timeout_s: String,
    sizes: Vec<SizeWords>,
    /// What the wish looked like that was read.
    expected: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct SizeWords {
    name: String,
    offering: String,
    disk: String,
    gib: String,
}

fn joined(numbers: &[u16]) -> String {
    numbers.iter().map(u16::to_string).collect::<Vec<_>>().join(" ")
}

fn listed(text: &str) -> Vec<&str> {
    text.split([' ', ',', ';', '\n', '\r', '\t']).filter(|word| !word.is_empty()).collect()
}

impl Words {
    fn of(name: &str, wish: &ProviderWish) -> Self {
        let size = |(name, there): (&String, &SizeThere)| SizeWords {
            name: name.clone(),
            offering: there.offering.clone(),
            disk: there.disk.clone(),
            gib: there.disk_gib.map(|gib| gib.to_string()).unwrap_or_default(),
        };
        Self {
            name: name.to_owned(),
            kind: wish.kind,
            host: wish.host.clone(),
            most_machines: wish.most_machines.map(|most| most.to_string()).unwrap_or_default(),
            endpoint: wish.endpoint.clone(),
            ca_pem: wish.ca_pem.clone(),
            fingerprint: wish.fingerprint.as_ref().map(ToString::to_string).unwrap_or_default(),
            enabled: wish.enabled,
            zone: wish.zone.clone(),
            network: wish.network.clone(),
            iso: wish.iso.clone(),
            hypervisor: wish.hypervisor.clone(),
            project: wish.project.clone(),
            address: wish.address.clone(),
            ports: joined(&wish.ports),
            first_port: wish.first_port.to_string(),
            sources: wish.sources.join(" "),
            timeout_s: wish.timeout_s.to_string(),
            sizes: wish.sizes.iter().map(size).collect(),
            expected: tag::of(wish),
            ..Self::default()
        }
    }

    /// From the pairs of a form: a size has one field of each kind, and all of them come in the same order.
    fn read(pairs: Vec<(String, String)>) -> Self {
        let mut words = Self::default();
        for (name, value) in pairs {
            let value = if name == "ca_pem" { value } else { value.trim().to_owned() };
            let size = |words: &mut Self, set: fn(&mut SizeWords, String)| {
                if let Some(size) = words.sizes.last_mut() {
                    set(size, value.clone());
                }
            };
            match name.as_str() {
                "name" => words.name = value,
                "kind" if value == "kvm" => words.kind = ProviderKind::Kvm,
                "host" => words.host = value,
                "most_machines" => words.most_machines = value,
                "endpoint" => words.endpoint = value,
                "api_key" => words.api_key = value,
                "secret_key" => words.secret_key = value,
                "ca_pem" => words.ca_pem = value,
                "fingerprint" => words.fingerprint = value,
                "enabled" => words.enabled = true,
                "zone" => words.zone = value,
                "network" => words.network = value,
                "iso" => words.iso = value,
                "hypervisor" => words.hypervisor = value,
                "project" => words.project = value,
                "address" => words.address = value,
                "ports" => words.ports = value,
                "first_port" => words.first_port = value,
                "sources" => words.sources = value,
                "timeout_s" => words.timeout_s = value,
                "expected" => words.expected = value,
                "size" => words.sizes.push(SizeWords { name: value, ..SizeWords::default() }),
                "offering" => size(&mut words, |size, value| size.offering = value),
                "disk" => size(&mut words, |size, value| size.disk = value),
                "gib" => size(&mut words, |size, value| size.gib = value),
                _ => {}
            }
        }
        words.sizes.retain(|size| !size.name.is_empty());
        words
    }

    fn keys(&self) -> Option<ProviderKeys> {
        (!self.api_key.is_empty() || !self.secret_key.is_empty())
            .then(|| ProviderKeys { api_key: self.api_key.clone(), secret_key: self.secret_key.clone() })
    }

    /// Where it is and whom it is trusted by.
    fn set_door(&self, wish: &mut ProviderWish, wrong: &mut Vec<FieldProblem>) {
        wish.endpoint.clone_from(&self.endpoint);
        let lines: Vec<_> = self.ca_pem.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        wish.ca_pem = lines.iter().flat_map(|line| [*line, "\n"]).collect();
        // As browsers and openssl(1) show it.
        let digits: String = self.fingerprint.chars().filter(|c| *c != ':' && !c.is_whitespace()).collect();
        wish.fingerprint = match digits.to_lowercase().as_str() {
            "" => None,
            digits => digits.parse().map_or_else(
                |_| {
                    wrong.push(fault("fingerprint", "must be a SHA-256: 64 hexadecimal digits"));
                    None
                },
                Some,
            ),
        };
    }

    /// The client that hosts the machines, and how many may be there.
    fn set_host(&self, wish: &mut ProviderWish, wrong: &mut Vec<FieldProblem>) {
        wish.host.clone_from(&self.host);
        wish.most_machines = match self.most_machines.as_str() {
            "" => None,
            most => {
                let number = most.parse().ok();
                if number.is_none() {
                    wrong.push(fault("most_machines", "must be a number"));
                }
                number
            }
        };
    }

    /// What a new provider begins with: where it is.
    fn begun(&self) -> Result<ProviderWish, Vec<FieldProblem>> {
        let mut wrong = Vec::new();
        let wish = match self.kind {
            ProviderKind::Cloudstack => {
                let mut wish = ProviderWish::default();
                self.set_door(&mut wish, &mut wrong);
                wish
            }
            ProviderKind::Kvm => {
                let mut wish = ProviderWish::kvm(&self.host);
                self.set_host(&mut wish, &mut wrong);
                self.set_sizes(&mut wish, &mut wrong);
                wish
            }
        };
        if wrong.is_empty() { Ok(wish) } else { Err(wrong) }
    }

    /// What is wanted, from what was wanted before.
    fn wish(&self, present: &ProviderWish) -> Result<ProviderWish, Vec<FieldProblem>> {
        let (mut wish, mut wrong) = (present.clone(), Vec::new());
        match present.kind {
            ProviderKind::Cloudstack => {
                self.set_door(&mut wish, &mut wrong);
                self.set_cloud(&mut wish, &mut wrong);
            }
            ProviderKind::Kvm => self.set_host(&mut wish, &mut wrong),
        }
        wish.enabled = self.enabled;
        self.set_sizes(&mut wish, &mut wrong);
        if wrong.is_empty() { Ok(wish) } else { Err(wrong) }
    }

    /// What of a cloud is used, and how it is reached from outside.
    fn set_cloud(&self, wish: &mut ProviderWish, wrong: &mut Vec<FieldProblem>) {
        for (field, typed) in [
            (&mut wish.zone, &self.zone),
            (&mut wish.network, &self.network),
            (&mut wish.iso, &self.iso),
            (&mut wish.hypervisor, &self.hypervisor),
            (&mut wish.project, &self.project),
            (&mut wish.address, &self.address),
        ] {
            field.clone_from(typed);
        }
        wish.sources = listed(&self.sources).into_iter().map(str::to_owned).collect();
        match listed(&self.ports).iter().map(|port| port.parse()).collect::<Result<_, _>>() {
            Ok(ports) => wish.ports = ports,
            Err(_) => wrong.push(fault("ports", "must be TCP ports, such as 22 3389")),
        }
        match self.first_port.parse() {
            Ok(port) => wish.first_port = port,
            Err(_) => wrong.push(fault("first_port", "must be a TCP port")),
        }
        match self.timeout_s.parse() {
            Ok(seconds) => wish.timeout_s = seconds,
            Err(_) => wrong.push(fault("timeout_s", "must be from 1 to 60")),
        }
    }

    fn set_sizes(&self, wish: &mut ProviderWish, wrong: &mut Vec<FieldProblem>) {
        wish.sizes = BTreeMap::new();
        for size in &self.sizes {
            let disk_gib = match size.gib.as_str() {
                "" => None,
                gib => gib.parse().map_or_else(
                    |_| {
                        wrong.push(fault("sizes", "GiB must be a number"));
                        None
                    },
                    Some,
                ),
            };
            let there = SizeThere { offering: size.offering.clone(), disk: size.disk.clone(), disk_gib };
            if wish.sizes.insert(size.name.clone(), there).is_some() {
                wrong.push(fault("sizes", "a name stands there twice"));
            }
        }
    }
}

fn fault(field: &str, message: &str) -> FieldProblem {
    FieldProblem { field: field.to_owned(), message: message.to_owned() }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    form: Words,
    /// It is not registered yet.
    new: bool,
    /// What the size is called that is meant when nobody names one.
    standard: String,
    zones: Vec<Offer>,
    networks: Vec<Offer>,
    offerings: Vec<Offer>,
    disks: Vec<Offer>,
    isos: Vec<Offer>,
    /// Clients that host machines, or could.
    hosts: Vec<HostChoice>,
    /// Why what it offers could not be read.
    unread: Option<Problem>,
    faults: BTreeMap<String, String>,
    problem: Option<Problem>,
}

/// What can be chosen, with what is chosen among it even when it is not there any more.
fn choice(offers: Vec<Offer>, zone: &str, chosen: &[&str]) -> Vec<Offer> {
    let mut offers: Vec<_> = offers
        .into_iter()
        .filter(|offer| offer.zone.is_empty() || zone.is_empty() || offer.zone == zone)
        .collect();
    for name in chosen.iter().filter(|name| !name.is_empty()) {
        if !offers.iter().any(|offer| offer.name == **name || offer.id == **name) {
            offers.push(Offer { name: (*name).to_owned(), ..Offer::default() });
        }
    }
    offers
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    new: bool,
    mut form: Words,
    faults: &[FieldProblem],
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let (offers, unread) = if new {
        (Offers::default(), None)
    } else {
        match providers::offers(ctx, &form.name).await {
            Ok(offers) => (offers, None),
            Err(error) => (Offers::default(), Some(problem::shown(error))),
        }
    };
    let hosts = if new || form.kind == ProviderKind::Kvm {
        let mut tx = ctx.db.read().await?;
        providers::host_choices(ctx, &mut tx).await?
    } else {
        Vec::new()
    };
    begin_with_the_only_ones(&mut form, &offers);
    let zone = offers.zones.iter().find(|zone| zone.name == form.zone || zone.id == form.zone);
    let zone = zone.map(|zone| zone.id.clone()).unwrap_or_default();
    let networks = offers.networks.into_iter().map(|network| network.offer).collect();
    let disks = offers.disks.into_iter().map(|disk| disk.offer).collect();
    let sized = |of: fn(&SizeWords) -> &str| form.sizes.iter().map(of).collect::<Vec<_>>();
    // Names of sizes are wrong all together.
    let field_of = |field: &str| field.split(['[', '.']).next().unwrap_or_default().to_owned();
    let view = View {
        page: visitor.frame("/providers"),
        new,
        standard: standard(),
        zones: choice(offers.zones, "", &[&form.zone]),
        networks: choice(networks, &zone, &[&form.network]),
        offerings: choice(offers.offerings, &zone, &sized(|size| &size.offering)),
        disks: choice(disks, &zone, &sized(|size| &size.disk)),
        isos: choice(offers.isos, &zone, &[&form.iso]),
        hosts,
        unread,
        faults: words::faults(ctx, visitor.language, field_of, faults),
        problem,
        form: Words { api_key: String::new(), secret_key: String::new(), ..form },
    };
    page(ctx, visitor, "pages/provider-form.html", &view)
}

/// Where there is only one, it is the one; and there is always room for one more size.
fn begin_with_the_only_ones(form: &mut Words, offers: &Offers) {
    if let ([zone], "") = (offers.zones.as_slice(), form.zone.as_str()) {
        form.zone.clone_from(&zone.name);
    }
    if let ([network], "") = (offers.networks.as_slice(), form.network.as_str()) {
        form.network.clone_from(&network.offer.name);
    }
    let name = if form.sizes.is_empty() { standard() } else { String::new() };
    form.sizes.push(SizeWords { name, ..SizeWords::default() });
}

pub(super) async fn new(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    show(&ctx, &visitor, true, Words::default(), &[], None).await
}

/// The form again with what is wrong, or the error when it is not about what was typed.
async fn again(
    ctx: &Ctx,
    visitor: &Visitor,
    new: bool,
    form: Words,
    error: Error,
) -> Result<Response, Rejection> {
    let (faults, problem) = problem::of_typed(error)?;
    Ok(show(ctx, visitor, new, form, &faults, problem).await?.into_response())
}

pub(super) async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let form = Words::read(pairs);
    let made = match form.begun() {
        Ok(wish) => {
            let keys = ProviderKeys { api_key: form.api_key.clone(), secret_key: form.secret_key.clone() };
            providers::create(&ctx, &NewProvider { name: form.name.clone(), wish, keys }).await
        }
        Err(wrong) => Err(Error::fields("the provider cannot be used like this", wrong)),
    };
    match made {
        // What it offers is chosen from next.
        Ok(record) => {
            let next = match record.wish.kind {
                ProviderKind::Cloudstack => "/edit",
                // It has nothing to be chosen from, and what it lacks is shown.
                ProviderKind::Kvm => "",
            };
            Ok(Redirect::to(&format!("/providers/{}{next}", record.name)).into_response())
        }
        Err(error) => again(&ctx, &visitor, true, form, error).await,
    }
}

pub(super) async fn edit(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let record = {
        let mut tx = ctx.db.read().await?;
        providers::get(&mut tx, &name).await?
    };
    show(&ctx, &visitor, false, Words::of(&name, &record.wish), &[], None).await
}

pub(super) async fn save(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let form = Words { name: name.clone(), ..Words::read(pairs) };
    let record = {
        let mut tx = ctx.db.read().await?;
        providers::get(&mut tx, &name).await?
    };
    let kept = match form.wish(&record.wish) {
        Ok(wish) => {
            let change = ProviderChange { wish, keys: form.keys() };
            let expected = Some(form.expected.as_str()).filter(|expected| !expected.is_empty());
            providers::update(&ctx, &name, &change, expected).await
        }
        Err(wrong) => Err(Error::fields("the provider cannot be used like this", wrong)),
    };
    match kept {
        Ok(()) => Ok(Redirect::to(&format!("/providers/{name}")).into_response()),
        Err(error) => again(&ctx, &visitor, false, form, error).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &[(&str, &str)]) -> Vec<(String, String)> {
        text.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_the_form_shows_comes_back() {
        let there =
            SizeThere { offering: "medium".to_owned(), disk: "custom".to_owned(), disk_gib: Some(20) };
        let wish = ProviderWish {
            endpoint: "https://cloud.example/client/api".to_owned(),
            ca_pem: "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n".to_owned(),
            zone: "north".to_owned(),
            ports: vec![22, 3389],
            sizes: [("standard".to_owned(), there)].into(),
            ..ProviderWish::default()
        };
        assert_eq!(Words::of("north", &wish).wish(&ProviderWish::default()), Ok(wish));
    }

    #[test]
    fn sizes_come_in_rows_and_those_without_a_name_are_none() {
        let typed = [
            ("size", "standard"),
            ("offering", "medium"),
            ("disk", "custom"),
            ("gib", "x"),
            ("size", ""),
            ("offering", "small"),
        ];
        let words = Words::read(pairs(&typed));
        assert_eq!(words.sizes.len(), 1);
        let wrong = words.wish(&ProviderWish::default()).unwrap_err();
        assert!(wrong.iter().any(|fault| fault.field == "sizes"), "{wrong:?}");
    }

    #[test]
    fn a_fingerprint_is_read_as_browsers_show_it() {
        let shown = ["AB"; 32].join(":");
        let words = Words { fingerprint: shown, ..Words::default() };
        let (mut wish, mut wrong) = (ProviderWish::default(), Vec::new());
        words.set_door(&mut wish, &mut wrong);
        assert_eq!(wish.fingerprint.unwrap().as_str(), "ab".repeat(32));
        assert!(wrong.is_empty());
    }
}
