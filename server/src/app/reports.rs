//! Reports: what the server knows about all machines, as tables for people, spreadsheets and programs; and the counts of each day.

mod machines;
mod systems;

use std::collections::{BTreeMap, BTreeSet};

use wire::ClientId;

use super::{Error, groups, reach};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx,
        reports::{self as rows, Machine},
    },
    domain::{
        client::Stage,
        reach::Sees,
        report::{Cell, DayCount, Kind, NAMES, Report, cause, columns},
    },
};

const DAY: i64 = 86_400 * SECOND;
/// Clients are read in portions of so many, since their facts are large.
const PORTION: usize = 500;
/// Rows of a report of changes; more would be read by nobody.
const MOST_CHANGES: i64 = 10_000;
/// Days that a chart of daily counts goes back.
const CHART_DAYS: i64 = 90;

/// Which report somebody wants.
#[derive(Clone, Debug, Default)]
pub struct ReportWish {
    /// Its name, one of [`NAMES`].
    pub name: String,
    /// Only members of this group.
    pub group: Option<String>,
    /// Older than so many days counts as overdue or silent.
    pub days: Option<i64>,
    /// What happened from this time on.
    pub from: Option<i64>,
    /// What happened before this time.
    pub to: Option<i64>,
}

/// Makes a report about the clients that somebody sees.
///
/// # Errors
/// There is no such report or group, or the times are the wrong way round.
pub async fn make(ctx: &Ctx, wish: &ReportWish, sees: &Sees) -> Result<Report, Error> {
    let now = ctx.now();
    let to = wish.to.unwrap_or(now);
    let from = wish.from.unwrap_or(to.saturating_sub(30 * DAY));
    if from >= to {
        return Err(Error::invalid("the report would begin after it ends", "give `from` before `to`"));
    }
    let mut tx = ctx.db.read().await?;
    let members = match &wish.group {
        Some(group) => {
            reach::require_seen_group(&mut tx, sees, group).await?;
            Some(groups::member_ids(ctx, &mut tx, group).await?.into_iter().collect())
        }
        None => None,
    };
    let days = wish.days.unwrap_or(if wish.name == "silent" { 7 } else { 30 }).clamp(0, 36_500);
    let asked = Asked { members, sees, days, from, to, now };
    let made = match wish.name.as_str() {
        "updates" => systems::updates(&mut tx, &asked).await?,
        "reboots" => systems::reboots(&mut tx, &asked).await?,
        "silent" => silent(&mut tx, &asked).await?,
        "failures" => failures(&mut tx, &asked).await?,
        "hardware" => machines::hardware(&mut tx, &asked).await?,
        "software" => systems::software(&mut tx, &asked).await?,
        "packages" => systems::spread(&mut tx, &asked).await?,
        "disks" => machines::disks(&mut tx, &asked).await?,
        "space" => machines::space(&mut tx, &asked).await?,
        "age" => machines::age(&mut tx, &asked).await?,
        "changes" => changes(&mut tx, &asked).await?,
        other => {
            let remedy = format!("there are: {}", NAMES.join(", "));
            return Err(Error::invalid(format!("there is no report `{other}`"), remedy));
        }
    };
    Ok(Report { name: wish.name.clone(), group: wish.group.clone(), made_at: now, ..made })
}

struct Asked<'a> {
    /// Only these clients.
    members: Option<BTreeSet<ClientId>>,
    /// And of them only those that whoever asks sees.
    sees: &'a Sees,
    days: i64,
    from: i64,
    to: i64,
    now: i64,
}

impl Asked<'_> {
    fn is_meant(&self, client: ClientId) -> bool {
        self.members.as_ref().is_none_or(|members| members.contains(&client))
    }

    /// Counts of the whole are no counts of a group.
    async fn measured(&self, tx: &mut Tx, name: &str) -> Result<Vec<DayCount>, Error> {
        if self.members.is_some() || *self.sees != Sees::Everything {
            return Ok(Vec::new());
        }
        Ok(rows::measures(tx, name, self.now / DAY - CHART_DAYS).await?)
    }
}

fn table(pairs: &[(&str, Kind)], rows: Vec<Vec<Cell>>, notes: &[&str]) -> Report {
    Report {
        name: String::new(),
        group: None,
        made_at: 0,
        columns: columns(pairs),
        rows,
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        days: Vec::new(),
    }
}

/// Rows of each client, from portions.
async fn each(
    tx: &mut Tx,
    asked: &Asked<'_>,
    mut take: impl FnMut(&Machine, &mut Vec<Vec<Cell>>),
) -> Result<Vec<Vec<Cell>>, Error> {
    let (mut rows, mut after) = (Vec::new(), ClientId(0));
    if let Some(members) = &asked.members {
        let members: Vec<ClientId> = members.iter().copied().collect();
        for portion in members.chunks(PORTION) {
            for machine in rows::these_machines(tx, asked.sees, portion).await? {
                take(&machine, &mut rows);
            }
        }
        return Ok(rows);
    }
    let limit = i64::try_from(PORTION).unwrap_or(i64::MAX);
    loop {
        let portion = rows::machines(tx, asked.sees, after, limit).await?;
        let Some(last) = portion.last() else { return Ok(rows) };
        after = last.id;
        for machine in &portion {
            take(machine, &mut rows);
        }
    }
}

fn system(machine: &Machine) -> Cell {
    machine.facts.as_ref().map(|facts| facts.os.name.as_str()).unwrap_or_default().into()
}

/// What was never comes first, then what is longest ago.
fn oldest_first(rows: &mut [Vec<Cell>], column: usize) {
    rows.sort_by_key(|row| match row.get(column) {
        Some(Cell::Number(at)) => *at,
        _ => i64::MIN,
    });
}

async fn silent(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let limit = asked.now - asked.days * DAY;
    let mut rows = each(tx, asked, |machine, rows| {
        if machine.stage == Stage::Installed && machine.last_seen_at.is_none_or(|at| at < limit) {
            let days = machine.last_seen_at.map(|at| (asked.now - at) / DAY);
            rows.push(vec![
                machine.name.as_str().into(),
                machine.last_seen_at.into(),
                days.into(),
                system(machine),
            ]);
        }
    })
    .await?;
    oldest_first(&mut rows, 1);
    let head =
        [("client", Kind::Client), ("seen_at", Kind::Time), ("days", Kind::Number), ("system", Kind::Text)];
    let days = asked.measured(tx, "silent").await?;
    Ok(Report { days, ..table(&head, rows, &[]) })
}

#[derive(Default)]
struct Failed {
    count: i64,
    clients: BTreeSet<ClientId>,
    last_at: i64,
    last: i64,
}

async fn failures(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let mut causes: BTreeMap<(String, String), Failed> = BTreeMap::new();
    let failures = rows::failures(tx, asked.sees, asked.from, asked.to).await?;
    for failure in failures.into_iter().filter(|failure| asked.is_meant(failure.client)) {
        let same = causes.entry((cause(&failure.reason), failure.job_type)).or_default();
        same.count += failure.count;
        same.clients.insert(failure.client);
        if failure.last_at >= same.last_at {
            (same.last_at, same.last) = (failure.last_at, failure.last.0);
        }
    }
    let mut causes: Vec<_> = causes.into_iter().collect();
    causes.sort_by_key(|(_, failed)| (-failed.count, -failed.last_at));
    let rows = causes
        .into_iter()
        .map(|((cause, job_type), failed)| {
            vec![
                cause.into(),
                job_type.into(),
                failed.count.into(),
                i64::try_from(failed.clients.len()).unwrap_or(i64::MAX).into(),
                failed.last_at.into(),
                failed.last.into(),
            ]
        })
        .collect();
    let head = [
        ("cause", Kind::Text),
        ("job_type", Kind::Text),
        ("count", Kind::Number),
        ("clients", Kind::Number),
        ("last_at", Kind::Time),
        ("last_job", Kind::Job),
    ];
    let mut days: Vec<DayCount> = Vec::new();
    for (client, counted) in rows::failures_by_day(tx, asked.sees, asked.from, asked.to).await? {
        match days.last_mut() {
            _ if !asked.is_meant(client) => {}
            Some(last) if last.day == counted.day => last.count += counted.count,
            _ => days.push(counted),
        }
    }
    Ok(Report { days, ..table(&head, rows, &[]) })
}

async fn changes(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let limit = if asked.members.is_some() { i64::MAX } else { MOST_CHANGES };
    let mut found = rows::changes(tx, asked.sees, asked.from, asked.to, limit).await?;
    found.retain(|changed| asked.is_meant(changed.client_id));
    found.truncate(usize::try_from(MOST_CHANGES).unwrap_or(usize::MAX));
    let more = i64::try_from(found.len()).is_ok_and(|count| count == MOST_CHANGES);
    let rows = found
        .into_iter()
        .map(|changed| {
            vec![
                changed.at.into(),
                changed.client.into(),
                changed.what.into(),
                changed.was.into(),
                changed.became.into(),
            ]
        })
        .collect();
    let head = [
        ("at", Kind::Time),
        ("client", Kind::Client),
        ("what", Kind::Text),
        ("was", Kind::Text),
        ("became", Kind::Text),
    ];
    Ok(table(&head, rows, if more { &["more-changes"] } else { &[] }))
}

/// Counts what charts over time show; the last count of a day stays.
///
/// # Errors
/// The database refuses.
pub async fn measure(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let counts = {
        // Counting may take a while with many clients, so nobody who writes waits for it.
        let mut tx = ctx.db.read().await?;
        [
            ("silent", rows::count_silent(&mut tx, now - 7 * DAY).await?),
            ("reboots", rows::count_reboots(&mut tx).await?),
            ("updates", rows::count_overdue(&mut tx, now - 30 * DAY).await?),
        ]
    };
    let mut tx = ctx.db.write().await?;
    for (name, value) in counts {
        rows::set_measure(&mut tx, name, now / DAY, value).await?;
    }
    tx.commit().await?;
    Ok(())
}
