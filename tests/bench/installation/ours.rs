//! Our installation, by the server's own record: attempts and boot timeline.

use anyhow::{Context, Result};
use harness::{
    site::{CONSOLE, Site},
    story::{CHAIN, Newcomer},
};
use serde_json::Value;
use server::clock::{Clock, SECOND};

use super::{Stages, machine};
use crate::say;

/// Installs a machine whose installation was queued before it was switched on: nobody has to be waited for.
pub(super) async fn install(site: &Site, round: usize, distribution: &str) -> Result<Stages> {
    let mac = format!("52:54:00:be:0c:{round:02x}");
    let newcomer = Newcomer::new(&mac, &format!("bench-{round}"), distribution);
    register(site, &newcomer).await?;
    let directory = site.directory.join(format!("ours-{round}"));
    let machine = machine(&site.network, &directory, &mac)?;
    let powered_at = Clock::system().now();
    let running = machine.power_on(&site.network)?;
    let reported = newcomer.reports(site).await;
    let result = match reported {
        Ok(()) => stages(site, &newcomer, powered_at).await,
        Err(error) => Err(error.context(format!("the machine's console:\n{}", running.serial()?))),
    };
    running.power_off();
    fs_err::remove_dir_all(&directory)?;
    result
}

async fn register(site: &Site, newcomer: &Newcomer) -> Result<()> {
    let Newcomer { name, mac, distribution, .. } = newcomer;
    let words = format!(
        "client add {name} --mac {mac} --distribution {distribution} --layout whole-disk --user ann \
         --locale de_DE.UTF-8 --keyboard de --timezone Europe/Berlin --serial-console {CONSOLE}"
    );
    site.lotse(&words.split(' ').collect::<Vec<_>>()).await?;
    newcomer.install(site).await
}

async fn stages(site: &Site, newcomer: &Newcomer, powered_at: i64) -> Result<Stages> {
    let mut begun = Vec::new();
    for (job_type, _) in CHAIN {
        let id = newcomer.newest_job(site, job_type).await?.to_string();
        let job = site.json(&["job", "show", &id]).await?;
        let at = job["attempts_made"][0]["started_at"].as_i64();
        begun.push((job_type, at.with_context(|| format!("finding when {job_type} began"))?, id));
    }
    let timeline = site.json(&["client", "timeline", &newcomer.name]).await?;
    let reported_at = last(&timeline, "connected")?;
    let mut stages = Stages::from([("boot", seconds(begun[0].1 - powered_at))]);
    for pair in begun.windows(2) {
        stages.insert(pair[0].0, seconds(pair[1].1 - pair[0].1));
    }
    let (_, restarted_at, _) = begun.last().context("finding the restart")?;
    stages.insert("restart", seconds(reported_at - restarted_at));
    let output = site.lotse(&["--output", "json", "job", "output", &begun[0].2]).await?;
    let tools = tools(&output);
    stages.insert("tools", tools);
    *stages.entry("storage").or_default() -= tools;
    let asked_at = last(&timeline, "script")?;
    say(&format!(
        "  the restart: {:.1} s until the boot program asks, {:.1} s until the agent reports",
        seconds(asked_at - restarted_at),
        seconds(reported_at - asked_at)
    ));
    Ok(stages)
}

/// When something was seen last.
fn last(timeline: &Value, kind: &str) -> Result<i64> {
    let lines = timeline["lines"].as_array().into_iter().flatten();
    let found = lines.filter(|line| line["kind"] == kind).filter_map(|line| line["at"].as_i64()).max();
    found.with_context(|| format!("finding `{kind}` in the boot timeline"))
}

/// How long the first step had to wait for the tool set.
fn tools(output: &str) -> f64 {
    let events: Vec<Value> = output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let at = |is_it: fn(&Value) -> bool| events.iter().find(|event| is_it(event))?["at"].as_i64();
    let begun = at(|event| event["event"] == "step-started");
    let ready = at(|event| event["line"] == "the tool set is ready");
    begun.zip(ready).map_or(0.0, |(begun, ready)| seconds(ready - begun))
}

#[expect(clippy::cast_precision_loss, reason = "hours at most")]
fn seconds(us: i64) -> f64 {
    us as f64 / SECOND as f64
}
