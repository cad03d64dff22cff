//! Builds the base system from packages (debootstrap(8)) instead of an archive.

use super::{StepContext, StepError};
use crate::host::{self, Command};

/// What the plan says about the system.
pub(super) struct System<'a> {
    pub(super) suite: &'a str,
    pub(super) mirror_url: &'a str,
    pub(super) architecture: &'a str,
    pub(super) keyring: &'a str,
    pub(super) packages: &'a [String],
}

/// How far it is when a line begins like this.
const STAGES: [(&str, u8, &str); 5] = [
    ("I: Retrieving", 5, "fetching packages"),
    ("I: Extracting", 40, "extracting packages"),
    ("I: Installing core", 50, "installing the core"),
    ("I: Unpacking", 60, "unpacking packages"),
    ("I: Configuring", 75, "configuring packages"),
];
/// Words of debootstrap about what is no better the next time. The rest is mostly the mirror: packages are fetched during the whole run.
const HOPELESS: [&str; 6] = [
    "No such script",
    "Keyring file not available",
    "Release signed by unknown key",
    "Invalid Release signature",
    "Couldn't find these debs",
    "No space left on device",
];

/// Builds it.
pub(super) async fn execute(ctx: &StepContext<'_>, system: &System<'_>) -> Result<(), StepError> {
    // What an attempt that broke off has left would stop the next one.
    ctx.host.remove(&ctx.target.join("debootstrap"))?;
    let mut argv = vec![
        "debootstrap".to_owned(),
        "--variant=minbase".to_owned(),
        format!("--arch={}", system.architecture),
        format!("--keyring={}", system.keyring),
    ];
    if !system.packages.is_empty() {
        argv.push(format!("--include={}", system.packages.join(",")));
    }
    argv.extend([system.suite.to_owned(), ctx.target.display().to_string(), system.mirror_url.to_owned()]);
    let on_line = |stream, line: &str| {
        ctx.voice.line(stream, line);
        if let Some((_, percent, message)) = STAGES.iter().find(|(start, ..)| line.starts_with(start)) {
            ctx.voice.progress(*percent, message);
        }
    };
    match ctx.host.run(&Command::new(argv), &on_line, ctx.stop).await {
        Ok(_) => {}
        Err(host::Error::Status { status, last_lines, .. }) => {
            let error = anyhow::anyhow!(
                "debootstrap of {} from {} ended with {status}: {last_lines}; its reasons are in \
                 /debootstrap/debootstrap.log of the target",
                system.suite,
                system.mirror_url
            );
            let is_hopeless = HOPELESS.iter().any(|words| last_lines.contains(words));
            return Err(if is_hopeless { StepError::Permanent(error) } else { StepError::Transient(error) });
        }
        Err(error) => return Err(error.into()),
    }
    ctx.run(&Command::new(["sync"])).await?;
    ctx.voice.progress(100, "");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    async fn run(stage: &Stage) -> Result<(), StepError> {
        let packages = ["udev".to_owned(), "sudo".to_owned()];
        let system = System {
            suite: "bookworm",
            mirror_url: "http://s:8080/debian",
            architecture: "amd64",
            keyring: "/usr/share/keyrings/debian-archive-keyring.gpg",
            packages: &packages,
        };
        execute(&stage.ctx(), &system).await
    }

    #[tokio::test]
    async fn it_begins_anew_where_another_attempt_broke_off() {
        let stage = Stage::new(FakeHost::new(0).with_file("/target/debootstrap/debpaths", "x"));
        stage.host.answer("debootstrap", Answer::prints("I: Retrieving udev\nI: Configuring udev..."));
        run(&stage).await.unwrap();
        assert_eq!(stage.host.text("/target/debootstrap/debpaths"), "");
        assert_eq!(
            stage.host.command_lines()[0],
            "debootstrap --variant=minbase --arch=amd64 --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
             --include=udev,sudo bookworm /target http://s:8080/debian"
        );
        let percents: Vec<u8> = stage.voice.progress.lock().unwrap().iter().map(|(at, _)| *at).collect();
        assert_eq!(percents, [5, 75, 100]);
    }

    #[tokio::test]
    async fn a_mirror_that_is_down_is_worth_another_try_but_a_wrong_key_is_not() {
        let stage = Stage::new(FakeHost::new(0));
        stage.host.answer("debootstrap", Answer::fails(1, "E: Failed getting release file"));
        assert!(matches!(run(&stage).await, Err(StepError::Transient(_))));
        stage.host.answer("debootstrap", Answer::fails(1, "E: Release signed by unknown key (key id 1)"));
        assert!(matches!(run(&stage).await, Err(StepError::Permanent(_))));
    }
}
