//! The running system.

use std::path::Path;

use wire::facts::OperatingSystem;

use super::text;
use crate::host::Host;

/// Reads what the system says of itself.
pub(crate) fn gather(host: &dyn Host) -> OperatingSystem {
    let release = text(host, "/etc/os-release");
    let reboot = Path::new("/run/reboot-required");
    let packages = text(host, "/run/reboot-required.pkgs");
    OperatingSystem {
        id: field(&release, "ID"),
        version: field(&release, "VERSION_ID"),
        name: field(&release, "PRETTY_NAME"),
        kernel: text(host, "/proc/sys/kernel/osrelease"),
        hostname: text(host, "/proc/sys/kernel/hostname"),
        reboot_wanted: match (host.exists(reboot), packages.is_empty()) {
            (true, false) => packages.lines().collect::<Vec<_>>().join(", "),
            (true, true) => "a package asked for it".to_owned(),
            (false, _) => String::new(),
        },
    }
}

/// A field of os-release(5), with or without quotes.
pub(crate) fn field(release: &str, name: &str) -> String {
    release
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
        .unwrap_or_default()
}
