//! Which disks of a machine a layout means. Ambiguity and absence are errors that name the candidates.

use std::collections::BTreeMap;

use wire::facts::{Disk, Facts};

use super::described;
use crate::domain::layout::{DiskMatch, Layout, LayoutProblem, Size, YesNoAny};

/// The disk for each of the layout's disks.
///
/// # Errors
/// None fits, several fit, or one fits twice.
pub(super) fn select<'a>(
    layout: &'a Layout,
    facts: &'a Facts,
) -> Result<BTreeMap<&'a str, &'a Disk>, Vec<LayoutProblem>> {
    let mut chosen: BTreeMap<&str, &Disk> = BTreeMap::new();
    let mut problems = Vec::new();
    for (name, wanted) in &layout.disks {
        let mut problem =
            |message| problems.push(LayoutProblem { line: 0, place: format!("disks.{name}"), message });
        let candidates: Vec<&Disk> =
            facts.disks.iter().filter(|disk| why_not(&wanted.wanted, disk).is_none()).collect();
        match candidates.as_slice() {
            [] => problem(no_disk(&wanted.wanted, facts)),
            [disk] => match chosen.iter().find(|(_, other)| other.path == disk.path) {
                Some((other, _)) => problem(format!(
                    "{} is meant by `disks.{other}` too; describe the two more closely",
                    described(disk)
                )),
                None => match facts.disks.iter().find(|other| is_twin(disk, other)) {
                    Some(twin) => problem(format!(
                        "{} cannot be told from {}: both have the same serial number and size, so the agent could not find it again; \
                         take one of them out, or make one of two paths to one disk unusable",
                        described(disk),
                        described(twin)
                    )),
                    None => {
                        chosen.insert(name, disk);
                    }
                },
            },
            several => {
                let names = several.iter().map(|disk| described(disk)).collect::<Vec<_>>().join(", ");
                problem(format!(
                    "{} disks fit: {names}; name one by `serial`, `wwn` or `path`, or describe it more closely",
                    several.len()
                ));
            }
        }
    }
    if problems.is_empty() { Ok(chosen) } else { Err(problems) }
}

/// The agent finds a disk by serial number and world wide name, and only a nameless one by its path.
fn is_twin(disk: &Disk, other: &Disk) -> bool {
    let is_named = !(disk.serial.is_empty() && disk.wwn.is_empty());
    let same_name = disk.wwn == other.wwn || (disk.wwn.is_empty() && !disk.serial.is_empty());
    is_named
        && disk.path != other.path
        && disk.serial == other.serial
        && same_name
        && disk.size_bytes == other.size_bytes
        && disk.sector_bytes == other.sector_bytes
}

fn no_disk(wanted: &DiskMatch, facts: &Facts) -> String {
    if facts.disks.is_empty() {
        return "the machine has no disk, or the installer has no driver for its controller".to_owned();
    }
    let reasons = facts
        .disks
        .iter()
        .filter_map(|disk| why_not(wanted, disk).map(|why| format!("{} {why}", described(disk))))
        .collect::<Vec<_>>()
        .join(", ");
    format!("no disk fits: {reasons}")
}

/// Why a disk is not meant.
fn why_not(wanted: &DiskMatch, disk: &Disk) -> Option<String> {
    let other = |word: &str, want: &Option<String>, have: &str| {
        want.as_ref().filter(|want| want.as_str() != have).map(|want| format!("has not the {word} {want}"))
    };
    if disk.read_only {
        return Some("cannot be written".to_owned());
    }
    if disk.removable && !wanted.names_one() {
        return Some("can be pulled out, so it must be named".to_owned());
    }
    other("serial", &wanted.serial, &disk.serial)
        .or_else(|| other("wwn", &wanted.wwn, &disk.wwn))
        .or_else(|| other("path", &wanted.path, &disk.path))
        .or_else(|| other("transport", &wanted.transport, &disk.transport))
        .or_else(|| match wanted.min_size {
            Some(Size::Bytes(min)) if disk.size_bytes < min => {
                Some(format!("is smaller than {}", Size::Bytes(min)))
            }
            _ => None,
        })
        .or_else(|| match wanted.max_size {
            Some(Size::Bytes(max)) if disk.size_bytes > max => {
                Some(format!("is larger than {}", Size::Bytes(max)))
            }
            _ => None,
        })
        .or_else(|| match (wanted.rotational, disk.rotational) {
            (YesNoAny::Yes, false) => Some("has no turning platters".to_owned()),
            (YesNoAny::No, true) => Some("has turning platters".to_owned()),
            _ => None,
        })
}
