//! One client: its three answers, its way here, its jobs live, its hardware; and its adoption and installation.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};
use wire::{
    ClientId,
    facts::{Disk, Facts},
    problem::FieldProblem,
};

use super::{
    Rejection,
    clients::Status,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error, boot_timeline,
        clients::{self, ClientChange},
        installation, job_records, layouts,
        passwords::Passwords,
    },
    context::Ctx,
    domain::{
        boot::{BootEventKind, Expectation},
        client::{ClientConfig, User},
        layout::size::human,
    },
    planner::storage::{DiskPreview, described},
};

/// Jobs that are shown.
const JOBS: i64 = 25;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}", get(show))
        .route("/clients/{name}/adopt", get(adopt_form).post(adopt))
        .route("/clients/{name}/install", get(install_form).post(install))
}

/// Hardware in one line.
pub(super) fn hardware(facts: &Facts) -> String {
    let disks: Vec<_> = facts.disks.iter().map(described).collect();
    let memory = human(facts.memory_bytes);
    let machine = format!("{} {}", facts.dmi.vendor, facts.dmi.product);
    format!("{}, {memory}, {}", machine.trim(), disks.join(" + ")).trim_matches([',', ' ']).to_owned()
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    status: Status,
    fingerprint: Option<String>,
    seen: Option<Moment>,
    macs: Vec<String>,
    groups: Vec<String>,
    distribution: String,
    layout: String,
    agent_version: String,
    facts: Option<FactsView>,
    timeline: Vec<LineView>,
    expected: Option<Expectation>,
    jobs: Vec<JobRow>,
    watched: Option<Watched>,
}

#[derive(Serialize)]
struct FactsView {
    machine: String,
    serial: String,
    cpu: String,
    memory: String,
    firmware: String,
    system: String,
    kernel: String,
    cards: Vec<String>,
    disks: Vec<DiskView>,
}

#[derive(Serialize)]
struct DiskView {
    described: String,
    parts: Vec<PartView>,
}

/// A stretch of a disk; where it begins and its length are percent of the disk.
#[derive(Serialize)]
struct PartView {
    name: String,
    content: String,
    size: String,
    start: u64,
    width: u64,
}

#[derive(Serialize)]
struct LineView {
    at: Moment,
    kind: &'static str,
    refused: bool,
    detail: String,
}

#[derive(Serialize)]
struct JobRow {
    id: i64,
    job_type: String,
    state: &'static str,
    kind: &'static str,
    why: String,
    at: Moment,
    by: String,
}

#[derive(Serialize)]
struct Watched {
    attempt: i64,
    job: i64,
    job_type: String,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let timeline = boot_timeline::of_client(&ctx, &name).await?;
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, &name).await?;
    let standing = clients::standing(&ctx, &mut tx, client).await?;
    let records =
        job_records::list(&ctx, &mut tx, &visitor.actor()?.sees(), Some(&name), None, i64::MAX, JOBS).await?;
    let mut watched = None;
    for record in &records {
        if let Some(attempt) = job_records::attempts_of(&mut tx, record.job.id).await?.last() {
            let job_type = record.job.job_type.clone();
            watched = Some(Watched { attempt: attempt.id.0, job: record.job.id.0, job_type });
            break;
        }
    }
    let jobs = records
        .into_iter()
        .map(|record| JobRow {
            id: record.job.id.0,
            state: record.job.state.as_str(),
            kind: kind_of(record.job.state.as_str()),
            why: record.waits_for.unwrap_or(record.job.reason),
            at: moment(record.job.finished_at.unwrap_or(record.job.created_at)),
            by: record.job.created_by,
            job_type: record.job.job_type,
        })
        .collect();
    let client = &standing.client;
    let waits_for_adoption = client.announced_key.is_some() && client.announced_key != client.adopted_key;
    let view = View {
        page: visitor.frame("/clients"),
        status: Status::new(&standing, now, visitor.language),
        fingerprint: client.announced_key.as_ref().filter(|_| waits_for_adoption).map(ToString::to_string),
        seen: client.last_seen_at.map(moment),
        macs: client.macs.iter().map(ToString::to_string).collect(),
        groups: standing.groups.clone(),
        distribution: client.config.distribution.clone(),
        layout: client.config.layout.clone(),
        agent_version: client.agent_version.clone().unwrap_or_default(),
        facts: client.facts.as_ref().map(facts_view),
        timeline: timeline
            .lines
            .iter()
            .rev()
            .take(30)
            .rev()
            .map(|line| LineView {
                at: moment(line.at),
                kind: line.kind.as_str(),
                refused: line.kind == BootEventKind::Refused,
                detail: line.detail.clone(),
            })
            .collect(),
        expected: timeline.expected,
        jobs,
        watched,
        name,
    };
    page(&ctx, &visitor, "pages/client.html", &view)
}

fn kind_of(state: &str) -> &'static str {
    match state {
        "succeeded" => "good",
        "failed" => "bad",
        "running" => "busy",
        "held" | "expired" => "warn",
        _ => "",
    }
}

fn facts_view(facts: &Facts) -> FactsView {
    let card = |nic: &wire::facts::Nic| {
        let addresses = nic.addresses.join(", ");
        format!("{} {} {addresses}", nic.name, nic.mac).trim().to_owned()
    };
    FactsView {
        machine: format!("{} {}", facts.dmi.vendor, facts.dmi.product).trim().to_owned(),
        serial: facts.dmi.serial.clone(),
        cpu: format!("{} ({} × {})", facts.cpu.model, facts.cpu.threads, facts.cpu.architecture),
        memory: human(facts.memory_bytes),
        firmware: format!(
            "{}{}",
            if facts.firmware == wire::facts::Firmware::Uefi { "UEFI" } else { "BIOS" },
            if facts.secure_boot { ", Secure Boot" } else { "" }
        ),
        system: facts.os.name.clone(),
        kernel: facts.os.kernel.clone(),
        cards: facts.nics.iter().map(card).collect(),
        disks: facts.disks.iter().map(disk_view).collect(),
    }
}

fn disk_view(disk: &Disk) -> DiskView {
    let parts = disk.partitions.iter().map(|there| PartView {
        name: if there.name.is_empty() { there.label.clone() } else { there.name.clone() },
        content: there.content.clone(),
        size: human(there.size_bytes),
        start: percent(there.start_bytes, disk.size_bytes),
        width: percent(there.size_bytes, disk.size_bytes).max(1),
    });
    DiskView { described: described(disk), parts: parts.collect() }
}

fn percent(part: u64, whole: u64) -> u64 {
    let percent = u128::from(part) * 100 / u128::from(whole.max(1));
    u64::try_from(percent).unwrap_or(100).min(100)
}

#[derive(Serialize)]
struct AdoptView {
    page: Frame,
    name: String,
    fingerprint: String,
    hardware: String,
    form: AdoptForm,
    distributions: Vec<String>,
    layouts: Vec<String>,
    faults: BTreeMap<String, String>,
    problem: Option<String>,
}

/// What somebody types who adopts a machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct AdoptForm {
    name: String,
    compared: String,
    group: String,
    distribution: String,
    layout: String,
    user: String,
    password: String,
    locale: String,
    keyboard: String,
    timezone: String,
    domain: String,
    proxy: String,
    ntp: String,
    serial_console: String,
    ssh_keys: String,
}

impl AdoptForm {
    fn of(config: &ClientConfig, language: &str) -> Self {
        let german = language == "de";
        Self {
            name: String::new(),
            distribution: config.distribution.clone(),
            layout: config.layout.clone(),
            locale: if german { "de_DE.UTF-8".to_owned() } else { config.locale.clone() },
            keyboard: if german { "de".to_owned() } else { config.keyboard.clone() },
            timezone: if german { "Europe/Berlin".to_owned() } else { config.timezone.clone() },
            domain: config.domain.clone(),
            proxy: config.proxy.clone(),
            ntp: config.ntp.join(" "),
            serial_console: config.serial_console.clone(),
            user: config.users.first().map(|user| user.name.clone()).unwrap_or_default(),
            ssh_keys: config.root_ssh_keys.join("\n"),
            ..Self::default()
        }
    }

    fn change(&self, present: ClientConfig, fingerprint: Option<wire::Sha256>) -> ClientChange {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let keys: Vec<String> =
            self.ssh_keys.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let text = |text: &String| text.trim().to_owned();
        let users = if self.user.trim().is_empty() {
            Vec::new()
        } else {
            vec![User { name: text(&self.user), sudo: true, ssh_keys: keys.clone(), ..User::default() }]
        };
        let passwords = if self.password.is_empty() || users.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(text(&self.user), self.password.clone())])
        };
        ClientChange {
            name: Some(text(&self.name)),
            config: Some(ClientConfig {
                distribution: text(&self.distribution),
                layout: text(&self.layout),
                locale: text(&self.locale),
                keyboard: text(&self.keyboard),
                timezone: text(&self.timezone),
                domain: text(&self.domain),
                proxy: text(&self.proxy),
                ntp: words(&self.ntp),
                serial_console: text(&self.serial_console),
                root_ssh_keys: keys,
                users,
                ..present
            }),
            groups: if self.group.trim().is_empty() { None } else { Some(words(&self.group)) },
            passwords: Passwords(passwords),
            fingerprint,
        }
    }
}

async fn adopt_form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?
    };
    let form = AdoptForm::of(&client.config, visitor.language);
    adopt_page(&ctx, &visitor, &name, form, Vec::new(), None).await
}

async fn adopt_page(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: AdoptForm,
    faults: Vec<FieldProblem>,
    problem: Option<String>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let client = clients::get(&mut tx, name).await?;
    let layouts = layouts::list(ctx, &mut tx).await?.into_iter().map(|layout| layout.name).collect();
    let view = AdoptView {
        page: visitor.frame("/clients"),
        name: name.to_owned(),
        fingerprint: client.announced_key.as_ref().map(ToString::to_string).unwrap_or_default(),
        hardware: client.facts.as_ref().map(hardware).unwrap_or_default(),
        form: AdoptForm { password: String::new(), ..form },
        distributions: ctx.catalog.distributions().map(|(name, _)| name.to_owned()).collect(),
        layouts,
        faults: faults
            .into_iter()
            .map(|fault| (fault.field.trim_start_matches("config.").to_owned(), fault.message))
            .collect(),
        problem,
    };
    page(ctx, visitor, "pages/adopt.html", &view)
}

async fn adopt(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<AdoptForm>,
) -> Result<Response, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?
    };
    // Adopting is accepting this very key; without having compared it nobody can say so.
    if form.compared.is_empty() {
        let fault = FieldProblem {
            field: "compared".to_owned(),
            message: "compare the fingerprint first".to_owned(),
        };
        return Ok(adopt_page(&ctx, &visitor, &name, form, vec![fault], None).await?.into_response());
    }
    let change = form.change(client.config.clone(), client.announced_key.clone());
    match clients::adopt(&ctx, &name, &change, visitor.name()).await {
        Ok(name) => Ok(Redirect::to(&format!("/clients/{name}/install")).into_response()),
        Err(Error::Invalid { title, fields, .. }) => {
            Ok(adopt_page(&ctx, &visitor, &name, form, fields, Some(title)).await?.into_response())
        }
        Err(error @ Error::Conflict { .. }) => {
            let problem = error.to_string();
            Ok(adopt_page(&ctx, &visitor, &name, form, Vec::new(), Some(problem)).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Serialize)]
struct InstallView {
    page: Frame,
    name: String,
    distribution: String,
    layout: String,
    disks: Vec<PreviewView>,
    destroys: bool,
    known: bool,
    problem: Option<String>,
    mistyped: bool,
}

#[derive(Serialize)]
struct PreviewView {
    disk: String,
    destroyed: String,
    parts: Vec<PartView>,
}

fn preview_view(preview: DiskPreview) -> PreviewView {
    let whole = preview.written.iter().map(|part| part.start_bytes + part.size_bytes).max().unwrap_or(1);
    let part = |part: crate::planner::storage::PartitionPreview| PartView {
        name: if part.mount.is_empty() { part.id } else { part.mount },
        content: part.content,
        size: human(part.size_bytes),
        start: percent(part.start_bytes, whole),
        width: percent(part.size_bytes, whole).max(1),
    };
    PreviewView {
        disk: preview.disk,
        destroyed: preview.destroyed,
        parts: preview.written.into_iter().map(part).collect(),
    }
}

async fn install_form(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    install_page(&ctx, &visitor, &name, false).await
}

async fn install_page(ctx: &Ctx, visitor: &Visitor, name: &str, mistyped: bool) -> Result<Page, Rejection> {
    let client = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, name).await?
    };
    let (disks, mut problem) = match layouts::preview(ctx, name, None).await {
        Ok(disks) => (disks, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    if problem.is_none()
        && let Err(error) = installation::install(ctx, client.id, true, visitor.name()).await
    {
        problem = Some(error.to_string());
    }
    let view = InstallView {
        page: visitor.frame("/clients"),
        name: name.to_owned(),
        distribution: client.config.distribution.clone(),
        layout: client.config.layout.clone(),
        destroys: disks.iter().any(|disk| !disk.destroyed.is_empty()),
        known: client.facts.is_some(),
        disks: disks.into_iter().map(preview_view).collect(),
        problem,
        mistyped,
    };
    page(ctx, visitor, "pages/install.html", &view)
}

#[derive(Deserialize)]
struct Confirmation {
    #[serde(default)]
    confirmed: String,
}

async fn install(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(confirmation): Form<Confirmation>,
) -> Result<Response, Rejection> {
    let destroys = layouts::preview(&ctx, &name, None)
        .await
        .is_ok_and(|disks| disks.iter().any(|disk| !disk.destroyed.is_empty()));
    if destroys && confirmation.confirmed.trim() != name {
        return Ok(install_page(&ctx, &visitor, &name, true).await?.into_response());
    }
    let id: ClientId = {
        let mut tx = ctx.db.read().await?;
        clients::get(&mut tx, &name).await?.id
    };
    installation::install(&ctx, id, false, visitor.name()).await?;
    Ok(Redirect::to(&format!("/clients/{name}")).into_response())
}
