//! From what is wanted and what is there to an exact plan. Pure: the same request gives the same plan, byte for byte.

#[cfg(test)]
mod chains;
#[cfg(test)]
mod documented;
mod error;
pub mod joining;
mod packages;
#[cfg(test)]
pub(crate) mod rendered;
pub mod sample;
mod sources;
pub mod storage;
mod upgrade;
mod view;
mod vm;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tera::Context;
use wire::{
    JobId,
    enrol::BlobRef,
    facts::Facts,
    plan::Plan,
    step::{FileContent, Step, StepKind, WipeMethod},
    storage::{DiskExpectation, MountEntry, StorageAction, StorageWork},
};

pub use error::Error;

use self::view::{client_view, host};
use crate::{
    catalog::{Catalog, Distribution, FileDeclaration, JobType, StepDeclaration, StepWork, render},
    domain::{
        client::Client,
        image::{self, Image},
        layout::{Layout, LayoutProblem, line_of},
        settings::Retracted,
        source_list::NamedList,
    },
};

/// Everything that a plan depends on.
pub struct PlanRequest<'a> {
    /// The job.
    pub job: JobId,
    /// Its type.
    pub job_type: &'a str,
    /// Its parameters, complete.
    pub params: &'a Value,
    /// Its client.
    pub client: &'a Client,
    /// What the machine is made of.
    pub facts: Option<&'a Facts>,
    /// The newest image of each name.
    pub images: &'a BTreeMap<String, Image>,
    /// The server as clients reach it.
    pub server: &'a ServerView,
    /// YAML text of the client's layout.
    pub layout: Option<&'a str>,
    /// Versions of packages that may not be installed.
    pub retracted: &'a Retracted,
    /// The source lists of the client, with the keys of own repositories in them.
    pub sources: &'a [NamedList],
}

/// The server as clients reach it.
#[derive(Clone, Debug)]
pub struct ServerView {
    /// Base URL of pages, API and enrolment.
    pub https_url: String,
    /// Base URL for agents.
    pub agents_url: String,
    /// Base URL of plain HTTP.
    pub boot_url: String,
    /// SHA-256 of the CA certificate.
    pub ca: String,
}

/// One job of a chain.
pub struct ChainEntry {
    /// Its type.
    pub job_type: String,
    /// Its parameters.
    pub params: Value,
    /// Positions in the chain of the jobs that it needs.
    pub needs: Vec<usize>,
}

/// The chain that installs a client.
pub fn installation(client: &Client) -> Vec<ChainEntry> {
    let has_passwords = json!({ "user_passwords": client.config.users.iter().any(|user| user.has_password) });
    let none = || json!({});
    let installed = [
        ("storage", none()),
        ("base-system", none()),
        ("configure", has_passwords),
        ("boot-loader", none()),
        ("agent", none()),
        ("reboot", none()),
    ];
    // Set up by the installed system itself, where services can be started and looked at.
    let services = client.config.uses_services().then(|| ("services", none()));
    let desktop = client.config.desktop.filter(|desktop| desktop.is_any());
    let desktop = desktop.map(|desktop| ("desktop", json!(desktop)));
    installed
        .into_iter()
        .chain(services)
        .chain(desktop)
        .enumerate()
        .map(|(at, (job_type, params))| ChainEntry {
            job_type: job_type.to_owned(),
            params,
            needs: at.checked_sub(1).into_iter().collect(),
        })
        .collect()
}

/// Plans a job.
///
/// # Errors
/// What stands against it.
pub fn plan(request: &PlanRequest<'_>, catalog: &Catalog) -> Result<Plan, Error> {
    let job_type = catalog
        .job_type(request.job_type)
        .ok_or_else(|| Error::UnknownJobType(request.job_type.to_owned()))?;
    let planning = Planning::new(request, catalog, &job_type)?;
    let mut steps = Vec::new();
    for declared in &job_type.steps {
        if planning.applies(declared.when.as_deref(), &declared.id, &planning.context)? {
            steps.push(planning.step(declared)?);
        }
    }
    Ok(Plan {
        job: request.job,
        client: request.client.id,
        job_type: request.job_type.to_owned(),
        realm: job_type.realm,
        steps,
    })
}

/// The storage work of a client's layout on its machine. `job` as [`storage::Purposes::job`].
///
/// # Errors
/// The layout is unknown, wrong, or cannot hold.
pub fn storage_work(
    client: &Client,
    layout: Option<&str>,
    facts: Option<&Facts>,
    job: Option<&str>,
) -> Result<StorageWork, Error> {
    let name = &client.config.layout;
    let text = layout.ok_or_else(|| Error::UnknownLayout(name.clone()))?;
    let facts = facts.ok_or(Error::NeedsFacts)?;
    let failed = |mut problems: Vec<LayoutProblem>| {
        for problem in problems.iter_mut().filter(|problem| problem.line == 0) {
            problem.line = line_of(text, &problem.place);
        }
        Error::Layout { name: name.clone(), problems }
    };
    let layout = Layout::parse(text).map_err(failed)?;
    let client = format!("client {}", client.id);
    storage::plan(&layout, facts, storage::Purposes { client: &client, job }).map_err(failed)
}

struct Planning<'a> {
    request: &'a PlanRequest<'a>,
    job_type: &'a JobType,
    distribution: Option<&'a Distribution>,
    storage: Option<StorageWork>,
    context: Context,
}

impl<'a> Planning<'a> {
    fn new(request: &'a PlanRequest<'a>, catalog: &'a Catalog, job_type: &'a JobType) -> Result<Self, Error> {
        let distribution = catalog.distribution(&request.client.config.distribution);
        // Only steps of an installation need the layout; asking for it elsewhere would refuse jobs that have nothing to do with it.
        let needs_storage = job_type
            .steps
            .iter()
            .any(|step| matches!(step.work, StepWork::Storage | StepWork::Mount | StepWork::BootLoader));
        let writes = job_type.steps.iter().any(|step| matches!(step.work, StepWork::Storage));
        // Numbers of jobs are the same on every server; its CA is not.
        let job = writes.then(|| format!("job {} of {}", request.job, request.server.ca));
        let storage = needs_storage
            .then(|| storage_work(request.client, request.layout, request.facts, job.as_deref()))
            .transpose()?;
        let mut context = Context::new();
        context.insert("client", &client_view(request.client, request.facts));
        context.insert("params", request.params);
        context.insert("server", &json!({
            "https_url": request.server.https_url, "agents_url": request.server.agents_url,
            "boot_url": request.server.boot_url, "boot_host": host(&request.server.boot_url), "ca": request.server.ca,
        }));
        if let Some(facts) = request.facts {
            context.insert("facts", facts);
        }
        if let Some(distribution) = distribution {
            context.insert("distribution", distribution);
        }
        let (lists, keys) = sources::views(request.sources, distribution, &request.server.boot_url);
        context.insert("sources", &lists);
        context.insert("source_keys", &keys);
        if let Some(storage) = &storage {
            context.insert("storage", storage);
            context.insert("fstab", &storage::fstab(storage));
        }
        Ok(Self { request, job_type, distribution, storage, context })
    }

    fn failed(&self, step: &str) -> impl Fn(String) -> Error + use<> {
        let (job_type, step) = (self.job_type.name.clone(), step.to_owned());
        move |message| Error::Render { job_type: job_type.clone(), step: step.clone(), message }
    }

    fn applies(&self, when: Option<&str>, step: &str, context: &Context) -> Result<bool, Error> {
        when.map_or(Ok(true), |expression| render::holds(expression, context).map_err(self.failed(step)))
    }

    fn step(&self, declared: &StepDeclaration) -> Result<Step, Error> {
        let title =
            if declared.title.is_empty() { self.job_type.title.clone() } else { declared.title.clone() };
        Ok(Step { id: declared.id.clone(), title, timeout_s: declared.timeout_s, kind: self.kind(declared)? })
    }

    fn kind(&self, declared: &StepDeclaration) -> Result<StepKind, Error> {
        let script = |text| StepKind::Script {
            text,
            root: declared.root,
            secrets: declared.secrets.clone(),
            environment: BTreeMap::new(),
        };
        Ok(match &declared.work {
            StepWork::Script { name, template } => {
                script(render::shell(name, template, &self.context).map_err(self.failed(&declared.id))?)
            }
            StepWork::ScriptParam(param) => script(self.text_param(param)?.to_owned()),
            StepWork::WriteFile(files) => {
                StepKind::WriteFile { files: self.files(declared, files)?, root: declared.root }
            }
            StepWork::Packages(action) => {
                StepKind::Packages(packages::work(*action, self.request.params, self.request.retracted))
            }
            StepWork::Storage => StepKind::Storage(self.storage()?.clone()),
            StepWork::Mount => StepKind::Mount { mounts: self.mounts()? },
            StepWork::Unpack => StepKind::Unpack { blob: self.base_image()? },
            StepWork::Debootstrap => self.debootstrap()?,
            StepWork::BootLoader => self.boot_loader()?,
            StepWork::InstallAgent => {
                StepKind::InstallAgent { package: self.image_part(image::AGENT, image::PACKAGE)? }
            }
            StepWork::UpgradeAgent => upgrade::step(self.request)?,
            StepWork::SendPackages => StepKind::SendPackages { packages: self.list_param("packages") },
            StepWork::Facts => StepKind::Facts {},
            StepWork::Survey => StepKind::Survey {},
            StepWork::Reboot => StepKind::Reboot {},
            StepWork::Shutdown => StepKind::Shutdown {},
            StepWork::Rescue => StepKind::Rescue { authorized_keys: self.list_param("authorized_keys") },
            StepWork::WipeDisk => self.wipe_disk()?,
            StepWork::Vm(step) => StepKind::Vm { work: vm::work(*step, self.request)? },
        })
    }

    fn text_param(&self, name: &str) -> Result<&str, Error> {
        self.request.params[name]
            .as_str()
            .ok_or_else(|| Error::Params(format!("the parameter `{name}` must be a text")))
    }

    fn list_param(&self, name: &str) -> Vec<String> {
        let entries = self.request.params[name].as_array().map(Vec::as_slice).unwrap_or_default();
        entries.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    fn files(
        &self,
        declared: &StepDeclaration,
        files: &[FileDeclaration],
    ) -> Result<Vec<FileContent>, Error> {
        let mut written = Vec::new();
        for file in files {
            if !self.applies(file.when.as_deref(), &declared.id, &self.context)? {
                continue;
            }
            for item in self.items(file, &declared.id)? {
                let mut context = self.context.clone();
                context.insert("item", &item);
                written.push(self.one_file(file, &declared.id, &context)?);
            }
        }
        Ok(written)
    }

    /// The entries for which a file is written; a file without `each` is written once.
    fn items(&self, file: &FileDeclaration, step: &str) -> Result<Vec<Value>, Error> {
        let Some(expression) = &file.each else { return Ok(vec![Value::Null]) };
        let failed = self.failed(step);
        let mut value = self.context.get(expression.split('.').next().unwrap_or_default());
        if expression.contains('.') {
            let rest = expression.split_once('.').map_or("", |(_, rest)| rest);
            value = value.and_then(|value| value.get_from_path(rest));
        }
        let value = value.ok_or_else(|| failed(format!("each: `{expression}` does not exist")))?;
        let list = serde_json::to_value(value).map_err(|error| failed(error.to_string()))?;
        match list {
            Value::Array(list) => Ok(list),
            _ => Err(failed(format!("each: `{expression}` is no list"))),
        }
    }

    fn one_file(&self, file: &FileDeclaration, step: &str, context: &Context) -> Result<FileContent, Error> {
        let failed = self.failed(step);
        let path = render::file(&file.name, &file.path, context).map_err(&failed)?;
        let plain = path
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(|part| !matches!(part, "" | "." | "..")));
        if !plain {
            return Err(failed(format!("`{path}` is not an absolute path without `.` and `..`")));
        }
        Ok(FileContent {
            path,
            content: render::file(&file.name, &file.template, context).map_err(&failed)?,
            mode: file.mode,
            owner: file.owner.clone(),
            group: file.group.clone(),
        })
    }

    fn storage(&self) -> Result<&StorageWork, Error> {
        self.storage.as_ref().ok_or(Error::NeedsFacts)
    }

    fn mounts(&self) -> Result<Vec<MountEntry>, Error> {
        let mounts = self.storage()?.actions.iter().filter_map(|action| match action {
            StorageAction::Mount(entry) => Some(entry.clone()),
            _ => None,
        });
        Ok(mounts.collect())
    }

    fn distribution(&self) -> Result<&Distribution, Error> {
        self.distribution
            .ok_or_else(|| Error::UnknownDistribution(self.request.client.config.distribution.clone()))
    }

    fn facts(&self) -> Result<&Facts, Error> {
        self.request.facts.ok_or(Error::NeedsFacts)
    }

    fn base_image(&self) -> Result<BlobRef, Error> {
        self.distribution()?;
        let name =
            format!("{}/{}", self.request.client.config.distribution, Distribution::variant(self.facts()?));
        self.image_part(&name, "archive")
    }

    fn image_part(&self, name: &str, part: &str) -> Result<BlobRef, Error> {
        let image = self.request.images.get(name);
        image.and_then(|image| image.parts.get(part)).cloned().ok_or_else(|| Error::NoImage(name.to_owned()))
    }

    fn debootstrap(&self) -> Result<StepKind, Error> {
        let distribution = self.distribution()?;
        let mirror = distribution.sources.first().map(|source| source.mirror.as_str()).unwrap_or_default();
        Ok(StepKind::Debootstrap {
            suite: distribution.suite.clone(),
            mirror_url: format!("{}/mirror/{mirror}", self.request.server.boot_url),
            architecture: distribution.architecture.clone(),
            keyring: distribution.keyring.clone(),
            packages: distribution.packages.clone(),
        })
    }

    fn boot_loader(&self) -> Result<StepKind, Error> {
        let (distribution, facts) = (self.distribution()?, self.facts()?);
        let kernel = distribution.kernel.get(Distribution::variant(facts)).cloned();
        let console = &self.request.client.config.serial_console;
        Ok(StepKind::BootLoader {
            firmware: facts.firmware,
            disks: storage::boot_disks(self.storage()?),
            kernel_packages: kernel.into_iter().collect(),
            packages: distribution.boot_loader_packages(facts.firmware).to_vec(),
            kernel_command_line: if console.is_empty() {
                String::new()
            } else {
                format!("console=tty0 console={console}")
            },
        })
    }

    fn wipe_disk(&self) -> Result<StepKind, Error> {
        let wanted = self.text_param("disk")?;
        let disks = &self.facts()?.disks;
        let found: Vec<_> =
            disks.iter().filter(|disk| disk.serial == wanted || disk.path == wanted).collect();
        let [disk] = found.as_slice() else {
            let there = disks
                .iter()
                .map(|disk| format!("{} (serial {})", disk.path, disk.serial))
                .collect::<Vec<_>>()
                .join(", ");
            return Err(Error::Params(format!(
                "`{wanted}` names {} disks of this machine; there are: {there}",
                found.len()
            )));
        };
        let method = match self.text_param("method")? {
            "discard" => WipeMethod::Discard,
            "zero" => WipeMethod::Zero,
            _ => WipeMethod::Signatures,
        };
        Ok(StepKind::WipeDisk {
            disk: DiskExpectation {
                disk: "wipe".to_owned(),
                path: disk.path.clone(),
                serial: disk.serial.clone(),
                wwn: disk.wwn.clone(),
                size_bytes: disk.size_bytes,
                sector_bytes: disk.sector_bytes,
                model: disk.model.clone(),
            },
            method,
        })
    }
}
