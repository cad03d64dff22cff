//! Every job script with every sample: rendered, compared with `expected/`, read by `sh -n` and shellcheck.
//! `BLESS=1` writes what was rendered instead of comparing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use wire::{ClientId, JobId, facts::Facts, step::StepKind};

use super::{PlanRequest, ServerView, plan};
use crate::{
    catalog::Catalog,
    domain::{
        client::{Client, ClientConfig, Stage},
        image::Image,
    },
};

/// `job-scripts/<job>/samples/<sample>.yaml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    #[serde(default)]
    params: serde_json::Value,
    #[serde(default)]
    client: ClientConfig,
    /// File below `job-scripts/_facts`.
    #[serde(default = "default_machine")]
    machine: String,
}

fn default_machine() -> String {
    "qemu-bios.json".to_owned()
}

pub(super) fn job_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../job-scripts")
}

pub(super) fn server() -> ServerView {
    ServerView {
        https_url: "https://lotse.example:8443".to_owned(),
        agents_url: "https://lotse.example:8444".to_owned(),
        boot_url: "http://lotse.example:8080".to_owned(),
        ca: "ca".repeat(32),
    }
}

pub(super) fn machine(file: &str) -> Facts {
    let path = job_scripts().join("_facts").join(file);
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

pub(super) fn images(catalog: &Catalog) -> BTreeMap<String, Image> {
    let part = |name: &str, part: &str| {
        let blob = wire::enrol::BlobRef { sha256: crate::blobs::hash(name.as_bytes()), size_bytes: 1 << 20 };
        let image = Image {
            id: 1,
            name: name.to_owned(),
            recipe: crate::blobs::hash(b"recipe"),
            parts: [(part.to_owned(), blob)].into(),
            built_at: 0,
        };
        (name.to_owned(), image)
    };
    catalog
        .distributions()
        .flat_map(|(name, _)| [format!("{name}/virtual"), format!("{name}/metal")])
        .map(|name| part(&name, "archive"))
        .chain([part("agent", "package")])
        .collect()
}

pub(super) fn client(config: ClientConfig, facts: Facts) -> Client {
    Client {
        id: ClientId(7),
        name: "lab-07".to_owned(),
        stage: Stage::Discovered,
        config,
        macs: facts.nics.iter().map(|nic| nic.mac).collect(),
        facts: Some(facts),
        facts_at: None,
        announced_key: None,
        adopted_key: None,
        boot_id: None,
        realm: None,
        agent_version: None,
        last_seen_at: None,
        alarm: None,
        created_at: 0,
        version: 1,
        groups: Vec::new(),
    }
}

/// Renders one sample; gives file names and contents as they stand in `expected/<sample>/`.
pub(super) fn render(catalog: &Catalog, job_type: &str, sample: &Path) -> BTreeMap<String, String> {
    let sample: Sample = serde_yaml::from_str(&fs_err::read_to_string(sample).unwrap()).unwrap();
    assert_eq!(sample.client.check(), [], "the sample's client is not acceptable");
    let facts = machine(&sample.machine);
    let params = catalog.job_type(job_type).unwrap().params.check(&sample.params).unwrap();
    let layout = catalog.layout(&sample.client.layout);
    let client = client(sample.client, facts);
    let request = PlanRequest {
        job: JobId(17),
        job_type,
        params: &params,
        client: &client,
        facts: client.facts.as_ref(),
        images: &images(catalog),
        server: &server(),
        layout,
    };
    let planned = plan(&request, catalog).unwrap();
    assert_eq!(planned, plan(&request, catalog).unwrap(), "planning twice gives two plans");
    let mut files = BTreeMap::new();
    let mut shown = serde_json::to_value(&planned).unwrap();
    for (at, step) in planned.steps.iter().enumerate() {
        match &step.kind {
            StepKind::Script { text, .. } => {
                let name = format!("{}.sh", step.id);
                shown["steps"][at]["text"] = format!("see {name}").into();
                files.insert(name, text.clone());
            }
            StepKind::WriteFile { files: written, .. } => {
                for (number, file) in written.iter().enumerate() {
                    let name = format!("{}{}", step.id, file.path.replace('/', "."));
                    shown["steps"][at]["files"][number]["content"] = format!("see {name}").into();
                    files.insert(name, file.content.clone());
                }
            }
            _ => {}
        }
    }
    files.insert("plan.json".to_owned(), serde_json::to_string_pretty(&shown).unwrap() + "\n");
    files
}

/// What `sh -n` and shellcheck have to say; empty when they are content.
#[expect(clippy::disallowed_methods, reason = "a test that runs the tools which read the scripts")]
pub(super) fn complaints(script: &Path) -> String {
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
