//! The host behind a provider, as whoever has the queue shows it.

use serde_json::Value;
use wire::vm::VmHost;

use super::super::{Doing, Error, Progress};

/// A host with its agent and its jobs.
pub trait Host: Send + Sync {
    /// The host as it is known for sure; when something has gone wrong there, it is asked first.
    fn view(&self) -> Doing<'_, View>;

    /// Queues a job, when `fits` has nothing against it; nobody else queues one for the host in between. Gives the job's number.
    fn order<'a>(&'a self, order: HostOrder<'a>, fits: &'a Fits<'a>) -> Doing<'a, String>;

    /// How far a job is.
    fn job<'a>(&'a self, id: &'a str) -> Doing<'a, Progress>;
}

/// What stands against a job, by what is there.
pub type Fits<'a> = dyn Fn(&View) -> Result<(), Error> + Send + Sync + 'a;

/// A job of the host.
#[derive(Debug)]
pub struct HostOrder<'a> {
    /// What it is for, in words.
    pub attempt: &'a str,
    /// Its type.
    pub job_type: &'a str,
    /// Its parameters.
    pub params: Value,
    /// A secret that its plan names, and its name.
    pub secret: Option<(&'a str, &'a str)>,
}

/// A host as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its client's name.
    pub name: String,
    /// Hardware threads.
    pub threads: u32,
    /// Its memory.
    pub memory_bytes: u64,
    /// What its agent has told of the machines.
    pub told: VmHost,
    /// Machines that are ordered and not there yet.
    pub coming: Vec<Coming>,
    /// What the boot image is, or why there is none; in words.
    pub iso: Result<String, String>,
}

/// A machine that was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coming {
    /// Its name.
    pub name: String,
    /// Processors.
    pub processors: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Size of its disk.
    pub disk_bytes: u64,
}

impl Coming {
    /// A machine of a size.
    pub fn new(name: &str, processors: u32, memory_mib: u32, disk_gib: u32) -> Self {
        let (memory_bytes, disk_bytes) = (u64::from(memory_mib) << 20, u64::from(disk_gib) << 30);
        Self { name: name.to_owned(), processors, memory_bytes, disk_bytes }
    }
}
