//! Telling the server which packages there are: what differs from what it last acknowledged, and nothing when nothing does.
//!
//! Invariant: what the server acknowledged is on disk before the next difference is made from it; the packages themselves are in memory
//! only while they are told. Whether anything may have changed is learned from some stat(2) before each poll, which comes anyway.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context as Hash, SHA256};
use wire::{
    AttemptId, Sha256,
    enrol::Realm,
    packages::{Condition, MOST_SERVICES, Package, PackageFamily, PackagesRequest, PackagesResponse},
};

use super::Life;
use crate::{
    host::{self, Host},
    packages,
    report::chain,
    server::{self, Server},
};

/// What the server has acknowledged: the condition as JSON in the first line, then a line for each package.
const FILE: &str = "packages";

/// What was told, and what is to be told.
#[derive(Default)]
pub(super) struct Told {
    /// Of the state that was told.
    stamp: Option<u64>,
    /// The last attempt since then.
    attempt: Option<AttemptId>,
    /// What was read and not yet acknowledged, so that a server that is away costs no reading.
    unsent: Option<Unsent>,
    /// How often telling has failed in a row.
    failures: u32,
}

/// After so many failures in a row, work goes first.
const FAILURES: u32 = 3;

struct Unsent {
    stamp: u64,
    packages: Vec<Package>,
    condition: Condition,
    collected_at: i64,
}

impl Told {
    /// An attempt has ended: packages may have changed, and services may have to be restarted.
    pub(super) fn carried_out(&mut self, attempt: AttemptId) {
        self.attempt = Some(attempt);
        self.unsent = None;
    }

    /// Telling has failed; whether it has so often that work goes first.
    pub(super) fn fails_again(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures > FAILURES
    }

    /// The server cannot use what was read: it is told again when something has changed.
    pub(super) fn give_up(&mut self) {
        if let Some(unsent) = self.unsent.take() {
            self.stamp = Some(unsent.stamp);
        }
        self.attempt = None;
    }
}

/// What the server has acknowledged.
struct Acknowledged {
    condition: Condition,
    packages: Vec<Package>,
}

impl Acknowledged {
    fn find(host: &dyn Host, path: &Path) -> Option<Self> {
        let content = host.read(path).ok()?;
        let text = String::from_utf8(content).ok()?;
        let mut lines = text.lines();
        let condition = serde_json::from_str(lines.next()?).ok()?;
        // Half a file says nothing about the other half.
        let packages = lines.map(Package::from_line).collect::<Option<Vec<_>>>()?;
        Some(Self { condition, packages })
    }

    fn store(host: &dyn Host, path: &Path, unsent: &Unsent) -> Result<(), host::Error> {
        let mut text = serde_json::to_string(&unsent.condition).unwrap_or_default();
        for package in &unsent.packages {
            text.push('\n');
            text.push_str(&package.line());
        }
        host.write(path, text.as_bytes(), 0o600)
    }
}

pub(super) fn hash(packages: &[Package]) -> Sha256 {
    let mut hash = Hash::new(&SHA256);
    for package in packages {
        hash.update(package.line().as_bytes());
        hash.update(b"\n");
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    Sha256::from_bytes(bytes)
}

/// What of `new` is not in `old`, and what of `old` is there no more; both in the order of their keys.
fn difference(old: &[Package], new: &[Package]) -> (Vec<Package>, Vec<wire::packages::PackageKey>) {
    let (mut set, mut gone) = (Vec::new(), Vec::new());
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    loop {
        match (olds.peek(), news.peek()) {
            (None, None) => return (set, gone),
            (Some(before), Some(after)) if before.key == after.key => {
                if before != after {
                    set.push((*after).clone());
                }
                olds.next();
                news.next();
            }
            (Some(before), after) if after.is_none_or(|after| before.key < after.key) => {
                gone.push(before.key.clone());
                olds.next();
            }
            (_, Some(after)) => {
                set.push((*after).clone());
                news.next();
            }
            (Some(_), None) => return (set, gone),
        }
    }
}

impl Life<'_> {
    fn packages_file(&self) -> PathBuf {
        self.session.config.state_dir.join(FILE)
    }

    /// Tells the server which packages there are when that may have changed.
    pub(super) async fn tell_packages(
        &self,
        told: &mut Told,
        server: &dyn Server,
    ) -> Result<(), server::Error> {
        let host = self.session.host.as_ref();
        if self.realm() != Realm::System {
            return Ok(());
        }
        let Some(family) = packages::family(host) else { return Ok(()) };
        let stamp = packages::stamp(host, family);
        if told.stamp == Some(stamp) && told.attempt.is_none() {
            return Ok(());
        }
        let acknowledged = Acknowledged::find(host, &self.packages_file());
        if told.unsent.as_ref().is_none_or(|unsent| unsent.stamp != stamp) {
            told.unsent = self.read_packages(told, family, stamp, acknowledged.as_ref()).await;
        }
        let Some(unsent) = &told.unsent else {
            (told.stamp, told.attempt) = (Some(stamp), None);
            return Ok(());
        };
        let same = acknowledged
            .as_ref()
            .is_some_and(|known| known.packages == unsent.packages && known.condition == unsent.condition);
        // The first word of a session lets the server compare hashes, whatever it may have lost.
        if !same || told.stamp.is_none() {
            let mut request = PackagesRequest {
                collected_at: unsent.collected_at,
                base: None,
                sha256: hash(&unsent.packages),
                family,
                set: Vec::new(),
                gone: Vec::new(),
                condition: unsent.condition.clone(),
                attempt: told.attempt,
            };
            match &acknowledged {
                Some(known) => {
                    request.base = Some(hash(&known.packages));
                    (request.set, request.gone) = difference(&known.packages, &unsent.packages);
                }
                None => request.set = unsent.packages.clone(),
            }
            drop(acknowledged);
            if server.packages(&request).await? == PackagesResponse::SendWhole && request.base.is_some() {
                tracing::info!(
                    "the server knows other packages than this machine has told: it is told all of them"
                );
                (request.base, request.set, request.gone) = (None, unsent.packages.clone(), Vec::new());
                server.packages(&request).await?;
            }
        }
        if !same && let Err(error) = Acknowledged::store(host, &self.packages_file(), unsent) {
            // The next difference is made from an older state, which the server notices.
            tracing::warn!(error = chain(&error), "what the server knows of the packages cannot be kept");
        }
        *told = Told { stamp: Some(stamp), ..Told::default() };
        Ok(())
    }

    /// `None`: it cannot be read now.
    async fn read_packages(
        &self,
        told: &Told,
        family: PackageFamily,
        stamp: u64,
        acknowledged: Option<&Acknowledged>,
    ) -> Option<Unsent> {
        let host = self.session.host.as_ref();
        let collected_at = host.now();
        let (packages, updates_unknown) = match acknowledged {
            // Only an attempt has ended, and it changed no package.
            Some(known) if told.stamp == Some(stamp) => {
                (known.packages.clone(), known.condition.updates_unknown.clone())
            }
            _ => match packages::read(host, family, self.stop).await {
                Ok(inventory) => (inventory.packages, inventory.updates_unknown),
                Err(error) => {
                    tracing::warn!(error = chain(&error), "the packages of this system are not known");
                    return None;
                }
            },
        };
        let services = match acknowledged {
            // All maps of all processes are looked at only when there is a reason.
            Some(known) if told.stamp.is_some() && told.attempt.is_none() => known.condition.services.clone(),
            _ => packages::services(host),
        };
        let condition = Condition {
            reboot_why: packages::reboot_why(host),
            services: services.into_iter().take(MOST_SERVICES).collect(),
            updates_unknown,
            pins: packages::pins(host),
        };
        Some(Unsent { stamp, packages, condition, collected_at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::packages::PackageKey;

    use super::*;

    fn state() -> impl Strategy<Value = Vec<Package>> {
        let package = ("[a-c]", "[12]", any::<bool>()).prop_map(|(name, version, automatic)| Package {
            key: PackageKey { name, architecture: "all".to_owned(), version },
            automatic,
            held: false,
            size_bytes: 0,
            update: None,
        });
        proptest::collection::vec(package, 0..6).prop_map(|mut packages| {
            packages.sort_by(|a, b| a.key.cmp(&b.key));
            packages.dedup_by(|a, b| a.key == b.key);
            packages
        })
    }

    proptest! {
        #[test]
        fn a_difference_leads_from_the_old_state_to_the_new_one(old in state(), new in state()) {
            let (set, gone) = difference(&old, &new);
            let mut become_new: Vec<Package> = old
                .into_iter()
                .filter(|package| !gone.contains(&package.key) && !set.iter().any(|other| other.key == package.key))
                .chain(set.clone())
                .collect();
            become_new.sort_by(|a, b| a.key.cmp(&b.key));
            prop_assert_eq!(hash(&become_new), hash(&new));
            prop_assert_eq!(become_new, new);
        }
    }
}
