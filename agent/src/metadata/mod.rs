//! Where a machine that was told nothing when it booted finds its server: in what its cloud says about it.
//!
//! What lies on the machine itself comes first (media, files), then what a network card brings (leases, metadata services). What is found is
//! believed only when it is our user-data ([`wire::user_data`]), so whatever answers instead is told and passed over.
//!
//! Invariants: a search ends. Each question has [`plain::PATIENCE`](crate::server::plain::PATIENCE), no source asks more than two in a
//! row, all sources of a round ask at the same time, and there are at most [`ROUNDS`] rounds: 49 s in all, 10 s on a machine that is no
//! virtual one. Every place that was looked at is told with what it answered.

use std::{path::Path, time::Duration};

use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self, FuturesOrdered},
};
use tokio_util::sync::CancellationToken;
use wire::{
    enrol::Realm,
    user_data::{LARGEST, UserData},
};

use crate::{
    facts,
    host::{self, Host},
    report::chain,
    server::{
        self,
        plain::{Answer, Ask, Question},
    },
};

mod cloudstack;
mod config_drive;
mod dhcp;
mod ec2;
mod lease;
mod medium;
mod nocloud;
mod openstack;
#[cfg(test)]
mod tests;

/// How often a virtual machine asks the network: its cloud may set up routes and metadata while it boots.
const ROUNDS: usize = 4;
/// Between two rounds.
const PAUSE: Duration = Duration::from_secs(3);
/// What was looked at in this boot, for the server's timeline.
const LOOKED: &str = "/run/lotse-agent/looked";

/// Found without the network.
const LOCAL: [&dyn Source; 3] = [&config_drive::ConfigDrive, &nocloud::Medium, &nocloud::Seed];
/// Found over the network; of several that have user-data the first one counts.
const NETWORK: [&dyn Source; 5] =
    [&dhcp::Dhcp, &nocloud::SeedUrl, &cloudstack::CloudStack, &openstack::OpenStack, &ec2::Ec2];

/// What sources look at.
#[derive(Clone, Copy)]
pub struct Machine<'a> {
    /// Disks, files, leases.
    pub host: &'a dyn Host,
    /// Metadata services.
    pub ask: &'a dyn Ask,
}

/// A kind of place where a cloud puts user-data.
pub trait Source: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Looks everywhere where it may be, and ends with the first place that has our user-data. Tells of each place.
    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>>;
}

/// A place, and what was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// URL or file.
    pub place: String,
    /// User-data, or what was there instead.
    pub outcome: Result<UserData, String>,
}

/// What a search came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The first user-data.
    pub found: Option<UserData>,
    /// A line for each place with what it answered last; the place that was looked at last comes last.
    pub looked: Vec<String>,
}

/// Looks everywhere. Each place is said when something new is known of it; `None` in the result after all of them, or when told to stop.
pub async fn find(
    machine: Machine<'_>,
    say: &(dyn Fn(&str) + Send + Sync),
    stop: &CancellationToken,
) -> Search {
    let mut log = Log { say, lines: Vec::new() };
    let found = tokio::select! {
        found = everywhere(machine, &mut log) => found,
        () = stop.cancelled() => None,
    };
    Search { found, looked: log.lines.into_iter().map(|(_, line)| line).collect() }
}

async fn everywhere(machine: Machine<'_>, log: &mut Log<'_>) -> Option<UserData> {
    let local = stream::iter(LOCAL).then(|source| told(source, machine));
    if let Some(found) = first(local, log).await {
        return Some(found);
    }
    let is_virtual = !facts::gather(machine.host, Realm::System).await.virtualization.is_empty();
    let rounds = if is_virtual { ROUNDS } else { 1 };
    for round in 0..rounds {
        if round > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        let asked: FuturesOrdered<_> = NETWORK.into_iter().map(|source| told(source, machine)).collect();
        if let Some(found) = first(asked, log).await {
            return Some(found);
        }
    }
    None
}

async fn told<'a>(source: &'a dyn Source, machine: Machine<'a>) -> (&'static str, Vec<Tried>) {
    (source.name(), source.look(machine).await)
}

/// The first user-data, in the order of the sources; who comes after it is not waited for.
async fn first(
    sources: impl stream::Stream<Item = (&'static str, Vec<Tried>)>,
    log: &mut Log<'_>,
) -> Option<UserData> {
    let mut sources = std::pin::pin!(sources);
    while let Some((name, all)) = sources.next().await {
        for tried in all {
            log.note(name, &tried);
            if let Ok(found) = tried.outcome {
                return Some(found);
            }
        }
    }
    None
}

/// What is known of each place.
struct Log<'a> {
    say: &'a (dyn Fn(&str) + Send + Sync),
    lines: Vec<(String, String)>,
}

impl Log<'_> {
    fn note(&mut self, source: &str, tried: &Tried) {
        let place = format!("{source}: {}", tried.place);
        let line = match &tried.outcome {
            Ok(_) => format!("{place}: found"),
            Err(reason) => format!("{place}: {reason}"),
        };
        let known = self.lines.iter().position(|(known, _)| *known == place);
        let known = known.map(|at| self.lines.remove(at).1);
        if known.is_none_or(|said| said != line) {
            (self.say)(&line);
        }
        self.lines.push((place, line));
    }
}

impl Tried {
    /// A place that does not exist here.
    fn nowhere(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { place: place.into(), outcome: Err(reason.into()) }
    }

    /// A place with this content.
    fn content(place: impl Into<String>, content: &[u8]) -> Self {
        let outcome = UserData::parse(content).map_err(|reason| format!("what is there is {reason}"));
        Self { place: place.into(), outcome }
    }

    /// A file of this machine.
    fn file(host: &dyn Host, path: &Path) -> Self {
        match host.read_at(path, 0, LARGEST + 1) {
            Ok(content) => Self::content(path.display().to_string(), &content),
            Err(error) => Self::nowhere(path.display().to_string(), chain(&error)),
        }
    }

    /// What a metadata service answers to a question.
    async fn url(ask: &dyn Ask, url: String, headers: Vec<(&'static str, String)>) -> Self {
        let question = Question { url, headers, most: LARGEST, ..Question::default() };
        let outcome = match ask.ask(&question).await {
            Ok(Answer { status: 200, content, .. }) => return Self::content(question.url, &content),
            Ok(Answer { status: 404, .. }) => "answers, and has no user-data (404)".to_owned(),
            Ok(Answer { status: status @ 300..=399, location, .. }) => {
                let location: String = location.chars().take(100).collect();
                format!(
                    "sends to `{location}` ({status}): a portal or a proxy answers in the place of the cloud"
                )
            }
            Ok(Answer { status, .. }) => format!("answers with status {status}"),
            Err(error) => silent(&error),
        };
        Self { place: question.url, outcome: Err(outcome) }
    }
}

/// Nobody is there, and what the system says about it.
fn silent(error: &server::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    format!("does not answer: {innermost}")
}

/// Asks one place after another, all at the same time; the first one in order that has user-data ends it.
async fn in_order<'a>(asked: impl IntoIterator<Item = BoxFuture<'a, Tried>>) -> Vec<Tried> {
    let mut asked: FuturesOrdered<_> = asked.into_iter().collect();
    let mut all = Vec::new();
    while let Some(tried) = asked.next().await {
        let found = tried.outcome.is_ok();
        all.push(tried);
        if found {
            break;
        }
    }
    all
}

/// Keeps what was looked at, for [`looked`].
///
/// # Errors
/// The file cannot be written.
pub fn keep(host: &dyn Host, looked: &[String]) -> Result<(), host::Error> {
    host.write(Path::new(LOOKED), looked.join("\n").as_bytes(), 0o600)
}

/// What was looked at in this boot; empty when the machine was told its server.
pub fn looked(host: &dyn Host) -> Vec<String> {
    let text = host.read(Path::new(LOOKED)).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}
