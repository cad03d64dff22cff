//! Clients as people read them: list, page, boot timeline.

use wire::Mac;

use crate::{
    app::{boot_timeline::Timeline, search::SortBy},
    cli::{
        api::{Api, Name, Query},
        output::{note, say, table, time},
    },
    domain::{
        boot::BootEvent,
        client::Stage,
        client_status::{Activity, Health},
        layout::size::human,
    },
    http::api::view::{ClientView, Page},
};

pub(super) async fn list(
    api: &Api,
    query: &str,
    sort: &str,
    columns: &[SortBy],
    stage: Option<Stage>,
    group: Option<&Name>,
) -> anyhow::Result<()> {
    let mut clients: Vec<ClientView> = Vec::new();
    let mut after = String::new();
    loop {
        let path = Query::new("/clients?limit=500")
            .with("q", Some(query))
            .with("sort", Some(sort))
            .with("after", Some(&after))
            .with("stage", stage.map(Stage::as_str))
            .with("group", group);
        let page: Page<ClientView> = api.get(&path.0).await?;
        clients.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    if api.wrote_json(&clients)? {
        return Ok(());
    }
    if clients.is_empty() {
        note(if query.is_empty() && stage.is_none() && group.is_none() {
            "There are no clients. Boot a machine over the network, or register one: `lotse client add NAME --mac ADDRESS`."
        } else {
            "No client is meant by this."
        });
        return Ok(());
    }
    let rows: Vec<Vec<String>> =
        clients.iter().map(|client| columns.iter().map(|column| cell(client, *column)).collect()).collect();
    let heads: Vec<String> = columns.iter().map(|column| head(*column)).collect();
    table(&heads.iter().map(String::as_str).collect::<Vec<_>>(), &rows);
    Ok(())
}

fn head(column: SortBy) -> String {
    match column {
        SortBy::Group => "GROUPS".to_owned(),
        other => other.as_str().to_uppercase(),
    }
}

fn cell(client: &ClientView, column: SortBy) -> String {
    let traits = &client.traits;
    match column {
        SortBy::Name => client.name.clone(),
        SortBy::Stage => client.stage.as_str().to_owned(),
        SortBy::Activity => activity(&client.activity),
        SortBy::Health => health(&client.health),
        SortBy::Group => client.groups.iter().chain(&client.found_in).cloned().collect::<Vec<_>>().join(","),
        SortBy::Os => traits.os.clone(),
        SortBy::Distribution => client.config.distribution.clone(),
        SortBy::Model => traits.model.clone(),
        SortBy::Serial => traits.serial.clone(),
        SortBy::Mac => client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        SortBy::Ip => traits.addresses.join(","),
        SortBy::Memory if traits.memory_bytes > 0 => human(traits.memory_bytes),
        SortBy::Disk if traits.disk_bytes > 0 => human(traits.disk_bytes),
        SortBy::Threads if traits.threads > 0 => traits.threads.to_string(),
        SortBy::Memory | SortBy::Disk | SortBy::Threads => String::new(),
        SortBy::Updates => client.updates.map(|count| count.to_string()).unwrap_or_default(),
        SortBy::Agent => client.agent_version.clone().unwrap_or_default(),
        SortBy::Seen => client.last_seen_at.map_or("never".to_owned(), time),
        SortBy::Added => time(client.created_at),
    }
}

fn activity(activity: &Activity) -> String {
    match activity {
        Activity::Idle => "idle".to_owned(),
        Activity::Waiting { job, job_type, reason } => format!("job {job} ({job_type}) {reason}"),
        Activity::Working { job, job_type, step, percent, message } => {
            format!("job {job} ({job_type}), {step} {percent}% {message}").trim_end().to_owned()
        }
    }
}

fn health(health: &Health) -> String {
    match health {
        Health::Ok => "ok".to_owned(),
        Health::Warning { .. } => "warning".to_owned(),
        Health::Critical { .. } => "critical".to_owned(),
        Health::Offline { since_at: Some(at) } => format!("offline since {}", time(*at)),
        Health::Offline { since_at: None } => "offline".to_owned(),
    }
}

pub(super) async fn show(api: &Api, name: &Name) -> anyhow::Result<()> {
    let client: ClientView = api.get(&format!("/clients/{name}")).await?;
    if api.wrote_json(&client)? {
        return Ok(());
    }
    let reason = match &client.health {
        Health::Warning { reason } | Health::Critical { reason } => format!(": {reason}"),
        Health::Ok | Health::Offline { .. } => String::new(),
    };
    let macs = client.macs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let seen = client.last_seen_at.map_or("never".to_owned(), time);
    let fingerprint = client.announced_fingerprint.map(|key| grouped(key.as_str())).unwrap_or_default();
    for (name, value) in [
        ("name", client.name.as_str()),
        ("stage", client.stage.as_str()),
        ("activity", &activity(&client.activity)),
        ("health", &format!("{}{reason}", health(&client.health))),
        ("addresses", &macs),
        ("groups", &client.groups.join(", ")),
        ("hardware", &client.hardware),
        ("fingerprint", &fingerprint),
        ("last heard", &seen),
        ("agent", client.agent_version.as_deref().unwrap_or_default()),
        ("distribution", &client.config.distribution),
        ("layout", &client.config.layout),
    ] {
        if !value.is_empty() {
            say(&format!("{name:<13} {value}"));
        }
    }
    Ok(())
}

/// In groups of four, as the machine's screen shows it.
fn grouped(text: &str) -> String {
    text.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// Whose timeline.
#[derive(Clone)]
pub(in crate::cli) enum Whose {
    Client(Name),
    Address(Mac),
}

impl std::str::FromStr for Whose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(mac) if text.contains([':', '-']) => Ok(Self::Address(mac)),
            _ => text.parse().map(Self::Client),
        }
    }
}

pub(super) async fn timeline(api: &Api, whose: Option<&Whose>) -> anyhow::Result<()> {
    let path = match whose {
        None => return strangers(api).await,
        Some(Whose::Client(name)) => format!("/clients/{name}/timeline"),
        Some(Whose::Address(mac)) => format!("/boot-timelines/{mac}"),
    };
    let timeline: Timeline = api.get(&path).await?;
    if api.wrote_json(&timeline)? {
        return Ok(());
    }
    if !timeline.lines.is_empty() {
        lines(&timeline.lines);
    }
    if let Some(expected) = timeline.expected {
        say(&format!("\nNext: {}{}", expected.next, if expected.late { " (late)" } else { "" }));
        say(&format!("If it does not come: {}.\n  → {}", expected.likely_cause, expected.remedy));
    }
    Ok(())
}

async fn strangers(api: &Api) -> anyhow::Result<()> {
    let last: Vec<BootEvent> = api.get("/boot-timelines").await?;
    if api.wrote_json(&last)? {
        return Ok(());
    }
    if last.is_empty() {
        note(
            "There are no machines on their way that nobody knows. Give a client's name to see its timeline.",
        );
        return Ok(());
    }
    lines(&last);
    note("These machines have not announced themselves yet; `lotse client timeline MAC` tells why.");
    Ok(())
}

fn lines(lines: &[BootEvent]) {
    let first = lines.iter().map(|line| line.at).min().unwrap_or(0);
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            let since = (line.at - first) / crate::clock::SECOND;
            vec![
                time(line.at),
                format!("+{since} s"),
                line.mac.to_string(),
                line.kind.as_str().to_owned(),
                line.detail.clone(),
            ]
        })
        .collect();
    table(&["TIME (UTC)", "SINCE", "MAC", "EVENT", "DETAIL"], &rows);
}
