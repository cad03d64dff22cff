//! What the server knows how to do, read from folders at start: job types, distributions, layouts.
//!
//! Invariant: a catalogue that loads is complete: every template parses, every word is known. All faults of all files are reported at
//! once. Look-up order: own versions that were uploaded, site, then what Lotse brings. Only own versions change while the server runs.

mod distribution;
mod job_type;
mod own;
pub mod params;
pub mod render;
mod shell_check;
mod vm_step;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, RwLock},
};

pub use self::own::Files;
pub use distribution::{Distribution, NamedDistribution, Source};
pub use job_type::{FileDeclaration, JobType, Retry, StepDeclaration, StepWork};
pub use vm_step::VmStep;

use crate::domain::layout::{Layout, LayoutProblem};

/// Everything that was read.
#[derive(Debug, Default)]
pub struct Catalog {
    job_types: BTreeMap<String, Arc<JobType>>,
    distributions: BTreeMap<String, Distribution>,
    layouts: BTreeMap<String, String>,
    /// Where each job type was read from.
    folders: BTreeMap<String, PathBuf>,
    /// What Lotse brings.
    general: PathBuf,
    own: RwLock<own::Own>,
}

/// Why the catalogue cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the job scripts cannot be used:\n{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Error(pub Vec<Fault>);

/// One fault in one file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, where, and what would be right.
    pub message: String,
}

impl Catalog {
    /// Reads `SHARE/job-scripts` and, over it, the site's directory of the same form.
    ///
    /// # Errors
    /// Every fault of every file.
    pub fn load(share: &Path, site: Option<&Path>) -> Result<Self, Error> {
        let mut catalog = Self::default();
        let mut faults = Vec::new();
        let general = share.join("job-scripts");
        if !general.is_dir() {
            let message = "the directory is missing; name the right one with --share".to_owned();
            return Err(Error(vec![Fault { path: general, message }]));
        }
        catalog.general.clone_from(&general);
        for root in std::iter::once(general.as_path()).chain(site) {
            catalog.read(root, &general, &mut faults);
        }
        if faults.is_empty() { Ok(catalog) } else { Err(Error(faults)) }
    }

    fn read(&mut self, root: &Path, general: &Path, faults: &mut Vec<Fault>) {
        for path in entries(root, faults) {
            let name = file_stem(&path);
            if name == "distributions" || name == "layouts" || name.starts_with('_') || !path.is_dir() {
                continue;
            }
            self.folders.insert(name.clone(), path.clone());
            collect(JobType::load(&name, &path, general).map(Arc::new), &mut self.job_types, name, faults);
        }
        for path in entries(&root.join("distributions"), faults) {
            let name = file_stem(&path);
            collect(
                Distribution::load(&path.join("distribution.yaml")),
                &mut self.distributions,
                name,
                faults,
            );
        }
        for path in entries(&root.join("layouts"), faults) {
            if path.extension().is_some_and(|extension| extension == "yaml") {
                collect(layout(&path), &mut self.layouts, file_stem(&path), faults);
            }
        }
    }

    /// A job type by its name.
    pub fn job_type(&self, name: &str) -> Option<Arc<JobType>> {
        let own = self.own().types.get(name).map(|(_, job_type)| Arc::clone(job_type));
        own.or_else(|| self.job_types.get(name).cloned())
    }

    /// All job types by name.
    pub fn job_types(&self) -> impl Iterator<Item = Arc<JobType>> {
        let mut all = self.job_types.clone();
        all.extend(self.own().types.iter().map(|(name, (_, job_type))| (name.clone(), Arc::clone(job_type))));
        all.into_values()
    }

    /// A distribution by its name.
    pub fn distribution(&self, name: &str) -> Option<&Distribution> {
        self.distributions.get(name)
    }

    /// All distributions by name.
    pub fn distributions(&self) -> impl Iterator<Item = (&str, &Distribution)> {
        self.distributions.iter().map(|(name, distribution)| (name.as_str(), distribution))
    }

    /// Whether a distribution takes packages from a mirror of this name.
    pub fn names_mirror(&self, name: &str) -> bool {
        let mut sources = self.distributions.values().flat_map(|distribution| &distribution.sources);
        sources.any(|source| source.mirror == name)
    }

    /// The YAML text of a layout.
    pub fn layout(&self, name: &str) -> Option<&str> {
        self.layouts.get(name).map(String::as_str)
    }

    /// All layouts: name and YAML text.
    pub fn layouts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.layouts.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

fn collect<T>(
    loaded: Result<T, Vec<Fault>>,
    into: &mut BTreeMap<String, T>,
    name: String,
    faults: &mut Vec<Fault>,
) {
    match loaded {
        Ok(value) => {
            into.insert(name, value);
        }
        Err(mut more) => faults.append(&mut more),
    }
}

fn file_stem(path: &Path) -> String {
    let name = if path.is_dir() { path.file_name() } else { path.file_stem() };
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Sorted entries of a directory; one that does not exist has none.
fn entries(directory: &Path, faults: &mut Vec<Fault>) -> Vec<PathBuf> {
    if !directory.exists() {
        return Vec::new();
    }
    let listed = std::fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>());
    match listed {
        Ok(mut paths) => {
            paths.retain(|path| !file_stem(path).starts_with('.'));
            paths.sort();
            paths
        }
        Err(error) => {
            faults.push(Fault { path: directory.to_owned(), message: error.to_string() });
            Vec::new()
        }
    }
}

fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(|error| Fault { path: path.to_owned(), message: error.to_string() })
}

/// The text of a layout that is well formed; whether it fits a machine is seen when it is planned for it.
fn layout(path: &Path) -> Result<String, Vec<Fault>> {
    let text = read(path).map_err(|fault| vec![fault])?;
    let fault = |problem: LayoutProblem| Fault { path: path.to_owned(), message: problem.to_string() };
    Layout::parse(&text).map_err(|problems| problems.into_iter().map(fault).collect::<Vec<_>>())?;
    Ok(text)
}

/// A YAML file of a declared form; what is unknown is a fault with its line.
fn yaml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Vec<Fault>> {
    let text = read(path).map_err(|fault| vec![fault])?;
    serde_yaml::from_str(&text)
        .map_err(|error| vec![Fault { path: path.to_owned(), message: error.to_string() }])
}
