//! The planner of storage, by example; by properties in `tests/properties.rs`.

mod properties;

use wire::{
    enrol::Realm,
    facts::{Cpu, Dmi, OperatingSystem},
};

use super::*;

const SEED: Purposes<'_> = Purposes { client: "client 7", job: Some("job 3") };

const LAYOUT: &str = "\
disks:
  system:
    match: { min_size: 2GiB }
    table: gpt
    wipe: true
    partitions:
      - { id: esp, size: 128MiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }
      - { id: bios, size: 1MiB, type: bios-boot, when: bios }
      - { id: swap, size: 10%, format: swap }
      - { id: root, size: rest, min: 1GiB, format: ext4, mount: / }
";

fn disk(path: &str, size_bytes: u64) -> Disk {
    Disk {
        path: path.to_owned(),
        serial: format!("S{path}"),
        size_bytes,
        sector_bytes: 512,
        ..Disk::default()
    }
}

fn facts(firmware: Firmware, disks: Vec<Disk>) -> Facts {
    Facts {
        collected_at: 0,
        realm: Realm::Installer,
        agent_version: String::new(),
        firmware,
        secure_boot: false,
        cpu: Cpu::default(),
        memory_bytes: 1 << 30,
        dmi: Dmi::default(),
        virtualization: String::new(),
        disks,
        nics: Vec::new(),
        file_systems: Vec::new(),
        vm_host: None,
        os: OperatingSystem::default(),
    }
}

fn refused(layout: &str, facts: &Facts) -> String {
    plan(&Layout::parse(layout).unwrap(), facts, SEED).unwrap_err()[0].to_string()
}

#[test]
fn partitions_follow_the_firmware() {
    let layout = Layout::parse(LAYOUT).unwrap();
    let ids = |firmware| {
        let work = plan(&layout, &facts(firmware, vec![disk("/dev/vda", 8 << 30)]), SEED).unwrap();
        let table = work.actions.into_iter().find_map(|action| match action {
            StorageAction::WriteTable { partitions, .. } => Some(partitions),
            _ => None,
        });
        table.unwrap().into_iter().map(|partition| partition.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Firmware::Uefi), ["esp", "swap", "root"]);
    assert_eq!(ids(Firmware::Bios), ["bios", "swap", "root"]);
}

#[test]
fn two_candidates_are_named_by_path_serial_and_size() {
    let message =
        refused(LAYOUT, &facts(Firmware::Bios, vec![disk("/dev/vda", 8 << 30), disk("/dev/vdb", 9 << 30)]));
    assert!(
        message.contains("/dev/vda (S/dev/vda, 8\u{a0}GiB), /dev/vdb (S/dev/vdb, 9\u{a0}GiB)"),
        "{message}"
    );
}

#[test]
fn a_machine_without_a_fitting_disk_is_told_why_each_does_not_fit() {
    assert!(refused(LAYOUT, &facts(Firmware::Bios, vec![])).contains("no disk"));
    let stick = Disk { removable: true, ..disk("/dev/sda", 8 << 30) };
    let message = refused(LAYOUT, &facts(Firmware::Bios, vec![stick, disk("/dev/vda", 1 << 30)]));
    assert!(message.contains("can be pulled out") && message.contains("is smaller than 2GiB"), "{message}");
}

#[test]
fn a_disk_that_is_too_small_says_how_much_is_missing() {
    let layout = LAYOUT.replace("min: 1GiB", "min: 4GiB");
    let message = refused(&layout, &facts(Firmware::Bios, vec![disk("/dev/vda", 4 << 30)]));
    assert!(message.contains("`root` would have") && message.contains("are missing"), "{message}");
}

#[test]
fn nothing_is_overwritten_without_the_word_wipe() {
    let layout = LAYOUT.replace("wipe: true", "wipe: false");
    let mut old = disk("/dev/vda", 8 << 30);
    plan(&Layout::parse(&layout).unwrap(), &facts(Firmware::Bios, vec![old.clone()]), SEED).unwrap();
    old.content = "ntfs".to_owned();
    assert!(refused(&layout, &facts(Firmware::Bios, vec![old])).contains("carries ntfs"));
}

#[test]
fn parents_are_mounted_first_and_swap_is_in_fstab() {
    let layout = Layout::parse(LAYOUT).unwrap();
    let work = plan(&layout, &facts(Firmware::Uefi, vec![disk("/dev/vda", 8 << 30)]), SEED).unwrap();
    let lines: Vec<_> = fstab(&work)
        .lines()
        .skip(1)
        .map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, ["/ ext4 errors=remount-ro 0 1", "/boot/efi vfat umask=0077 0 2", "none swap sw 0 0"]);
}

const DUAL: &str = "\
disks:
  system:
    match: { serial: S1 }
    table: gpt
    wipe: true
    keep:
      - { id: windows, match: { number: 2 } }
      - { id: home, match: { name: home }, mount: /home }
    partitions:
      - { id: bios, size: 1MiB, type: bios-boot, when: bios }
      - { id: root, size: rest, min: 1GiB, format: ext4, mount: / }
";

/// 1: 1 to 2 GiB, to be removed; 2: 2 to 4 GiB; 3: 10 to 12 GiB, both kept. The largest hole is behind them.
fn dual() -> Disk {
    let partition =
        |number: u32, name: &str, content: &str, start_gib: u64, size_gib: u64| wire::facts::DiskPartition {
            path: format!("/dev/sda{number}"),
            number,
            start_bytes: start_gib << 30,
            size_bytes: size_gib << 30,
            name: name.to_owned(),
            content: content.to_owned(),
            uuid: format!("u{number}"),
            guid: format!("g{number}"),
            type_code: "t".to_owned(),
            ..wire::facts::DiskPartition::default()
        };
    let partitions = vec![
        partition(1, "old", "swap", 1, 1),
        partition(2, "windows", "ntfs", 2, 2),
        partition(3, "home", "xfs", 10, 2),
    ];
    Disk { serial: "S1".to_owned(), table: "gpt".to_owned(), partitions, ..disk("/dev/sda", 32 << 30) }
}

#[test]
fn what_is_kept_stays_and_new_partitions_lie_in_the_largest_hole() {
    let facts = facts(Firmware::Bios, vec![dual()]);
    let work = plan(&Layout::parse(DUAL).unwrap(), &facts, SEED).unwrap();
    let StorageAction::WriteTable { partitions, .. } = &work.actions[1] else { panic!("{work:?}") };
    let seen: Vec<_> =
        partitions.iter().map(|p| (p.number, p.id.as_str(), p.keep, p.start_bytes >> 20)).collect();
    assert_eq!(
        seen,
        [
            (1, "bios", false, 12 << 10),
            (2, "windows", true, 2 << 10),
            (3, "home", true, 10 << 10),
            (4, "root", false, (12 << 10) + 1)
        ]
    );
    assert!(fstab(&work).contains("UUID=u3 /home xfs defaults 0 0"), "{}", fstab(&work));
    let shown = &preview(&work, &facts)[0];
    assert_eq!(shown.destroyed, "/dev/sda1 (swap, 1\u{a0}GiB)");
    assert!(shown.written[2].kept && shown.written[2].mount == "/home" && !shown.written[3].kept);
}

#[test]
fn what_is_to_be_kept_is_named_with_its_candidates_when_it_cannot_be() {
    let said = |spoil: &dyn Fn(&mut Disk)| {
        let mut disk = dual();
        spoil(&mut disk);
        refused(DUAL, &facts(Firmware::Bios, vec![disk]))
    };
    let absent = said(&|disk| disk.partitions[2].name.clear());
    assert!(
        absent.contains("no partition fits `home`") && absent.contains("/dev/sda3 (xfs, 2\u{a0}GiB)"),
        "{absent}"
    );
    let twice = said(&|disk| disk.partitions[0].name = "home".to_owned());
    assert!(twice.contains("2 partitions fit") && twice.contains("/dev/sda1 (swap"), "{twice}");
    assert!(said(&|disk| disk.partitions[2].content = "ntfs".to_owned()).contains("cannot be mounted"));
    assert!(said(&|disk| disk.table = "mbr".to_owned()).contains("has mbr"));
    assert!(said(&|disk| disk.partitions[2].start_bytes = 3 << 30).contains("contradicts itself"));
}

#[test]
fn without_wipe_every_partition_has_to_be_kept() {
    let layout = DUAL.replace("wipe: true", "wipe: false");
    let message = refused(&layout, &facts(Firmware::Bios, vec![dual()]));
    assert!(message.contains("carries /dev/sda1 (swap, 1\u{a0}GiB); write"), "{message}");
    let all = layout.replace("    partitions:", "      - { id: old, match: { number: 1 } }\n    partitions:");
    plan(&Layout::parse(&all).unwrap(), &facts(Firmware::Bios, vec![dual()]), SEED).unwrap();
}

#[test]
fn later_jobs_find_the_same_file_systems_on_disks_that_are_not_blank_any_more() {
    let layout = Layout::parse(&LAYOUT.replace("wipe: true", "wipe: false")).unwrap();
    let blank = disk("/dev/vda", 8 << 30);
    let first = plan(&layout, &facts(Firmware::Bios, vec![blank.clone()]), SEED).unwrap();
    let written = Disk { table: "gpt".to_owned(), ..blank };
    let later = Purposes { job: None, ..SEED };
    let work = plan(&layout, &facts(Firmware::Bios, vec![written.clone()]), later).unwrap();
    assert_eq!(fstab(&first), fstab(&work));
    plan(&layout, &facts(Firmware::Bios, vec![written]), SEED).unwrap_err();
}

#[test]
fn the_table_of_each_job_is_its_own() {
    let guids = |job| {
        let layout = Layout::parse(LAYOUT).unwrap();
        let facts = facts(Firmware::Bios, vec![disk("/dev/vda", 8 << 30)]);
        let work = plan(&layout, &facts, Purposes { job: Some(job), ..SEED }).unwrap();
        let StorageAction::WriteTable { guid, partitions, .. } = &work.actions[1] else { panic!("{work:?}") };
        (guid.clone(), partitions[0].guid.clone(), fstab(&work))
    };
    let (one, other) = (guids("job 1"), guids("job 2"));
    assert!(one.0 != other.0 && one.1 != other.1 && one.2 == other.2);
}

#[test]
fn a_machine_that_could_not_boot_is_not_wiped() {
    let without = |id: &str| {
        let lines = LAYOUT.lines().filter(|line| !line.contains(&format!("id: {id},")));
        lines.collect::<Vec<_>>().join("\n")
    };
    let said = |id, firmware| refused(&without(id), &facts(firmware, vec![disk("/dev/vda", 8 << 30)]));
    assert!(said("esp", Firmware::Uefi).contains("efi-system"));
    assert!(said("bios", Firmware::Bios).contains("bios-boot"));
    let mbr = without("bios").replace("table: gpt", "table: mbr");
    plan(&Layout::parse(&mbr).unwrap(), &facts(Firmware::Bios, vec![disk("/dev/vda", 8 << 30)]), SEED)
        .unwrap();
}

#[test]
fn boot_code_goes_to_the_disk_of_the_system_and_to_no_other() {
    let text = DUAL.replace("disks:\n", "disks:\n  archive:\n    match: { serial: S9 }\n    table: gpt\n    keep: [ { id: all, match: { number: 2 } }, { id: a, match: { number: 1 } }, { id: b, match: { number: 3 } } ]\n");
    let archive = Disk { serial: "S9".to_owned(), path: "/dev/sdb".to_owned(), ..dual() };
    let work =
        plan(&Layout::parse(&text).unwrap(), &facts(Firmware::Bios, vec![dual(), archive]), SEED).unwrap();
    let names: Vec<_> = boot_disks(&work).into_iter().map(|disk| disk.disk).collect();
    assert_eq!((work.disks.len(), names), (2, vec!["system".to_owned()]));
}

#[test]
fn two_disks_that_the_agent_could_not_tell_apart_are_refused() {
    let layout = LAYOUT.replace("min_size: 2GiB", "path: /dev/sda");
    let twin = |path| Disk { serial: "SAME".to_owned(), ..disk(path, 8 << 30) };
    let message = refused(&layout, &facts(Firmware::Bios, vec![twin("/dev/sda"), twin("/dev/sdb")]));
    assert!(message.contains("/dev/sda") && message.contains("/dev/sdb"), "{message}");
}
