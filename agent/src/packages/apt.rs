//! Which updates apt would bring, and which of them are security updates: from what apt says itself and from signed lists only.
//!
//! A simulation does not say whether a source is authenticated, so each version must come from one whose release file was signed
//! (`InRelease`, or `Release` with `Release.gpg`): apt keeps no `InRelease` whose signature it could not verify.

use std::{collections::BTreeSet, path::Path};

use tokio_util::sync::CancellationToken;
use wire::packages::PackageUpdate;

use super::ask;
use crate::host::{Command, Host};

/// Where apt keeps what sources offer.
pub(super) const LISTS: &str = "/var/lib/apt/lists";
/// The fields that matter stand before the first list of hashes.
const HEAD: usize = 4 << 10;

/// An update that apt would bring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Update {
    /// Name, with `:ARCHITECTURE` when it is not the machine's own one.
    pub(super) name: String,
    /// The version that is there.
    pub(super) installed: String,
    /// What would come.
    pub(super) to: PackageUpdate,
}

/// Asks apt, or says why it cannot be asked.
pub(super) async fn updates(host: &dyn Host, stop: &CancellationToken) -> Result<Vec<Update>, String> {
    let command = Command::new([
        "apt-get",
        "--simulate",
        "--quiet=2",
        // Looking must not wait for whoever installs, nor keep anybody from it.
        "--option=Debug::NoLocking=true",
        "full-upgrade",
    ])
    .with_environment("LC_ALL", "C");
    let (lines, ended) = ask(host, &command, stop).await;
    ended.map_err(|error| crate::report::chain(&error).chars().take(200).collect::<String>())?;
    let signed = signed(host).map_err(|error| crate::report::chain(&error))?;
    Ok(lines.iter().filter_map(|line| update(line, &signed)).collect())
}

/// Sources that are authenticated, as apt names them: `Debian:12.8/stable`.
pub(super) type Signed = BTreeSet<String>;

fn signed(host: &dyn Host) -> Result<Signed, crate::host::Error> {
    let lists = Path::new(LISTS);
    let names = host.list(lists)?;
    let mut found = Signed::new();
    for name in &names {
        let is_signed = name.ends_with("_InRelease")
            || (name.ends_with("_Release") && names.binary_search(&format!("{name}.gpg")).is_ok());
        if is_signed {
            let head = host.read_at(&lists.join(name), 0, HEAD)?;
            found.insert(source(&String::from_utf8_lossy(&head)));
        }
    }
    Ok(found)
}

/// A source as apt names it where it simulates: `LABEL:VERSION/SUITE`, without what the release file does not say.
fn source(release: &str) -> String {
    let field = |name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim().to_owned());
        release.lines().find_map(value).unwrap_or_default()
    };
    let (label, version, suite) = (field("Label"), field("Version"), field("Suite"));
    let suite = if version.is_empty() { suite } else { format!("{version}/{suite}") };
    if label.is_empty() { suite } else { format!("{label}:{suite}") }
}

/// Whether a source is one of security updates, by its own label and suite: `Debian-Security:12/stable-security`,
/// `Ubuntu:24.04/noble-security`.
fn is_security(source: &str) -> bool {
    let (label, suite) = source.split_once(':').unwrap_or(("", source));
    label.to_ascii_lowercase().contains("security") || suite.ends_with("-security")
}

/// `Inst NAME [INSTALLED] (VERSION SOURCE, SOURCE [ARCHITECTURE]) …`; a package that is not there yet has no `[INSTALLED]`.
pub(super) fn update(line: &str, signed: &Signed) -> Option<Update> {
    let rest = line.strip_prefix("Inst ")?;
    let (name, rest) = rest.split_once(" [")?;
    // Without it this is the architecture of a new package.
    if name.contains(' ') {
        return None;
    }
    let (installed, rest) = rest.split_once("] (")?;
    let inside = rest.split(')').next()?;
    let (version, sources) = inside.split_once(' ')?;
    let sources = sources.rsplit_once(" [").map_or("", |(sources, _)| sources);
    let authenticated: Vec<&str> =
        sources.split(", ").map(str::trim).filter(|source| signed.contains(*source)).collect();
    if authenticated.is_empty() {
        return None;
    }
    let security = authenticated.into_iter().any(is_security);
    let to = PackageUpdate { version: version.to_owned(), security };
    Some(Update { name: name.to_owned(), installed: installed.to_owned(), to })
}
