//! Own versions of job scripts: files that somebody has uploaded instead of putting them into a folder of the server.
//!
//! Invariant: they pass the very checks that folders pass, and name no file outside of themselves but the shared templates that Lotse
//! brings. Uploading gives no way to read other files of the server.

use std::{
    collections::BTreeMap,
    path::{Component, Path},
    sync::Arc,
};

use super::{Catalog, Fault, job_type::JobType};

/// The files of a job script: path inside of its folder, and content.
pub type Files = BTreeMap<String, String>;

/// So many files and bytes are enough for any job script.
const MOST_FILES: usize = 64;
const MOST_BYTES: usize = 512 << 10;

/// Own versions that are used, by name of the job type.
#[derive(Debug, Default)]
pub(super) struct Own {
    pub(super) types: BTreeMap<String, (i64, Arc<JobType>)>,
    pub(super) faults: BTreeMap<String, String>,
}

/// Whether a path lies inside of a job script's folder and is written in the one plain way.
fn is_plain(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    let fine = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    path.len() <= 200 && parts.len() <= 4 && parts.iter().all(fine)
}

impl Catalog {
    /// Reads a job type from files, with all checks.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn read_own(&self, name: &str, files: &Files) -> Result<JobType, Vec<Fault>> {
        let fault = |path: &str, message: &str| Fault { path: path.into(), message: message.to_owned() };
        let mut faults: Vec<Fault> = files
            .keys()
            .filter(|path| !is_plain(path))
            .map(|path| {
                fault(path, "the name must be plain: letters, digits, `.`, `_` and `-`, folders with `/`")
            })
            .collect();
        if files.len() > MOST_FILES || files.values().map(String::len).sum::<usize>() > MOST_BYTES {
            faults.push(fault("", "it has more than 64 files or 512 KiB"));
        }
        if !files.contains_key("job.yaml") {
            faults.push(fault("job.yaml", "the file is missing: it declares what the job does"));
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let io =
            |error: std::io::Error| vec![fault("", &format!("writing the files to check them: {error}"))];
        let scratch = tempfile::tempdir().map_err(io)?;
        // One level down, so that `../_apt` means the shared folder, which is looked for in what Lotse brings.
        let folder = scratch.path().join(name);
        for (path, content) in files {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs_err::create_dir_all(parent).map_err(io)?;
            }
            fs_err::write(path, content).map_err(io)?;
        }
        JobType::load(name, &folder, &self.general).map_err(|faults| {
            let place = format!("{}/", folder.display());
            let shown = |fault: Fault| Fault {
                path: fault.path.strip_prefix(&folder).unwrap_or(&fault.path).to_owned(),
                message: fault.message.replace(&place, ""),
            };
            faults.into_iter().map(shown).collect()
        })
    }

    /// The files of a job type that Lotse or the site's folder brings.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn brought_files(&self, name: &str) -> std::io::Result<Files> {
        let mut files = Files::new();
        if let Some(folder) = self.folders.get(name) {
            collect(folder, folder, &mut files)?;
        }
        Ok(files)
    }

    /// Whether Lotse or the site's folder brings a job type.
    pub fn brings(&self, name: &str) -> bool {
        self.folders.contains_key(name)
    }

    /// Whether it comes from the site's folder.
    pub fn is_of_site(&self, name: &str) -> bool {
        self.folders.get(name).is_some_and(|folder| !folder.starts_with(&self.general))
    }

    /// Uses these own versions from now on: name, number and files. One that cannot be used any more leaves what is brought in its
    /// place, and is told by [`Self::own_fault`].
    pub fn use_own(&self, versions: &[(String, i64, Files)]) {
        let mut own = Own::default();
        for (name, number, files) in versions {
            match self.read_own(name, files) {
                Ok(job_type) => {
                    own.types.insert(name.clone(), (*number, Arc::new(job_type)));
                }
                Err(faults) => {
                    let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
                    own.faults.insert(name.clone(), format!("version {number}: {}", said.join("; ")));
                }
            }
        }
        *self.own.write().unwrap_or_else(std::sync::PoisonError::into_inner) = own;
    }

    /// Why the chosen own version of a job type is not used.
    pub fn own_fault(&self, name: &str) -> Option<String> {
        self.own().faults.get(name).cloned()
    }

    /// All own versions that are chosen and cannot be used.
    pub fn own_faults(&self) -> BTreeMap<String, String> {
        self.own().faults.clone()
    }

    /// Number of the own version that is used.
    pub fn own_version(&self, name: &str) -> Option<i64> {
        self.own().types.get(name).map(|(number, _)| *number)
    }

    pub(super) fn own(&self) -> std::sync::RwLockReadGuard<'_, Own> {
        self.own.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// This catalogue, with another job type in it.
    #[must_use]
    pub fn with(&self, job_type: JobType) -> Self {
        let job_type = Arc::new(job_type);
        let mut types = self.own().types.clone();
        types.insert(job_type.name.clone(), (0, job_type));
        Self {
            job_types: self.job_types.clone(),
            distributions: self.distributions.clone(),
            layouts: self.layouts.clone(),
            folders: self.folders.clone(),
            general: self.general.clone(),
            own: std::sync::RwLock::new(Own { types, faults: BTreeMap::new() }),
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Files) -> std::io::Result<()> {
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if let Ok(name) = path.strip_prefix(root) {
            files.insert(name.display().to_string(), fs_err::read_to_string(&path)?);
        }
    }
    Ok(())
}

/// Whether a template's name leads to a file of its own folder or of a shared one beside it, and nowhere else.
pub(super) fn leads_inside(file: &str) -> bool {
    let inside = match file.strip_prefix("../") {
        Some(shared) => {
            if !shared.starts_with('_') {
                return false;
            }
            shared
        }
        None => file,
    };
    !inside.is_empty() && Path::new(inside).components().all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), None)
            .unwrap_or_else(|error| panic!("{error}"))
    }

    fn files(job: &str) -> Files {
        [("job.yaml".to_owned(), job.to_owned()), ("10-say.sh.tera".to_owned(), "echo hello\n".to_owned())]
            .into()
    }

    const JOB: &str =
        "title: { en: Say, de: Sagen }\nrealm: system\npriority: 30\nsteps:\n  - script: 10-say.sh.tera\n";

    #[test]
    fn an_upload_passes_the_checks_of_folders_and_is_used_until_another_is_chosen() {
        let catalog = catalog();
        let own = catalog.read_own("say", &files(JOB)).unwrap();
        assert_eq!(own.steps.len(), 1);
        assert!(catalog.job_type("say").is_none());
        assert!(catalog.with(own).job_type("say").is_some());
        catalog.use_own(&[("say".to_owned(), 3, files(JOB))]);
        assert_eq!(catalog.own_version("say"), Some(3));
        assert!(catalog.job_types().any(|job_type| job_type.name == "say"));
        catalog.use_own(&[]);
        assert!(catalog.job_type("say").is_none());
    }

    #[test]
    fn an_upload_that_cannot_be_used_is_refused_with_file_and_line() {
        let catalog = catalog();
        for (job, script, says) in [
            (JOB, "eval {{ params.x }}\n", "10-say.sh.tera:1"),
            ("title: { en: x }\n", "", "realm"),
            (
                "title: { en: x, de: x }\nrealm: system\npriority: 1\nsteps:\n  - kind: dance\n",
                "",
                "no step kind",
            ),
        ] {
            let mut files = files(job);
            files.insert("10-say.sh.tera".to_owned(), script.to_owned());
            let faults = catalog.read_own("say", &files).unwrap_err();
            let said: Vec<_> = faults.iter().map(ToString::to_string).collect();
            assert!(said.join("\n").contains(says), "{said:?}");
            assert!(!said.join("\n").contains("/tmp"), "{said:?}");
        }
    }

    #[test]
    fn an_upload_reads_no_other_file_of_the_server() {
        let catalog = catalog();
        for path in ["../x", "/etc/passwd", "a/../b", ".hidden", "a b", "a//b", ""] {
            let mut files = files(JOB);
            files.insert(path.to_owned(), String::new());
            assert!(catalog.read_own("say", &files).is_err(), "{path}");
        }
        for file in ["/etc/passwd", "../../etc/passwd", "../_apt/../../x", "../storage/job.yaml", "a/../../x"]
        {
            let job = format!(
                "title: {{ en: x, de: x }}\nrealm: system\npriority: 1\nsteps:\n  - write-file: [{{ path: /x, template: '{file}' }}]\n"
            );
            let faults = catalog.read_own("say", &files(&job)).unwrap_err();
            assert!(faults[0].message.contains("must be a file of its own folder"), "{file}: {faults:?}");
        }
        assert!(leads_inside("../_apt/refresh.sh.tera") && leads_inside("a/b.tera"));
    }

    #[test]
    fn a_chosen_version_that_cannot_be_used_any_more_leaves_what_is_brought() {
        let catalog = catalog();
        catalog.use_own(&[("reboot".to_owned(), 2, Files::new())]);
        assert!(catalog.own_fault("reboot").unwrap().contains("version 2"));
        assert!(catalog.job_type("reboot").is_some());
        assert!(catalog.brought_files("reboot").unwrap().contains_key("job.yaml"));
    }
}
