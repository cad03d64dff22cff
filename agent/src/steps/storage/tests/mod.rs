//! The storage step, on real (loop) disks with the real programs and on a machine in memory. Here: the layouts that both are given.

use wire::storage::{
    DiskExpectation, FileSystem, MountEntry, Partition, PartitionPurpose as Purpose, TableFormat,
};

use super::*;

mod in_memory;
mod on_loop_devices;

const GUID: &str = "7b702344-475f-5e92-b709-6334120da4c8";

struct Wanted(&'static str, u64, Purpose, Option<FileSystem>, &'static str);

const SMALL: &[Wanted] = &[
    Wanted("esp", 40, Purpose::EfiSystem, Some(FileSystem::Vfat), ""),
    Wanted("swap", 4, Purpose::Swap, Some(FileSystem::Swap), "none"),
    Wanted("root", 16, Purpose::Linux, Some(FileSystem::Ext4), "/"),
];

fn uuid(token: &str, number: u32, format: FileSystem) -> String {
    match format {
        FileSystem::Vfat => "ABCD-1234".to_owned(),
        _ => format!("0000000{number}-{token}-b709-6334120da4c8"),
    }
}

fn work_on(disk: DiskExpectation, token: &str, table: TableFormat, wanted: &[Wanted]) -> StorageWork {
    let (mut partitions, mut formats, mut mounts) = (Vec::new(), Vec::new(), Vec::new());
    let mut start = 1;
    for (number, Wanted(id, mib, purpose, format, place)) in (1..).zip(wanted) {
        let volume = Volume::Partition { disk: disk.disk.clone(), number };
        partitions.push(Partition {
            number,
            id: (*id).to_owned(),
            start_bytes: start << 20,
            size_bytes: mib << 20,
            purpose: *purpose,
            guid: format!("0000000{number}-475f-5e92-b709-6334120da4c8"),
            keep: false,
            type_code: String::new(),
        });
        start += mib;
        let Some(format) = *format else { continue };
        let uuid = uuid(token, number, format);
        formats.push(StorageAction::Format {
            volume: volume.clone(),
            format,
            uuid: uuid.clone(),
            label: (*id).to_owned(),
        });
        if !place.is_empty() {
            mounts.push(StorageAction::Mount(MountEntry {
                volume,
                disk: disk.clone(),
                format,
                uuid,
                mount: (*place).to_owned(),
                options: "defaults".to_owned(),
                keep: false,
            }));
        }
    }
    let (name, guid) = (disk.disk.clone(), GUID.to_owned());
    let mut actions = vec![
        StorageAction::Wipe { disk: name.clone() },
        StorageAction::WriteTable { disk: name, table, guid, partitions },
    ];
    actions.extend(formats);
    actions.extend(mounts);
    StorageWork { disks: vec![disk], actions }
}
