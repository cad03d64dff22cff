//! Every job script with every sample: rendered, compared with `expected/`, read by `sh -n` and shellcheck.
//! `BLESS=1` writes what was rendered instead of comparing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use wire::facts::Facts;

use super::sample::{self, Sample};
pub(super) use super::sample::{client, images, server};
use crate::catalog::Catalog;

pub(super) fn job_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../job-scripts")
}

pub(super) fn machine(file: &str) -> Facts {
    let path = job_scripts().join("_facts").join(file);
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

/// Renders one sample; gives file names and contents as they stand in `expected/<sample>/`.
pub(super) fn render(catalog: &Catalog, job_type: &str, sample: &Path) -> BTreeMap<String, String> {
    let planned = || {
        let read: Sample = serde_yaml::from_str(&fs_err::read_to_string(sample).unwrap()).unwrap();
        let machine = machine(&read.machine);
        sample::planned(catalog, job_type, read, machine)
            .unwrap_or_else(|error| panic!("{}: {error}", sample.display()))
    };
    assert_eq!(planned(), planned(), "planning twice gives two plans");
    sample::as_files(&planned()).unwrap()
}

/// What `sh -n` and shellcheck have to say; empty when they are content.
#[expect(clippy::disallowed_methods, reason = "a test that runs the tools which read the scripts")]
pub(crate) fn complaints(script: &Path) -> String {
    let mut said = String::new();
    for argv in [vec!["sh", "-n"], vec!["shellcheck", "--shell=sh", "--severity=style"]] {
        let output = std::process::Command::new(argv[0])
            .args(&argv[1..])
            .arg(script)
            .output()
            .unwrap_or_else(|error| panic!("{} is needed (make setup): {error}", argv[0]));
        if !output.status.success() {
            said.push_str(&String::from_utf8_lossy(&output.stdout));
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
    }
    said
}

pub(super) fn sorted(directory: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs_err::read_dir(directory)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    paths.sort();
    paths
}

#[test]
#[expect(clippy::disallowed_methods, reason = "BLESS is how a person accepts new output")]
fn every_sample_renders_to_what_is_expected_and_shellcheck_reads_it() {
    let bless = std::env::var("BLESS").is_ok();
    let share = job_scripts().join("..");
    let catalog = Catalog::load(&share, None).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for job_type in catalog.job_types() {
        let directory = job_scripts().join(&job_type.name);
        let samples = sorted(&directory.join("samples"));
        for expected in sorted(&directory.join("expected")) {
            if samples.iter().all(|sample| sample.file_stem() != expected.file_name()) {
                wrong.push(format!("{} belongs to no sample: remove it", expected.display()));
            }
        }
        if samples.is_empty() {
            wrong.push(format!("{} has no sample", job_type.name));
        }
        for sample in samples {
            let name = sample.file_stem().unwrap().to_string_lossy().into_owned();
            let expected = directory.join("expected").join(&name);
            let files = render(&catalog, &job_type.name, &sample);
            if bless {
                fs_err::remove_dir_all(&expected).ok();
                fs_err::create_dir_all(&expected).unwrap();
                for (file, text) in &files {
                    fs_err::write(expected.join(file), text).unwrap();
                }
            }
            let there: BTreeMap<String, String> = sorted(&expected)
                .into_iter()
                .map(|path| {
                    (
                        path.file_name().unwrap().to_string_lossy().into_owned(),
                        fs_err::read_to_string(path).unwrap(),
                    )
                })
                .collect();
            if there != files {
                let different =
                    files.keys().chain(there.keys()).find(|file| files.get(*file) != there.get(*file));
                wrong.push(format!(
                    "{}/{name}: {} is not as expected (make bless writes it anew)",
                    job_type.name,
                    different.unwrap()
                ));
            }
            for file in files.keys().filter(|file| file.ends_with(".sh")) {
                let said = complaints(&expected.join(file));
                if !said.is_empty() {
                    wrong.push(format!("{}/{name}/{file}: {said}", job_type.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
