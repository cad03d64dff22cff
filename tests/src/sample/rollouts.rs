//! A rollout that stopped by itself in its second wave, one that went well, and one that comes every Sunday.

use anyhow::{Context as _, Result};
use server::{
    context::Ctx,
    db::{
        clients,
        jobs::{self, Filter},
        rollouts::{
            self, NewRollout,
            members::{self, Become},
            schedules,
        },
    },
    domain::{
        job::JobState,
        reach::Sees,
        rollout::{
            RolloutClientState, RolloutJob, RolloutSpec, RolloutState, RolloutTarget, RolloutWork,
            WaveProgress, WaveSize, Why, cause,
        },
    },
};
use wire::ClientId;

use super::{DAY, HOUR, MINUTE};

/// Fills in rollouts for clients of the sample.
#[expect(clippy::too_many_lines, reason = "three rollouts, row by row")]
pub(super) async fn fill(ctx: &Ctx) -> Result<()> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let filter = Filter { state: Some(JobState::Failed), ..Filter::default() };
    let failed = jobs::list(&mut tx, &Sees::Everything, &filter, i64::MAX, 1).await?;
    let failed = failed.first().map(|job| job.id);
    let mut ids: Vec<ClientId> = Vec::new();
    for number in 1..=18 {
        let name = format!("lab-{number:02}");
        ids.push(clients::find_by_name(&mut tx, &name).await?.context("a client is gone")?.id);
    }
    let target = RolloutTarget { group: Some("computer-lab".to_owned()), ..RolloutTarget::default() };
    let job = |job_type: &str, params| RolloutJob { job_type: job_type.to_owned(), params };
    let spec = |job| RolloutSpec::new(RolloutWork::Jobs { jobs: vec![job] }, target.clone());
    let mut firefox = spec(job("package-install", serde_json::json!({ "packages": ["firefox-esr"] })));
    firefox.waves[1].size = WaveSize::Percent(25);
    let of_wave = |place: usize| {
        if place == 0 {
            0
        } else if place < 6 {
            1
        } else {
            2
        }
    };
    let placed: Vec<_> = ids.iter().enumerate().map(|(place, id)| (*id, of_wave(place))).collect();
    let wave = |started_at, settled_at| WaveProgress { started_at, settled_at, ..WaveProgress::default() };

    // It stopped: two of five have a mirror that they cannot reach.
    let begun = now - 40 * MINUTE;
    let new = NewRollout { title: "Firefox", spec: &firefox, actor: "admin", period: None };
    let id = rollouts::create(&mut tx, &new, begun - HOUR).await?;
    rollouts::add_waves(&mut tx, id, 0, 3).await?;
    members::add(&mut tx, id, 0, &placed, None, begun).await?;
    rollouts::set_started(&mut tx, id, "admin", begun).await?;
    for (kind, number, count, minutes) in [
        ("started", None, None, 0),
        ("wave", Some(0), Some(1), 0),
        ("settled", Some(0), Some(1), 4),
        ("wave", Some(1), Some(5), 4),
    ] {
        rollouts::note(&mut tx, id, kind, number, count, None, "lotse", begun + minutes * MINUTE).await?;
    }
    rollouts::set_wave(&mut tx, id, 0, &wave(Some(begun), Some(begun + 4 * MINUTE))).await?;
    rollouts::set_wave(&mut tx, id, 1, &wave(Some(begun + 4 * MINUTE), None)).await?;
    for (place, client) in ids.iter().take(6).enumerate() {
        let name = format!("lab-{:02}", place + 1);
        let bad = [2, 4].contains(&place);
        let reason = format!(
            "step 20-install: Failed to fetch http://10.0.{place}.7:8080/pool/f/firefox-esr.deb after 12 s"
        );
        let (state, reason) = if bad {
            (RolloutClientState::Failed, reason)
        } else {
            (RolloutClientState::Succeeded, String::new())
        };
        let cause = if bad { cause(&reason, &name) } else { String::new() };
        let to = Become { state, reason: &reason, cause: &cause, job: failed.filter(|_| bad) };
        members::set(&mut tx, id, *client, &to, begun + 9 * MINUTE).await?;
    }
    let why = Why::TooManyFailed { wave: Some(2), failed: 2, of: 5, max: None, max_percent: Some(10) };
    rollouts::set_state(&mut tx, id, RolloutState::Halted, Some(&why), begun + 9 * MINUTE).await?;
    rollouts::note(&mut tx, id, "halted", None, None, Some(&why), "lotse", begun + 9 * MINUTE).await?;

    // It went well.
    let begun = now - 6 * DAY;
    let updates = spec(job("package-upgrade", serde_json::json!({})));
    let new = NewRollout { title: "Updates", spec: &updates, actor: "admin", period: None };
    let id = rollouts::create(&mut tx, &new, begun).await?;
    rollouts::add_waves(&mut tx, id, 0, 3).await?;
    members::add(&mut tx, id, 0, &placed, None, begun).await?;
    rollouts::set_started(&mut tx, id, "admin", begun).await?;
    for number in 0..3 {
        let at = begun + number * 20 * MINUTE;
        rollouts::set_wave(&mut tx, id, number, &wave(Some(at), Some(at + 15 * MINUTE))).await?;
    }
    for client in &ids {
        let to = Become { state: RolloutClientState::Succeeded, reason: "", cause: "", job: None };
        members::set(&mut tx, id, *client, &to, begun + HOUR).await?;
    }
    rollouts::set_state(&mut tx, id, RolloutState::Finished, None, begun + HOUR).await?;

    // Off, so that nothing begins when a test happens to run in its window.
    let mut weekly = updates;
    weekly.windows.time_zone = Some("Europe/Berlin".to_owned());
    weekly.windows.open = vec!["sun 02:00-05:00".to_owned()];
    let schedule = schedules::create(&mut tx, "security-updates", &weekly, "admin", now - 20 * DAY).await?;
    schedules::set_enabled(&mut tx, schedule, false).await?;
    tx.commit().await?;
    Ok(())
}
