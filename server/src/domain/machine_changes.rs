//! What is different about a machine that was measured again: what somebody put in or took out, and what was updated.

use wire::facts::{Disk, Facts};

use super::layout::size::human;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineChange {
    /// What is different: `memory`, `disk`, `system` …
    pub what: &'static str,
    /// What it was; empty for something new.
    pub was: String,
    /// What it became; empty for something gone.
    pub became: String,
}

/// All differences, of two measurements of the same machine. What is different at every boot does not count.
pub fn between(old: &Facts, new: &Facts) -> Vec<MachineChange> {
    let mut changes = Vec::new();
    let mut compare = |what, was: String, became: String| {
        // Not known is no difference: an installer may see less than an installed system.
        if was != became && !was.is_empty() && !became.is_empty() {
            changes.push(MachineChange { what, was, became });
        }
    };
    // The kernel takes a little for itself, and not the same at every version.
    let rounded = |bytes: u64| human(bytes.next_multiple_of(256 << 20));
    compare("memory", rounded(old.memory_bytes), rounded(new.memory_bytes));
    compare("processor", old.cpu.model.clone(), new.cpu.model.clone());
    compare("mainboard", old.dmi.serial.clone(), new.dmi.serial.clone());
    compare("firmware", old.dmi.bios_version.clone(), new.dmi.bios_version.clone());
    if old.realm == new.realm {
        compare("system", old.os.name.clone(), new.os.name.clone());
        compare("kernel", old.os.kernel.clone(), new.os.kernel.clone());
    }
    let cards = |facts: &Facts| facts.nics.iter().map(|nic| nic.mac.to_string()).collect::<Vec<_>>();
    come_and_gone("network-card", &cards(old), &cards(new), &mut changes);
    let disks =
        |facts: &Facts| facts.disks.iter().filter(|disk| !disk.removable).map(named).collect::<Vec<_>>();
    come_and_gone("disk", &disks(old), &disks(new), &mut changes);
    changes
}

fn named(disk: &Disk) -> String {
    format!("{} {} {}", disk.model, disk.serial, human(disk.size_bytes)).trim().to_owned()
}

fn come_and_gone(what: &'static str, old: &[String], new: &[String], changes: &mut Vec<MachineChange>) {
    for gone in old.iter().filter(|one| !new.contains(one)) {
        changes.push(MachineChange { what, was: gone.clone(), became: String::new() });
    }
    for came in new.iter().filter(|one| !old.contains(one)) {
        changes.push(MachineChange { what, was: String::new(), became: came.clone() });
    }
}

#[cfg(test)]
mod tests {
    use wire::{
        enrol::Realm,
        facts::{Cpu, Dmi, Firmware, OperatingSystem},
    };

    use super::*;

    fn facts() -> Facts {
        Facts {
            collected_at: 0,
            realm: Realm::System,
            agent_version: String::new(),
            firmware: Firmware::Uefi,
            secure_boot: false,
            cpu: Cpu::default(),
            memory_bytes: (8 << 30) - (40 << 20),
            dmi: Dmi::default(),
            virtualization: String::new(),
            disks: vec![Disk { serial: "A".to_owned(), size_bytes: 1 << 40, ..Disk::default() }],
            nics: Vec::new(),
            file_systems: Vec::new(),
            vm_host: None,
            os: OperatingSystem { kernel: "6.1.0-30".to_owned(), ..OperatingSystem::default() },
        }
    }

    #[test]
    fn what_was_taken_out_and_put_in_is_told() {
        let mut new = facts();
        new.memory_bytes = (16 << 30) - (50 << 20);
        new.disks[0].serial = "B".to_owned();
        new.os.kernel = "6.1.0-31".to_owned();
        let told: Vec<_> = between(&facts(), &new)
            .into_iter()
            .map(|change| format!("{}: {} -> {}", change.what, change.was, change.became))
            .collect();
        let wanted = [
            "memory: 8\u{a0}GiB -> 16\u{a0}GiB",
            "kernel: 6.1.0-30 -> 6.1.0-31",
            "disk: A 1\u{a0}TiB -> ",
            "disk:  -> B 1\u{a0}TiB",
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn an_installer_and_a_little_less_memory_are_no_change() {
        let mut new = facts();
        new.realm = Realm::Installer;
        new.memory_bytes -= 3 << 20;
        new.os.kernel = "another".to_owned();
        assert_eq!(between(&facts(), &new), []);
    }
}
