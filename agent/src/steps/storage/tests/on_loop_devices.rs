//! On real (loop) disks with the real programs: what was made is read by others, and the agent is killed after every change.

use super::*;
use crate::{
    disk::tests::loop_host::LoopHost,
    host::{Host, fake::FakeHost},
    steps::testing::Stage,
};

const GPT: &[Wanted] = &[
    Wanted("esp", 300, Purpose::EfiSystem, Some(FileSystem::Vfat), ""),
    Wanted("bios", 1, Purpose::BiosBoot, None, ""),
    Wanted("swap", 64, Purpose::Swap, Some(FileSystem::Swap), "none"),
    Wanted("root", 256, Purpose::Linux, Some(FileSystem::Ext4), "/"),
    Wanted("home", 320, Purpose::Linux, Some(FileSystem::Xfs), "/home"),
    Wanted("data", 256, Purpose::Linux, Some(FileSystem::Btrfs), "/home/data"),
];
const MBR: &[Wanted] = &[
    Wanted("swap", 64, Purpose::Swap, Some(FileSystem::Swap), "none"),
    Wanted("root", 256, Purpose::Linux, Some(FileSystem::Ext4), "/"),
    Wanted("home", 320, Purpose::Linux, Some(FileSystem::Xfs), "/home"),
];
const SIZE: u64 = 1200 << 20;

fn work(host: &LoopHost, table: TableFormat, wanted: &[Wanted]) -> StorageWork {
    work_on(host.expectation(), host.token(), table, wanted)
}

fn without_wipe(mut work: StorageWork) -> StorageWork {
    work.actions.retain(|action| !matches!(action, StorageAction::Wipe { .. }));
    work
}

fn ctx<'a>(stage: &'a Stage, host: &'a LoopHost) -> StepContext<'a> {
    StepContext { host, target: host.target(), ..stage.ctx() }
}

fn stage() -> Stage {
    Stage::new(FakeHost::new(0))
}

/// Everything that is mounted below the target, parents first.
fn mounted(host: &LoopHost) -> Vec<PathBuf> {
    let mounted = usage::mounted(host).unwrap();
    mounted
        .into_iter()
        .map(|mounted| mounted.place)
        .filter(|place| place.starts_with(host.target()))
        .collect()
}

async fn made_twice(table: TableFormat, wanted: &[Wanted], sector_bytes: u32) {
    let host = LoopHost::new(SIZE, sector_bytes);
    let stage = stage();
    let (ctx, work) = (ctx(&stage, &host), work(&host, table, wanted));
    for round in 0..2 {
        execute(&ctx, &work).await.unwrap_or_else(|error| panic!("round {round}: {error}\n{}", stage.said()));
        let mounts: Vec<MountEntry> = work
            .actions
            .iter()
            .filter_map(|action| match action {
                StorageAction::Mount(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        let before = mounted(&host);
        mount::execute(&ctx, &mounts).await.unwrap();
        assert_eq!(mounted(&host), before, "mounted once");
        assert_eq!(before.len(), mounts.len() - 1, "all but swap");
        // Made anew, not found again.
        assert!(!host.target().join("home/letter").exists());
        std::fs::write(host.target().join("home/letter"), "dear").unwrap();
    }
    for (number, Wanted(id, _, _, format, _)) in (1..).zip(wanted) {
        let Some(format) = *format else { continue };
        let device = format!("/dev/vdz{number}");
        let says =
            |tag: &str| host.look(&["blkid", "-p", "-s", tag, "-o", "value", &device]).trim().to_owned();
        assert!(
            says("UUID").eq_ignore_ascii_case(&uuid(host.token(), number, format)),
            "{id}: {}",
            says("UUID")
        );
        assert!(says("LABEL").eq_ignore_ascii_case(id), "{id}: {}", says("LABEL"));
        if format == FileSystem::Vfat {
            let said = host.look(&["fsck.vfat", "-n", "-v", &device]);
            assert!(said.contains("32 bit"), "{said}");
        }
    }
    let read: serde_json::Value =
        serde_json::from_str(&host.look(&["sfdisk", "--json", "/dev/vdz"])).unwrap();
    let read = &read["partitiontable"];
    assert_eq!(read["sectorsize"], sector_bytes);
    let StorageAction::WriteTable { partitions, .. } = &work.actions[1] else {
        panic!("wipe, then the table")
    };
    for (at, partition) in partitions.iter().enumerate() {
        let bytes = |word: &str| read["partitions"][at][word].as_u64().unwrap() * u64::from(sector_bytes);
        assert_eq!(
            (bytes("start"), bytes("size")),
            (partition.start_bytes, partition.size_bytes),
            "{partition:?}"
        );
    }
    match table {
        TableFormat::Gpt => {
            let said = host.look(&["sgdisk", "--verify", "/dev/vdz"]);
            assert!(said.contains("No problems found"), "{said}");
        }
        TableFormat::Mbr => {
            let said = host.look(&["sfdisk", "--verify", "/dev/vdz"]);
            assert!(said.contains("No errors detected"), "{said}");
        }
    }
}

#[tokio::test]
async fn a_gpt_disk_with_every_file_system_is_made_and_made_again() {
    made_twice(TableFormat::Gpt, GPT, 512).await;
}

#[tokio::test]
async fn a_gpt_disk_with_sectors_of_4096_bytes_is_made_and_made_again() {
    made_twice(TableFormat::Gpt, GPT, 4096).await;
}

#[tokio::test]
async fn an_mbr_disk_is_made_and_made_again_with_either_sector_size() {
    made_twice(TableFormat::Mbr, MBR, 512).await;
    made_twice(TableFormat::Mbr, MBR, 4096).await;
}

#[tokio::test]
async fn a_failure_with_file_systems_mounted_still_leaves_a_disk_that_does_not_boot() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let mut work = work(&host, TableFormat::Gpt, GPT);
    let Some(StorageAction::Mount(last)) = work.actions.last_mut() else { panic!("mounts come last") };
    last.uuid = "ffffffff-aaaa-5e92-b709-6334120da4c8".to_owned();
    let error = execute(&ctx(&stage, &host), &work).await.unwrap_err();
    // Refused would say that nothing was changed.
    assert!(matches!(&error, StepError::Permanent(_)), "{error:?}");
    assert!(mounted(&host).is_empty());
    let bytes = host.bytes();
    assert!(bytes[..1 << 20].iter().all(|byte| *byte == 0), "{}", stage.said());
    assert!(bytes[bytes.len() - (1 << 20)..].iter().all(|byte| *byte == 0));
    assert!(!host.exists(std::path::Path::new("/dev/vdz1")), "the kernel knows too");
}

#[tokio::test]
async fn a_program_that_fails_leaves_no_table_and_the_next_attempt_succeeds() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let work = work(&host, TableFormat::Gpt, GPT);
    *host.broken.lock().unwrap() = Some("mkfs.xfs".to_owned());
    execute(&ctx(&stage, &host), &work).await.unwrap_err();
    assert!(host.bytes()[..1 << 20].iter().all(|byte| *byte == 0));
    *host.broken.lock().unwrap() = None;
    execute(&ctx(&stage, &host), &work).await.unwrap();
}

#[tokio::test]
async fn a_disk_that_is_no_longer_blank_is_refused_where_wiping_was_not_planned() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let work = without_wipe(work(&host, TableFormat::Gpt, GPT));
    host.look(&["mkfs.ext4", "-q", "-F", "/dev/vdz"]);
    let before = host.bytes();
    let error = execute(&ctx(&stage, &host), &work).await.unwrap_err();
    assert!(matches!(&error, StepError::Refused(why) if why.contains("ext4")), "{error:?}");
    assert!(before == host.bytes(), "not a byte was changed");
    // What nobody recognises is not nothing.
    host.look(&["wipefs", "--all", "/dev/vdz"]);
    let error = execute(&ctx(&stage, &host), &work).await.unwrap_err();
    assert!(matches!(&error, StepError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn its_own_half_done_work_on_a_blank_disk_is_gone_on_with() {
    for (table, wanted, sector) in
        [(TableFormat::Gpt, GPT, 512), (TableFormat::Gpt, GPT, 4096), (TableFormat::Mbr, MBR, 512)]
    {
        let host = LoopHost::new(SIZE, sector);
        let stage = stage();
        let work = without_wipe(work(&host, table, wanted));
        let half = StorageWork { disks: work.disks.clone(), actions: work.actions[..2].to_vec() };
        execute(&ctx(&stage, &host), &half).await.unwrap();
        execute(&ctx(&stage, &host), &work).await.unwrap();
    }
}

/// What can be seen of the disk by programs that did not write it.
fn seen(host: &LoopHost) -> String {
    let table = host
        .look(&["sfdisk", "--dump", "/dev/vdz"])
        .lines()
        .filter(|line| !line.starts_with("device"))
        .collect::<Vec<_>>()
        .join("\n");
    let content = (1..=3).map(|number| {
        let device = format!("/dev/vdz{number}");
        host.look(&[
            "blkid",
            "-p",
            "-s",
            "TYPE",
            "-s",
            "UUID",
            "-s",
            "LABEL",
            "-s",
            "PART_ENTRY_UUID",
            "-o",
            "export",
            &device,
        ])
    });
    content.fold(table, |text, content| text + "\n" + &content)
}

/// Kills the agent after every change that it makes, starts it again with what is mounted left as it is or not, and looks at the result.
async fn killed_everywhere(table: TableFormat, sector_bytes: u32, wipes: bool, breaks: bool) {
    let host = LoopHost::new(96 << 20, sector_bytes);
    let stage = stage();
    let ctx = ctx(&stage, &host);
    let work = work(&host, table, SMALL);
    let work = if wipes { work } else { without_wipe(work) };
    let blank = host.bytes();
    let mut reference = String::new();
    for changes in 0.. {
        if breaks {
            *host.broken.lock().unwrap() = Some("mkfs.ext4".to_owned());
        }
        host.kill_after(Some(changes));
        let first = execute(&ctx, &work).await;
        let is_whole = if breaks { !host.was_killed() } else { first.is_ok() };
        assert!(is_whole || host.was_killed(), "after {changes} changes: {first:?}");
        host.kill_after(None);
        *host.broken.lock().unwrap() = None;
        if changes % 2 == 0 {
            // The machine was restarted, too.
            usage::unmount_below(&ctx, host.target()).unwrap();
            host.reread_partitions(Path::new("/dev/vdz")).unwrap();
        }
        execute(&ctx, &work)
            .await
            .unwrap_or_else(|error| panic!("killed after {changes} changes: {error}\n{}", stage.said()));
        let now = seen(&host);
        if reference.is_empty() {
            reference.clone_from(&now);
            assert!(reference.contains("ext4") && reference.contains("swap"), "{reference}");
        }
        assert_eq!(now, reference, "killed after {changes} changes");
        assert_eq!(mounted(&host), [host.target()]);
        usage::unmount_below(&ctx, host.target()).unwrap();
        if is_whole {
            assert!(changes > 10, "{changes}");
            return;
        }
        host.become_again(&blank);
    }
}

#[tokio::test]
async fn killed_after_any_change_on_a_disk_that_may_be_wiped_it_ends_as_planned() {
    killed_everywhere(TableFormat::Gpt, 512, true, false).await;
}

#[tokio::test]
async fn killed_after_any_change_on_a_blank_disk_it_ends_as_planned() {
    killed_everywhere(TableFormat::Gpt, 4096, false, false).await;
    killed_everywhere(TableFormat::Mbr, 512, false, false).await;
}

#[tokio::test]
async fn killed_while_it_takes_back_what_failed_it_ends_as_planned() {
    killed_everywhere(TableFormat::Gpt, 512, false, true).await;
}

/// A disk with a file system that shall stay as partition 2, with a letter in it, and one that goes.
fn with_a_letter(host: &LoopHost) -> StorageWork {
    let script = "label: gpt\nsize=8MiB\nsize=16MiB, name=home\n";
    host.look(&[
        "sh",
        "-c",
        &format!("printf '{script}' | sfdisk --quiet --no-tell-kernel --no-reread /dev/vdz"),
    ]);
    host.reread_partitions(Path::new("/dev/vdz")).unwrap();
    host.look(&["mkfs.ext4", "-q", "-F", "/dev/vdz2"]);
    let home = host.target().display().to_string();
    host.look(&["mount", "/dev/vdz2", &home]);
    std::fs::write(host.target().join("letter"), "dear").unwrap();
    host.look(&["umount", &home]);
    let there = block::disks(host).remove(0).partitions.remove(1);
    let mut work =
        work(host, TableFormat::Gpt, &[Wanted("root", 16, Purpose::Linux, Some(FileSystem::Ext4), "/")]);
    let StorageAction::WriteTable { partitions, .. } = &mut work.actions[1] else { panic!() };
    partitions[0].start_bytes = 32 << 20;
    partitions.push(Partition {
        number: there.number,
        id: "home".to_owned(),
        start_bytes: there.start_bytes,
        size_bytes: there.size_bytes,
        purpose: Purpose::Other,
        guid: there.guid,
        keep: true,
        type_code: there.type_code,
    });
    work
}

fn letter(host: &LoopHost) -> String {
    let place = host.target().join("home");
    std::fs::create_dir_all(&place).unwrap();
    host.look(&["mount", "-o", "ro", "/dev/vdz2", &place.display().to_string()]);
    std::fs::read_to_string(place.join("letter")).unwrap()
}

#[tokio::test]
async fn a_kept_file_system_is_there_after_everything_beside_it_was_made_anew() {
    let host = LoopHost::new(96 << 20, 512);
    let stage = stage();
    let work = with_a_letter(&host);
    let refused = execute(&ctx(&stage, &host), &without_wipe(work.clone())).await.unwrap_err();
    assert!(
        matches!(&refused, StepError::Refused(why) if why.contains("partition 1 is neither")),
        "{refused}"
    );
    for _ in 0..2 {
        execute(&ctx(&stage, &host), &work).await.unwrap();
        assert_eq!(letter(&host), "dear");
    }
}

#[tokio::test]
async fn a_failure_takes_the_new_partitions_back_and_leaves_the_kept_one() {
    let host = LoopHost::new(96 << 20, 512);
    let stage = stage();
    let work = with_a_letter(&host);
    *host.broken.lock().unwrap() = Some("mkfs.ext4".to_owned());
    execute(&ctx(&stage, &host), &work).await.unwrap_err();
    let dump = host.look(&["sfdisk", "--dump", "/dev/vdz"]);
    assert!(dump.contains("name=\"home\"") && !dump.contains("root"), "{dump}");
    assert!(!host.exists(Path::new("/dev/vdz1")));
    assert_eq!(letter(&host), "dear");
    *host.broken.lock().unwrap() = None;
    execute(&ctx(&stage, &host), &work).await.unwrap();
}

#[tokio::test]
async fn swap_and_foreign_mounts_are_let_go_of_first() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let work = work(&host, TableFormat::Gpt, GPT);
    execute(&ctx(&stage, &host), &work).await.unwrap();
    host.look(&["swapon", "/dev/vdz3"]);
    // Left there by an attempt with another disk.
    let home = host.target().join("home");
    host.look(&["mount", "-t", "tmpfs", "stranger", &home.display().to_string()]);
    execute(&ctx(&stage, &host), &work).await.unwrap();
    assert!(
        !host.look(&["cat", "/proc/swaps"]).contains(&host.look(&["echo", "/dev/vdz3"]).trim().to_owned())
    );
    assert!(host.look(&["findmnt", "-n", "-o", "FSTYPE", &home.display().to_string()]).contains("xfs"));
}

#[tokio::test]
async fn what_a_former_system_left_inside_a_new_partition_does_not_shine_through() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let work = work(&host, TableFormat::Gpt, GPT);
    // A btrfs that once began where the EFI system partition begins now, with no table that leads there any more.
    let offset = (1_u64 << 20).to_string();
    let inner = host.look(&["losetup", "--find", "--show", "--offset", &offset, "/dev/vdz"]);
    host.look(&["mkfs.btrfs", "-q", "-f", inner.trim()]);
    host.look(&["losetup", "-d", inner.trim()]);
    execute(&ctx(&stage, &host), &work).await.unwrap();
    assert_eq!(host.look(&["blkid", "-p", "-s", "TYPE", "-o", "value", "/dev/vdz1"]).trim(), "vfat");
    assert!(!host.look(&["wipefs", "/dev/vdz1"]).contains("btrfs"));
}

#[tokio::test]
async fn a_table_that_cannot_be_is_refused_before_the_first_byte() {
    let host = LoopHost::new(SIZE, 512);
    let stage = stage();
    let good = work(&host, TableFormat::Gpt, GPT);
    let spoil = |spoil: &dyn Fn(&mut Vec<Partition>)| {
        let mut bad = good.clone();
        for action in &mut bad.actions {
            if let StorageAction::WriteTable { partitions, .. } = action {
                spoil(partitions);
            }
        }
        bad
    };
    let mark = "a letter that must survive";
    host.look(&["sh", "-c", &format!("printf '{mark}' >/dev/vdz")]);
    for (why, bad) in [
        ("overlap", spoil(&|p| p[1].start_bytes -= 1 << 20)),
        ("end of the disk", spoil(&|p| p[5].size_bytes = SIZE)),
        ("head", spoil(&|p| p[0].start_bytes = 512)),
        ("sector", spoil(&|p| p[2].size_bytes += 1)),
        ("GUID", spoil(&|p| p[3].guid = "no".to_owned())),
        ("kept", spoil(&|p| p[1].keep = true)),
        ("twice", spoil(&|p| p[1].number = 1)),
    ] {
        let error = execute(&ctx(&stage, &host), &bad).await.unwrap_err();
        assert!(matches!(&error, StepError::Refused(said) if said.contains(why)), "{why}: {error}");
    }
    assert!(host.bytes().starts_with(mark.as_bytes()));
}
