//! The columns of the list of clients: which are shown, and what stands in them.

use serde::Serialize;

use super::{moment::Moment, status::Status};
use crate::{
    app::{clients::Standing, search::SortBy},
    context::Ctx,
    domain::layout::size::human,
    http::api::view::Traits,
};

/// What is shown when nobody has chosen.
const USUAL: [SortBy; 7] = [
    SortBy::Name,
    SortBy::Stage,
    SortBy::Activity,
    SortBy::Health,
    SortBy::Group,
    SortBy::Model,
    SortBy::Seen,
];

/// The head of a column.
#[derive(Serialize)]
pub(super) struct Head {
    /// Its word.
    pub(super) word: &'static str,
    /// The list sorted by it.
    pub(super) href: String,
    /// As `aria-sort` says it.
    pub(super) sorted: &'static str,
}

/// What stands in a column of a row.
#[derive(Serialize)]
pub(super) struct Cell {
    word: &'static str,
    text: String,
    status: Option<Status>,
    time: Option<Moment>,
}

/// The chosen columns in their usual order, the name always first.
pub(super) fn chosen(words: &str) -> Vec<SortBy> {
    let wanted: Vec<&str> = words.split(',').map(str::trim).filter(|word| !word.is_empty()).collect();
    if wanted.is_empty() {
        return USUAL.to_vec();
    }
    let shown = |column: &SortBy| *column == SortBy::Name || wanted.contains(&column.as_str());
    SortBy::ALL.into_iter().filter(shown).collect()
}

/// What stands in a column for a client.
pub(super) fn cell(ctx: &Ctx, column: SortBy, standing: &Standing, language: &str) -> Cell {
    let now = ctx.now();
    let client = &standing.client;
    let traits = client.facts.as_ref().map(Traits::from).unwrap_or_default();
    let moment = |at: Option<i64>| at.map(|at| Moment::new(at, now, language));
    let mut cell = Cell { word: column.as_str(), text: String::new(), status: None, time: None };
    match column {
        SortBy::Name => cell.text.clone_from(&client.name),
        SortBy::Stage | SortBy::Activity | SortBy::Health => {
            cell.status = Some(Status::new(ctx, standing, language));
        }
        SortBy::Group => {
            let all: Vec<_> = standing.groups.iter().chain(&standing.found_in).cloned().collect();
            cell.text = all.join(", ");
        }
        SortBy::Os => cell.text = traits.os,
        SortBy::Distribution => cell.text.clone_from(&client.config.distribution),
        SortBy::Model => cell.text = traits.model,
        SortBy::Serial => cell.text = traits.serial,
        SortBy::Mac => {
            cell.text = client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        }
        SortBy::Ip => cell.text = traits.addresses.join(", "),
        SortBy::Memory if traits.memory_bytes > 0 => cell.text = human(traits.memory_bytes),
        SortBy::Disk if traits.disk_bytes > 0 => cell.text = human(traits.disk_bytes),
        SortBy::Threads if traits.threads > 0 => cell.text = traits.threads.to_string(),
        SortBy::Memory | SortBy::Disk | SortBy::Threads => {}
        SortBy::Updates => cell.text = standing.updates.map(|count| count.to_string()).unwrap_or_default(),
        SortBy::Agent => cell.text = client.agent_version.clone().unwrap_or_default(),
        SortBy::Seen => cell.time = moment(client.last_seen_at),
        SortBy::Added => cell.time = moment(Some(client.created_at)),
    }
    cell
}
