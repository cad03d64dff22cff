//! What the agent has begun and finished, on disk: one JSON line per fact, for one attempt at a time.
//!
//! Invariant: a line is synced before the agent acts on it or tells it to anybody. A last line that was cut by a power
//! cut counts as never written.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use wire::{event::Outcome, poll::Lease};

use crate::host::{self, Host, Power};

const FILE: &str = "journal.jsonl";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case")]
enum Entry {
    /// Always the first line.
    Attempt { lease: Box<Lease> },
    /// The step is about to run.
    Begun { step: String, boot_id: String },
    /// The step ended well.
    Done { step: String },
    /// The attempt ended; what happens to the machine afterwards.
    Ended { outcome: Outcome, power: Option<Power>, boot_id: String },
    /// The server has stored everything.
    Acknowledged,
    /// Written by a newer version of the agent.
    #[serde(other)]
    Unknown,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// How it ended.
    pub outcome: Outcome,
    /// What the machine does after the server knows.
    pub power: Option<Power>,
    /// The boot in which it ended: in a later one nothing is left to do to the machine.
    pub boot_id: String,
}

/// Why the journal cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read or written.
    #[error("keeping the journal")]
    Store(#[source] host::Error),
    /// A line cannot be written as JSON.
    #[error("writing a line of the journal as JSON")]
    Json(#[source] serde_json::Error),
}

/// The journal of the attempt that the agent holds.
pub struct Journal {
    host: Arc<dyn Host>,
    path: PathBuf,
    lease: Lease,
    begun: Option<(String, String)>,
    done: BTreeSet<String>,
    end: Option<End>,
    acknowledged: bool,
}

impl Journal {
    /// The journal that an earlier run of the agent left, if it holds an attempt.
    pub fn find(host: &Arc<dyn Host>, state_dir: &Path) -> Result<Option<Self>, Error> {
        let path = state_dir.join(FILE);
        if !host.exists(&path) {
            return Ok(None);
        }
        let content = host.read(&path).map_err(Error::Store)?;
        // Whatever follows the last line end was cut off.
        let complete = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = content[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let first = lines.next().and_then(|line| serde_json::from_slice(line).ok());
        let Some(Entry::Attempt { lease }) = first else {
            tracing::warn!("the journal does not begin with an attempt; it is forgotten");
            host.remove(&path).map_err(Error::Store)?;
            return Ok(None);
        };
        let mut journal = Self::empty(host, path, *lease);
        for line in lines {
            match serde_json::from_slice(line) {
                Ok(entry) => journal.apply(entry),
                Err(error) => tracing::warn!(%error, "a line of the journal cannot be read"),
            }
        }
        if complete < content.len() {
            host.write(&journal.path, &content[..complete], 0o600).map_err(Error::Store)?;
        }
        Ok(Some(journal))
    }

    /// Begins the journal of a new attempt; an older one is forgotten.
    pub fn begin(host: &Arc<dyn Host>, state_dir: &Path, lease: &Lease) -> Result<Self, Error> {
        let journal = Self::empty(host, state_dir.join(FILE), lease.clone());
        let line = line(&Entry::Attempt { lease: Box::new(lease.clone()) })?;
        // The plan may name passwords' hashes and keys: root's eyes only.
        host.write(&journal.path, &line, 0o600).map_err(Error::Store)?;
        Ok(journal)
    }

    fn empty(host: &Arc<dyn Host>, path: PathBuf, lease: Lease) -> Self {
        Self {
            host: host.clone(),
            path,
            lease,
            begun: None,
            done: BTreeSet::new(),
            end: None,
            acknowledged: false,
        }
    }

    /// What is carried out.
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether a step has ended well.
    pub fn is_done(&self, step: &str) -> bool {
        self.done.contains(step)
    }

    /// The step that had begun but not ended when the agent stopped, and the boot in which it began.
    pub fn interrupted(&self) -> Option<(&str, &str)> {
        self.begun.as_ref().map(|(step, boot_id)| (step.as_str(), boot_id.as_str()))
    }

    /// The end of the attempt, when it was reached.
    pub fn end(&self) -> Option<&End> {
        self.end.as_ref()
    }

    /// The server has stored everything.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// A step is about to run.
    pub fn step_begins(&mut self, step: &str, boot_id: &str) -> Result<(), Error> {
        self.record(Entry::Begun { step: step.to_owned(), boot_id: boot_id.to_owned() })
    }

    /// A step ended well.
    pub fn step_ends(&mut self, step: &str) -> Result<(), Error> {
        self.record(Entry::Done { step: step.to_owned() })
    }

    /// The attempt ended.
    pub fn ends(&mut self, end: End) -> Result<(), Error> {
        self.record(Entry::Ended { outcome: end.outcome, power: end.power, boot_id: end.boot_id })
    }

    /// The server has stored everything.
    pub fn acknowledge(&mut self) -> Result<(), Error> {
        self.record(Entry::Acknowledged)
    }

    /// The agent holds no attempt any more.
    pub fn forget(self) -> Result<(), Error> {
        self.host.remove(&self.path).map_err(Error::Store)
    }

    fn record(&mut self, entry: Entry) -> Result<(), Error> {
        self.host.append(&self.path, &line(&entry)?).map_err(Error::Store)?;
        self.host.sync(&self.path).map_err(Error::Store)?;
        self.apply(entry);
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Begun { step, boot_id } => self.begun = Some((step, boot_id)),
            Entry::Done { step } => {
                self.begun = None;
                self.done.insert(step);
            }
            Entry::Ended { outcome, power, boot_id } => self.end = Some(End { outcome, power, boot_id }),
            Entry::Acknowledged => self.acknowledged = true,
            Entry::Attempt { .. } | Entry::Unknown => {}
        }
    }
}

fn line(entry: &Entry) -> Result<Vec<u8>, Error> {
    let mut line = serde_json::to_vec(entry).map_err(Error::Json)?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests {
    use wire::{AttemptId, Sha256, plan::SignedPlan};

    use super::*;
    use crate::host::fake::FakeHost;

    const DIR: &str = "/var/lib/lotse-agent";

    fn lease() -> Lease {
        let plan =
            SignedPlan { text: "{}".into(), sha256: Sha256::from_bytes([0; 32]), signature: String::new() };
        Lease { attempt: AttemptId(3), lease_s: 60, plan, tools: None }
    }

    fn find(host: &Arc<dyn Host>) -> Option<Journal> {
        Journal::find(host, Path::new(DIR)).unwrap()
    }

    #[test]
    fn what_was_recorded_survives_a_power_cut() {
        let fake = FakeHost::new(0);
        let host: Arc<dyn Host> = Arc::new(fake.clone());
        let mut journal = Journal::begin(&host, Path::new(DIR), &lease()).unwrap();
        journal.step_begins("a", "boot1").unwrap();
        journal.step_ends("a").unwrap();
        journal.step_begins("b", "boot1").unwrap();
        fake.power_cut();
        let journal = find(&host).unwrap();
        assert_eq!(journal.lease(), &lease());
        assert!(journal.is_done("a") && !journal.is_done("b"));
        assert_eq!(journal.interrupted(), Some(("b", "boot1")));
        assert_eq!(journal.end(), None);
        journal.forget().unwrap();
        assert!(find(&host).is_none());
    }

    #[test]
    fn a_cut_last_line_counts_as_never_written() {
        let fake = FakeHost::new(0);
        let host: Arc<dyn Host> = Arc::new(fake.clone());
        let mut journal = Journal::begin(&host, Path::new(DIR), &lease()).unwrap();
        journal.step_begins("a", "boot1").unwrap();
        host.append(&Path::new(DIR).join(FILE), br#"{"entry":"done","st"#).unwrap();
        let mut journal = find(&host).unwrap();
        assert!(!journal.is_done("a"));
        journal.step_ends("a").unwrap();
        assert!(find(&host).unwrap().is_done("a"));
    }

    #[test]
    fn garbage_is_no_attempt() {
        let host: Arc<dyn Host> =
            Arc::new(FakeHost::new(0).with_file("/var/lib/lotse-agent/journal.jsonl", "\0\0\0\n"));
        assert!(find(&host).is_none());
    }
}
