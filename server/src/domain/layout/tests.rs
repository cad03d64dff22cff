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
        ("min_size: 8GiB", "transport: floppy", "must be one of nvme"),
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

#[test]
fn every_layout_of_the_documentation_is_one() {
    let text = include_str!("../../../../docs/layouts.md");
    let examples: Vec<_> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        Layout::parse(example).unwrap();
    }
}

#[test]
fn what_is_kept_is_named_and_not_mounted_where_an_installation_writes() {
    let with = |kept: &str| {
        GOOD.replace("    partitions:", &format!("    keep:\n      - {{ {kept} }}\n    partitions:"))
    };
    Layout::parse(&with("id: home, match: { name: home }, mount: /home")).unwrap();
    for (kept, says) in [
        ("id: home, match: {}", "must name the partition"),
        ("id: home, match: { number: 3 }, mount: /var", "an installation writes there"),
        ("id: esp, match: { number: 3 }", "used twice"),
        ("id: home, match: { number: 3 }, mount: /boot/efi", "mounted twice"),
        ("id: home, match: { number: 3 }, mount: home", "absolute path"),
        ("id: Home, match: { number: 3 }", "small letters"),
        ("id: home", "missing field `match`"),
    ] {
        let found = Layout::parse(&with(kept)).unwrap_err();
        assert!(
            found.iter().any(|problem| problem.message.contains(says) && problem.line > 0),
            "{kept}: {found:?}"
        );
    }
    let full = with("id: home, match: { number: 1 }")
        .replace("gpt", "mbr")
        .replace(", when: uefi", "")
        .replace(", when: bios", "");
    assert!(Layout::parse(&full).unwrap_err().iter().any(|problem| problem.message.contains("at most four")));
}

#[test]
fn a_size_that_is_written_is_read_back_the_same() {
    for text in ["10GB", "1536MiB", "1TB", "1000001B", "512KiB", "60%", "rest"] {
        let size: Size = text.parse().unwrap();
        assert_eq!(size.to_string().parse::<Size>().unwrap(), size, "{text} became {size}");
    }
    assert_eq!(Size::Bytes(10_000_000_000).to_string(), "10GB");
}
