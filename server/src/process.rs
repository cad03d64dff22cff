//! The server's door to other programs: the recipes that build images, and what verifies signatures. Argument vectors, never shell text.

use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, BufReader};

/// Runs a program to its end; each line of its standard output goes to `on_line`, its standard error to ours.
///
/// # Errors
/// It cannot be started or ends with another status than 0.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) async fn run(argv: &[String], mut on_line: impl FnMut(&str)) -> anyhow::Result<()> {
    let Some((program, arguments)) = argv.split_first() else { bail!("there is no program to run") };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) =
            lines.next_line().await.with_context(|| format!("reading what {program} says"))?
        {
            on_line(&line);
        }
    }
    let status = child.wait().await.with_context(|| format!("waiting for {program}"))?;
    if !status.success() {
        bail!("{program} ended with {status}; its messages are above");
    }
    Ok(())
}

/// Runs a program to its end and gives its standard output, whatever its status says; its standard error is not kept.
///
/// # Errors
/// It cannot be started.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) async fn output(argv: &[String]) -> anyhow::Result<String> {
    let Some((program, arguments)) = argv.split_first() else { bail!("there is no program to run") };
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("starting {program}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
