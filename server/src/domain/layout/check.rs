//! What can be wrong with a layout before any machine is looked at.

use wire::storage::{FileSystem, TableFormat};

use super::{KeptPartition, Layout, LayoutProblem, PartitionLayout, PartitionMatch, Purpose, Size, When};

/// MBR without an extended partition.
const MBR_PARTITIONS: usize = 4;
/// As the agent reports them (`wire::facts::Disk::transport`).
const TRANSPORTS: [&str; 6] = ["nvme", "sata", "scsi", "virtio", "usb", "mmc"];
/// An installation writes here, so what is kept untouched cannot be mounted here.
const WRITTEN: [&str; 9] = ["/", "/boot", "/boot/efi", "/etc", "/opt", "/root", "/usr", "/var", "/var/lib"];

impl Layout {
    pub(super) fn check(&self) -> Vec<LayoutProblem> {
        let mut problems = Problems(Vec::new());
        for (section, value) in [("lvm", &self.lvm), ("raid", &self.raid), ("luks", &self.luks)] {
            problems.unless(
                value.is_none(),
                section,
                &format!("{section} is not available yet; use plain partitions"),
            );
        }
        if self.disks.is_empty() {
            problems.unless(false, "disks", "at least one disk must be described");
        }
        for when in [When::Bios, When::Uefi] {
            self.check_firmware(when, &mut problems);
        }
        self.check_disks(&mut problems);
        problems.0
    }

    fn check_disks(&self, problems: &mut Problems) {
        for (name, disk) in &self.disks {
            let place = format!("disks.{name}");
            let described = !disk.partitions.is_empty() || !disk.keep.is_empty();
            problems.unless(described, &place, "at least one partition must be described");
            for (field, size) in [("min_size", disk.wanted.min_size), ("max_size", disk.wanted.max_size)] {
                let fine = matches!(size, None | Some(Size::Bytes(_)));
                problems.unless(
                    fine,
                    &format!("{place}.match.{field}"),
                    "must be a size in bytes, such as 8GiB",
                );
            }
            let known = disk.wanted.transport.as_deref().is_none_or(|word| TRANSPORTS.contains(&word));
            let message = format!("must be one of {}", TRANSPORTS.join(", "));
            problems.unless(known, &format!("{place}.match.transport"), &message);
            for (at, kept) in disk.keep.iter().enumerate() {
                let place = format!("{place}.keep[{at}]");
                let twice = disk.keep[..at].iter().any(|other| other.id == kept.id)
                    || disk.partitions.iter().any(|other| other.id == kept.id);
                problems.unless(!twice, &place, &format!("the id `{}` is used twice", kept.id));
                kept.check(&place, problems);
            }
            for (at, partition) in disk.partitions.iter().enumerate() {
                let place = format!("{place}.partitions[{at}]");
                let twice = disk.partitions[..at].iter().any(|other| other.id == partition.id);
                problems.unless(!twice, &place, &format!("the id `{}` is used twice", partition.id));
                partition.check(&place, problems);
            }
        }
    }

    /// What must hold among the partitions that are made on one kind of firmware.
    fn check_firmware(&self, firmware: When, problems: &mut Problems) {
        let mut mounts: Vec<&str> = Vec::new();
        for (name, disk) in &self.disks {
            let place = format!("disks.{name}");
            let made: Vec<_> = disk
                .partitions
                .iter()
                .enumerate()
                .filter(|(_, p)| p.when.is_none_or(|when| when == firmware))
                .collect();
            let rests = made.iter().filter(|(_, p)| p.size == Size::Rest).count();
            problems.unless(rests <= 1, &place, "only one partition of a disk can take the `rest`");
            let percent: u32 = made
                .iter()
                .map(|(_, p)| if let Size::Percent(percent) = p.size { u32::from(percent) } else { 0 })
                .sum();
            problems.unless(percent <= 100, &place, &format!("the percentages add up to {percent}"));
            let fits = disk.table != TableFormat::Mbr || made.len() + disk.keep.len() <= MBR_PARTITIONS;
            problems.unless(fits, &place, "an MBR table holds at most four partitions; use `table: gpt`");
            let new = made.into_iter().map(|(at, p)| (format!("{place}.partitions[{at}]"), &p.mount));
            let kept = disk.keep.iter().enumerate();
            let kept = kept.map(|(at, kept)| (format!("{place}.keep[{at}]"), &kept.mount));
            for (place, mount) in new.chain(kept) {
                let Some(mount) = mount else { continue };
                problems.unless(
                    !mounts.contains(&mount.as_str()),
                    &place,
                    &format!("`{mount}` is mounted twice"),
                );
                mounts.push(mount);
            }
        }
        problems.unless(mounts.contains(&"/"), "disks", "no partition is mounted at `/`");
    }
}

impl PartitionLayout {
    fn check(&self, place: &str, problems: &mut Problems) {
        check_id(&self.id, place, problems);
        for (word, value) in [("lvm", &self.lvm), ("raid", &self.raid), ("luks", &self.luks)] {
            problems.unless(
                value.is_none(),
                place,
                &format!("{word} is not available yet; use plain partitions"),
            );
        }
        let exact = matches!(self.min, None | Some(Size::Bytes(_)));
        problems.unless(exact, place, "`min` must be a size in bytes, such as 2GiB");
        let fits = match (self.purpose, self.format) {
            (Some(Purpose::BiosBoot), format) => format.is_none(),
            (Some(Purpose::EfiSystem), format) => format == Some(FileSystem::Vfat),
            (Some(Purpose::Swap), format) => format == Some(FileSystem::Swap),
            (Some(Purpose::Linux), format) => format != Some(FileSystem::Swap),
            (None, format) => format.is_some(),
        };
        problems.unless(fits, place, "`type` and `format` do not go together: bios-boot has no format, efi-system is vfat, swap is swap, and without `type` a `format` is needed");
        if self.mount.is_some() {
            let mountable = self.format.is_some_and(|format| format != FileSystem::Swap);
            problems.unless(mountable, place, "only a partition with a file system can be mounted");
        }
        check_mount(self.mount.as_ref(), self.options.as_ref(), place, problems);
        let label_fits = self.label.as_ref().is_none_or(|label| {
            label.len() <= 11 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
        });
        problems.unless(label_fits, place, "`label` must be up to 11 letters, digits, _ and -");
    }
}

impl KeptPartition {
    fn check(&self, place: &str, problems: &mut Problems) {
        check_id(&self.id, place, problems);
        let is_named = self.wanted != PartitionMatch::default();
        problems.unless(
            is_named,
            place,
            "`match` must name the partition by `number`, `name`, `guid`, `label` or `uuid`",
        );
        let is_needed = self.mount.as_ref().is_some_and(|mount| WRITTEN.contains(&mount.as_str()));
        problems.unless(
            !is_needed,
            place,
            "an installation writes there, so a partition that stays untouched cannot be mounted there",
        );
        check_mount(self.mount.as_ref(), self.options.as_ref(), place, problems);
    }
}

fn check_id(id: &str, place: &str, problems: &mut Problems) {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    let named = (1..=36).contains(&id.len()) && id.bytes().all(plain);
    problems.unless(named, place, "`id` must be 1 to 36 small letters, digits, - and _");
}

fn check_mount(mount: Option<&String>, options: Option<&String>, place: &str, problems: &mut Problems) {
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let is_path = |mount: &String| {
        mount == "/" || mount.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain))
    };
    problems.unless(
        mount.is_none_or(is_path),
        place,
        "`mount` must be an absolute path of letters, digits, `.`, `_` and `-`",
    );
    let are_words = |text: &String| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b",=._:@/-".contains(&b))
    };
    problems.unless(
        options.is_none_or(are_words),
        place,
        "`options` must be words as in fstab(5), separated by commas",
    );
}

struct Problems(Vec<LayoutProblem>);

impl Problems {
    fn unless(&mut self, fine: bool, place: &str, message: &str) {
        let problem = LayoutProblem { line: 0, place: place.to_owned(), message: message.to_owned() };
        if !fine && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }
}
