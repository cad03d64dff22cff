//! What a system needs after its packages have changed: a restart, or services to be restarted.

use std::{cmp::Ordering, collections::BTreeSet, path::Path};

use wire::packages::{LONGEST_WORD, MOST_SERVICES};

use crate::{
    facts::{os, text},
    host::Host,
};

/// What changes when the system begins to want a restart.
pub(super) const FILES: [&str; 2] = ["/run/reboot-required", "/boot"];

/// Processes that are looked at; a machine with more is looked at in part.
const PROCESSES: usize = 4000;
/// Of the map of one process.
const MAP: usize = 256 << 10;

/// Why the system wants to be restarted; empty when it does not.
pub fn reboot_why(host: &dyn Host) -> String {
    let asked = os::gather(host).reboot_wanted;
    if asked.is_empty() { kernel_why(host) } else { asked.chars().take(1000).collect() }
}

/// That a newer kernel of the same kind is installed than the one that runs; empty when there is none, or when the one that runs is
/// not among those that are installed (containers).
pub fn kernel_why(host: &dyn Host) -> String {
    let running = text(host, "/proc/sys/kernel/osrelease");
    let names = host.list(Path::new("/boot")).unwrap_or_default();
    let installed: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).collect();
    if !installed.contains(&running.as_str()) {
        return String::new();
    }
    let newest = installed
        .into_iter()
        .filter(|release| flavour(release) == flavour(&running))
        .max_by(|a, b| compare(a, b));
    match newest {
        Some(newest) if compare(newest, &running) == Ordering::Greater => {
            format!("kernel {newest} is installed, {running} runs")
        }
        _ => String::new(),
    }
}

/// The kind of a kernel: `cloud-amd64` of `6.1.0-28-cloud-amd64`, `fc40.x86_64` of `6.8.5-301.fc40.x86_64`.
fn flavour(release: &str) -> &str {
    let letters = release.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(release.len());
    &release[letters..]
}

/// Numbers by their value, everything else by its characters.
fn compare(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| {
        let mut parts = Vec::new();
        for character in text.chars() {
            match (character.to_digit(10), parts.last_mut()) {
                (Some(digit), Some((0_u32, number))) => {
                    *number = u64::saturating_mul(*number, 10).saturating_add(digit.into());
                }
                (Some(digit), _) => parts.push((0, u64::from(digit))),
                (None, _) => parts.push((u32::from(character), 0)),
            }
        }
        parts
    };
    parts(a).cmp(&parts(b))
}

/// Services of which a process still runs a program or library that was replaced, by name.
pub fn services(host: &dyn Host) -> Vec<String> {
    let names = host.list(Path::new("/proc")).unwrap_or_default();
    let processes = names.iter().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let mut found = BTreeSet::new();
    for process in processes.take(PROCESSES) {
        let folder = Path::new("/proc").join(process);
        // Processes end while they are looked at.
        let Ok(map) = host.read_at(&folder.join("maps"), 0, MAP) else { continue };
        if runs_replaced(&String::from_utf8_lossy(&map)) {
            let group = host.read_at(&folder.join("cgroup"), 0, 4 << 10).unwrap_or_default();
            found.extend(service(&String::from_utf8_lossy(&group)));
        }
        if found.len() >= MOST_SERVICES {
            break;
        }
    }
    found.into_iter().collect()
}

/// Whether a map (`proc_pid_maps(5)`) has code of a file of the system that is there no more.
pub(super) fn runs_replaced(map: &str) -> bool {
    map.lines().filter_map(|line| line.strip_suffix(" (deleted)")).any(|line| {
        let is_code = line.split_whitespace().nth(1).is_some_and(|rights| rights.contains('x'));
        let file = line.find('/').map_or("", |at| &line[at..]);
        is_code && ["/usr/", "/lib", "/bin/", "/sbin/", "/opt/"].iter().any(|folder| file.starts_with(folder))
    })
}

/// The service of a control group (`cgroups(7)`): the last part of its path that is one. A user's session is none.
pub(super) fn service(group: &str) -> Option<String> {
    let path = group
        .lines()
        .find_map(|line| line.strip_prefix("0::").or_else(|| line.split("name=systemd:").nth(1)))?;
    let name = path.split('/').find(|part| part.ends_with(".service"))?;
    (name.len() <= LONGEST_WORD && !name.starts_with("user@")).then(|| name.to_owned())
}
