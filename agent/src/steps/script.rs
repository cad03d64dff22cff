//! Shell text that the server has rendered. Secrets are fetched when the script starts; they are in its environment and nowhere else.

use std::{collections::BTreeMap, path::Path};

use wire::step::Root;

use super::{StepContext, StepError, chroot::Chroot};
use crate::host::{self, Command};

/// `EX_TEMPFAIL` of sysexits.h: trying again later may help.
const TEMPORARY: &str = "status 75";
/// A word this short in a text of many lines would hide half of what a script says.
const SHORTEST_LINE: usize = 4;

/// Runs the text with `/bin/sh -eu`.
pub(super) async fn execute(
    ctx: &StepContext<'_>,
    text: &str,
    root: Root,
    secrets: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Result<(), StepError> {
    // In memory, and a file rather than an argument: so the text is in no process list, and commands in it may read standard input.
    let file = format!("/run/lotse-step-{}.sh", ctx.attempt);
    let mut command = Command::new(["/bin/sh", "-eu", &file]);
    command.environment.clone_from(environment);
    let mut mask = Mask::default();
    for (name, reference) in secrets {
        let value = ctx.ask(|| ctx.server.secret(ctx.attempt, reference)).await?;
        mask.hide(&value);
        command.environment.insert(name.clone(), value);
    }
    match ctx.root(root) {
        None => run(ctx, &command, Path::new(&file), text, &mask).await,
        Some(target) => {
            // Only then `/run` of the target is memory.
            let chroot = Chroot::enter(ctx)?;
            let stored = target.join(&file[1..]);
            command.root = Some(target);
            run(ctx, &command, &stored, text, &mask).await?;
            chroot.leave(ctx).await
        }
    }
}

async fn run(
    ctx: &StepContext<'_>,
    command: &Command,
    stored: &Path,
    text: &str,
    mask: &Mask,
) -> Result<(), StepError> {
    ctx.host.write(stored, text.as_bytes(), 0o700)?;
    let on_line = |stream, line: &str| {
        let line = mask.apply(line);
        match progress(&line) {
            Some((percent, message)) => ctx.voice.progress(percent, message),
            None => ctx.voice.line(stream, &line),
        }
    };
    let result = ctx.host.run(command, &on_line, ctx.stop).await;
    ctx.host.remove(stored)?;
    match result {
        Ok(_) => Ok(()),
        Err(host::Error::Status { status, last_lines, .. }) => {
            let said: Vec<&str> = last_lines.lines().filter(|line| progress(line).is_none()).collect();
            let error = anyhow::anyhow!("the script ended with {status}: {}", mask.apply(&said.join("\n")));
            Err(if status == TEMPORARY { StepError::Transient(error) } else { StepError::Permanent(error) })
        }
        Err(error) => Err(error.into()),
    }
}

/// `lotse-progress 40 copying` tells how far a script is.
fn progress(line: &str) -> Option<(u8, &str)> {
    let rest = line.strip_prefix("lotse-progress ")?;
    let (percent, message) = rest.split_once(' ').unwrap_or((rest, ""));
    Some((percent.parse().ok().filter(|percent| *percent <= 100)?, message))
}

/// What may not be read in the report.
#[derive(Default)]
struct Mask(Vec<String>);

impl Mask {
    /// A secret of many lines is hidden line by line, since output is.
    fn hide(&mut self, secret: &str) {
        let is_one_line = secret.trim().lines().count() < 2;
        let parts = secret.lines().map(str::trim).filter(|line| !line.is_empty());
        self.0.extend(parts.filter(|line| is_one_line || line.len() >= SHORTEST_LINE).map(str::to_owned));
        // A secret that begins with another one must not show its rest.
        self.0.sort_by_key(|part| std::cmp::Reverse(part.len()));
    }

    fn apply(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

#[cfg(test)]
mod tests {
    use wire::event::Stream;

    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    async fn run(stage: &Stage, root: Root) -> Result<(), StepError> {
        let secrets = [("WORD".to_owned(), "word".to_owned()), ("LIST".to_owned(), "list".to_owned())];
        let environment = [("ZONE".to_owned(), "Europe/Berlin".to_owned())];
        execute(&stage.ctx(), "echo hello", root, &secrets.into(), &environment.into()).await
    }

    fn stage() -> Stage {
        let mut stage = Stage::new(FakeHost::new(0));
        stage.server.secrets = [
            ("word".to_owned(), "s3cret".to_owned()),
            ("list".to_owned(), "ann:s3cret-and-more\nben:hush\n".to_owned()),
        ]
        .into();
        stage
    }

    #[tokio::test]
    async fn secrets_are_in_the_environment_and_nowhere_in_the_report() {
        let stage = stage();
        stage.host.answer(
            "/bin/sh",
            Answer::fails(1, "lotse-progress 30 to no end\nno: s3cret")
                .and(Stream::Stdout, "ann:s3cret-and-more\nlotse-progress 40 for s3cret\nlotse-progress 50"),
        );
        let error = run(&stage, Root::Running).await.unwrap_err();
        assert_eq!(error.to_string(), "the script ended with status 1: no: ***");
        assert_eq!(stage.said(), "no: ***\n***\n");
        let progress = stage.voice.progress.lock().unwrap().clone();
        assert_eq!(progress[1..], [(40, "for ***".to_owned()), (50, String::new())]);
        let command = &stage.host.commands()[0];
        assert_eq!(command.argv, ["/bin/sh", "-eu", "/run/lotse-step-3.sh"]);
        assert_eq!(command.environment["WORD"], "s3cret");
        assert_eq!(command.environment["ZONE"], "Europe/Berlin");
        assert!(stage.host.file("/run/lotse-step-3.sh").is_none());
    }

    #[tokio::test]
    async fn only_status_75_is_worth_another_try() {
        let stage = stage();
        stage.host.answer("/bin/sh", Answer::fails(75, "the lock is held"));
        assert!(matches!(run(&stage, Root::Running).await, Err(StepError::Transient(_))));
        stage.host.answer("/bin/sh", Answer::fails(74, "the lock is held"));
        assert!(matches!(run(&stage, Root::Running).await, Err(StepError::Permanent(_))));
    }

    #[tokio::test]
    async fn in_the_target_it_runs_by_chroot_and_leaves_nothing_mounted() {
        let stage = stage();
        stage.host.answer("/bin/sh", Answer::fails(1, ""));
        run(&stage, Root::Target).await.unwrap_err();
        assert_eq!(stage.host.commands()[0].root.as_deref(), Some(Path::new("/target")));
        assert_eq!(stage.host.mounts(), []);
        assert!(stage.host.file("/target/run/lotse-step-3.sh").is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn without_its_secret_a_script_does_not_start() {
        let mut stage = stage();
        stage.server.secrets.clear();
        assert!(matches!(run(&stage, Root::Running).await, Err(StepError::Transient(_))));
        assert!(stage.host.commands().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_whose_answer_was_lost_is_asked_for_again() {
        let stage = stage();
        stage.server.lose_secrets(3);
        run(&stage, Root::Running).await.unwrap();
        assert_eq!(stage.host.commands()[0].environment["WORD"], "s3cret");
    }
}
