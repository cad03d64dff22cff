//! Which packages the system has, which of them could be newer, and what it needs after they have changed.
//!
//! One door for two families: [`read`] gives the same for dpkg with apt and for rpm with dnf. Files are read in pieces, so that a large
//! package database does not make the agent large. Everything that is understood is understood by pure functions. Changes nothing.

mod apt;
mod condition;
mod dpkg;
mod pins;
mod rpm;

use std::{path::Path, time::Duration};

use tokio_util::sync::CancellationToken;
use wire::packages::{MOST_PACKAGES, Package, PackageFamily};

use crate::host::{Command, Host};

pub use self::{
    condition::{kernel_why, reboot_why, services},
    pins::pins,
};

/// Asking a package manager takes seconds; one that hangs is left alone.
const PATIENCE: Duration = Duration::from_mins(5);
/// How often a database that is being changed is read again before it is left for the next time.
const TRIES: usize = 3;

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inventory {
    /// Packages in the order of their keys.
    pub packages: Vec<Package>,
    /// Why the updates are not known; empty when they are.
    pub updates_unknown: String,
}

/// Why packages cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a program fails.
    #[error("reading the installed packages")]
    Host(#[from] crate::host::Error),
    /// Somebody else installs right now.
    #[error("the list of packages changes while it is read")]
    Changing,
    /// More than a message may have.
    #[error("the system has more than {MOST_PACKAGES} packages")]
    TooMany,
}

/// Who manages the packages of this system; `None`: nobody that the agent knows.
pub fn family(host: &dyn Host) -> Option<PackageFamily> {
    if host.exists(Path::new(dpkg::STATUS)) {
        return Some(PackageFamily::Dpkg);
    }
    rpm::DATABASES.iter().any(|path| host.exists(Path::new(path))).then_some(PackageFamily::Rpm)
}

/// A number that changes when packages, marks, sources or the wish to be restarted may have changed. Costs some stat(2).
pub fn stamp(host: &dyn Host, family: PackageFamily) -> u64 {
    let files: &[&str] = match family {
        PackageFamily::Dpkg => &dpkg::FILES,
        PackageFamily::Rpm => &rpm::FILES,
        PackageFamily::Unknown => &[],
    };
    files
        .iter()
        .chain(&condition::FILES)
        .fold(0, |all, path| all.rotate_left(7).wrapping_mul(0x0100_0000_01b3) ^ host.stamp(Path::new(path)))
}

/// Reads which packages are installed, and asks which updates there are.
///
/// # Errors
/// The database cannot be read. That updates are not known is none.
pub async fn read(
    host: &dyn Host,
    family: PackageFamily,
    stop: &CancellationToken,
) -> Result<Inventory, Error> {
    let mut inventory = match family {
        PackageFamily::Dpkg => dpkg::read(host, stop).await?,
        PackageFamily::Rpm => rpm::read(host, stop).await?,
        PackageFamily::Unknown => Inventory { packages: Vec::new(), updates_unknown: String::new() },
    };
    // What is no package by its words would be refused with all others.
    inventory.packages.retain(Package::is_plain);
    inventory.packages.sort_by(|a, b| a.key.cmp(&b.key));
    inventory.packages.dedup_by(|a, b| a.key == b.key);
    if inventory.packages.len() > MOST_PACKAGES {
        return Err(Error::TooMany);
    }
    Ok(inventory)
}

/// Runs a program that only looks, with everything that it prints; the lines come also when it ends with another status than 0.
async fn ask(
    host: &dyn Host,
    command: &Command,
    stop: &CancellationToken,
) -> (Vec<String>, Result<(), crate::host::Error>) {
    let lines = std::sync::Mutex::new(Vec::new());
    let keep = |stream, line: &str| {
        if stream == wire::event::Stream::Stdout {
            let mut lines = lines.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // A program that says more than any does is not listened to for ever.
            if lines.len() < 10 * MOST_PACKAGES {
                lines.push(line.to_owned());
            }
        }
    };
    let late = CancellationToken::new();
    let run = async {
        let either = stop.child_token();
        let running = host.run(command, &keep, &either);
        tokio::pin!(running);
        tokio::select! {
            ended = &mut running => ended,
            () = async { tokio::time::sleep(PATIENCE).await; late.cancel(); } => {
                either.cancel();
                running.await
            }
        }
    };
    let ended = run.await.map(drop);
    (lines.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner), ended)
}

#[cfg(test)]
mod tests;
