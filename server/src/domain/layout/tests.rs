use super::*;

const GOOD: &str = "\
disks:
  system:
    match: { min_size: 8GiB }
    table: gpt
    wipe: true
    partitions:
      - { id: esp, size: 512MiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }
      - { id: bios, size: 1MiB, type: bios-boot, when: bios }
      - { id: swap, size: 10%, format: swap }
      - { id: root, size: rest, min: 4GiB, format: ext4, mount: / }
";

fn problems(from: &str, to: &str) -> Vec<LayoutProblem> {
    assert!(GOOD.contains(from), "the test replaces nothing");
    Layout::parse(&GOOD.replace(from, to)).unwrap_err()
}

#[test]
fn a_good_layout_is_read_and_survives_being_written() {
    let layout = Layout::parse(GOOD).unwrap();
    let again = Layout::parse(&serde_yaml::to_string(&layout).unwrap()).unwrap();
    assert_eq!(layout, again);
}

#[test]
fn each_problem_names_its_line() {
    let found = problems("id: root, size: rest", "id: swap, size: rest");
    assert_eq!((found[0].line, found[0].message.as_str()), (10, "the id `swap` is used twice"));
    let found = problems("mount: /boot/efi", "mount: /");
    assert_eq!(found[0].line, 10, "{found:?}");
    let found = problems("format: ext4", "format: ext5");
    assert_eq!(found[0].line, 10, "{found:?}");
}

#[test]
fn contradictions_are_found_without_a_machine() {
    for (from, to, says) in [
        ("mount: / }", "}", "no partition is mounted"),
        ("size: 10%", "size: rest", "only one partition"),
        ("type: bios-boot", "type: bios-boot, format: ext4", "do not go together"),
        ("table: gpt", "table: gpt\n    raid: x", "unknown field"),
        ("id: swap, size: 10%", "id: swap, lvm: vg0, size: 10%", "not available yet"),
        ("mount: /boot/efi", "mount: ../boot", "absolute path"),
    ] {
        let found = problems(from, to);
        assert!(found.iter().any(|problem| problem.message.contains(says)), "{to}: {found:?}");
    }
}

#[test]
fn sizes_are_read_in_binary_and_decimal_units() {
    assert_eq!("512MiB".parse(), Ok(Size::Bytes(512 << 20)));
    assert_eq!("10GB".parse(), Ok(Size::Bytes(10_000_000_000)));
    for text in ["", "0MiB", "10", "-1GB", "101%", "0%", "1.5GiB", "99999999999TiB"] {
        assert!(text.parse::<Size>().is_err(), "{text}");
    }
}
