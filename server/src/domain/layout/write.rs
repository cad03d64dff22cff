//! A layout as YAML text in the form that people write: one line for each partition.
//!
//! Invariant: what is written is read back as the same layout. Comments and the order of an older text are not known here.

use std::{collections::BTreeMap, fmt::Display};

use serde::Serialize;

use super::{DiskLayout, KeptPartition, Layout, PartitionLayout, YesNoAny};

/// A mapping on one line, which leaves out what has no value.
struct Flow(Vec<String>);

impl Flow {
    fn new() -> Self {
        Self(Vec::new())
    }

    fn raw(mut self, key: &str, value: Option<impl Display>) -> Self {
        self.0.extend(value.map(|value| format!("{key}: {value}")));
        self
    }

    fn text(self, key: &str, value: Option<&str>) -> Self {
        self.raw(key, value.map(scalar))
    }

    /// A word of an enum.
    fn word(self, key: &str, value: Option<impl Serialize>) -> Self {
        let word = value.and_then(|value| serde_json::to_value(value).ok());
        self.text(key, word.as_ref().and_then(serde_json::Value::as_str))
    }

    fn end(self) -> String {
        if self.0.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", self.0.join(", ")) }
    }
}

/// A text as a YAML scalar inside a flow mapping (YAML 1.2, 7.3): plain where that cannot be misread, else in double quotes, whose
/// escapes are those of JSON.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-=".contains(c))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn texts(texts: &BTreeMap<String, String>) -> String {
    let pairs: Vec<_> =
        texts.iter().map(|(key, text)| format!("{}: {}", scalar(key), scalar(text))).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

impl Layout {
    /// The layout as YAML text.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        if !self.title.is_empty() {
            text.push_str(&format!("title: {}\n", texts(&self.title)));
        }
        if self.disks.is_empty() {
            text.push_str("disks: {}\n");
        } else {
            text.push_str("disks:\n");
        }
        for (name, disk) in &self.disks {
            text.push_str(&format!("  {}:\n{}", scalar(name), self::disk(disk)));
        }
        // They are refused when the text is read, with their line; dropping them here would hide that.
        for (key, value) in [("lvm", &self.lvm), ("raid", &self.raid), ("luks", &self.luks)] {
            if let Some(value) = value {
                text.push_str(&format!("{key}: {value}\n"));
            }
        }
        text
    }
}

fn disk(disk: &DiskLayout) -> String {
    let wanted = &disk.wanted;
    let matched = Flow::new()
        .raw("min_size", wanted.min_size)
        .raw("max_size", wanted.max_size)
        .text("serial", wanted.serial.as_deref())
        .text("wwn", wanted.wwn.as_deref())
        .text("path", wanted.path.as_deref())
        .word("rotational", Some(wanted.rotational).filter(|rotational| *rotational != YesNoAny::Any))
        .text("transport", wanted.transport.as_deref())
        .end();
    let table = Flow::new().word("table", Some(disk.table)).0.concat();
    let mut text = format!("    match: {matched}\n    {table}\n    wipe: {}\n", disk.wipe);
    if !disk.keep.is_empty() {
        text.push_str("    keep:\n");
        text.extend(disk.keep.iter().map(|kept| format!("      - {}\n", self::kept(kept))));
    }
    if disk.partitions.is_empty() {
        text.push_str("    partitions: []\n");
    } else {
        text.push_str("    partitions:\n");
        text.extend(disk.partitions.iter().map(|made| format!("      - {}\n", partition(made))));
    }
    text
}

fn kept(kept: &KeptPartition) -> String {
    let wanted = &kept.wanted;
    let matched = Flow::new()
        .raw("number", wanted.number)
        .text("name", wanted.name.as_deref())
        .text("guid", wanted.guid.as_deref())
        .text("label", wanted.label.as_deref())
        .text("uuid", wanted.uuid.as_deref())
        .end();
    Flow::new()
        .text("id", Some(&kept.id))
        .raw("match", Some(matched))
        .text("mount", kept.mount.as_deref())
        .text("options", kept.options.as_deref())
        .end()
}

fn partition(made: &PartitionLayout) -> String {
    Flow::new()
        .text("id", Some(&made.id))
        .raw("size", Some(made.size))
        .raw("min", made.min)
        .word("type", made.purpose)
        .word("format", made.format)
        .text("mount", made.mount.as_deref())
        .text("options", made.options.as_deref())
        .text("label", made.label.as_deref())
        .word("when", made.when)
        .text("lvm", made.lvm.as_deref())
        .text("raid", made.raid.as_deref())
        .text("luks", made.luks.as_deref())
        .end()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERYTHING: &str = "\
title: { de: \"Platte: mit, Zeichen\", en: \"true\" }
disks:
  data:
    match: { min_size: 1536MiB, serial: \"0815\", path: /dev/sdb, rotational: \"yes\", transport: sata }
    table: mbr
    wipe: false
    partitions:
      - { id: archive, size: 100%, format: xfs, mount: /srv, options: \"noatime,nodev\" }
  system:
    match: {}
    table: gpt
    wipe: true
    keep:
      - { id: home, match: { number: 3, name: home, label: \"1e5\" }, mount: /home }
    partitions:
      - { id: esp, size: 512MiB, type: efi-system, format: vfat, mount: /boot/efi, when: uefi }
      - { id: bios, size: 1MiB, type: bios-boot, when: bios }
      - { id: root, size: rest, min: 4GiB, format: ext4, mount: /, label: \"no\" }
";

    #[test]
    fn what_is_written_is_read_back_the_same() {
        let layout = Layout::parse(EVERYTHING).unwrap();
        assert_eq!(layout.to_yaml(), EVERYTHING);
        assert_eq!(Layout::parse(&layout.to_yaml()).unwrap(), layout);
    }

    #[test]
    fn a_size_that_is_no_whole_number_of_a_unit_is_not_rounded() {
        let text = EVERYTHING.replace("1536MiB", "10000000001B");
        let layout = Layout::parse(&text).unwrap();
        assert_eq!(Layout::parse(&layout.to_yaml()).unwrap(), layout);
    }

    #[test]
    fn texts_that_look_like_other_values_are_quoted() {
        for text in ["", "12", "0x1f", "~", "Null", "- a", "a: b", "a # b", "{", "1.5", "ä\"\\\n", ".inf"] {
            let read: serde_json::Value =
                serde_yaml::from_str(&format!("{{ x: {} }}", scalar(text))).unwrap();
            assert_eq!(read["x"], text);
        }
    }
}
