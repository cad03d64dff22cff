//! An installed machine with systemd gets another agent, then one that does not work, and then the power goes in the middle of a trial.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use harness::{
    lab::Firmware,
    site::{Dhcp, Programs, Site},
    story::{Newcomer, minutes},
};
use tokio::time::{Instant, sleep};

use crate::stories::{NAME, has_written, install, machine, site};

/// What has to be true of the machine after each upgrade: the agent runs, dpkg knows its version as whole, and nothing is left behind.
const CHECK: &str = "systemctl is-active lotse-agent; dpkg-query -W -f '${db:Status-Abbrev} ${Version}\\n' lotse-agent; \
    test -z \"$(dpkg --verify lotse-agent)\" && echo as-packaged; ls /var/lib/lotse-agent/upgrade; \
    ls /etc/systemd/system/lotse-agent.service.d 2> /dev/null || true; echo checked";

/// Another package of the agent; with a program that is this text.
fn package(programs: &Programs, directory: &Path, version: &str, program: Option<&str>) -> Result<PathBuf> {
    let (tree, file) =
        (directory.join(format!("agent-{version}")), directory.join(format!("agent-{version}.deb")));
    let text = |path: &Path| path.display().to_string();
    Site::run(&["dpkg-deb", "--raw-extract", &text(&programs.agent_package), &text(&tree)])?;
    let control = tree.join("DEBIAN/control");
    let mut text_of_control = String::new();
    for line in fs_err::read_to_string(&control)?.lines() {
        if line.starts_with("Version: ") {
            text_of_control.push_str("Version: ");
            text_of_control.push_str(version);
        } else {
            text_of_control.push_str(line);
        }
        text_of_control.push('\n');
    }
    fs_err::write(&control, text_of_control)?;
    if let Some(program) = program {
        fs_err::write(tree.join("usr/bin/lotse-agent"), program)?;
    }
    // With checksums, dpkg can say whether what is there is what came in it.
    let sums = "cd \"$1\" && find usr lib -type f -exec md5sum {} + > DEBIAN/md5sums";
    Site::run(&["sh", "-c", sums, "sums", &text(&tree)])?;
    Site::run(&["dpkg-deb", "--root-owner-group", "--build", &text(&tree), &text(&file)])?;
    Ok(file)
}

/// The server has this agent from now on.
async fn offer(site: &Site, package: &Path) -> Result<()> {
    let (share, file) = (Site::share().display().to_string(), package.display().to_string());
    site.lotse(&["image", "build", "--share", &share, "--agent-package", &file, "agent"]).await.map(drop)
}

/// What [`CHECK`] says.
async fn checked(site: &Site, newcomer: &Newcomer) -> Result<String> {
    let text = format!("text={CHECK}");
    site.lotse(&["job", "run", NAME, "script", "--param", &text]).await?;
    newcomer.job_succeeds(site, "script").await?;
    let job = newcomer.newest_job(site, "script").await?;
    has_written(site, job, "checked").await?;
    site.lotse(&["job", "output", &job.to_string()]).await
}

async fn has_agent(site: &Site, newcomer: &Newcomer, version: &str) -> Result<()> {
    let output = checked(site, newcomer).await?;
    for wanted in ["active", &format!("ii  {version}"), "as-packaged", "state.json"] {
        ensure!(output.contains(wanted), "{wanted:?} is not in: {output}");
    }
    for left in [".deb", "upgrade.conf"] {
        ensure!(!output.contains(left), "{left:?} is left: {output}");
    }
    Ok(())
}

/// Waits until the newest upgrade has failed, and gives the reason.
async fn fails(site: &Site, newcomer: &Newcomer) -> Result<String> {
    let job = newcomer.newest_job(site, "agent-upgrade").await?.to_string();
    let deadline = Instant::now() + minutes(10);
    loop {
        let shown = site.json(&["job", "show", &job]).await?;
        match shown["state"].as_str() {
            Some("failed") => return Ok(shown["reason"].as_str().unwrap_or_default().to_owned()),
            Some("succeeded") => bail!("the upgrade to a broken agent has succeeded: {shown:#}"),
            _ => ensure!(Instant::now() < deadline, "the upgrade does not end: {shown:#}"),
        }
        sleep(std::time::Duration::from_secs(1)).await;
    }
}

pub(crate) async fn an_agent_is_upgraded_and_a_broken_one_goes_back(
    programs: Programs,
    directory: PathBuf,
) -> Result<()> {
    fs_err::create_dir_all(&directory)?;
    let good = package(&programs, &directory, "9.0.0", None)?;
    let crash = "#!/bin/sh\necho 'this agent cannot start' >&2\nexit 3\n";
    let broken = package(&programs, &directory, "9.0.1", Some(crash))?;
    let site = site(programs, &directory, Dhcp::Own, "debian-12").await?;
    let machine = machine(&site, Firmware::Bios)?;
    let running = machine.power_on(&site.network)?;
    let newcomer = install(&site, "debian-12").await?;

    offer(&site, &good).await?;
    site.lotse(&["agent", "upgrade", NAME, "--watch"]).await?;
    has_agent(&site, &newcomer, "9.0.0").await?;

    offer(&site, &broken).await?;
    site.lotse(&["agent", "upgrade", NAME, "--limit", "40"]).await?;
    let reason = fails(&site, &newcomer).await?;
    for wanted in ["(9.0.1) did not take up its work within 40 s", "this agent cannot start"] {
        ensure!(reason.contains(wanted), "{wanted:?} is not in the reason: {reason}");
    }
    has_agent(&site, &newcomer, "9.0.0").await?;

    // The broken one is there, and nobody has gone back yet: systemd has to bring the supervisor along.
    site.lotse(&["agent", "upgrade", NAME, "--limit", "60"]).await?;
    let job = newcomer.newest_job(&site, "agent-upgrade").await?;
    has_written(&site, job, "is kept to go back to").await?;
    sleep(std::time::Duration::from_secs(25)).await;
    running.power_off();
    let _running = machine.power_on(&site.network)?;
    let reason = fails(&site, &newcomer).await?;
    ensure!(reason.contains("did not take up its work within 60 s"), "the reason is: {reason}");
    has_agent(&site, &newcomer, "9.0.0").await
}
