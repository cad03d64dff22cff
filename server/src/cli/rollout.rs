//! `lotse rollout`

mod words;

use std::time::Duration;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use self::words::Wanted;
use super::{
    Exit, Failure,
    api::{Api, Name, Query},
    output::{note, say, table, time},
};
use crate::{
    app::rollouts::{RolloutDoing, RolloutMember, RolloutPreview, RolloutSummary, RolloutView, ScheduleView},
    domain::rollout::{Counts, RolloutClientState, RolloutState},
    http::api::{
        rollouts::{RolloutMade, RolloutRetried},
        view::Page,
    },
};

/// A rollout that is watched is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub(super) enum RolloutCommand {
    /// Make a rollout, after showing what it would do; nothing happens before it is started
    #[command(
        after_help = "Example:\n  lotse rollout create 'security updates' --job package-upgrade --group lab \\\n    --wave 1 --wave 10%/1h --wave rest --at-once 20 --window 'sun 02:00-05:00' --time-zone Europe/Berlin --start"
    )]
    Create(Box<Create>),
    /// List rollouts, newest first
    List {
        /// At most so many, up to 500.
        #[arg(long, default_value_t = 50)]
        limit: i64,
    },
    /// Show a rollout: its waves, what it waits for, why clients failed
    Show {
        /// Its number.
        id: i64,
    },
    /// List the clients of a rollout
    Clients {
        /// Its number.
        id: i64,
        /// Only in this state: waiting, held, queued, running, succeeded, failed, offline-expired, skipped, cancelled.
        #[arg(long)]
        state: Option<RolloutClientState>,
        /// Only of this wave.
        #[arg(long)]
        wave: Option<i64>,
    },
    /// Start a rollout
    Start {
        /// Its number.
        id: i64,
    },
    /// Hold a rollout: what runs ends, nothing begins
    Pause(Why),
    /// Let a rollout go on that is paused or halted
    Resume {
        /// Its number.
        id: i64,
    },
    /// Stop a rollout because something is wrong
    Halt(Why),
    /// End a rollout: who waits is cancelled, what runs ends by itself
    Cancel(Why),
    /// Try again what failed, and nothing else
    Retry {
        /// Its number.
        id: i64,
        /// Those, too, that stayed offline.
        #[arg(long)]
        offline: bool,
    },
    /// Watch a rollout until it stops; ends with 0 when it finished and nobody failed, with 1 otherwise
    Watch {
        /// Its number.
        id: i64,
    },
    /// Make a rollout that comes again in each of its open windows
    #[command(
        after_help = "Example:\n  lotse rollout schedule security --job package-upgrade --group lab \\\n    --window 'sun 02:00-05:00' --time-zone Europe/Berlin --at-once 20"
    )]
    Schedule(Box<Schedule>),
    /// List recurring rollouts
    Schedules,
    /// Switch a recurring rollout on or off
    Switch {
        /// Its name.
        name: Name,
        /// `on` or `off`.
        #[arg(value_parser = ["on", "off"])]
        to: String,
    },
    /// Remove a recurring rollout; what it has made stays
    Unschedule {
        /// Its name.
        name: Name,
    },
}

#[derive(clap::Args)]
pub(super) struct Create {
    /// What people call it.
    title: String,
    #[command(flatten)]
    wanted: Wanted,
    /// Only show what it would do.
    #[arg(long)]
    dry_run: bool,
    /// Start it at once.
    #[arg(long)]
    start: bool,
}

#[derive(clap::Args)]
pub(super) struct Schedule {
    /// Its name.
    name: Name,
    #[command(flatten)]
    wanted: Wanted,
}

#[derive(clap::Args)]
pub(super) struct Why {
    /// Its number.
    id: i64,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
}

pub(super) async fn run(api: &Api, command: RolloutCommand) -> anyhow::Result<()> {
    let plain = async |id: i64, verb: &str, done: &str| {
        api.order(Method::POST, &format!("/rollouts/{id}/{verb}"), &format!("The rollout {id} {done}.")).await
    };
    let because = async |why: Why, verb: &str, done: &str| {
        let body = json!({ "reason": why.reason });
        let _: Value = api.send_json(Method::POST, &format!("/rollouts/{}/{verb}", why.id), &body).await?;
        api.told(&format!("The rollout {} {done}.", why.id));
        Ok::<_, anyhow::Error>(())
    };
    match command {
        RolloutCommand::Create(create) => self::create(api, *create).await,
        RolloutCommand::List { limit } => list(api, limit).await,
        RolloutCommand::Show { id } => show(api, id).await,
        RolloutCommand::Clients { id, state, wave } => clients(api, id, state, wave).await,
        RolloutCommand::Start { id } => {
            plain(id, "start", &format!("is started; `lotse rollout watch {id}` shows it live")).await
        }
        RolloutCommand::Pause(why) => {
            because(why, "pause", "is paused: what runs ends, nothing begins").await
        }
        RolloutCommand::Resume { id } => plain(id, "resume", "goes on").await,
        RolloutCommand::Halt(why) => because(why, "halt", "is halted: what runs ends, nothing begins").await,
        RolloutCommand::Cancel(why) => because(why, "cancel", "is cancelled; what runs ends by itself").await,
        RolloutCommand::Retry { id, offline } => {
            let body = json!({ "offline": offline });
            let retried: RolloutRetried =
                api.send_json(Method::POST, &format!("/rollouts/{id}/retry"), &body).await?;
            if !api.wrote_json(&retried)? {
                say(&format!("{} clients of the rollout {id} are tried again.", retried.clients));
            }
            Ok(())
        }
        RolloutCommand::Watch { id } => watch(api, id).await,
        RolloutCommand::Schedule(schedule) => {
            let Schedule { name, wanted } = *schedule;
            let body = json!({ "name": name, "spec": wanted.spec(api).await? });
            let _: Value = api.send_json(Method::POST, "/rollout-schedules", &body).await?;
            api.told(&format!(
                "The rollout {name} comes in each of its windows; `lotse rollout schedules` shows when."
            ));
            Ok(())
        }
        RolloutCommand::Schedules => schedules(api).await,
        RolloutCommand::Switch { name, to } => {
            let body = json!({ "enabled": to == "on" });
            let _: Value =
                api.send_json(Method::POST, &format!("/rollout-schedules/{name}/switch"), &body).await?;
            api.told(&format!("The recurring rollout {name} is {to}."));
            Ok(())
        }
        RolloutCommand::Unschedule { name } => {
            let done = format!("The recurring rollout {name} is removed; what it has made stays.");
            api.order(Method::DELETE, &format!("/rollout-schedules/{name}"), &done).await
        }
    }
}

async fn create(api: &Api, create: Create) -> anyhow::Result<()> {
    let spec = create.wanted.spec(api).await?;
    let body = json!({ "title": create.title, "spec": spec, "dry_run": create.dry_run });
    make(api, &body, create.start).await
}

/// Makes a rollout, starts it if wanted, and says what it does.
pub(super) async fn make(api: &Api, body: &Value, start: bool) -> anyhow::Result<()> {
    let made: RolloutMade = api.send_json(Method::POST, "/rollouts", body).await?;
    if let (Some(id), true) = (made.id, start) {
        let _: Value = api.send_json(Method::POST, &format!("/rollouts/{id}/start"), &json!({})).await?;
    }
    if api.wrote_json(&made)? {
        return Ok(());
    }
    preview(&made.preview);
    match (made.id, start) {
        (None, _) => note("Nothing was made."),
        (Some(id), true) => {
            say(&format!("The rollout {id} is started; `lotse rollout watch {id}` shows it live."));
        }
        (Some(id), false) => say(&format!("The rollout {id} is made; `lotse rollout start {id}` starts it.")),
    }
    Ok(())
}

fn preview(preview: &RolloutPreview) {
    say(&format!("{} clients, {} of them are offline now", preview.clients, preview.offline));
    let rows: Vec<_> = (1..)
        .zip(&preview.waves)
        .map(|(number, wave): (i64, _)| {
            vec![number.to_string(), wave.size.clone(), wave.clients.to_string(), wave.names.join(" ")]
        })
        .collect();
    table(&["WAVE", "SIZE", "CLIENTS", "FIRST"], &rows);
    for skipped in &preview.skipped {
        say(&format!("left out: {} ({})", skipped.count, skipped.reason.as_str()));
    }
    if !preview.window.open {
        let until =
            preview.window.until.map_or_else(|| "later".to_owned(), |at| format!("at {} UTC", time(at)));
        say(&format!("its window is closed now, and opens {until}"));
    }
    if preview.needs_approval {
        say("a second person has to approve the start");
    }
}

async fn list(api: &Api, limit: i64) -> anyhow::Result<()> {
    let path = Query::new("/rollouts").with("limit", Some(limit));
    let page: Page<RolloutSummary> = api.get(&path.0).await?;
    if api.wrote_json(&page)? {
        return Ok(());
    }
    if page.items.is_empty() {
        note("There are no rollouts yet: `lotse rollout create TITLE`.");
        return Ok(());
    }
    let rows: Vec<_> = page
        .items
        .into_iter()
        .map(|RolloutSummary { rollout, counts }| {
            vec![
                rollout.id.to_string(),
                rollout.state.as_str().to_owned(),
                format!("{}/{}", counts.succeeded, counts.asked()),
                counts.failed.to_string(),
                time(rollout.created_at),
                rollout.title,
                rollout.why.map(|why| why.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["ID", "STATE", "DONE", "FAILED", "MADE", "TITLE", "WHY"], &rows);
    Ok(())
}

/// The states in which somebody is, in words.
fn standing(counts: &Counts) -> String {
    let words = [
        (counts.succeeded, "succeeded"),
        (counts.running, "running"),
        (counts.queued, "queued"),
        (counts.held, "held"),
        (counts.waiting, "waiting"),
        (counts.failed, "failed"),
        (counts.offline_expired, "offline too long"),
        (counts.skipped, "left out"),
        (counts.cancelled, "cancelled"),
    ];
    let parts: Vec<_> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    parts.join(", ")
}

async fn show(api: &Api, id: i64) -> anyhow::Result<()> {
    let view: RolloutView = api.get(&format!("/rollouts/{id}")).await?;
    if api.wrote_json(&view)? {
        return Ok(());
    }
    let rollout = &view.rollout;
    say(&format!("rollout {id}: {}\nstate: {}", rollout.title, rollout.state.as_str()));
    if !view.reason.is_empty() {
        say(&format!("why: {}", view.reason));
    }
    if rollout.state == RolloutState::Running {
        say(&format!("now: {}", view.doing));
    }
    let rows: Vec<_> = view
        .waves
        .iter()
        .map(|wave| {
            vec![
                wave.number.to_string(),
                wave.size.clone(),
                wave.counts.total().to_string(),
                wave.started_at.map(time).unwrap_or_default(),
                standing(&wave.counts),
            ]
        })
        .collect();
    table(&["WAVE", "SIZE", "CLIENTS", "BEGAN", "CLIENTS ARE"], &rows);
    for cause in &view.causes {
        let clients: Vec<_> = cause.clients.iter().map(member).collect();
        let more = if cause.count > i64::try_from(clients.len()).unwrap_or(0) { " …" } else { "" };
        say(&format!("{} x {}\n    {}{more}", cause.count, cause.cause, clients.join(", ")));
    }
    Ok(())
}

fn member(member: &RolloutMember) -> String {
    match member.job {
        Some(job) => format!("{} (job {job})", member.name),
        None => member.name.clone(),
    }
}

async fn clients(
    api: &Api,
    id: i64,
    state: Option<RolloutClientState>,
    wave: Option<i64>,
) -> anyhow::Result<()> {
    let path = Query::new(&format!("/rollouts/{id}/clients?limit=500"))
        .with("state", state.map(RolloutClientState::as_str))
        .with("wave", wave);
    let mut all: Vec<RolloutMember> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let part = Query(path.0.clone()).with("after", after.as_ref());
        let page: Page<RolloutMember> = api.get(&part.0).await?;
        all.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    if api.wrote_json(&all)? {
        return Ok(());
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|member| {
            vec![
                member.wave.to_string(),
                member.name,
                member.state.as_str().to_owned(),
                member.job.map(|job| job.to_string()).unwrap_or_default(),
                member.reason,
            ]
        })
        .collect();
    table(&["WAVE", "CLIENT", "STATE", "JOB", "REASON"], &rows);
    Ok(())
}

async fn watch(api: &Api, id: i64) -> anyhow::Result<()> {
    let mut shown = String::new();
    loop {
        let view: RolloutView = api.get(&format!("/rollouts/{id}")).await?;
        let rollout = &view.rollout;
        let wave = view.waves.iter().rposition(|wave| wave.started_at.is_some()).map_or(0, |place| place + 1);
        let now = match &view.doing {
            RolloutDoing::Working { .. } | RolloutDoing::Stopped | RolloutDoing::Ended => view.reason.clone(),
            doing => doing.to_string(),
        };
        let line = format!(
            "{} wave {wave} of {}: {} {now}",
            rollout.state.as_str(),
            view.waves.len(),
            standing(&view.counts)
        );
        if line != shown {
            note(line.trim_end());
            shown = line;
        }
        let stopped = !matches!(rollout.state, RolloutState::Planned | RolloutState::Running);
        if stopped && view.counts.in_flight() == 0 {
            let well = rollout.state == RolloutState::Finished && view.counts.failed == 0;
            api.wrote_json(&view)?;
            if well {
                return Ok(());
            }
            let (state, failed) = (rollout.state.as_str(), view.counts.failed);
            let reason = if view.reason.is_empty() { String::new() } else { format!(": {}", view.reason) };
            return Err(Failure::error(
                Exit::Failed,
                format!("the rollout {id} is {state}{reason}; {failed} clients failed"),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn schedules(api: &Api) -> anyhow::Result<()> {
    let found: Vec<ScheduleView> = api.get("/rollout-schedules").await?;
    if api.wrote_json(&found)? {
        return Ok(());
    }
    if found.is_empty() {
        note("No rollout comes again and again: `lotse rollout schedule NAME`.");
        return Ok(());
    }
    let rows: Vec<_> = found
        .into_iter()
        .map(|ScheduleView { schedule, window, newest }| {
            let next = match (schedule.enabled, window.open) {
                (false, _) => "off".to_owned(),
                (true, true) => "now".to_owned(),
                (true, false) => window.until.map(time).unwrap_or_default(),
            };
            vec![
                schedule.name,
                next,
                schedule.spec.windows.open.join("; "),
                newest.map(|id| id.to_string()).unwrap_or_default(),
            ]
        })
        .collect();
    table(&["NAME", "NEXT", "WINDOWS", "LAST ROLLOUT"], &rows);
    Ok(())
}
