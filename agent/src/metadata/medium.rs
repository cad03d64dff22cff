//! Media by their label: a CD or a small disk that a cloud puts into a machine.

use std::path::{Path, PathBuf};

use crate::{
    facts::{content, text},
    host::Host,
    report::chain,
};

use super::Tried;

/// Where a medium is mounted while it is read.
const PLACE: &str = "/run/lotse-agent/medium";
/// Devices that are no media, or only show another one again.
const NOT_MEDIA: [&str; 7] = ["loop", "ram", "zram", "dm-", "md", "fd", "nbd"];
/// Sizes in `/sys` are in these bytes.
const UNIT: u64 = 512;

/// A medium that was found.
struct Labelled {
    device: String,
    file_system: &'static str,
}

/// Looks for these files on every medium with this label (in any case: FAT has capitals only), until one holds user-data.
pub(super) fn look(host: &dyn Host, label: &str, files: &[&str]) -> Vec<Tried> {
    let media = labelled(host, label);
    if media.is_empty() {
        return vec![Tried::nowhere("media", format!("none has the label {label}"))];
    }
    let mut all = Vec::new();
    for medium in media {
        let tried = read(host, &medium, files);
        let found = tried.iter().any(|tried| tried.outcome.is_ok());
        all.extend(tried);
        if found {
            break;
        }
    }
    all
}

fn labelled(host: &dyn Host, label: &str) -> Vec<Labelled> {
    let names = host.list(Path::new("/sys/class/block")).unwrap_or_default();
    let names = names.into_iter().filter(|name| !NOT_MEDIA.iter().any(|prefix| name.starts_with(prefix)));
    names
        .filter_map(|name| {
            let units: u64 = text(host, &format!("/sys/class/block/{name}/size")).parse().ok()?;
            // A drive without a medium.
            let size = units.checked_mul(UNIT).filter(|size| *size > 0)?;
            let device = format!("/dev/{name}");
            let found = content::of_device(host, &device, size);
            let file_system = ["iso9660", "vfat"].into_iter().find(|known| *known == found.content)?;
            found.label.eq_ignore_ascii_case(label).then_some(Labelled { device, file_system })
        })
        .collect()
}

fn read(host: &dyn Host, medium: &Labelled, files: &[&str]) -> Vec<Tried> {
    let device = &medium.device;
    let place = Path::new(PLACE);
    let mounted = host
        .create_dir(place)
        .and_then(|()| host.mount(device, place, medium.file_system, "ro,nosuid,nodev,noexec"));
    if let Err(error) = mounted {
        return vec![Tried::nowhere(device, chain(&error))];
    }
    let there: Vec<PathBuf> =
        files.iter().map(|file| place.join(file)).filter(|file| host.exists(file)).collect();
    let mut all: Vec<Tried> = there
        .iter()
        .map(|file| {
            let tried = Tried::file(host, file);
            let name = file.strip_prefix(place).unwrap_or(file).display();
            Tried { place: format!("{device} {name}"), ..tried }
        })
        .collect();
    if all.is_empty() {
        all.push(Tried::nowhere(device, format!("has none of the files {}", files.join(", "))));
    }
    if let Err(error) = host.unmount(place) {
        tracing::warn!(device, error = &error as &dyn std::error::Error, "unmounting a medium");
    }
    all
}
