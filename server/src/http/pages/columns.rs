//! The columns of the list of clients: which are shown, and what stands in them.

use serde::Serialize;

use super::{moment::Moment, status::Status};
use crate::{
    app::{clients::Standing, search::SortBy},
    domain::layout::size::human,
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
pub(super) fn cell(column: SortBy, standing: &Standing, now: i64, language: &str) -> Cell {
    let client = &standing.client;
    let facts = client.facts.as_ref();
    let moment = |at: Option<i64>| at.map(|at| Moment::new(at, now, language));
    let mut cell = Cell { word: column.as_str(), text: String::new(), status: None, time: None };
    match column {
        SortBy::Name => cell.text.clone_from(&client.name),
        SortBy::Stage | SortBy::Activity | SortBy::Health => {
            cell.status = Some(Status::new(standing, now, language));
        }
        SortBy::Group => {
            let all: Vec<_> = standing.groups.iter().chain(&standing.found_in).cloned().collect();
            cell.text = all.join(", ");
        }
        SortBy::Os => cell.text = facts.map(|facts| facts.os.name.clone()).unwrap_or_default(),
        SortBy::Distribution => cell.text.clone_from(&client.config.distribution),
        SortBy::Model => {
            let model = facts.map(|facts| format!("{} {}", facts.dmi.vendor.trim(), facts.dmi.product.trim()));
            cell.text = model.unwrap_or_default().trim().to_owned();
        }
        SortBy::Serial => cell.text = facts.map(|facts| facts.dmi.serial.clone()).unwrap_or_default(),
        SortBy::Mac => {
            cell.text = client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        }
        SortBy::Ip => {
            let addresses = facts.iter().flat_map(|facts| &facts.nics).flat_map(|nic| &nic.addresses);
            let shown = addresses.filter(|address| !address.starts_with("fe80:"));
            cell.text = shown.filter_map(|text| text.split('/').next()).collect::<Vec<_>>().join(", ");
        }
        SortBy::Memory => cell.text = facts.map(|facts| human(facts.memory_bytes)).unwrap_or_default(),
        SortBy::Disk => {
            let largest = facts.and_then(|facts| facts.disks.iter().map(|disk| disk.size_bytes).max());
            cell.text = largest.map(human).unwrap_or_default();
        }
        SortBy::Threads => {
            cell.text = facts.map(|facts| facts.cpu.threads.to_string()).unwrap_or_default();
        }
        SortBy::Agent => cell.text = client.agent_version.clone().unwrap_or_default(),
        SortBy::Seen => cell.time = moment(client.last_seen_at),
        SortBy::Added => cell.time = moment(Some(client.created_at)),
    }
    cell
}
