//! What an expression means, read naively: client by client, in memory, without a database.

use std::{cmp::Ordering, net::IpAddr};

use server::domain::{
    client::Stage,
    client_status::ONLINE_FOR,
    job::JobEvent,
    search::{ActivityWord, Age, Comparison, Expr, Flag, HealthWord, Number, Pattern, Test, Text, version},
};
use wire::{
    Mac,
    enrol::Realm,
    facts::{Cpu, Disk, Dmi, Facts, Firmware, Nic, OperatingSystem},
};

/// A client, as far as searches look at it.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) name: String,
    pub(super) stage: Stage,
    pub(super) alarm: bool,
    pub(super) seen: Option<i64>,
    pub(super) added: i64,
    /// Kinds of [`deed`], in the order in which they came.
    pub(super) jobs: Vec<u8>,
    pub(super) macs: Vec<Mac>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) groups: Vec<String>,
    pub(super) packages: Vec<(String, String)>,
    pub(super) hardware: Option<Hardware>,
    pub(super) distribution: String,
}

#[derive(Clone, Debug)]
pub(super) struct Hardware {
    pub(super) model: String,
    pub(super) serial: String,
    pub(super) memory: u64,
    pub(super) disk: u64,
    pub(super) threads: u32,
    pub(super) os: String,
    pub(super) version: String,
}

/// Whether there is an update for a version, and whether it is a security update.
pub(super) fn newer(version: &str) -> Option<bool> {
    match version {
        "3.0.9-1" => Some(true),
        "2.10" => Some(false),
        _ => None,
    }
}

/// What becomes of a job.
pub(super) struct Deed {
    pub(super) events: &'static [JobEvent],
    pub(super) age: i64,
    failed: bool,
    succeeded: bool,
}

pub(super) fn deed(kind: u8) -> Deed {
    const HOUR: i64 = 3600 * 1_000_000;
    match kind {
        0 => Deed { events: &[JobEvent::Cancel], age: 0, failed: false, succeeded: false },
        1 => {
            Deed { events: &[JobEvent::Claim, JobEvent::Fail], age: 2 * HOUR, failed: true, succeeded: false }
        }
        2 => Deed {
            events: &[JobEvent::Claim, JobEvent::Fail],
            age: 60 * HOUR,
            failed: true,
            succeeded: false,
        },
        3 => Deed { events: &[JobEvent::Claim, JobEvent::Succeed], age: 0, failed: false, succeeded: true },
        4 => Deed { events: &[], age: 0, failed: false, succeeded: false },
        _ => Deed { events: &[JobEvent::Claim], age: 0, failed: false, succeeded: false },
    }
}

/// Where the jobs of a client stand.
struct Jobs {
    working: bool,
    open: bool,
    /// When jobs failed.
    failed_at: Vec<i64>,
    /// One has failed, and none has succeeded after it.
    failed: bool,
}

impl Subject {
    fn jobs(&self, now: i64) -> Jobs {
        let mut jobs = Jobs { working: false, open: false, failed_at: Vec::new(), failed: false };
        for kind in &self.jobs {
            let deed = deed(*kind);
            let claims = deed.events.first() == Some(&JobEvent::Claim);
            if deed.events.is_empty() || (jobs.working && claims) {
                // It stays queued.
                jobs.open = true;
            } else if deed.failed {
                jobs.failed_at.push(now - deed.age);
                jobs.failed = true;
            } else if deed.succeeded {
                jobs.failed = false;
            } else if claims {
                (jobs.working, jobs.open) = (true, true);
            }
        }
        jobs
    }

    pub(super) fn facts(&self) -> Option<Facts> {
        let hardware = self.hardware.as_ref()?;
        Some(Facts {
            collected_at: 0,
            realm: Realm::System,
            agent_version: "0.1.0".to_owned(),
            firmware: Firmware::Uefi,
            secure_boot: false,
            cpu: Cpu { threads: hardware.threads, ..Cpu::default() },
            memory_bytes: hardware.memory,
            dmi: Dmi { product: hardware.model.clone(), serial: hardware.serial.clone(), ..Dmi::default() },
            virtualization: String::new(),
            disks: vec![
                Disk { size_bytes: hardware.disk, ..Disk::default() },
                Disk { size_bytes: 1, ..Disk::default() },
            ],
            nics: vec![Nic {
                name: "eth0".to_owned(),
                mac: *self.macs.first()?,
                driver: String::new(),
                carrier: true,
                speed_mbit: 1000,
                addresses: self.addresses.iter().map(|address| format!("{address}/24")).collect(),
                booted: true,
            }],
            file_systems: Vec::new(),
            vm_host: None,
            os: OperatingSystem {
                id: hardware.os.clone(),
                version: hardware.version.clone(),
                ..OperatingSystem::default()
            },
        })
    }

    /// Its updates and security updates; a client without packages has told of none.
    pub(super) fn updates(&self) -> Option<(u64, u64)> {
        let count = |security| {
            self.packages.iter().filter(|(_, version)| newer(version) == Some(security)).count() as u64
        };
        (!self.packages.is_empty()).then(|| (count(true) + count(false), count(true)))
    }

    pub(super) fn wants_reboot(&self) -> bool {
        self.packages.iter().any(|(name, _)| name == "hello")
    }

    fn os(&self) -> String {
        match &self.hardware {
            Some(hardware) if !hardware.os.is_empty() => format!("{}-{}", hardware.os, hardware.version),
            _ => String::new(),
        }
    }
}

pub(super) fn matches(expr: &Expr, subject: &Subject, now: i64, groups: &[(String, Expr)]) -> bool {
    match expr {
        Expr::All(parts) => parts.iter().all(|part| matches(part, subject, now, groups)),
        Expr::Any(parts) => parts.iter().any(|part| matches(part, subject, now, groups)),
        Expr::Not(part) => !matches(part, subject, now, groups),
        Expr::Test(test, _) => passes(test, subject, now, groups),
    }
}

fn holds(comparison: Comparison, ordering: Ordering) -> bool {
    match comparison {
        Comparison::Less => ordering.is_lt(),
        Comparison::AtMost => ordering.is_le(),
        Comparison::Equal => ordering.is_eq(),
        Comparison::AtLeast => ordering.is_ge(),
        Comparison::More => ordering.is_gt(),
    }
}

fn health(subject: &Subject, now: i64) -> HealthWord {
    let silent = subject.seen.is_none_or(|at| now - at >= ONLINE_FOR);
    let failed = subject.jobs(now).failed;
    match subject.stage {
        _ if subject.alarm => HealthWord::Critical,
        Stage::Installing if failed => HealthWord::Critical,
        _ if failed => HealthWord::Warning,
        Stage::Installed if silent => HealthWord::Offline,
        _ => HealthWord::Ok,
    }
}

/// A pattern without `*` that is the beginning of a text or a part of it.
fn part(pattern: &Pattern, text: &str, begins: bool) -> bool {
    if pattern.0.is_empty() || pattern.0.contains('*') {
        return pattern.fits(text);
    }
    let (pattern, text) = (pattern.0.to_lowercase(), text.to_lowercase());
    if begins { text.starts_with(&pattern) } else { text.contains(&pattern) }
}

#[expect(clippy::too_many_lines, reason = "a line for each word of the language")]
fn passes(test: &Test, subject: &Subject, now: i64, groups: &[(String, Expr)]) -> bool {
    let hardware = subject.hardware.as_ref();
    let macs: Vec<String> = subject.macs.iter().map(ToString::to_string).collect();
    let addresses: Vec<String> = subject.addresses.iter().map(ToString::to_string).collect();
    let (model, serial) = hardware.map(|h| (h.model.clone(), h.serial.clone())).unwrap_or_default();
    match test {
        Test::Word(word) => {
            let word = word.to_lowercase();
            let texts = [&subject.name, &serial];
            texts.into_iter().chain(&macs).chain(&addresses).any(|text| text.to_lowercase().contains(&word))
        }
        Test::Text(Text::Name, pattern) => pattern.fits(&subject.name),
        Test::Text(Text::Group, pattern) => {
            let found = |(_, expr): &&(String, Expr)| matches(expr, subject, now, groups);
            if pattern.0.is_empty() {
                return subject.groups.is_empty() && !groups.iter().any(|group| found(&group));
            }
            let named = subject.groups.iter().any(|name| pattern.fits(name));
            named || groups.iter().filter(|(name, _)| pattern.fits(name)).any(|group| found(&group))
        }
        Test::Text(text @ (Text::Mac | Text::Ip), pattern) => {
            let all = if *text == Text::Mac { &macs } else { &addresses };
            if pattern.0.is_empty() { all.is_empty() } else { all.iter().any(|one| part(pattern, one, true)) }
        }
        Test::Text(Text::Os, pattern) => {
            let os = subject.os();
            let more = |sign: &str| {
                !pattern.0.is_empty()
                    && os.to_lowercase().starts_with(&format!("{}{sign}", pattern.0.to_lowercase()))
            };
            pattern.fits(&os) || more("-") || more(".")
        }
        Test::Text(Text::Distribution, pattern) => pattern.fits(&subject.distribution),
        Test::Text(Text::Model, pattern) => part(pattern, &model, false),
        Test::Text(Text::Serial, pattern) => part(pattern, &serial, false),
        Test::Text(Text::Agent, pattern) => pattern.fits(if subject.seen.is_some() { "0.1.0" } else { "" }),
        Test::Agent(comparison, wanted) => {
            use server::domain::search::version::key;
            let (own, wanted) = (key("0.1.0"), key(wanted));
            subject.seen.is_some()
                && match comparison {
                    Comparison::Less => own < wanted,
                    Comparison::AtMost => own <= wanted,
                    Comparison::Equal => own == wanted,
                    Comparison::AtLeast => own >= wanted,
                    Comparison::More => own > wanted,
                }
        }
        // Nobody of these has a selection; `it/selections` looks at those who have.
        Test::Text(Text::Selection, pattern) => pattern.0.is_empty(),
        Test::Network(network, prefix) => subject.addresses.iter().any(|address| match (address, network) {
            (IpAddr::V4(address), IpAddr::V4(network)) => {
                let hosts = u32::MAX.checked_shr(u32::from(*prefix)).unwrap_or(0);
                address.to_bits() & !hosts == network.to_bits() & !hosts
            }
            (IpAddr::V6(address), IpAddr::V6(network)) => {
                let hosts = u128::MAX.checked_shr(u32::from(*prefix)).unwrap_or(0);
                address.to_bits() & !hosts == network.to_bits() & !hosts
            }
            _ => false,
        }),
        Test::Stage(stage) => subject.stage == *stage,
        Test::Health(word) => health(subject, now) == *word,
        Test::Activity(word) => {
            let jobs = subject.jobs(now);
            *word
                == match (jobs.working, jobs.open) {
                    (true, _) => ActivityWord::Working,
                    (false, true) => ActivityWord::Waiting,
                    (false, false) => ActivityWord::Idle,
                }
        }
        Test::Package(name, wanted) => subject.packages.iter().any(|(package, found)| {
            let version = wanted.as_ref().is_none_or(|(comparison, wanted)| {
                holds(*comparison, version::key(found).cmp(&version::key(wanted)))
            });
            name.fits(package) && version
        }),
        Test::Number(Number::Updates, comparison, value) => {
            subject.updates().is_some_and(|(updates, _)| holds(*comparison, updates.cmp(value)))
        }
        Test::Flag(Flag::SecurityUpdates, wanted) => {
            subject.updates().is_some_and(|(_, security)| (security > 0) == *wanted)
        }
        Test::Flag(Flag::RebootNeeded, wanted) => subject.wants_reboot() == *wanted,
        Test::Flag(Flag::Drift, _) => false,
        Test::Number(number, comparison, value) => hardware.is_some_and(|hardware| {
            let found = match number {
                Number::Memory => hardware.memory,
                Number::Disk => hardware.disk,
                Number::Threads | Number::Updates => u64::from(hardware.threads),
            };
            found > 0 && holds(*comparison, found.cmp(value))
        }),
        Test::Age(age, comparison, micros) => {
            let times = match age {
                Age::Seen => subject.seen.into_iter().collect(),
                Age::Added => vec![subject.added],
                Age::Failed => subject.jobs(now).failed_at,
            };
            times.into_iter().any(|at| holds(*comparison, (now - at).cmp(micros)))
        }
        Test::NeverSeen => subject.seen.is_none(),
    }
}
