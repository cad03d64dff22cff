//! A sample of a job script: parameters, a client and a machine that stand beside it, and the plan that comes of them.
//!
//! The server, its images and the client's number are made up, the same every time, so that what is rendered can be compared.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::Deserialize;
use wire::{ClientId, JobId, Sha256, enrol::BlobRef, facts::Facts, plan::Plan, step::StepKind};

use super::{PlanRequest, ServerView, plan};
use crate::{
    catalog::Catalog,
    domain::{
        client::{Client, ClientConfig, Stage},
        image::{self, Image},
        settings::Retracted,
        source_list::NamedList,
    },
};

/// `job-scripts/<job>/samples/<sample>.yaml`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Parameters of the job.
    #[serde(default)]
    pub params: serde_json::Value,
    /// What is wanted of the client.
    #[serde(default)]
    pub client: ClientConfig,
    /// File below `job-scripts/_facts`.
    #[serde(default = "default_machine")]
    pub machine: String,
    /// Source lists beside the distribution's own.
    #[serde(default)]
    pub sources: Vec<NamedList>,
}

fn default_machine() -> String {
    "qemu-bios.json".to_owned()
}

/// A server that is none.
pub fn server() -> ServerView {
    ServerView {
        https_url: "https://lotse.example:8443".to_owned(),
        agents_url: "https://lotse.example:8444".to_owned(),
        boot_url: "http://lotse.example:8080".to_owned(),
        ca: "ca".repeat(32),
    }
}

fn hash(text: &str) -> Sha256 {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    Sha256::from_bytes(bytes)
}

/// Every image that a plan may name.
pub fn images(catalog: &Catalog) -> BTreeMap<String, Image> {
    let made_up = |name: &str, part: &str| {
        let blob = BlobRef { sha256: hash(name), size_bytes: 1 << 20 };
        let parts = [(part.to_owned(), blob)].into();
        (
            name.to_owned(),
            Image {
                id: 1,
                name: name.to_owned(),
                recipe: hash("recipe"),
                parts,
                built_at: 0,
                version: "0.2.0".to_owned(),
            },
        )
    };
    catalog
        .distributions()
        .flat_map(|(name, _)| [format!("{name}/virtual"), format!("{name}/metal")])
        .map(|name| made_up(&name, "archive"))
        .chain([made_up(image::AGENT, image::PACKAGE), made_up(image::ISO, image::FILE)])
        .collect()
}

/// A client with a configuration on a machine.
pub fn client(config: ClientConfig, facts: Facts) -> Client {
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

/// The plan of a sample.
///
/// # Errors
/// What stands against it, in words.
pub fn planned(catalog: &Catalog, job_type: &str, sample: Sample, machine: Facts) -> Result<Plan, String> {
    let declared = catalog.job_type(job_type).ok_or_else(|| format!("there is no job type `{job_type}`"))?;
    let wrong = |problems: Vec<wire::problem::FieldProblem>| {
        let said = problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message));
        said.collect::<Vec<_>>().join("; ")
    };
    let problems = sample.client.check();
    if !problems.is_empty() {
        return Err(format!("the sample's client is not acceptable: {}", wrong(problems)));
    }
    let params = declared.params.check(&sample.params).map_err(wrong)?;
    let layout = catalog.layout(&sample.client.layout).map(str::to_owned);
    let client = client(sample.client, machine);
    let name = &client.config.distribution;
    let own =
        catalog.distribution(name).map(|own| NamedList { name: name.clone(), wish: own.source_list(name) });
    let sources: Vec<_> = own.into_iter().chain(sample.sources).collect();
    let request = PlanRequest {
        job: JobId(17),
        job_type,
        params: &params,
        client: &client,
        facts: client.facts.as_ref(),
        images: &images(catalog),
        server: &server(),
        layout: layout.as_deref(),
        retracted: &Retracted::new(),
        sources: &sources,
    };
    plan(&request, catalog).map_err(|error| error.to_string())
}

/// A plan as files: every script and every file that it writes by itself, and the rest as JSON, as they stand in `expected/<sample>/`.
///
/// # Errors
/// It cannot be written as JSON.
pub fn as_files(plan: &Plan) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let mut files = BTreeMap::new();
    let mut shown = serde_json::to_value(plan)?;
    for (at, step) in plan.steps.iter().enumerate() {
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
    files.insert("plan.json".to_owned(), serde_json::to_string_pretty(&shown)? + "\n");
    Ok(files)
}
