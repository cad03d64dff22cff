//! Job scripts: looked at, uploaded as own versions, compared, tried without being carried out, and taken back.
//!
//! Invariant: a version is never changed or lost, and what is chosen was checked before. Plans that are made stay what they are.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use similar::TextDiff;
use wire::{JobId, enrol::Realm, plan::Plan, problem::FieldProblem};

use super::{Error, clients, planning, tag};
use crate::{
    catalog::{Files, JobType, StepWork},
    context::Ctx,
    db::{Tx, audit, events, job_scripts as rows},
    domain::client::is_name,
    planner::sample::{self, Sample},
};

pub use crate::db::job_scripts::Version;

/// One reads what was chosen at a time: whoever reads later uses what is newer.
static READING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Longest comment of a version.
const LONGEST_COMMENT: usize = 500;

/// A job script in a list.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct JobScriptRow {
    /// Its name.
    pub name: String,
    /// What a person reads, by language.
    pub title: BTreeMap<String, String>,
    /// Where it runs; `None` means anywhere.
    pub realm: Option<Realm>,
    /// It destroys data.
    pub destructive: bool,
    /// Where the version that is used comes from.
    pub origin: Origin,
    /// Number of the version that is used; 0 is the one that is brought.
    pub version: i64,
    /// How many own versions there are.
    pub own_versions: i64,
    /// Why the chosen version is not used.
    pub fault: Option<String>,
}

/// Where a job script comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Lotse brings it.
    Lotse,
    /// The site's folder.
    Site,
    /// It was uploaded.
    Own,
}

/// One step, as far as people want to know.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct StepRow {
    /// Unique in the job.
    pub id: String,
    /// What a person reads, by language.
    pub title: BTreeMap<String, String>,
    /// What it does: `script`, `write-file`, `storage` …
    pub kind: String,
    /// Left out of the plan when this is false.
    pub when: Option<String>,
    /// Longest duration in seconds.
    pub timeout_s: u32,
    /// Its template or parameter.
    pub source: String,
}

/// A job script with everything.
#[derive(Clone, Debug, serde::Serialize, utoipa::ToSchema)]
pub struct JobScript {
    /// As in the list.
    #[serde(flatten)]
    pub row: JobScriptRow,
    /// What was declared.
    pub job_type: JobType,
    /// Its steps.
    pub steps: Vec<StepRow>,
    /// Own versions, newest first.
    pub versions: Vec<Version>,
    /// Names of its samples.
    pub samples: Vec<String>,
    /// Its files.
    pub files: BTreeMap<String, String>,
}

/// Reads what was chosen, so that it is used. At start, after a change, and now and then for what other nodes have changed.
///
/// # Errors
/// The database refuses.
pub async fn reload(ctx: &Ctx) -> Result<(), Error> {
    let _reading = READING.lock().await;
    let mut tx = ctx.db.read().await?;
    let mut chosen = Vec::new();
    for (name, number) in rows::choices(&mut tx).await? {
        if number > 0
            && let Some(files) = rows::files(&mut tx, &name, number).await?
        {
            chosen.push((name, number, files));
        }
    }
    drop(tx);
    ctx.catalog.use_own(&chosen);
    for (name, fault) in ctx.catalog.own_faults() {
        tracing::error!(name, fault, "an own version of a job script cannot be used");
    }
    Ok(())
}

/// All job scripts by name.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx) -> Result<Vec<JobScriptRow>, Error> {
    let counts = rows::counts(tx).await?;
    Ok(ctx.catalog.job_types().map(|job_type| row(ctx, &job_type, &counts)).collect())
}

fn row(ctx: &Ctx, job_type: &JobType, counts: &BTreeMap<String, i64>) -> JobScriptRow {
    let name = &job_type.name;
    let version = ctx.catalog.own_version(name).unwrap_or(0);
    JobScriptRow {
        name: name.clone(),
        title: job_type.title.clone(),
        realm: job_type.realm,
        destructive: job_type.destructive,
        origin: match version {
            0 if ctx.catalog.is_of_site(name) => Origin::Site,
            0 => Origin::Lotse,
            _ => Origin::Own,
        },
        version,
        own_versions: counts.get(name).copied().unwrap_or(0),
        fault: ctx.catalog.own_fault(name),
    }
}

/// A job script: the version that is used, or another one.
///
/// # Errors
/// It does not exist, or the version cannot be used any more.
pub async fn show(ctx: &Ctx, tx: &mut Tx, name: &str, version: Option<i64>) -> Result<JobScript, Error> {
    let used = ctx.catalog.own_version(name).unwrap_or(0);
    let files = files(ctx, tx, name, version.unwrap_or(used)).await?;
    let job_type = ctx.catalog.read_own(name, &files).map_err(|faults| refused(name, &faults))?;
    let counts = rows::counts(tx).await?;
    let samples = files
        .keys()
        .filter_map(|path| path.strip_prefix("samples/")?.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    Ok(JobScript {
        row: row(ctx, &job_type, &counts),
        steps: job_type.steps.iter().map(step).collect(),
        versions: rows::versions(tx, name).await?,
        samples,
        files,
        job_type,
    })
}

fn step(declared: &crate::catalog::StepDeclaration) -> StepRow {
    let (kind, source) = match &declared.work {
        StepWork::Script { name, .. } => ("script", name.clone()),
        StepWork::ScriptParam(param) => ("script", format!("params.{param}")),
        StepWork::WriteFile(files) => {
            let paths: Vec<_> = files.iter().map(|file| file.path.as_str()).collect();
            ("write-file", paths.join(", "))
        }
        StepWork::Packages(action) => ("packages", action.as_str().to_owned()),
        StepWork::Storage => ("storage", String::new()),
        StepWork::Mount => ("mount", String::new()),
        StepWork::Unpack => ("unpack", String::new()),
        StepWork::Debootstrap => ("debootstrap", String::new()),
        StepWork::BootLoader => ("boot-loader", String::new()),
        StepWork::InstallAgent => ("install-agent", String::new()),
        StepWork::UpgradeAgent => ("upgrade-agent", String::new()),
        StepWork::SendPackages => ("send-packages", "params.packages".to_owned()),
        StepWork::Facts => ("facts", String::new()),
        StepWork::Survey => ("survey", String::new()),
        StepWork::Reboot => ("reboot", String::new()),
        StepWork::Shutdown => ("shutdown", String::new()),
        StepWork::Rescue => ("rescue", String::new()),
        StepWork::WipeDisk => ("wipe-disk", String::new()),
        StepWork::Vm(step) => ("vm", step.as_str().to_owned()),
    };
    StepRow {
        id: declared.id.clone(),
        title: declared.title.clone(),
        kind: kind.to_owned(),
        when: declared.when.clone(),
        timeout_s: declared.timeout_s,
        source,
    }
}

/// The files of a version; 0 is the one that is brought.
///
/// # Errors
/// It does not exist.
pub async fn files(ctx: &Ctx, tx: &mut Tx, name: &str, number: i64) -> Result<Files, Error> {
    if number == 0 {
        if !ctx.catalog.brings(name) {
            return Err(Error::not_found(format!("job script {name}")));
        }
        return ctx.catalog.brought_files(name).map_err(|error| Error::Internal(error.into()));
    }
    let found = rows::files(tx, name, number).await?;
    found.ok_or_else(|| Error::not_found(format!("version {number} of job script {name}")))
}

/// Own versions of a job script, newest first.
///
/// # Errors
/// The database refuses.
pub async fn versions(tx: &mut Tx, name: &str) -> Result<Vec<Version>, Error> {
    Ok(rows::versions(tx, name).await?)
}

/// Checks files as they are checked when they are uploaded: declarations, templates, shell, and that every sample can be planned.
///
/// # Errors
/// Everything that is wrong, by file.
pub fn check(ctx: &Ctx, name: &str, files: &Files) -> Result<JobType, Error> {
    if !is_name(name) {
        return Err(Error::invalid(
            format!("`{name}` cannot be a job script's name"),
            "use small letters, digits and hyphens",
        ));
    }
    let job_type = ctx.catalog.read_own(name, files).map_err(|faults| refused(name, &faults))?;
    let catalog = ctx.catalog.with(job_type.clone());
    let mut problems = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| path.starts_with("samples/")) {
        if let Err(message) = plan_sample(ctx, &catalog, name, text) {
            problems.push(FieldProblem { field: path.clone(), message });
        }
    }
    if problems.is_empty() {
        return Ok(job_type);
    }
    Err(Error::Invalid {
        title: format!("samples of the job script {name} cannot be planned"),
        fields: problems,
        remedy: "mend the samples or the job script".to_owned(),
    })
}

fn refused(name: &str, faults: &[crate::catalog::Fault]) -> Error {
    Error::Invalid {
        title: format!("the job script {name} cannot be used"),
        fields: faults
            .iter()
            .map(|fault| FieldProblem {
                field: fault.path.display().to_string(),
                message: fault.message.clone(),
            })
            .collect(),
        remedy: "mend these files; docs/adding-a-job-type.md describes them".to_owned(),
    }
}

fn plan_sample(ctx: &Ctx, catalog: &crate::catalog::Catalog, name: &str, text: &str) -> Result<Plan, String> {
    let read: Sample = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
    let plain = read.machine.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
    if !plain || read.machine.starts_with('.') {
        return Err(format!("`machine: {}` must be a file of job-scripts/_facts", read.machine));
    }
    let path = ctx.config.share.join("job-scripts/_facts").join(&read.machine);
    let facts = fs_err::read_to_string(&path)
        .map_err(|_| format!("there is no machine `{}` in job-scripts/_facts", read.machine))?;
    let facts = serde_json::from_str(&facts).map_err(|error| error.to_string())?;
    sample::planned(catalog, name, read, facts)
}

/// A sample of a version as it is rendered: every script and file of the plan, and the plan itself.
///
/// # Errors
/// There is no such sample, or it cannot be planned.
pub async fn render_sample(
    ctx: &Ctx,
    tx: &mut Tx,
    name: &str,
    number: i64,
    sample: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let files = files(ctx, tx, name, number).await?;
    let text = files
        .get(&format!("samples/{sample}.yaml"))
        .ok_or_else(|| Error::not_found(format!("sample {sample} of job script {name}")))?;
    let job_type = ctx.catalog.read_own(name, &files).map_err(|faults| refused(name, &faults))?;
    let plan = plan_sample(ctx, &ctx.catalog.with(job_type), name, text).map_err(|message| {
        Error::invalid(format!("the sample {sample} cannot be planned: {message}"), "mend it")
    })?;
    sample::as_files(&plan).map_err(|error| Error::Internal(error.into()))
}

/// Which versions there are: the number of the one that is used, and the newest. What changes a job script changes it.
pub async fn state(tx: &mut Tx, name: &str) -> Result<(i64, i64), Error> {
    let newest = rows::versions(tx, name).await?.first().map_or(0, |version| version.number);
    Ok((rows::choices(tx).await?.get(name).copied().unwrap_or(0), newest))
}

/// Keeps files as the newest version and uses it from now on; with `expected` only when its [`state`] is still what it was.
///
/// # Errors
/// They cannot be used, or somebody else has uploaded since `base`, the newest number that the uploader knew.
pub async fn upload(
    ctx: &Ctx,
    name: &str,
    files: &Files,
    comment: &str,
    base: Option<i64>,
    expected: Option<&str>,
    actor: &str,
) -> Result<i64, Error> {
    check(ctx, name, files)?;
    if comment.len() > LONGEST_COMMENT || comment.contains(char::is_control) {
        return Err(Error::invalid(
            format!("the comment must be one line of at most {LONGEST_COMMENT} letters"),
            "shorten it",
        ));
    }
    let mut tx = ctx.db.write().await?;
    let (used, newest) = state(&mut tx, name).await?;
    tag::check(&format!("job script {name}"), &(used, newest), expected)?;
    if base.is_some_and(|base| base != newest) {
        return Err(Error::conflict(
            format!("the job script {name} has a newer version {newest}"),
            "look at the difference to it, then upload yours again",
        ));
    }
    let now = ctx.now();
    let before = rows::files(&mut tx, name, used).await?;
    let number = rows::add(&mut tx, name, files, comment, actor, now).await?;
    rows::choose(&mut tx, name, number, actor, now).await?;
    let before = json!({ "version": used, "files": before });
    let after = json!({ "version": number, "comment": comment, "files": files });
    audit::note(&mut tx, "job-script.upload", &format!("job script {name}"), &before, &after).await?;
    chosen(ctx, tx, name, number, actor).await?;
    Ok(number)
}

/// Lets another version count from now on; 0 is the one that is brought. With `expected` only when its [`state`] is still what it was.
///
/// # Errors
/// It does not exist, cannot be used any more, or was changed.
pub async fn choose(
    ctx: &Ctx,
    name: &str,
    number: i64,
    expected: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let found = files(ctx, &mut tx, name, number).await?;
    check(ctx, name, &found)?;
    let (used, newest) = state(&mut tx, name).await?;
    tag::check(&format!("job script {name}"), &(used, newest), expected)?;
    rows::choose(&mut tx, name, number, actor, ctx.now()).await?;
    let (before, after) = (json!({ "version": used }), json!({ "version": number }));
    audit::note(&mut tx, "job-script.choose", &format!("job script {name}"), &before, &after).await?;
    chosen(ctx, tx, name, number, actor).await
}

async fn chosen(ctx: &Ctx, mut tx: Tx, name: &str, number: i64, actor: &str) -> Result<(), Error> {
    let detail = format!("{name}, version {number}");
    events::add(&mut tx, "job-script.changed", None, None, actor, &detail, ctx.now()).await?;
    tx.commit().await?;
    reload(ctx).await?;
    ctx.presence.events_came();
    Ok(())
}

/// What is different from one version to another, as unified difference; empty when nothing is.
///
/// # Errors
/// One of them does not exist.
pub async fn difference(ctx: &Ctx, tx: &mut Tx, name: &str, from: i64, to: i64) -> Result<String, Error> {
    let (mut old, mut new) = (files(ctx, tx, name, from).await?, files(ctx, tx, name, to).await?);
    // What samples are expected to give is for the tests of what is brought, and is of no use to anybody here.
    for files in [&mut old, &mut new] {
        files.retain(|path, _| !path.starts_with("expected/"));
    }
    Ok(compare(&old, &new))
}

/// The unified difference between two sets of files.
pub fn compare(old: &Files, new: &Files) -> String {
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut text = String::new();
    for path in paths {
        let (was, is) = (old.get(path).map_or("", String::as_str), new.get(path).map_or("", String::as_str));
        if was != is {
            let difference = TextDiff::from_lines(was, is);
            text.push_str(&difference.unified_diff().header(path, path).to_string());
        }
    }
    text
}

/// The plan that would come out for a client, of a version or of files that nobody has uploaded yet. Nothing is stored or carried out.
///
/// # Errors
/// The files, the parameters or the client do not allow a plan.
pub async fn dry_run(
    ctx: &Ctx,
    name: &str,
    wanted: Wanted,
    client: &str,
    params: &Value,
) -> Result<Plan, Error> {
    let mut tx = ctx.db.read().await?;
    let files = match wanted {
        Wanted::Files(files) => files,
        Wanted::Version(number) => files(ctx, &mut tx, name, number).await?,
        Wanted::Used => {
            let used = ctx.catalog.own_version(name).unwrap_or(0);
            self::files(ctx, &mut tx, name, used).await?
        }
    };
    let job_type = check(ctx, name, &files)?;
    let params = job_type
        .params
        .check(params)
        .map_err(|fields| Error::fields(format!("the parameters of {name} are wrong"), fields))?;
    let client = clients::get(&mut tx, client).await?;
    let catalog = ctx.catalog.with(job_type);
    // No job has the number 0.
    planning::dry_run(ctx, &mut tx, &catalog, (JobId(0), name, &params), &client).await
}

/// Of what a plan is tried.
pub enum Wanted {
    /// The version that is used.
    Used,
    /// A version; 0 is the one that is brought.
    Version(i64),
    /// These files.
    Files(Files),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_names_each_file_that_changed_and_no_other() {
        let files = |pairs: &[(&str, &str)]| -> Files {
            pairs.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
        };
        let old = files(&[("a", "1\n2\n"), ("b", "x\n"), ("gone", "y\n")]);
        let new = files(&[("a", "1\n3\n"), ("b", "x\n"), ("new", "z\n")]);
        let text = compare(&old, &new);
        for line in ["--- a", "-2", "+3", "--- gone", "-y", "+++ new", "+z"] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("--- b"));
        assert_eq!(compare(&old, &old), "");
    }
}
