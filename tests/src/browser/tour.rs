//! Where the pages are: every address of the pages' `ROUTES` that a browser can open, with the names of the sample in it.

use anyhow::{Result, bail};
use reqwest::Method;
use server::http::pages::ROUTES;

use crate::sample::Sample;

/// A page of the tour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Name of its pictures.
    pub name: String,
    /// Its address, without the host.
    pub address: String,
}

/// Addresses that no route names: pages at their worst.
const MORE: [(&str, &str); 28] = [
    ("clients-name-discovered", "/clients/{discovered}"),
    ("clients-name-installing", "/clients/{installing}"),
    ("clients-name-failed", "/clients/{failed}"),
    ("clients-desktop", "/clients/ann-desk"),
    ("console-at-provider", "/clients/ann-desk/console"),
    ("console-nowhere", "/clients/{installing}/console"),
    ("desktops-name-creating", "/desktops/bob-desk"),
    ("desktops-name-failed", "/desktops/carl-desk"),
    ("desktops-name-deleting", "/desktops/dora-desk"),
    ("desktops-rebuild", "/desktops/ann-desk/do/rebuild"),
    ("providers-resting", "/providers/south"),
    ("clients-empty", "/clients?q=zzz"),
    ("error", "/clients/nobody"),
    ("reports-updates", "/reports/updates"),
    ("reports-reboots", "/reports/reboots"),
    ("reports-silent", "/reports/silent"),
    ("reports-failures", "/reports/failures"),
    ("reports-software", "/reports/software"),
    ("packages-unknown", "/clients/{installing}/packages"),
    ("comparison-with", "/clients/lab-01/comparison?with=lab-03"),
    ("packages-found", "/packages?q=fire"),
    ("reports-packages", "/reports/packages"),
    ("reports-disks", "/reports/disks"),
    ("reports-space", "/reports/space"),
    ("reports-age", "/reports/age"),
    ("reports-changes", "/reports/changes"),
    ("package-change-updates", "/clients/lab-01/packages/change?only=updates&packages=vlc&hold=bash"),
    ("comparison-selection", "/clients/office-01/comparison?selection=writing"),
];

/// Parts that pages fetch, and files; nobody looks at them.
const PARTS: [&str; 5] = [
    "/clients-words",
    "/selections/{name}/file",
    "/clients/{name}/console/screen",
    "/clients/{name}/console/lines",
    "/clients/{name}/console/text",
];

/// All pages, each once.
///
/// # Errors
/// A route has a parameter for which nobody has said what the sample has in its place.
pub fn stops(sample: &Sample) -> Result<Vec<Stop>> {
    let routes = ROUTES.iter().filter(|(method, path, _)| *method == Method::GET && !PARTS.contains(path));
    let mut stops = routes
        .map(|(_, route, _)| {
            let name = route.trim_matches('/').replace(['{', '}'], "").replace('/', "-");
            let name = if name.is_empty() { "overview".to_owned() } else { name };
            Ok(Stop { name, address: filled(route, sample)? })
        })
        .collect::<Result<Vec<_>>>()?;
    for (name, address) in MORE {
        let address = address
            .replace("{discovered}", sample.discovered)
            .replace("{installing}", sample.installing)
            .replace("{failed}", sample.failed);
        stops.push(Stop { name: name.to_owned(), address });
    }
    Ok(stops)
}

fn filled(route: &str, sample: &Sample) -> Result<String> {
    let mut filled = Vec::new();
    let mut before = "";
    for part in route.split('/') {
        filled.push(match (before, part) {
            ("clients", "{name}") if route.ends_with("/adopt") => sample.discovered.to_owned(),
            ("clients", "{name}") if route.ends_with("/integration") => sample.integrated.to_owned(),
            ("clients", "{name}") => sample.installed.to_owned(),
            ("desktops", "{name}") => "ann-desk".to_owned(),
            ("providers", "{name}") => "north".to_owned(),
            ("attempts", "{id}") => sample.running.to_string(),
            ("jobs", "{id}") => sample.held.to_string(),
            ("groups", "{name}") => sample.group.to_owned(),
            ("selections", "{name}") => sample.selection.to_owned(),
            ("previews", "{id}") => sample.preview.to_string(),
            ("layouts", "{name}") => sample.layout.to_owned(),
            ("source-lists", "{name}") => "debian-12".to_owned(),
            ("repositories", "{name}") => "ours".to_owned(),
            ("accounts", "{name}") => "admin".to_owned(),
            ("report-mails", "{name}") => "weekly".to_owned(),
            (_, "comparison") => "comparison?at=2020-01-01".to_owned(),
            ("channels", "{name}") => "mail".to_owned(),
            ("do", "{order}") if route.starts_with("/desktops/") => "delete".to_owned(),
            ("do", "{order}") => "redo".to_owned(),
            ("batches", "{id}") => "1".to_owned(),
            ("rollouts", "{id}") => "1".to_owned(),
            ("job-scripts", "{name}") => "package-install".to_owned(),
            ("samples", "{sample}") => "two".to_owned(),
            ("reports", "{name}") => "failures".to_owned(),
            (_, "difference") => "difference?from=0&to=1".to_owned(),
            ("", "new-job-script") => "new-job-script?name=own".to_owned(),
            (_, fixed) if !fixed.starts_with('{') => fixed.to_owned(),
            (_, open) => bail!("{route}: say here what the sample has for {open}"),
        });
        before = part;
    }
    Ok(filled.join("/"))
}
