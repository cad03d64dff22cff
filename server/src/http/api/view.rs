//! What the API shows: never rows of the database as they are.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{ClientId, JobId, Mac, Sha256, enrol::Realm, facts::Facts};

use crate::{
    app::{
        clients::Standing,
        job_records::{HistoryLine, JobRecord},
    },
    domain::{
        client::{ClientConfig, Stage},
        client_status::{Activity, Health},
        integration::SystemOrigin,
        job::{Attempt, Job},
    },
};

/// A page of a list, and where the next one begins.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// The entries.
    pub items: Vec<T>,
    /// Give this as `after` (or `before`) for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A part of the list of clients.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientPage {
    /// The clients; only the fields that were asked for, when some were.
    pub items: Vec<ClientItem>,
    /// How many clients there are in all.
    pub total: i64,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Give this as `before` for the page before; absent on the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
}

/// A client in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ClientItem {
    /// With all fields.
    Whole(Box<ClientView>),
    /// With those fields that were asked for, and its name.
    #[schema(value_type = Object)]
    Part(serde_json::Map<String, serde_json::Value>),
}

/// A client.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientView {
    /// Its number.
    pub id: ClientId,
    /// Its host name.
    pub name: String,
    /// First answer: where it is in its life.
    pub stage: Stage,
    /// Second answer: what it does.
    pub activity: Activity,
    /// Third answer: how it is.
    pub health: Health,
    /// Its hardware addresses.
    pub macs: Vec<Mac>,
    /// Names of the groups in which it is named.
    pub groups: Vec<String>,
    /// Names of the groups whose search finds it.
    #[serde(default)]
    pub found_in: Vec<String>,
    /// What is wanted of it.
    pub config: ClientConfig,
    /// The key fingerprint that the machine shows while it waits for adoption.
    pub announced_fingerprint: Option<Sha256>,
    /// Where its agent runs.
    pub realm: Option<Realm>,
    /// Its agent's version.
    pub agent_version: Option<String>,
    /// When its agent was last heard.
    pub last_seen_at: Option<i64>,
    /// When the record was made.
    #[serde(default)]
    pub created_at: i64,
    /// How many of its packages could be newer; absent: nobody knows.
    #[serde(default)]
    pub updates: Option<i64>,
    /// Who has installed its system.
    #[serde(default)]
    pub origin: SystemOrigin,
    /// Hardware in one line.
    pub hardware: String,
    /// Hardware and system, as far as searches look at them.
    #[serde(default)]
    pub traits: Traits,
    /// Grows with every change; the `ETag`.
    pub version: i64,
}

/// Hardware and system of a client; empty or 0 is what is not known.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Traits {
    /// The system that runs.
    pub os: String,
    /// Maker and model.
    pub model: String,
    /// Serial number.
    pub serial: String,
    /// IP addresses.
    pub addresses: Vec<String>,
    /// Memory.
    pub memory_bytes: u64,
    /// The largest disk.
    pub disk_bytes: u64,
    /// Hardware threads.
    pub threads: u32,
}

impl From<&Facts> for Traits {
    fn from(facts: &Facts) -> Self {
        let addresses = facts.nics.iter().flat_map(|nic| &nic.addresses);
        let shown = addresses.filter(|address| !address.starts_with("fe80:"));
        Self {
            os: facts.os.name.clone(),
            model: format!("{} {}", facts.dmi.vendor.trim(), facts.dmi.product.trim()).trim().to_owned(),
            serial: facts.dmi.serial.trim().to_owned(),
            addresses: shown.filter_map(|text| text.split('/').next()).map(str::to_owned).collect(),
            memory_bytes: facts.memory_bytes,
            disk_bytes: facts.disks.iter().map(|disk| disk.size_bytes).max().unwrap_or(0),
            threads: facts.cpu.threads,
        }
    }
}

impl From<Standing> for ClientView {
    fn from(standing: Standing) -> Self {
        let client = standing.client;
        Self {
            id: client.id,
            stage: client.stage,
            activity: standing.activity,
            health: standing.health,
            macs: client.macs,
            groups: standing.groups,
            found_in: standing.found_in,
            config: client.config,
            announced_fingerprint: client.announced_key,
            realm: client.realm,
            agent_version: client.agent_version,
            last_seen_at: client.last_seen_at,
            created_at: client.created_at,
            updates: standing.updates,
            origin: standing.origin,
            hardware: client.facts.as_ref().map(hardware).unwrap_or_default(),
            traits: client.facts.as_ref().map(Traits::from).unwrap_or_default(),
            version: client.version,
            name: client.name,
        }
    }
}

fn hardware(facts: &Facts) -> String {
    let disks: Vec<_> = facts.disks.iter().map(crate::planner::storage::described).collect();
    let memory = crate::domain::layout::size::human(facts.memory_bytes);
    format!(
        "{} {}, {} threads, {memory}, {}",
        facts.dmi.vendor,
        facts.dmi.product,
        facts.cpu.threads,
        disks.join(" + ")
    )
    .trim()
    .to_owned()
}

/// A job with what surrounds it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub job: Job,
    /// Name of its client.
    pub client_name: String,
    /// For what it waits; absent when it does not.
    pub waits_for: Option<String>,
    /// Every change of its state.
    pub history: Vec<HistoryLine>,
    /// Its attempts, oldest first.
    pub attempts_made: Vec<Attempt>,
    /// Jobs that are, or were, carried out within its attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<JobId>,
}

impl From<JobRecord> for JobView {
    fn from(record: JobRecord) -> Self {
        Self {
            job: record.job,
            client_name: record.client_name,
            waits_for: record.waits_for.map(|wait| wait.to_string()),
            history: record.history,
            attempts_made: record.attempts,
            joined: record.joined,
        }
    }
}
