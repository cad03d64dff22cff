//! dnf(8) of Fedora and `CentOS` Stream, version 4, and what rpm(8) adds to it.
//!
//! What dnf would do is read from the table that it shows before it asks; `--assumeno` says no for us. Two things dnf calls a success
//! are none here: a script of a package that failed, and an error within `dnf shell`.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Mutex, PoisonError},
};

use wire::package_work::{Conffiles, PackageAction, PackageWork, Transaction};

use super::{accepted, ask, check, dnf_table, failed, run, simulation::bare, summary};
use crate::{
    host::{self, Command},
    steps::{StepContext, StepError},
};

/// A line with which dnf ends that was told no.
const SAID_NO: &str = "Operation aborted";
/// dnf goes on after these, and says that it is complete.
const SILENT_FAILURES: [&str; 2] = ["scriptlet failed", "Error: "];

/// Carries the work out with dnf.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &PackageWork) -> Result<(), StepError> {
    let is_there = |path: &str| ctx.host.exists(Path::new(path));
    let program = match (is_there("/usr/bin/dnf5"), is_there("/usr/bin/dnf4")) {
        (false, _) => "dnf",
        (true, true) => "dnf4",
        (true, false) => {
            return Err(StepError::Refused(
                "dnf 5 is not supported, and there is no dnf4 beside it".to_owned(),
            ));
        }
    };
    let dnf = Dnf { ctx, work, program };
    match work.action {
        PackageAction::Hold => return dnf.lock("add", &work.packages).await,
        PackageAction::Unhold => return dnf.lock("delete", &work.packages).await,
        PackageAction::Refresh => return dnf.change(&dnf.command(&["--refresh", "-y", "makecache"])).await,
        _ => {}
    }
    if work.conffiles == Conffiles::Replace {
        let text = "rpm keeps changed configuration files by itself, and replaces none on request";
        return Err(StepError::Refused(text.to_owned()));
    }
    if !work.answers.is_empty() {
        ctx.say("the answers are for debconf, which this system does not have: they are left out");
    }
    if !work.preview && !work.unhold.is_empty() {
        dnf.lock("delete", &work.unhold).await?;
    }
    let transaction = dnf.simulate().await?;
    ctx.voice.transaction(work.preview, &transaction);
    ctx.say(&summary(&transaction));
    check(work, &transaction)?;
    accepted(work, &transaction)?;
    if work.preview {
        return Ok(());
    }
    if !transaction.changes.is_empty() {
        dnf.change(&dnf.transaction("-y")).await?;
    }
    if work.hold.is_empty() { Ok(()) } else { dnf.lock("add", &work.hold).await }
}

struct Dnf<'a> {
    ctx: &'a StepContext<'a>,
    work: &'a PackageWork,
    program: &'static str,
}

impl Dnf<'_> {
    /// `dnf` with what holds for every run.
    fn command(&self, words: &[&str]) -> Command {
        let mut argv = vec![
            self.program,
            "--setopt=gpgcheck=1",
            "--setopt=*.gpgcheck=1",
            "--setopt=clean_requirements_on_remove=0",
        ];
        match self.work.recommends {
            Some(true) => argv.push("--setopt=install_weak_deps=1"),
            Some(false) => argv.push("--setopt=install_weak_deps=0"),
            None => {}
        }
        if self.work.allow_removals {
            argv.push("--allowerasing");
        }
        if self.work.allow_held {
            argv.push("--disableplugin=versionlock");
        }
        argv.extend_from_slice(words);
        Command::new(argv).with_environment("LC_ALL", "C.UTF-8").with_environment("LANGUAGE", "C")
    }

    /// The run that does the work; `answer` is what is said when dnf asks.
    fn transaction(&self, answer: &str) -> Command {
        let work = self.work;
        let (come, go) = (specs(&work.packages), specs(&work.remove));
        let simple = |verb: &[&str], names: &[String]| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.command(&[&[answer][..], verb, &names].concat())
        };
        match work.action {
            PackageAction::Remove | PackageAction::Purge => simple(&["remove"], &come),
            PackageAction::Upgrade => simple(&["upgrade"], &come),
            PackageAction::SecurityUpgrade => simple(&["--security", "upgrade"], &come),
            PackageAction::Apply if come.is_empty() => simple(&["remove"], &go),
            PackageAction::Apply if !go.is_empty() => {
                let line = |verb: &str, names: &[String]| format!("{verb} {}\n", names.join(" "));
                let script = format!("{}{}run\n", line("remove", &go), line("install", &come));
                self.command(&[answer, "shell"]).with_stdin(&script)
            }
            _ => simple(&["install"], &come),
        }
    }

    /// What the work would do. dnf that is told no has failed by its own account.
    async fn simulate(&self) -> Result<Transaction, StepError> {
        let wanted = [&self.work.packages[..], &self.work.remove].concat();
        if wanted.is_empty() && self.work.action == PackageAction::Apply {
            return Ok(Transaction::default());
        }
        let command = self.transaction("--assumeno");
        let kept = Mutex::new(Vec::new());
        let on_line = |_, line: &str| {
            self.tells_progress(line);
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
        };
        let ended = self.ctx.host.run(&command, &on_line, self.ctx.stop).await;
        let lines = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        let said_no = lines.iter().any(|line| line.contains(SAID_NO));
        match ended {
            Ok(_) if said_no || !lines.iter().any(|line| is_silent_failure(line)) => {}
            Ok(_) => return Err(failed(&command, "an error", &lines)),
            Err(host::Error::Status { .. }) if said_no => {}
            Err(host::Error::Status { status, .. }) => return Err(failed(&command, &status, &lines)),
            Err(error) => return Err(error.into()),
        }
        let asked: Vec<String> = wanted.iter().map(|name| bare(name).to_owned()).collect();
        let mut transaction = dnf_table::transaction(&lines.join("\n"), &asked);
        let installed = self.installed().await?;
        for change in transaction.changes.iter_mut().filter(|change| change.from.is_empty()) {
            let key = (change.package.clone(), change.architecture.clone());
            change.from = installed.get(&key).cloned().unwrap_or_default();
            change.is_security =
                self.work.action == PackageAction::SecurityUpgrade && !change.from.is_empty();
        }
        Ok(transaction)
    }

    /// Versions by name and architecture; of several the last.
    async fn installed(&self) -> Result<BTreeMap<(String, String), String>, StepError> {
        let format = "%{NAME}\\t%{ARCH}\\t%{EPOCH}\\t%{VERSION}-%{RELEASE}\\n";
        let printed = ask(self.ctx, &Command::new(["rpm", "-qa", "--qf", format])).await?;
        Ok(printed.lines().filter_map(installed_line).collect())
    }

    /// Runs what changes something. dnf's own word for a success is not enough.
    async fn change(&self, command: &Command) -> Result<(), StepError> {
        let kept = Mutex::new(Vec::new());
        let on_line = |line: &str| {
            kept.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
            self.tells_progress(line)
        };
        run(self.ctx, command, &on_line).await?;
        let lines = kept.into_inner().unwrap_or_else(PoisonError::into_inner);
        if lines.iter().any(|line| is_silent_failure(line)) {
            return Err(failed(command, "an error", &lines));
        }
        Ok(())
    }

    async fn lock(&self, how: &str, packages: &[String]) -> Result<(), StepError> {
        let names: Vec<String> = packages.iter().map(|name| bare(name).to_owned()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        self.change(&self.command(&[&["-y", "versionlock", how][..], &names].concat())).await
    }

    /// Takes dnf's lines about its progress and about locks; whether it is no line for people.
    fn tells_progress(&self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("Waiting for process with pid ") {
            let holder = rest.split_whitespace().next().unwrap_or(rest);
            self.ctx.voice.progress(0, &format!("waits for the lock that process {holder} holds"));
        } else if let Some((done, of, message)) = dnf_table::progress(line) {
            let percent = u8::try_from(done.saturating_mul(100) / of.max(1)).unwrap_or(100).min(100);
            self.ctx.voice.progress(percent, message);
        }
        false
    }
}

fn is_silent_failure(line: &str) -> bool {
    SILENT_FAILURES.iter().any(|sign| line.contains(sign)) && !line.contains(SAID_NO)
}

fn installed_line(line: &str) -> Option<((String, String), String)> {
    let mut fields = line.split('\t');
    let (name, architecture) = (fields.next()?.to_owned(), fields.next()?.to_owned());
    let (epoch, version) = (fields.next()?, fields.next()?);
    let epoch = if ["(none)", "0"].contains(&epoch) { String::new() } else { format!("{epoch}:") };
    Some(((name, architecture), format!("{epoch}{version}")))
}

/// Names as dnf takes them: `name-version`, `name.architecture`. Sources are not named in them.
fn specs(packages: &[String]) -> Vec<String> {
    let spec = |text: &String| {
        let (rest, version) = text.split_once('=').unwrap_or((text, ""));
        let rest = rest.split('/').next().unwrap_or(rest);
        let (name, architecture) = rest.split_once(':').unwrap_or((rest, ""));
        let version = if version.is_empty() { String::new() } else { format!("-{version}") };
        let architecture = if architecture.is_empty() { String::new() } else { format!(".{architecture}") };
        format!("{name}{version}{architecture}")
    };
    packages.iter().map(spec).collect()
}
