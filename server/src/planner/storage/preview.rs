//! What storage work does, for people who decide about it: from the work itself, so that it cannot be another.

use std::collections::BTreeMap;

use wire::{
    facts::{Disk, Facts},
    storage::{Partition, StorageAction, StorageWork, Volume},
};

use super::{described, what_would_be_lost};

/// What a storage job does to one disk, for people who decide about it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct DiskPreview {
    /// The disk's key in the layout, such as `system`.
    #[serde(default)]
    pub name: String,
    /// Length of the disk.
    #[serde(default)]
    pub size_bytes: u64,
    /// The disk: path, serial, size.
    pub disk: String,
    /// What is destroyed; empty when the disk is blank.
    pub destroyed: String,
    /// The new partitions, in order.
    pub written: Vec<PartitionPreview>,
}

/// One new partition.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct PartitionPreview {
    /// Its id in the layout.
    pub id: String,
    /// First byte.
    pub start_bytes: u64,
    /// Length.
    pub size_bytes: u64,
    /// File system, or what the partition is for.
    pub content: String,
    /// Where it is mounted; empty when it is not.
    pub mount: String,
    /// It is there already, and stays.
    #[serde(default)]
    pub kept: bool,
}

/// What storage work does, disk by disk.
pub fn preview(work: &StorageWork, facts: &Facts) -> Vec<DiskPreview> {
    let disks: BTreeMap<&str, &Disk> = facts.disks.iter().map(|disk| (disk.path.as_str(), disk)).collect();
    let mut previews = Vec::new();
    for expectation in &work.disks {
        let there = disks.get(expectation.path.as_str());
        let mut written = Vec::new();
        for action in &work.actions {
            if let StorageAction::WriteTable { disk, partitions, .. } = action
                && *disk == expectation.disk
            {
                written.extend(
                    partitions.iter().map(|partition| preview_partition(work, &expectation.disk, partition)),
                );
            }
        }
        previews.push(DiskPreview {
            name: expectation.disk.clone(),
            size_bytes: expectation.size_bytes,
            disk: there.map_or_else(|| expectation.path.clone(), |disk| described(disk)),
            destroyed: there.and_then(|disk| destroyed(work, &expectation.disk, disk)).unwrap_or_default(),
            written,
        });
    }
    previews
}

/// What an agent finds on the disk and does not leave there.
fn destroyed(work: &StorageWork, on: &str, disk: &Disk) -> Option<String> {
    let is_kept = |number: u32| {
        work.actions.iter().any(|action| match action {
            StorageAction::WriteTable { disk, partitions, .. } => {
                disk == on && partitions.iter().any(|partition| partition.keep && partition.number == number)
            }
            _ => false,
        })
    };
    what_would_be_lost(disk, is_kept)
}

fn preview_partition(work: &StorageWork, on: &str, partition: &Partition) -> PartitionPreview {
    let here = Volume::Partition { disk: on.to_owned(), number: partition.number };
    let format = work.actions.iter().find_map(|action| match action {
        StorageAction::Format { volume, format, .. } if *volume == here => Some(*format),
        _ => None,
    });
    let mount = work.actions.iter().find_map(|action| match action {
        StorageAction::Mount(entry) if entry.volume == here && entry.mount != "none" => {
            Some(entry.mount.clone())
        }
        _ => None,
    });
    let content = match format {
        Some(format) => format!("{format:?}").to_lowercase(),
        None if partition.keep => "kept".to_owned(),
        None => format!("{:?}", partition.purpose).to_lowercase(),
    };
    PartitionPreview {
        id: partition.id.clone(),
        start_bytes: partition.start_bytes,
        size_bytes: partition.size_bytes,
        content,
        mount: mount.unwrap_or_default(),
        kept: partition.keep,
    }
}
