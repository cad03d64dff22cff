//! Shell text that the server has rendered. Secrets are fetched when the script starts; they are in its environment and nowhere else.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use wire::step::Root;

use super::{StepContext, StepError};
use crate::host::{self, Command};

/// `EX_TEMPFAIL` of sysexits.h: trying again later may help.
const TEMPORARY: &str = "status 75";

/// Runs the text with `/bin/sh -eu`.
pub(super) async fn execute(
    ctx: &StepContext<'_>,
    text: &str,
    root: Root,
    secrets: &BTreeMap<String, String>,
    environment: &BTreeMap<String, String>,
) -> Result<(), StepError> {
    let root = ctx.root(root);
    let file = PathBuf::from(format!("/tmp/lotse-step-{}.sh", ctx.attempt));
    let stored = in_root(root.as_deref(), &file);
    // A file and not an argument, so that the text is in no process list and commands in it may read standard input.
    ctx.host.write(&stored, text.as_bytes(), 0o700)?;
    let mut command = Command::new(["/bin/sh".to_owned(), "-eu".to_owned(), file.display().to_string()]);
    command.environment.clone_from(environment);
    command.root.clone_from(&root);
    let mut hidden = Vec::new();
    for (name, reference) in secrets {
        let value = ctx.server.secret(ctx.attempt, reference).await?;
        hidden.extend(value.lines().filter(|line| line.len() > 3).map(str::to_owned));
        command.environment.insert(name.clone(), value);
    }
    let chroot = match root {
        Some(_) => Some(super::chroot::Chroot::enter(ctx)?),
        None => None,
    };
    let result = ctx
        .host
        .run(
            &command,
            &|stream, line| {
                let mut line = line.to_owned();
                for secret in &hidden {
                    line = line.replace(secret, "***");
                }
                match progress(&line) {
                    Some((percent, message)) => ctx.voice.progress(percent, message),
                    None => ctx.voice.line(stream, &line),
                }
            },
            ctx.stop,
        )
        .await;
    drop(chroot);
    ctx.host.remove(&stored)?;
    match result {
        Ok(_) => Ok(()),
        Err(error @ host::Error::Status { .. }) => Err(failed(error, &hidden)),
        Err(error) => Err(error.into()),
    }
}

fn failed(error: host::Error, hidden: &[String]) -> StepError {
    let host::Error::Status { status, last_lines, .. } = error else { return error.into() };
    let said = hidden.iter().fold(last_lines, |text, secret| text.replace(secret, "***"));
    let error = anyhow::anyhow!("the script ended with {status}: {said}");
    if status == TEMPORARY { StepError::Transient(error) } else { StepError::Permanent(error) }
}

/// `lotse-progress 40 copying` tells how far a script is.
fn progress(line: &str) -> Option<(u8, &str)> {
    let (percent, message) = line.strip_prefix("lotse-progress ")?.split_once(' ')?;
    Some((percent.parse().ok().filter(|percent| *percent <= 100)?, message))
}

fn in_root(root: Option<&Path>, file: &Path) -> PathBuf {
    match root {
        Some(root) => root.join(file.strip_prefix("/").unwrap_or(file)),
        None => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    async fn run(stage: &Stage) -> Result<(), StepError> {
        let secrets = BTreeMap::from([("PASSWORD".to_owned(), "user-password".to_owned())]);
        execute(&stage.ctx(), "echo \"$PASSWORD\"", Root::Running, &secrets, &BTreeMap::new()).await
    }

    fn stage(answer: Answer) -> Stage {
        let host = FakeHost::new(0);
        host.answer("/bin/sh", answer);
        let mut stage = Stage::new(host);
        stage.server.secrets.insert("user-password".to_owned(), "hunter22".to_owned());
        stage
    }

    #[tokio::test]
    async fn a_secret_is_in_the_environment_and_in_no_line_and_no_file() {
        let stage = stage(Answer::prints("the password is hunter22"));
        run(&stage).await.unwrap();
        assert_eq!(stage.said(), "the password is ***\n");
        assert_eq!(stage.lines().len(), 1);
        let command = &stage.host.commands()[0];
        assert_eq!(command.environment["PASSWORD"], "hunter22");
        assert!(!command.argv.join(" ").contains("hunter22"));
        assert!(stage.host.file("/tmp/lotse-step-3.sh").is_none(), "the script was left behind");
    }

    #[tokio::test]
    async fn progress_is_told_and_not_shown() {
        let stage = stage(Answer::prints("lotse-progress 40 copying"));
        run(&stage).await.unwrap();
        assert_eq!(*stage.voice.progress.lock().unwrap(), [(40, "copying".to_owned())]);
        assert_eq!(stage.said(), "");
    }
}
