//! Storage work on real (loop) disks with the real programs, and refusals before the first byte.

use wire::storage::{
    DiskExpectation, FileSystem, MountEntry, Partition, PartitionPurpose as Purpose, TableFormat,
};

use super::*;
use crate::{
    disk::tests::loop_host::LoopHost,
    host::{Host, fake::FakeHost},
    steps::testing::Stage,
};

const GUID: &str = "7b702344-475f-5e92-b709-6334120da4c8";

struct Wanted(&'static str, u64, Purpose, Option<FileSystem>, &'static str);

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

fn uuid(token: &str, number: u32, format: FileSystem) -> String {
    match format {
        FileSystem::Vfat => "ABCD-1234".to_owned(),
        _ => format!("0000000{number}-{token}-b709-6334120da4c8"),
    }
}

fn work(host: &LoopHost, table: TableFormat, wanted: &[Wanted]) -> StorageWork {
    work_on(host.expectation(), host.token(), table, wanted)
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
    let Some(host) = LoopHost::new(SIZE, sector_bytes) else { return };
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
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
        let Some(host) = LoopHost::new(SIZE, sector) else { return };
        let stage = stage();
        let work = without_wipe(work(&host, table, wanted));
        let half = StorageWork { disks: work.disks.clone(), actions: work.actions[..2].to_vec() };
        execute(&ctx(&stage, &host), &half).await.unwrap();
        execute(&ctx(&stage, &host), &work).await.unwrap();
    }
}

#[tokio::test]
async fn swap_and_foreign_mounts_are_let_go_of_first() {
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
    let Some(host) = LoopHost::new(SIZE, 512) else { return };
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
        ("kept", spoil(&|p| p[3].keep = true)),
        ("twice", spoil(&|p| p[3].number = 3)),
    ] {
        let error = execute(&ctx(&stage, &host), &bad).await.unwrap_err();
        assert!(matches!(&error, StepError::Refused(said) if said.contains(why)), "{why}: {error}");
    }
    assert!(host.bytes().starts_with(mark.as_bytes()));
}

#[tokio::test]
async fn a_disk_that_somebody_else_holds_is_refused_before_the_first_command() {
    // The device itself is missing on this machine: it can be measured, but not be opened.
    let host = FakeHost::new(0)
        .with_file("/sys/block/vdz/size", (SIZE / 512).to_string())
        .with_file("/sys/block/vdz/queue/logical_block_size", "512")
        .with_file("/sys/block/vdz/serial", "S1");
    let stage = Stage::new(host);
    let disk = DiskExpectation {
        disk: "system".into(),
        path: "/dev/vdz".into(),
        serial: "S1".into(),
        wwn: String::new(),
        size_bytes: SIZE,
        sector_bytes: 512,
        model: String::new(),
    };
    let error = execute(&stage.ctx(), &work_on(disk, "aaaa-5e92", TableFormat::Gpt, GPT)).await.unwrap_err();
    assert!(matches!(error, StepError::Refused(_)), "{error:?}");
    assert_eq!(stage.host.command_lines(), Vec::<String>::new());
}
