//! Which source list a machine's package source is, if any that this server has.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::survey::FoundSource;

use crate::domain::source_list::{PackageSource, Place};

/// A source list of this server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownList {
    /// Its name.
    pub name: String,
    /// Its sources.
    pub sources: Vec<PackageSource>,
}

/// A package source of a machine, and the list that it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeenSource {
    /// As it stands on the machine.
    #[serde(flatten)]
    pub found: FoundSource,
    /// The source list of this server that has all of its suites; absent: none has.
    pub list: Option<String>,
}

/// The machine's sources with the lists that they are.
pub fn seen(found: &[FoundSource], lists: &[KnownList]) -> Vec<SeenSource> {
    let list = |found: &FoundSource| {
        let has_all = |list: &&KnownList| {
            !found.suites.is_empty()
                && !found.uris.is_empty()
                && found.suites.iter().all(|suite| {
                    found.uris.iter().all(|uri| list.sources.iter().any(|source| is(source, uri, suite)))
                })
        };
        lists.iter().find(has_all).map(|list| list.name.clone())
    };
    found.iter().map(|found| SeenSource { found: found.clone(), list: list(found) }).collect()
}

/// Whether a source of a list is this suite at this address. Mirrors and repositories are told by the last part of their address: where
/// a machine gets them from is another matter.
fn is(source: &PackageSource, uri: &str, suite: &str) -> bool {
    let uri = uri.trim_end_matches('/');
    let last = uri.rsplit('/').next().unwrap_or_default();
    source.suites.iter().any(|known| known.trim_end_matches('/') == suite.trim_end_matches('/'))
        && source.places().any(|place| match place {
            Place::Url(known) => without_scheme(known.trim_end_matches('/')) == without_scheme(uri),
            Place::Mirror(name) | Place::Repository(name) => name == last,
        })
}

fn without_scheme(uri: &str) -> &str {
    uri.split_once("://").map_or(uri, |(_, rest)| rest)
}
