//! Which packages systems have: what changed between two states, what a state was before a change, how two states differ. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    JobId,
    packages::{Condition, Package, PackageFamily, PackageKey},
};

use super::search::version;

/// What is known about the packages of a client as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Inventory {
    /// Who manages them.
    pub family: PackageFamily,
    /// When the agent has read them, by its clock.
    pub collected_at: i64,
    /// When the server has heard of the last change.
    pub received_at: i64,
    /// Since when changes are known.
    pub first_at: i64,
    /// How many there are.
    pub packages: i64,
    /// How many could be newer; absent when nobody knows.
    pub updates: Option<i64>,
    /// How many of those are security updates.
    pub security_updates: Option<i64>,
    /// What the system needs.
    pub condition: Condition,
}

/// A change of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Its name.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that was there; empty: none.
    pub was: String,
    /// The version that is there now; empty: none.
    pub became: String,
}

/// A change of a package of a client that was kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageChange {
    /// Grows with time.
    pub id: i64,
    /// When the server has heard of it.
    pub at: i64,
    /// The package.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version that was there; empty: it was installed.
    pub was: String,
    /// The version that came; empty: it was removed.
    pub became: String,
    /// The job that ran before it was noticed.
    pub job: Option<JobId>,
    /// Who had given the job.
    pub by: Option<String>,
}

/// A package that two systems do not have alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PackageDifference {
    /// The package.
    pub name: String,
    /// Its architecture.
    pub architecture: String,
    /// The version on the left, several separated by commas; empty: it is not there.
    pub left: String,
    /// The version on the right.
    pub right: String,
    /// `left`, `right` (only there), `older`, `newer` (on the right) or `other`.
    pub kind: String,
}

/// Versions by name and architecture.
pub type State = BTreeMap<(String, String), BTreeSet<String>>;

/// The state that packages are.
pub fn state<'a>(keys: impl IntoIterator<Item = &'a PackageKey>) -> State {
    let mut state = State::new();
    for PackageKey { name, architecture, version } in keys {
        state.entry((name.clone(), architecture.clone())).or_default().insert(version.clone());
    }
    state
}

/// What has changed from one list of packages to another, by name. Marks, sizes and updates are no changes.
pub fn changes(old: &[Package], new: &[Package]) -> Vec<Change> {
    let (before, after) =
        (state(old.iter().map(|package| &package.key)), state(new.iter().map(|package| &package.key)));
    let none = BTreeSet::new();
    let mut changes = Vec::new();
    for which in before.keys().chain(after.keys().filter(|which| !before.contains_key(*which))) {
        let (was, became) = (before.get(which).unwrap_or(&none), after.get(which).unwrap_or(&none));
        let mut gone = was.difference(became);
        let mut come = became.difference(was);
        loop {
            let (was, became) = (gone.next(), come.next());
            if was.is_none() && became.is_none() {
                break;
            }
            changes.push(Change {
                name: which.0.clone(),
                architecture: which.1.clone(),
                was: was.cloned().unwrap_or_default(),
                became: became.cloned().unwrap_or_default(),
            });
        }
    }
    changes.sort();
    changes
}

/// Takes a change back.
pub fn undo(state: &mut State, change: &PackageChange) {
    let which = (change.name.clone(), change.architecture.clone());
    let versions = state.entry(which.clone()).or_default();
    if !change.became.is_empty() {
        versions.remove(&change.became);
    }
    if !change.was.is_empty() {
        versions.insert(change.was.clone());
    }
    if versions.is_empty() {
        state.remove(&which);
    }
}

/// What two states do not have alike, by name.
pub fn compare(left: &State, right: &State) -> Vec<PackageDifference> {
    let none = BTreeSet::new();
    let all: BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let mut differences = Vec::new();
    for which in all {
        let (l, r) = (left.get(which).unwrap_or(&none), right.get(which).unwrap_or(&none));
        if l == r {
            continue;
        }
        let kind = match (l.len(), r.len()) {
            (_, 0) => "left",
            (0, _) => "right",
            (1, 1) => {
                let keys = (l.first().map(|l| version::key(l)), r.first().map(|r| version::key(r)));
                match keys.0.cmp(&keys.1) {
                    std::cmp::Ordering::Less => "newer",
                    std::cmp::Ordering::Greater => "older",
                    std::cmp::Ordering::Equal => "other",
                }
            }
            _ => "other",
        };
        let shown = |versions: &BTreeSet<String>| versions.iter().cloned().collect::<Vec<_>>().join(", ");
        differences.push(PackageDifference {
            name: which.0.clone(),
            architecture: which.1.clone(),
            left: shown(l),
            right: shown(r),
            kind: kind.to_owned(),
        });
    }
    differences
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn package(name: &str, version: &str) -> Package {
        Package {
            key: PackageKey {
                name: name.to_owned(),
                architecture: "amd64".to_owned(),
                version: version.to_owned(),
            },
            automatic: false,
            held: false,
            size_bytes: 0,
            update: None,
        }
    }

    fn of(packages: &[Package]) -> State {
        state(packages.iter().map(|package| &package.key))
    }

    #[test]
    fn an_upgrade_is_one_change_and_a_second_kernel_is_another_package() {
        let old = [package("vim", "1"), package("kernel", "5"), package("nano", "1")];
        let new = [package("vim", "2"), package("kernel", "5"), package("kernel", "6"), package("htop", "1")];
        let found: Vec<_> = changes(&old, &new)
            .into_iter()
            .map(|change| format!("{} {}>{}", change.name, change.was, change.became))
            .collect();
        assert_eq!(found, ["htop >1", "kernel >6", "nano 1>", "vim 1>2"]);
    }

    #[test]
    fn versions_are_older_or_newer_by_their_order_and_not_by_their_letters() {
        let left = of(&[package("a", "1.10"), package("b", "1.9"), package("c", "1"), package("d", "1")]);
        let right = of(&[package("a", "1.9"), package("b", "1.10"), package("d", "1"), package("e", "1")]);
        let found: Vec<_> = compare(&left, &right).into_iter().map(|one| (one.name, one.kind)).collect();
        let expected = [("a", "older"), ("b", "newer"), ("c", "left"), ("e", "right")];
        assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind.to_owned())));
    }

    fn packages() -> impl Strategy<Value = Vec<Package>> {
        proptest::collection::btree_set(("[a-d]", "[1-3]"), 0..8)
            .prop_map(|set| set.into_iter().map(|(name, version)| package(&name, &version)).collect())
    }

    proptest! {
        #[test]
        fn what_is_taken_back_is_what_was(states in proptest::collection::vec(packages(), 1..6)) {
            let mut now = of(&states[states.len() - 1]);
            for pair in states.windows(2).rev() {
                for change in changes(&pair[0], &pair[1]).into_iter().rev() {
                    let Change { name, architecture, was, became } = change;
                    undo(&mut now, &PackageChange { id: 0, at: 0, name, architecture, was, became, job: None, by: None });
                }
                prop_assert_eq!(&now, &of(&pair[0]));
            }
        }
    }
}
