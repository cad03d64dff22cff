use wire::{
    enrol::Realm,
    facts::{Cpu, Dmi, OperatingSystem},
};

use super::*;

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
        os: OperatingSystem::default(),
    }
}

fn refused(layout: &str, facts: &Facts) -> String {
    plan(&Layout::parse(layout).unwrap(), facts, "s").unwrap_err()[0].to_string()
}

#[test]
fn partitions_follow_the_firmware() {
    let layout = Layout::parse(LAYOUT).unwrap();
    let ids = |firmware| {
        let work = plan(&layout, &facts(firmware, vec![disk("/dev/vda", 8 << 30)]), "s").unwrap();
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
    assert!(message.contains("/dev/vda (S/dev/vda, 8GiB), /dev/vdb (S/dev/vdb, 9GiB)"), "{message}");
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
    plan(&Layout::parse(&layout).unwrap(), &facts(Firmware::Bios, vec![old.clone()]), "s").unwrap();
    old.content = "ntfs".to_owned();
    assert!(refused(&layout, &facts(Firmware::Bios, vec![old])).contains("carries ntfs"));
}

#[test]
fn parents_are_mounted_first_and_swap_is_in_fstab() {
    let layout = Layout::parse(LAYOUT).unwrap();
    let work = plan(&layout, &facts(Firmware::Uefi, vec![disk("/dev/vda", 8 << 30)]), "s").unwrap();
    let lines: Vec<_> = fstab(&work)
        .lines()
        .skip(1)
        .map(|line| line.split(' ').skip(1).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines, ["/ ext4 errors=remount-ro 0 1", "/boot/efi vfat umask=0077 0 2", "none swap sw 0 0"]);
}
