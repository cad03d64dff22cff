//! On a machine in memory, without root or programs: what is done, in which order, and what is refused before the first byte.

use super::*;
use crate::steps::testing::{DISK, Stage, disk_in_memory, expectation_of_disk_in_memory};

const SIZE: u64 = 96 << 20;

/// The whole step without root, loop devices or programs: what is done, and in which order.
#[tokio::test]
async fn on_a_machine_in_memory_everything_is_done_in_order() {
    let uuid = uuid("aaaa-5e92", 3, FileSystem::Ext4);
    let mut host = disk_in_memory(SIZE).with_disk(DISK, 96 << 20);
    for (number, start, size) in [(1, 1, 40), (2, 41, 4), (3, 45, 16)] {
        let file = |name: &str| format!("/sys/block/vda/vda{number}/{name}");
        host = host
            .with_file(&file("partition"), number.to_string())
            .with_file(&file("start"), (start << 11).to_string())
            .with_file(&file("size"), (size << 11).to_string())
            .with_file(&format!("/dev/vda{number}"), "");
    }
    host.answer("blkid", crate::host::fake::Answer::prints(&uuid));
    let stage = Stage::new(host);
    let work = work_on(expectation_of_disk_in_memory(SIZE), "aaaa-5e92", TableFormat::Gpt, SMALL);
    execute(&stage.ctx(), &work).await.unwrap();
    let commands = stage.host.command_lines();
    let first_words: Vec<_> = commands.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        first_words,
        ["wipefs", "wipefs", "wipefs", "wipefs", "mkfs.vfat", "mkswap", "mkfs.ext4", "blkid"],
        "{commands:?}"
    );
    assert_eq!(stage.host.mounts().len(), 1);
    let disk = stage.host.disk("/dev/vda").unwrap();
    assert_eq!(
        (&disk[512..520], &disk[disk.len() - 512..disk.len() - 504]),
        (&b"EFI PART"[..], &b"EFI PART"[..])
    );
    // The kernel of another machine does not see what was written.
    let stranger = stage.host.clone().with_file("/sys/block/vda/vda3/start", "4096");
    let stage = Stage::new(stranger);
    let error = execute(&stage.ctx(), &work).await.unwrap_err();
    assert!(
        matches!(&error, StepError::Permanent(why) if why.to_string().contains("/dev/vda3")),
        "{error:?}"
    );
    assert!(
        !stage.host.command_lines()[8..].iter().any(|line| line.starts_with("mkfs")),
        "nothing is made in a wrong place"
    );
    assert!(stage.host.disk("/dev/vda").unwrap().iter().all(|byte| *byte == 0));
}

#[tokio::test]
async fn no_file_system_is_made_but_in_a_partition_that_the_plan_makes() {
    let good = work_on(expectation_of_disk_in_memory(SIZE), "aaaa-5e92", TableFormat::Gpt, SMALL);
    let spoil = |spoil: &dyn Fn(&mut Vec<StorageAction>)| {
        let mut bad = good.clone();
        spoil(&mut bad.actions);
        bad
    };
    let keep = |actions: &mut Vec<StorageAction>| {
        let StorageAction::WriteTable { partitions, .. } = &mut actions[1] else {
            panic!("the table is second")
        };
        partitions[2].keep = true;
    };
    for bad in [
        // Only formats, formats before the table, two tables, a wipe after the table.
        spoil(&|actions| drop(actions.drain(..2))),
        spoil(&|actions| actions.swap(1, 2)),
        spoil(&|actions| actions.insert(1, actions[1].clone())),
        spoil(&|actions| actions.swap(0, 1)),
        // Into a partition that stays, into one that is in no table.
        spoil(&keep),
        spoil(&|actions| {
            let StorageAction::Format { volume, .. } = &mut actions[2] else { panic!("formats follow") };
            *volume = Volume::Partition { disk: "system".into(), number: 9 };
        }),
    ] {
        let stage = Stage::new(disk_in_memory(SIZE).with_disk(DISK, 96 << 20));
        let error = execute(&stage.ctx(), &bad).await.unwrap_err();
        assert!(matches!(&error, StepError::Refused(why) if why.contains("no partitions")), "{error:?}");
        assert!(stage.host.command_lines().is_empty());
    }
}

#[tokio::test]
async fn a_disk_that_somebody_else_holds_is_refused_before_the_first_command() {
    // The device itself is missing on this machine: it can be measured, but not be opened.
    let stage = Stage::new(disk_in_memory(SIZE));
    let work = work_on(expectation_of_disk_in_memory(SIZE), "aaaa-5e92", TableFormat::Gpt, SMALL);
    let error = execute(&stage.ctx(), &work).await.unwrap_err();
    assert!(matches!(error, StepError::Refused(_)), "{error:?}");
    assert_eq!(stage.host.command_lines(), Vec::<String>::new());
}
