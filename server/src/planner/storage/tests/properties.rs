//! Random layouts on random machines: what must hold of whatever is accepted, and of whatever is refused.

use std::{cell::Cell, collections::BTreeSet};

use proptest::{
    collection::vec,
    option::{of, weighted},
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use wire::{facts::DiskPartition, storage::TableFormat};

use super::*;
use crate::domain::layout::{Size, line_of};

const MIB: u64 = 1 << 20;

/// A layout as people write it, one line for each partition.
fn layout() -> impl Strategy<Value = String> {
    (disk_text(true), weighted(0.3, disk_text(false))).prop_map(|(system, data)| {
        let mut text = format!("disks:\n  system:\n{system}");
        if let Some(data) = data {
            text += &format!("  data:\n{data}");
        }
        text
    })
}

fn disk_text(is_system: bool) -> impl Strategy<Value = String> {
    let mine = if is_system { "S0" } else { "S1" };
    let matching = (
        weighted(0.2, select(vec!["1GiB", "30GiB", "3TiB"])),
        weighted(0.03, select(vec!["2GiB", "900GiB"])),
        weighted(0.85, prop_oneof![9 => Just(mine), 1 => select(vec!["S0", "S1", "S2"])]),
        weighted(0.1, select(vec!["/dev/sda", "/dev/sdb"])),
        weighted(0.05, select(vec!["yes", "no"])),
    )
        .prop_map(|(min, max, serial, path, rotational)| {
            [
                ("min_size", min),
                ("max_size", max),
                ("serial", serial),
                ("path", path),
                ("rotational", rotational),
            ]
            .into_iter()
            .filter_map(|(word, value)| value.map(|value| format!("{word}: {value}")))
            .collect::<Vec<_>>()
            .join(", ")
        });
    let meant = prop_oneof![8 => select(vec!["number: 1", "number: 2"]), 2 => select(vec!["name: p2", "label: l", "number: 9"])];
    let kept = vec((meant, weighted(0.3, Just(()))), 1..3);
    let keep = weighted(0.4, kept).prop_map(Option::unwrap_or_default);
    let parts = vec(partition_text(), usize::from(!is_system)..3);
    (matching, select(vec!["gpt", "gpt", "gpt", "mbr"]), weighted(0.7, Just(())), keep, parts, 0..3_u8, weighted(0.9, Just(()))).prop_map(
        move |(matching, table, wipe, keep, parts, rest, boots)| {
            let mut text = format!("    match: {{ {matching} }}\n    table: {table}\n    wipe: {}\n", wipe.is_some());
            if !keep.is_empty() {
                text += "    keep:\n";
            }
            for (at, (matching, mounted)) in keep.into_iter().enumerate() {
                let mount = if mounted.is_some() { format!(", mount: /kept{is_system}{at}") } else { String::new() };
                text += &format!("      - {{ id: k{at}, match: {{ {matching} }}{mount} }}\n");
            }
            text += "    partitions:\n";
            if is_system && boots.is_some() {
                text += "      - { id: esp, size: 100MiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }\n";
                if table == "gpt" {
                    text += "      - { id: bios, size: 1MiB, type: bios-boot, when: bios }\n";
                }
            }
            for (at, (size, more)) in parts.into_iter().enumerate() {
                text += &format!("      - {{ id: p{at}, size: {size}, {more} }}\n");
            }
            if is_system {
                let size = ["rest", "40%", "1GiB"][usize::from(rest)];
                text += &format!("      - {{ id: root, size: {size}, min: 64MiB, format: ext4, mount: / }}\n");
            }
            text
        },
    )
}

/// Size and other words of a partition that carries nothing which the machine needs.
fn partition_text() -> impl Strategy<Value = (String, String)> {
    let size = prop_oneof![
        6 => (300_u64..6000).prop_map(|mib| format!("{mib}MiB")),
        4 => (1_u64..9_000_000_000).prop_map(|bytes| format!("{bytes}B")),
        1 => (1_u64..3000).prop_map(|gb| format!("{gb}GB")),
        1 => (1_u8..=100).prop_map(|percent| format!("{percent}%")),
        6 => (1_u8..20).prop_map(|percent| format!("{percent}%")),
        1 => Just("rest".to_owned()),
    ];
    let good =
        vec!["format: ext4", "format: xfs", "format: btrfs", "format: vfat", "format: swap", "type: linux"];
    let more = vec!["type: bios-boot", "type: efi-system, format: vfat", "type: swap, format: ext4"];
    let kind = prop_oneof![20 => select(good), 1 => select(more)];
    let more = (
        kind,
        weighted(0.2, select(vec!["min: 300MiB", "min: 77777777B", "min: 2TB"])),
        of(select(vec!["when: bios", "when: uefi"])),
    );
    (
        size,
        more.prop_map(|(kind, min, when)| {
            [Some(kind), min, when].into_iter().flatten().collect::<Vec<_>>().join(", ")
        }),
    )
}

fn machine() -> impl Strategy<Value = Facts> {
    let firmware = select(vec![Firmware::Bios, Firmware::Uefi, Firmware::Unknown]);
    (firmware, prop_oneof![1 => vec(disk_there(), 0..2), 8 => vec(disk_there(), 2..5)]).prop_map(
        |(firmware, mut disks)| {
            for (at, disk) in disks.iter_mut().enumerate() {
                disk.path = format!("/dev/sd{}", ['a', 'b', 'c', 'd', 'e'][at]);
                // Mostly a serial number of its own.
                if disk.serial == "S?" {
                    disk.serial = format!("S{at}");
                }
                for partition in &mut disk.partitions {
                    partition.path = format!("{}{}", disk.path, partition.number);
                }
            }
            facts(firmware, disks)
        },
    )
}

fn disk_there() -> impl Strategy<Value = Disk> {
    let size = prop_oneof![
        1 => (0_u64..64).prop_map(|mib| mib * MIB + 512),
        8 => (20_u64..4000).prop_map(|gb| gb * 1_000_000_000 / 4096 * 4096),
        2 => select(vec![0, MIB, 4 * MIB, 2_u64 << 40, (2 << 40) + 4096, 16 << 40, 100 << 40]),
    ];
    let identity =
        (prop_oneof![9 => Just("S?"), 1 => select(vec!["S0", "S1", ""])], select(vec!["", "naa.1", "naa.2"]));
    let sectors = prop_oneof![
        20 => select(vec![(512, 512), (512, 4096), (4096, 4096), (4096, 65536)]),
        1 => Just((520, 520)),
    ];
    let odd = (weighted(0.05, Just(())), weighted(0.05, Just(())), any::<bool>());
    let content = (
        select(vec!["", "gpt", "gpt", "gpt", "gpt", "mbr"]),
        select(vec!["", "", "ext4"]),
        vec(partition_there(), 0..5),
    );
    (size, identity, sectors, odd, content).prop_map(
        |(size, identity, sectors, odd, (table, content, parts))| {
            let mut disk = Disk {
                serial: identity.0.to_owned(),
                wwn: identity.1.to_owned(),
                size_bytes: size,
                sector_bytes: sectors.0,
                physical_sector_bytes: sectors.1,
                removable: odd.0.is_some(),
                read_only: odd.1.is_some(),
                rotational: odd.2,
                table: table.to_owned(),
                ..Disk::default()
            };
            if table.is_empty() {
                disk.content = content.to_owned();
                return disk;
            }
            // One behind the other with gaps, in sectors that need not be aligned to anything.
            let mut start = 63;
            for (number, (gap, length, partition)) in (1..).zip(parts) {
                start += gap * size / 4096 / 100;
                let (start_bytes, size_bytes) = (start * 4096, length * size / 4096 / 100 * 4096);
                start += length * size / 4096 / 100;
                disk.partitions.push(DiskPartition { number, start_bytes, size_bytes, ..partition });
            }
            disk
        },
    )
}

fn partition_there() -> impl Strategy<Value = (u64, u64, DiskPartition)> {
    let content = select(vec!["ext4", "xfs", "ntfs", "swap", ""]);
    (0_u64..10, 0_u64..30, content, select(vec!["p1", "p2", ""])).prop_map(|(gap, length, content, name)| {
        let partition = DiskPartition {
            content: content.to_owned(),
            name: name.to_owned(),
            label: if content == "xfs" { "l".to_owned() } else { String::new() },
            uuid: if content.is_empty() { String::new() } else { format!("u-{gap}-{length}") },
            guid: format!("g-{gap}-{length}"),
            type_code: "0x83".to_owned(),
            ..DiskPartition::default()
        };
        (gap, length, partition)
    })
}

#[test]
fn whatever_is_accepted_can_be_done_and_whatever_is_refused_says_where_and_why() {
    let (accepted, refused, kept) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = Config {
        cases: Config::default().cases.max(6000),
        failure_persistence: None,
        max_shrink_iters: 4000,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&(layout(), machine()), |(text, facts)| {
        let layout = match Layout::parse(&text) {
            Ok(layout) => layout,
            Err(problems) => {
                refused.set(refused.get() + 1);
                return is_told_well(&text, &facts, &problems);
            }
        };
        match plan(&layout, &facts, SEED) {
            Err(problems) => {
                refused.set(refused.get() + 1);
                is_told_well(&text, &facts, &problems)
            }
            Ok(work) => {
                accepted.set(accepted.get() + 1);
                kept.set(kept.get() + usize::from(layout.disks.values().any(|disk| !disk.keep.is_empty())));
                can_be_done(&layout, &facts, &work)
            }
        }
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    // Else it would be nothing that is tested here.
    assert!(
        accepted.get() > 500 && refused.get() > 500 && kept.get() > 30,
        "{accepted:?} {refused:?} {kept:?}"
    );
}

fn is_told_well(text: &str, facts: &Facts, problems: &[LayoutProblem]) -> Result<(), TestCaseError> {
    prop_assert!(!problems.is_empty());
    for problem in problems {
        let line = if problem.line == 0 { line_of(text, &problem.place) } else { problem.line };
        prop_assert!((1..=text.lines().count()).contains(&line), "no line: {problem:?}");
        let said = text.lines().nth(line - 1).unwrap();
        if let Some((list, _)) = problem.place.split_once('[') {
            let id = if list.ends_with("keep") { "- { id: k" } else { "- { id: " };
            prop_assert!(said.contains(id), "{problem:?} is not at `{said}`");
        }
        prop_assert!(problem.message.len() > 10, "{problem:?}");
        if problem.message.contains("no disk fits") {
            for disk in &facts.disks {
                prop_assert!(problem.message.contains(&disk.path), "{problem:?} leaves {} out", disk.path);
            }
        }
        if problem.message.contains("disks fit") {
            prop_assert!(problem.message.matches("/dev/sd").count() >= 2, "{problem:?}");
        }
    }
    Ok(())
}

fn can_be_done(layout: &Layout, facts: &Facts, work: &StorageWork) -> Result<(), TestCaseError> {
    let again = plan(layout, &facts.clone(), SEED).unwrap();
    prop_assert_eq!(
        serde_json::to_vec(work).unwrap(),
        serde_json::to_vec(&again).unwrap(),
        "not the same twice"
    );
    let paths: BTreeSet<_> = work.disks.iter().map(|disk| &disk.path).collect();
    prop_assert_eq!(paths.len(), layout.disks.len(), "each disk once");
    let mut guids = BTreeSet::new();
    let mut uuids = BTreeSet::new();
    for expected in &work.disks {
        let disk = facts.disks.iter().find(|disk| disk.path == expected.path).unwrap();
        // As the agent looks for it.
        let same = |other: &&Disk| {
            let is_nameless = expected.serial.is_empty() && expected.wwn.is_empty();
            other.serial == expected.serial
                && (other.wwn == expected.wwn || (expected.wwn.is_empty() && !expected.serial.is_empty()))
                && (!is_nameless || other.path == expected.path)
                && (other.size_bytes, other.sector_bytes) == (expected.size_bytes, expected.sector_bytes)
        };
        prop_assert!(facts.disks.iter().filter(same).count() == 1, "the agent cannot tell it from its twin");
        let wanted = &layout.disks[&expected.disk];
        let wipes = work.actions.contains(&StorageAction::Wipe { disk: expected.disk.clone() });
        prop_assert_eq!(wipes, wanted.wipe);
        let tables: Vec<_> = work
            .actions
            .iter()
            .filter_map(|action| match action {
                StorageAction::WriteTable { disk, table, guid, partitions } if *disk == expected.disk => {
                    Some((table, guid, partitions))
                }
                _ => None,
            })
            .collect();
        prop_assert_eq!(tables.len(), 1);
        let (table, guid, partitions) = tables[0];
        prop_assert_eq!(*table, wanted.table);
        prop_assert!(guids.insert(guid.clone()));
        lies_well(*table, disk, partitions)?;
        for partition in partitions.iter().filter(|partition| !partition.keep) {
            prop_assert!(guids.insert(partition.guid.clone()), "a GUID is used twice");
        }
        stays(disk, wanted.wipe, partitions)?;
        is_as_wanted(wanted, facts.firmware, partitions)?;
    }
    for action in &work.actions {
        let (volume, uuid, is_kept) = match action {
            StorageAction::Format { volume, uuid, .. } => {
                prop_assert!(uuids.insert(uuid.clone()), "a UUID is used twice");
                (volume, uuid, false)
            }
            StorageAction::Mount(entry) => (&entry.volume, &entry.uuid, entry.keep),
            _ => continue,
        };
        let Volume::Partition { disk, number } = volume else { panic!("{volume:?}") };
        let is_there = work.actions.iter().any(|action| match action {
            StorageAction::WriteTable { disk: on, partitions, .. } => {
                on == disk && partitions.iter().any(|p| p.number == *number && p.keep == is_kept)
            }
            _ => false,
        });
        prop_assert!(is_there && !uuid.is_empty(), "{action:?}");
    }
    let mounts: Vec<_> =
        fstab(work).lines().skip(1).filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
    for (at, mount) in mounts.iter().enumerate() {
        let below =
            mounts[..at].iter().any(|before| before != "none" && before.starts_with(&format!("{mount}/")));
        prop_assert!(mount == "none" || !below, "{mounts:?}");
    }
    prop_assert!(!boot_disks(work).is_empty());
    Ok(())
}

/// It fits, overlaps nothing, is aligned, and leaves the table its own place.
fn lies_well(table: TableFormat, disk: &Disk, partitions: &[Partition]) -> Result<(), TestCaseError> {
    let sector = u64::from(disk.sector_bytes);
    let end = match table {
        // LBA 0, the header, and 128 entries of 128 bytes; the last two again at the end.
        TableFormat::Gpt => disk.size_bytes - sector - 128 * 128,
        TableFormat::Mbr => disk.size_bytes.min(u64::from(u32::MAX) * sector),
    };
    let numbers: BTreeSet<_> = partitions.iter().map(|partition| partition.number).collect();
    prop_assert_eq!(numbers.len(), partitions.len());
    prop_assert!(
        !numbers.contains(&0) && (table == TableFormat::Gpt || numbers.iter().all(|number| *number <= 4))
    );
    for (at, partition) in partitions.iter().enumerate() {
        let (start, stop) = (partition.start_bytes, partition.start_bytes + partition.size_bytes);
        prop_assert!(partition.size_bytes > 0 && start.is_multiple_of(sector) && stop.is_multiple_of(sector));
        if !partition.keep {
            prop_assert!(start >= MIB && stop <= end, "{partition:?} on {} bytes", disk.size_bytes);
            prop_assert!(start.is_multiple_of(MIB) && partition.size_bytes.is_multiple_of(MIB));
            prop_assert!(start.is_multiple_of(disk.physical_sector_bytes.into()));
        }
        for other in &partitions[..at] {
            let apart = other.start_bytes + other.size_bytes <= start || stop <= other.start_bytes;
            prop_assert!(apart, "{other:?} {partition:?}");
        }
    }
    Ok(())
}

/// What is there and may not be destroyed stays where and as it is.
fn stays(disk: &Disk, wipe: bool, partitions: &[Partition]) -> Result<(), TestCaseError> {
    for kept in partitions.iter().filter(|partition| partition.keep) {
        let there = disk.partitions.iter().find(|there| there.number == kept.number).unwrap();
        prop_assert_eq!(
            (kept.start_bytes, kept.size_bytes, &kept.guid, &kept.type_code),
            (there.start_bytes, there.size_bytes, &there.guid, &there.type_code)
        );
    }
    if !wipe {
        for there in &disk.partitions {
            let kept = partitions.iter().any(|partition| partition.keep && partition.number == there.number);
            prop_assert!(kept, "{there:?} is lost");
        }
        prop_assert!(disk.content.is_empty(), "{} is lost", disk.content);
        prop_assert!(disk.table.is_empty() || !disk.partitions.is_empty(), "an empty table is lost");
    }
    Ok(())
}

/// Every partition of the layout that this firmware wants is there, in order, with its size.
fn is_as_wanted(
    wanted: &DiskLayout,
    firmware: Firmware,
    partitions: &[Partition],
) -> Result<(), TestCaseError> {
    let wanted: Vec<_> = wanted.partitions.iter().filter(|partition| is_made(partition, firmware)).collect();
    let mut new: Vec<_> = partitions.iter().filter(|partition| !partition.keep).collect();
    new.sort_by_key(|partition| partition.start_bytes);
    prop_assert_eq!(
        wanted.iter().map(|partition| &partition.id).collect::<Vec<_>>(),
        new.iter().map(|partition| &partition.id).collect::<Vec<_>>()
    );
    for (wanted, new) in wanted.iter().zip(new) {
        if let Size::Bytes(bytes) = wanted.size {
            prop_assert!(new.size_bytes >= bytes && new.size_bytes - bytes < MIB, "{wanted:?} {new:?}");
        }
        if let Some(Size::Bytes(min)) = wanted.min {
            prop_assert!(new.size_bytes >= min, "{wanted:?} {new:?}");
        }
    }
    Ok(())
}
