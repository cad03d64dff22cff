//! The server's door to other programs: the recipes that build images, what verifies signatures, and ssh(1). Argument vectors, never shell
//! text.

use std::process::Stdio;

use anyhow::{Context, bail};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

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

/// How a program ended that was given something to read.
pub(crate) struct Ended {
    /// It ended well.
    pub(crate) is_fine: bool,
    /// What it said on its standard error.
    pub(crate) stderr: String,
}

/// Runs a program with this text on its standard input; each line of its standard output goes to `on_line`.
///
/// # Errors
/// It cannot be started.
#[expect(clippy::disallowed_methods, reason = "this is the door")]
pub(crate) async fn given(
    argv: &[String],
    environment: &[(&str, String)],
    input: &str,
    mut on_line: impl FnMut(&str),
) -> anyhow::Result<Ended> {
    let Some((program, arguments)) = argv.split_first() else { bail!("there is no program to run") };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {program}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let writing = async {
        if let Some(mut stdin) = stdin {
            // Whoever does not read to the end says why.
            stdin.write_all(input.as_bytes()).await.ok();
        }
    };
    let reading = async {
        if let Some(stdout) = stdout {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await? {
                on_line(&line);
            }
        }
        std::io::Result::Ok(())
    };
    let complaining = async {
        let mut text = Vec::new();
        if let Some(mut stderr) = stderr {
            stderr.read_to_end(&mut text).await?;
        }
        std::io::Result::Ok(String::from_utf8_lossy(&text).into_owned())
    };
    let ((), read, stderr) = tokio::join!(writing, reading, complaining);
    read.with_context(|| format!("reading what {program} says"))?;
    let stderr = stderr.with_context(|| format!("reading what {program} says"))?;
    let status = child.wait().await.with_context(|| format!("waiting for {program}"))?;
    Ok(Ended { is_fine: status.success(), stderr })
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
