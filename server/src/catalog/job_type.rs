//! A job type: one folder with `job.yaml`, templates, samples and expected output.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{enrol::Realm, package_work::PackageAction, step::Root};

use super::{Fault, VmStep, params::Params, read, render, shell_check::check_shell, yaml};

/// A type of job.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct JobType {
    /// Name of its folder.
    pub name: String,
    /// What a person reads, by language.
    pub title: BTreeMap<String, String>,
    /// More for a person, by language.
    pub help: BTreeMap<String, String>,
    /// Where it runs; `None` means anywhere.
    pub realm: Option<Realm>,
    /// Lower runs first.
    pub priority: i64,
    /// Whether and when it is tried again.
    pub retry: Retry,
    /// It destroys data: its plan is shown before it runs.
    pub destructive: bool,
    /// Its parameters.
    pub params: Params,
    /// Its steps.
    #[serde(skip)]
    pub steps: Vec<StepDeclaration>,
}

/// Whether and when a job is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retry {
    /// How often it may be tried in all.
    pub attempts: i64,
    /// Pause before another attempt, in seconds.
    pub after_s: i64,
}

/// One step as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct StepDeclaration {
    /// Unique in the job.
    pub id: String,
    /// What a person reads, by language.
    pub title: BTreeMap<String, String>,
    /// Longest duration in seconds.
    pub timeout_s: u32,
    /// A Tera expression; the step is left out of the plan when it is false.
    pub when: Option<String>,
    /// Where it works.
    pub root: Root,
    /// Environment variable -> name of a secret.
    pub secrets: BTreeMap<String, String>,
    /// What it does.
    pub work: StepWork,
}

/// What a declared step does.
#[derive(Clone, Debug, PartialEq)]
pub enum StepWork {
    /// Shell text: name of the template and its content.
    Script {
        /// File name, for messages.
        name: String,
        /// The template.
        template: String,
    },
    /// The shell text is the value of a parameter, as it is.
    ScriptParam(String),
    /// Files.
    WriteFile(Vec<FileDeclaration>),
    /// Packages, by the parameters that go by the names of [`wire::package_work::PackageWork`].
    Packages(PackageAction),
    /// The client's layout.
    Storage,
    /// What the layout mounts.
    Mount,
    /// The distribution's base image.
    Unpack,
    /// The distribution from packages.
    Debootstrap,
    /// The distribution's boot loader.
    BootLoader,
    /// The agent's package.
    InstallAgent,
    /// The agent's package, in place of the agent that runs, by the parameters `limit`, `downgrade` and `reinstall`.
    UpgradeAgent,
    /// The installed packages in parameter `packages`, sent to the server.
    SendPackages,
    /// Facts.
    Facts,
    /// How the installed system is set up.
    Survey,
    /// Restart.
    Reboot,
    /// Switch off.
    Shutdown,
    /// SSH for the keys in parameter `authorized_keys`.
    Rescue,
    /// The disk in parameter `disk` by the method in parameter `method`.
    WipeDisk,
    /// A virtual machine on this host, by the parameters that go by the names of [`wire::vm`].
    Vm(VmStep),
}

/// A file as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct FileDeclaration {
    /// Template of the absolute path.
    pub path: String,
    /// Name of the template, for messages.
    pub name: String,
    /// Template of the content.
    pub template: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: String,
    /// Group.
    pub group: String,
    /// A Tera expression; the file is left out when it is false.
    pub when: Option<String>,
    /// A Tera expression that gives a list; one file is written for each entry, which the templates see as `item`.
    pub each: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declaration {
    title: BTreeMap<String, String>,
    #[serde(default)]
    help: BTreeMap<String, String>,
    realm: String,
    priority: i64,
    #[serde(default)]
    retry: Option<RetryDeclaration>,
    #[serde(default)]
    destructive: bool,
    #[serde(default)]
    params: Params,
    steps: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetryDeclaration {
    attempts: i64,
    #[serde(default)]
    after: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    id: Option<String>,
    #[serde(default)]
    title: BTreeMap<String, String>,
    timeout: Option<String>,
    when: Option<String>,
    #[serde(default)]
    root: Root,
    #[serde(default)]
    secrets: BTreeMap<String, String>,
    script: Option<String>,
    /// Shell text that stands before the script.
    prelude: Option<String>,
    #[serde(rename = "script-param")]
    script_param: Option<String>,
    #[serde(rename = "write-file")]
    write_file: Option<Vec<RawFile>>,
    packages: Option<PackageAction>,
    vm: Option<VmStep>,
    /// A kind without values of its own.
    kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    path: String,
    template: Option<String>,
    content: Option<String>,
    #[serde(default = "default_mode")]
    mode: String,
    #[serde(default = "root_user")]
    owner: String,
    #[serde(default = "root_user")]
    group: String,
    when: Option<String>,
    each: Option<String>,
}

fn default_mode() -> String {
    "0644".to_owned()
}

fn root_user() -> String {
    "root".to_owned()
}

const DEFAULT_TIMEOUT_S: u32 = 600;

impl JobType {
    /// Reads a folder. Templates in shared folders (`../_apt/...`) are looked for beside it and then in `general`.
    pub(super) fn load(name: &str, directory: &Path, general: &Path) -> Result<Self, Vec<Fault>> {
        let path = directory.join("job.yaml");
        let declared: Declaration = yaml(&path)?;
        let mut faults: Vec<Fault> = Vec::new();
        let mut fault = |message: String| faults.push(Fault { path: path.clone(), message });
        for message in untranslated("title", &declared.title) {
            fault(message);
        }
        for message in declared.params.faults() {
            fault(message);
        }
        let realm = match declared.realm.as_str() {
            "installer" => Some(Realm::Installer),
            "system" => Some(Realm::System),
            "any" => None,
            other => {
                fault(format!("`realm` must be installer, system or any, not `{other}`"));
                None
            }
        };
        let retry = match declared.retry {
            None => Retry { attempts: 1, after_s: 0 },
            Some(retry) => {
                let after = if retry.after.is_empty() { Some(0) } else { seconds(&retry.after) };
                if after.is_none() || retry.attempts < 1 {
                    fault("`retry` must be like { attempts: 3, after: 60s }".to_owned());
                }
                Retry { attempts: retry.attempts, after_s: i64::from(after.unwrap_or(0)) }
            }
        };
        let mut steps: Vec<StepDeclaration> = Vec::new();
        for raw in declared.steps {
            let step = step(raw, &|file| template(directory, general, file));
            let checked = step.and_then(|step| {
                uses_declared(&step, &declared.params)?;
                belongs_into(&step, realm)?;
                Ok(step)
            });
            match checked {
                Ok(step) if steps.iter().any(|other| other.id == step.id) => {
                    fault(format!("the step `{}` is declared twice; give one of them an `id`", step.id));
                }
                Ok(step) => steps.push(step),
                Err(message) => fault(message),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            name: name.to_owned(),
            title: declared.title,
            help: declared.help,
            realm,
            priority: declared.priority,
            retry,
            destructive: declared.destructive,
            params: declared.params,
            steps,
        })
    }
}

fn untranslated(field: &str, texts: &BTreeMap<String, String>) -> Vec<String> {
    let missing = ["en", "de"].into_iter().filter(|language| !texts.contains_key(*language));
    missing.map(|language| format!("`{field}` must have a text in `{language}`")).collect()
}

fn template(directory: &Path, general: &Path, file: &str) -> Result<String, String> {
    if !super::own::leads_inside(file) {
        return Err(format!(
            "the template `{file}` must be a file of its own folder, or of a shared one such as ../_apt/"
        ));
    }
    let path = directory.join(file);
    let shared = file.strip_prefix("../").map(|file| general.join(file));
    let path = shared.filter(|_| !path.exists()).unwrap_or(path);
    read(&path).map_err(|fault| fault.to_string())
}

/// A step that works on a parameter needs its declaration.
fn uses_declared(step: &StepDeclaration, params: &Params) -> Result<(), String> {
    let names: &[&str] = match &step.work {
        StepWork::ScriptParam(name) => &[name],
        StepWork::Rescue => &["authorized_keys"],
        StepWork::WipeDisk => &["disk", "method"],
        StepWork::UpgradeAgent => &["limit"],
        StepWork::SendPackages => &["packages"],
        StepWork::Vm(step) => step.params(),
        StepWork::Packages(action) if !works_on_everything(*action) => &["packages"],
        _ => &[],
    };
    match names.iter().find(|name| params.iter().all(|(declared, _)| declared != **name)) {
        Some(name) => {
            Err(format!("the step `{}` needs the parameter `{name}`: declare it in `params`", step.id))
        }
        None => Ok(()),
    }
}

/// Such work may be without names.
fn works_on_everything(action: PackageAction) -> bool {
    matches!(action, PackageAction::Refresh | PackageAction::Upgrade | PackageAction::SecurityUpgrade)
}

/// On an installed system there is no target, and its own disks are not to be written.
fn belongs_into(step: &StepDeclaration, realm: Option<Realm>) -> Result<(), String> {
    let installs = match &step.work {
        StepWork::Storage
        | StepWork::Mount
        | StepWork::Unpack
        | StepWork::Debootstrap
        | StepWork::BootLoader
        | StepWork::InstallAgent
        | StepWork::Rescue
        | StepWork::WipeDisk => true,
        StepWork::Script { .. }
        | StepWork::ScriptParam(_)
        | StepWork::Packages(_)
        | StepWork::WriteFile(_)
        | StepWork::UpgradeAgent
        | StepWork::SendPackages
        | StepWork::Facts
        | StepWork::Survey
        | StepWork::Reboot
        | StepWork::Shutdown
        | StepWork::Vm(_) => step.root == Root::Target,
    };
    if installs && realm != Some(Realm::Installer) {
        return Err(format!("the step `{}` works only with `realm: installer`", step.id));
    }
    // The installer's agent is gone with the next start of the machine, and its packages are nobody's.
    let stays = matches!(step.work, StepWork::UpgradeAgent | StepWork::SendPackages | StepWork::Vm(_));
    if stays && realm != Some(Realm::System) {
        return Err(format!("the step `{}` works only with `realm: system`", step.id));
    }
    Ok(())
}

fn step(raw: RawStep, template: &impl Fn(&str) -> Result<String, String>) -> Result<StepDeclaration, String> {
    let named = [
        raw.script.is_some(),
        raw.script_param.is_some(),
        raw.write_file.is_some(),
        raw.packages.is_some(),
        raw.vm.is_some(),
        raw.kind.is_some(),
    ];
    if named.into_iter().filter(|named| *named).count() != 1 {
        return Err(
            "each step needs exactly one of `script`, `script-param`, `write-file`, `packages`, `vm`, `kind`"
                .to_owned(),
        );
    }
    if raw.prelude.is_some() && raw.script.is_none() {
        return Err("`prelude` belongs to a `script`".to_owned());
    }
    let (default_id, work) = if let Some(name) = raw.script {
        if !name.ends_with(".sh.tera") {
            return Err(format!(
                "the script `{name}` must end with .sh.tera, so that values in it are quoted"
            ));
        }
        let mut text = String::new();
        for part in raw.prelude.iter().chain([&name]) {
            let part_text = template(part)?;
            check_shell(part, &part_text)?;
            text.push_str(&part_text);
        }
        let file = name.rsplit('/').next().unwrap_or_default();
        (file.trim_end_matches(".sh.tera").to_owned(), StepWork::Script { name, template: text })
    } else if let Some(param) = raw.script_param {
        ("script".to_owned(), StepWork::ScriptParam(param))
    } else if let Some(files) = raw.write_file {
        let files = files.into_iter().map(|file| declared_file(file, template)).collect::<Result<_, _>>()?;
        ("write-file".to_owned(), StepWork::WriteFile(files))
    } else if let Some(action) = raw.packages {
        if action == PackageAction::Unknown {
            return Err("`packages` is one of refresh, install, remove, purge, upgrade, security-upgrade, hold, unhold, apply".to_owned());
        }
        ("packages".to_owned(), StepWork::Packages(action))
    } else if let Some(step) = raw.vm {
        ("vm".to_owned(), StepWork::Vm(step))
    } else {
        let kind = raw.kind.unwrap_or_default();
        let work = simple(&kind).ok_or_else(|| format!("there is no step kind `{kind}`"))?;
        (kind, work)
    };
    let timeout_s = match &raw.timeout {
        None => DEFAULT_TIMEOUT_S,
        Some(text) => {
            seconds(text).ok_or_else(|| format!("`timeout: {text}` must be like 90s, 10m or 2h"))?
        }
    };
    if let Some(expression) = &raw.when {
        render::check_expression(expression)?;
    }
    if let (false, Some(message)) =
        (raw.title.is_empty(), untranslated("title", &raw.title).into_iter().next())
    {
        return Err(format!("step `{}`: {message}", raw.id.unwrap_or(default_id)));
    }
    Ok(StepDeclaration {
        id: raw.id.unwrap_or(default_id),
        title: raw.title,
        timeout_s,
        when: raw.when,
        root: raw.root,
        secrets: raw.secrets,
        work,
    })
}

fn simple(kind: &str) -> Option<StepWork> {
    Some(match kind {
        "storage" => StepWork::Storage,
        "mount" => StepWork::Mount,
        "unpack" => StepWork::Unpack,
        "debootstrap" => StepWork::Debootstrap,
        "boot-loader" => StepWork::BootLoader,
        "install-agent" => StepWork::InstallAgent,
        "upgrade-agent" => StepWork::UpgradeAgent,
        "send-packages" => StepWork::SendPackages,
        "facts" => StepWork::Facts,
        "survey" => StepWork::Survey,
        "reboot" => StepWork::Reboot,
        "shutdown" => StepWork::Shutdown,
        "rescue" => StepWork::Rescue,
        "wipe-disk" => StepWork::WipeDisk,
        _ => return None,
    })
}

fn declared_file(
    raw: RawFile,
    read_template: &impl Fn(&str) -> Result<String, String>,
) -> Result<FileDeclaration, String> {
    let mode = u32::from_str_radix(&raw.mode, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(|| format!("`mode: {}` must be octal and quoted, such as '0644'", raw.mode))?;
    let (name, template) = match (raw.template, raw.content) {
        (Some(name), None) => {
            let text = read_template(&name)?;
            (name, text)
        }
        (None, Some(text)) => (raw.path.clone(), text),
        _ => return Err(format!("the file {} needs exactly one of `template` and `content`", raw.path)),
    };
    render::check_file(&raw.path, &raw.path)?;
    render::check_file(&name, &template)?;
    if let Some(expression) = &raw.when {
        render::check_expression(expression)?;
    }
    Ok(FileDeclaration {
        path: raw.path,
        name,
        template,
        mode,
        owner: raw.owner,
        group: raw.group,
        when: raw.when,
        each: raw.each,
    })
}

/// `90s`, `10m`, `2h` in seconds.
fn seconds(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    number.parse::<u32>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(seconds("2h"), Some(7200));
        assert_eq!(seconds("90s"), Some(90));
        for text in ["", "h", "2", "2d", "-1s", "9999999h", "2ä"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    fn faults_of(text: &str) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        fs_err::write(directory.path().join("job.yaml"), text).unwrap();
        let faults = JobType::load("x", directory.path(), directory.path()).err().unwrap_or_default();
        faults.into_iter().map(|fault| fault.message).collect()
    }

    #[test]
    fn no_job_of_the_installed_system_writes_its_disks() {
        for step in ["{ kind: storage }", "{ kind: unpack }", "{ write-file: [], root: target }"] {
            let job = |realm: &str| {
                faults_of(&format!(
                    "title: {{ en: x, de: x }}\nrealm: {realm}\npriority: 1\nsteps: [{step}]\n"
                ))
            };
            assert_eq!(job("installer"), Vec::<String>::new());
            assert_eq!(job("system").len(), 1, "{step}");
            assert_eq!(job("any").len(), 1, "{step}");
        }
    }

    #[test]
    fn what_would_fail_only_when_a_job_runs_is_told_when_it_is_loaded() {
        let job = |steps: &str| {
            faults_of(&format!(
                "title: {{ en: x, de: x }}\nrealm: installer\npriority: 1\nsteps: [{steps}]\n"
            ))
        };
        for step in [
            "{ script-param: text }",
            "{ kind: wipe-disk }",
            "{ kind: facts, when: a == }",
            "{ kind: facts, title: { en: x } }",
            "{ write-file: [{ path: /x, content: '{{ params.x' }] }",
            "{ write-file: [{ path: /x, content: x, when: '(' }] }",
            "{ kind: facts, prelude: x }",
            "{ script: missing.sh.tera }",
        ] {
            assert_eq!(job(step).len(), 1, "{step}: {:?}", job(step));
        }
    }

    #[test]
    fn all_faults_of_a_job_are_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let text = "title: { en: x }\nrealm: moon\npriority: 1\nsteps:\n  - kind: dance\n  - script: x.sh\n  - timeout: 1s\n";
        fs_err::write(directory.path().join("job.yaml"), text).unwrap();
        let faults = JobType::load("x", directory.path(), directory.path()).unwrap_err();
        assert_eq!(faults.len(), 5, "{faults:?}");
    }
}
