//! apt-get(8), dpkg(1) and debconf(7).

use std::collections::BTreeSet;

use wire::package_work::{Conffiles, PackageAction, PackageWork, Transaction};

use super::{accepted, ask, check, run, simulation, summary};
use crate::{
    host::Command,
    steps::{StepContext, StepError},
};

/// Progress of the whole step when package lists are there.
const LISTS_ARE_THERE: u8 = 5;
/// And when everything is fetched.
const ALL_IS_FETCHED: u8 = 40;

/// Progress comes on a descriptor of its own, and is read with the output: apt hands its own standard output over to nobody when it is
/// told to write progress there, and what scripts of packages say would be lost.
const WITH_STATUS: [&str; 4] = ["/bin/sh", "-c", "exec \"$@\" 3>&1", "apt"];

/// Carries the work out with apt.
pub(super) async fn execute(ctx: &StepContext<'_>, work: &PackageWork) -> Result<(), StepError> {
    let apt = Apt { ctx, work };
    match work.action {
        PackageAction::Hold => return apt.mark("hold", &work.packages).await,
        PackageAction::Unhold => return apt.mark("unhold", &work.packages).await,
        PackageAction::Refresh => return apt.refresh().await,
        _ => {}
    }
    let unmended = if work.preview { None } else { apt.make_ready().await? };
    if !work.preview && !work.unhold.is_empty() {
        apt.mark("unhold", &work.unhold).await?;
    }
    let (words, asked) = match work.action {
        PackageAction::Apply => {
            let gone = apt.there_of(&work.remove).await?;
            (apply_words(work, &gone), [&work.packages[..], &gone].concat())
        }
        PackageAction::SecurityUpgrade => {
            let all = apt.simulate(&apt.upgrade_of_everything(), &[]).await?;
            let wanted = security_updates(&all, &work.packages);
            (install_words(&wanted, true), wanted)
        }
        _ => (apt.words(), work.packages.clone()),
    };
    if work.action == PackageAction::SecurityUpgrade && asked.is_empty() {
        ctx.say("there are no security updates");
        return Ok(());
    }
    if work.action == PackageAction::Apply && asked.is_empty() {
        // apt-get would take an installation of nothing for one that is to be mended.
        ctx.voice.transaction(work.preview, &Transaction::default());
        accepted(work, &Transaction::default())?;
        return if work.preview { Ok(()) } else { apt.hold_what_is_to_stay().await };
    }
    let mut transaction = apt.simulate(&words, &asked).await?;
    (transaction.download_bytes, transaction.disk_bytes) = simulation::sizes(
        &ask(ctx, &apt.command(&[&["--print-uris".to_owned()][..], &words].concat())).await?,
    );
    ctx.voice.transaction(work.preview, &transaction);
    ctx.say(&summary(&transaction));
    check(work, &transaction)?;
    accepted(work, &transaction)?;
    if work.preview {
        return Ok(());
    }
    if transaction.changes.is_empty() {
        // To apt, a package that is unpacked and not set up is there.
        return match unmended {
            Some(why) => Err(why),
            None => apt.hold_what_is_to_stay().await,
        };
    }
    if !work.answers.is_empty() {
        apt.answer().await?;
    }
    // It fetches everything before it changes anything.
    run(ctx, &apt.command(&words), &|line| apt.tells_progress(line)).await?;
    apt.hold_what_is_to_stay().await
}

struct Apt<'a> {
    ctx: &'a StepContext<'a>,
    work: &'a PackageWork,
}

impl Apt<'_> {
    /// `apt-get` with what holds for every run.
    fn command(&self, words: &[String]) -> Command {
        let mut options = vec![
            format!("DPkg::Lock::Timeout={}", self.work.lock_wait_s),
            "Dpkg::Use-Pty=0".to_owned(),
            "APT::Status-Fd=3".to_owned(),
            "APT::Get::AllowUnauthenticated=false".to_owned(),
            "Acquire::AllowInsecureRepositories=false".to_owned(),
            // Names are names: otherwise `remove python3.9` where there is none removes all that it matches as a regular expression.
            "APT::Cmd::Pattern-Only=true".to_owned(),
            "Dpkg::Options::=--force-confdef".to_owned(),
            match self.work.conffiles {
                Conffiles::Keep | Conffiles::Unknown => "Dpkg::Options::=--force-confold".to_owned(),
                Conffiles::Replace => "Dpkg::Options::=--force-confnew".to_owned(),
            },
        ];
        if let Some(recommends) = self.work.recommends {
            options.push(format!("APT::Install-Recommends={recommends}"));
        }
        let mut argv = WITH_STATUS.map(str::to_owned).to_vec();
        argv.extend(["apt-get", "-q", "-y"].map(str::to_owned));
        argv.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        // What is allowed is looked at before, where the names are known.
        argv.push("--allow-downgrades".to_owned());
        if self.work.allow_held {
            argv.push("--allow-change-held-packages".to_owned());
        }
        argv.extend_from_slice(words);
        environment(Command::new(argv))
    }

    fn words(&self) -> Vec<String> {
        let packages = &self.work.packages;
        let simple = |word: &str| [&[word.to_owned(), "--".to_owned()][..], packages].concat();
        match self.work.action {
            PackageAction::Remove => simple("remove"),
            PackageAction::Purge => simple("purge"),
            PackageAction::Upgrade if packages.is_empty() => self.upgrade_of_everything(),
            PackageAction::Upgrade => install_words(packages, true),
            _ => install_words(packages, false),
        }
    }

    fn upgrade_of_everything(&self) -> Vec<String> {
        // A new kernel is a new package: without --with-new-pkgs no client would ever get one.
        let words: &[&str] =
            if self.work.allow_removals { &["dist-upgrade"] } else { &["--with-new-pkgs", "upgrade"] };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// Waits for the lock, and mends what an interrupted run left; tells why something could not be. That is no reason to stop: the work
    /// may be its removal.
    async fn make_ready(&self) -> Result<Option<StepError>, StepError> {
        let check = self.command(&["check".to_owned()]);
        let checked = run(self.ctx, &check, &|line| self.tells_progress(line)).await;
        match &checked {
            Err(StepError::Transient(_) | StepError::Stopped) => return checked.map(|_| None),
            Ok(_) | Err(StepError::Permanent(_) | StepError::Refused(_)) => {}
        }
        let mut unmended = None;
        let audit = ask(self.ctx, &Command::new(["dpkg", "--audit"])).await.unwrap_or_default();
        if !audit.trim().is_empty() {
            self.ctx.say("an earlier run was interrupted: what it left half done is finished first");
            let finish = ["dpkg", "--force-confdef", "--force-confold", "--configure", "-a"];
            unmended =
                self.unless_stopped(run(self.ctx, &environment(Command::new(finish)), &|_| false).await)?;
        }
        if checked.is_err() {
            self.ctx.say("installed packages lack others: these are installed first");
            let words = ["--fix-broken", "--no-remove", "install"].map(str::to_owned);
            let fix = self.command(&words);
            let mended = run(self.ctx, &fix, &|line| self.tells_progress(line)).await;
            unmended = self.unless_stopped(mended)?.or(unmended);
        }
        Ok(unmended)
    }

    fn unless_stopped(&self, result: Result<String, StepError>) -> Result<Option<StepError>, StepError> {
        match result {
            Err(StepError::Stopped) => Err(StepError::Stopped),
            Err(error) => {
                self.ctx.say(&format!("that did not help: {error}"));
                Ok(Some(error))
            }
            Ok(_) => Ok(None),
        }
    }

    async fn refresh(&self) -> Result<(), StepError> {
        let words = ["-o", "APT::Update::Error-Mode=any", "update"].map(str::to_owned);
        run(self.ctx, &self.command(&words), &|line| self.tells_progress(line)).await.map(drop)
    }

    async fn hold_what_is_to_stay(&self) -> Result<(), StepError> {
        if self.work.hold.is_empty() { Ok(()) } else { self.mark("hold", &self.work.hold).await }
    }

    /// Which of these packages are installed: apt-get(8) knows no removal of what is not there when its sources do not have it either.
    async fn there_of(&self, names: &[String]) -> Result<Vec<String>, StepError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let query =
            Command::new(["dpkg-query", "--show", "--showformat=${Package}\\t${db:Status-Status}\\n"]);
        let printed = ask(self.ctx, &environment(query)).await?;
        let there: BTreeSet<&str> = printed
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .filter(|(_, state)| !matches!(*state, "not-installed" | "config-files"))
            .map(|(name, _)| name)
            .collect();
        Ok(names.iter().filter(|name| there.contains(simulation::bare(name))).cloned().collect())
    }

    async fn mark(&self, how: &str, packages: &[String]) -> Result<(), StepError> {
        let words = [how.to_owned(), "--".to_owned()];
        let names = packages.iter().map(|name| name.split(['=', '/']).next().unwrap_or(name).to_owned());
        let names: Vec<String> = names.collect();
        let argv = [&["apt-mark".to_owned()][..], &words, &names].concat();
        run(self.ctx, &environment(Command::new(argv)), &|_| false).await.map(drop)
    }

    async fn simulate(&self, words: &[String], asked: &[String]) -> Result<Transaction, StepError> {
        let simulated =
            ask(self.ctx, &self.command(&[&["--simulate".to_owned()][..], words].concat())).await?;
        Ok(simulation::transaction(&simulated, asked))
    }

    /// Answers the questions of packages before they are asked. Secrets go to standard input, and nowhere else.
    async fn answer(&self) -> Result<(), StepError> {
        let mut lines = String::new();
        for answer in &self.work.answers {
            let value = match &answer.secret {
                Some(secret) => self.ctx.ask(|| self.ctx.server.secret(self.ctx.attempt, secret)).await?,
                None => answer.value.clone(),
            };
            let words = [&answer.package, &answer.question, &answer.kind, &value];
            if words.iter().any(|word| word.contains(['\n', '\r'])) {
                let text =
                    format!("the answer to {} of {} has more than one line", answer.question, answer.package);
                return Err(StepError::Refused(text));
            }
            lines.push_str(&format!("{} {} {} {value}\n", answer.package, answer.question, answer.kind));
        }
        let command = environment(Command::new(["debconf-set-selections"])).with_stdin(&lines);
        ask(self.ctx, &command).await.map(drop).map_err(|error| match error {
            // What debconf complains about is the line with the answer.
            StepError::Permanent(_) => StepError::Permanent(anyhow::anyhow!(
                "debconf does not take the answers; their names and types are wrong"
            )),
            error => error,
        })
    }

    /// Takes apt's lines about its progress (`APT::Status-Fd`, apt's doc/progress-reporting.md) and about locks.
    fn tells_progress(&self, line: &str) -> bool {
        if let Some(rest) = line.strip_prefix("Waiting for cache lock: ") {
            let holder = rest.split_once("It is held by ").map_or(rest, |(_, holder)| holder);
            self.ctx
                .voice
                .progress(0, &format!("waits for the lock that {} holds", holder.trim_end_matches('.')));
            return false;
        }
        let (from, to, rest) = if let Some(rest) = line.strip_prefix("dlstatus:") {
            (LISTS_ARE_THERE, ALL_IS_FETCHED, rest)
        } else if let Some(rest) = line.strip_prefix("pmstatus:") {
            (ALL_IS_FETCHED, 100, rest)
        } else {
            return line.starts_with("pmerror:") || line.starts_with("pmconffile:");
        };
        let mut words = rest.splitn(3, ':').skip(1);
        let percent = words.next().and_then(|percent| percent.split('.').next()?.parse::<u8>().ok());
        if let (Some(percent), Some(message)) = (percent, words.next()) {
            let whole = u16::from(to - from) * u16::from(percent.min(100)) / 100;
            self.ctx.voice.progress(from + u8::try_from(whole).unwrap_or(0), message);
        }
        true
    }
}

fn install_words(packages: &[String], only_upgrade: bool) -> Vec<String> {
    let mut words = vec!["install".to_owned()];
    if only_upgrade {
        words.push("--only-upgrade".to_owned());
    }
    words.push("--".to_owned());
    words.extend_from_slice(packages);
    words
}

/// One run that installs some and removes others: a minus behind a name removes it (apt-get(8)).
fn apply_words(work: &PackageWork, gone: &[String]) -> Vec<String> {
    let purge = work.purge.then(|| "--purge".to_owned());
    let mut words: Vec<String> = purge.into_iter().chain(["install".to_owned(), "--".to_owned()]).collect();
    words.extend_from_slice(&work.packages);
    words.extend(gone.iter().map(|name| format!("{name}-")));
    words
}

/// What of an upgrade is for security, with its versions; of these packages only, when there are any.
fn security_updates(upgrade: &Transaction, only: &[String]) -> Vec<String> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|it| simulation::bare(it) == name);
    let updates =
        upgrade.changes.iter().filter(|it| it.is_security && !it.from.is_empty() && wanted(&it.package));
    updates.map(|it| format!("{}:{}={}", it.package, it.architecture, it.to)).collect()
}

/// Nobody is there to answer questions, and output is read by programs.
fn environment(command: Command) -> Command {
    command
        .with_environment("LC_ALL", "C.UTF-8")
        .with_environment("LANGUAGE", "C")
        .with_environment("DEBIAN_FRONTEND", "noninteractive")
        .with_environment("DEBCONF_NONINTERACTIVE_SEEN", "true")
        .with_environment("NEEDRESTART_MODE", "a")
        .with_environment("APT_LISTCHANGES_FRONTEND", "none")
}
