//! What rpm has installed, and what dnf knows about it. dnf is asked from its cache only: who refreshes it is not the agent's business.

use std::{collections::BTreeSet, path::Path};

use tokio_util::sync::CancellationToken;
use wire::packages::{Package, PackageKey, PackageUpdate};

use super::{Error, Inventory, ask};
use crate::host::{Command, Host};

/// Where rpm keeps its database: now, and before.
pub(super) const DATABASES: [&str; 4] = [
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages.db",
    "/var/lib/rpm/Packages",
];
const HELD: &str = "/etc/dnf/plugins/versionlock.list";
/// What changes when packages or marks change.
pub(super) const FILES: [&str; 7] = [
    DATABASES[0],
    DATABASES[1],
    DATABASES[2],
    DATABASES[3],
    "/usr/lib/sysimage/rpm/rpmdb.sqlite-wal",
    HELD,
    "/var/cache/dnf",
];

pub(super) async fn read(host: &dyn Host, stop: &CancellationToken) -> Result<Inventory, Error> {
    let format = "%{NAME}\\t%{EPOCH}\\t%{VERSION}\\t%{RELEASE}\\t%{ARCH}\\t%{SIZE}\\n";
    let query = Command::new(["rpm", "-qa", "--qf", format]);
    let (lines, ended) = ask(host, &query, stop).await;
    ended?;
    let held = host.read(Path::new(HELD)).unwrap_or_default();
    let held = versionlock(&String::from_utf8_lossy(&held));
    let mut packages: Vec<Package> = lines.iter().filter_map(|line| installed(line)).collect();
    let wanted =
        Command::new(["dnf", "-C", "-q", "repoquery", "--userinstalled", "--qf", "%{name}.%{arch}\\n"]);
    let (wanted, known) = ask(host, &wanted, stop).await;
    // dnf 4 ends a line by itself, too.
    let wanted: BTreeSet<&str> =
        wanted.iter().map(|line| line.trim()).filter(|line| !line.is_empty()).collect();
    for package in &mut packages {
        let PackageKey { name, architecture, .. } = &package.key;
        package.automatic = known.is_ok() && !wanted.contains(format!("{name}.{architecture}").as_str());
        package.held = held.contains(name);
    }
    let updates_unknown = match updates(host, stop).await {
        Ok((newer, security)) => {
            apply(&mut packages, &newer, &security);
            String::new()
        }
        Err(reason) => reason,
    };
    Ok(Inventory { packages, updates_unknown })
}

/// A line of the query.
pub(super) fn installed(line: &str) -> Option<Package> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (name, epoch, version, release, architecture) = (next()?, next()?, next()?, next()?, next()?);
    // Keys that rpm trusts are kept as packages; they belong to no architecture.
    if architecture == "(none)" {
        return None;
    }
    let epoch = if ["(none)", "0"].contains(&epoch) { String::new() } else { format!("{epoch}:") };
    Some(Package {
        key: PackageKey {
            name: name.to_owned(),
            architecture: architecture.to_owned(),
            version: format!("{epoch}{version}-{release}"),
        },
        automatic: false,
        held: false,
        size_bytes: next()?.parse().unwrap_or(0),
        update: None,
    })
}

/// Names that are locked: `vim-enhanced-2:9.0.1-1.fc40.*`.
pub(super) fn versionlock(text: &str) -> BTreeSet<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
    lines
        .map(|line| {
            // NAME-[EPOCH:]VERSION-RELEASE.ARCHITECTURE; of a mere name nothing is taken away.
            let mut parts = line.rsplitn(3, '-');
            match (parts.next(), parts.next(), parts.next()) {
                (Some(_), Some(version), Some(name)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
                    name.to_owned()
                }
                _ => line.to_owned(),
            }
        })
        .collect()
}

/// Newer versions (`NAME.ARCHITECTURE` and version), and those among them that are security updates.
type Newer = Vec<(String, String)>;

async fn updates(host: &dyn Host, stop: &CancellationToken) -> Result<(Newer, Newer), String> {
    let mut found = [Newer::new(), Newer::new()];
    for (newer, security) in found.iter_mut().zip([false, true]) {
        let mut words = vec!["dnf", "-C", "-q", "check-update"];
        words.extend(security.then_some("--security"));
        let (lines, ended) = ask(host, &Command::new(words), stop).await;
        *newer = lines.iter().filter_map(|line| check_update(line)).collect();
        if let Err(error) = ended {
            let reason = crate::report::chain(&error);
            // dnf(8): 100 says that there are updates.
            if !reason.contains("status 100") && !reason.contains("status: 100") {
                return Err(reason.chars().take(200).collect());
            }
        }
    }
    let [newer, security] = found;
    Ok((newer, security))
}

/// `NAME.ARCHITECTURE  VERSION-RELEASE  REPOSITORY`
pub(super) fn check_update(line: &str) -> Option<(String, String)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, version, _] = words.as_slice() else { return None };
    let is_version = version.starts_with(|c: char| c.is_ascii_digit()) && version.contains('-');
    (name.contains('.') && is_version && !line.starts_with(' '))
        .then(|| ((*name).to_owned(), (*version).to_owned()))
}

/// Of several installed versions the newest is the one that is updated; the last of equal names is.
fn apply(packages: &mut [Package], newer: &Newer, security: &Newer) {
    for (name, version) in newer {
        let same = |package: &&mut Package| {
            name.strip_prefix(package.key.name.as_str()).and_then(|rest| rest.strip_prefix('.'))
                == Some(package.key.architecture.as_str())
        };
        if let Some(package) = packages.iter_mut().rfind(same) {
            let security = security.iter().any(|(secure, _)| secure == name);
            package.update = Some(PackageUpdate { version: version.clone(), security });
        }
    }
}
