//! Reports about what runs on machines: systems, packages, updates, restarts that are wanted.

use super::{Asked, DAY, each, oldest_first, rows, system, table};
use crate::{
    app::Error,
    db::{Tx, packages},
    domain::{
        client::Stage,
        report::{Cell, Kind, Report},
    },
};

pub(super) async fn updates(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let last = rows::last_updates(tx, asked.sees).await?;
    let limit = asked.now - asked.days * DAY;
    let mut unknown = false;
    let mut rows = each(tx, asked, |machine, rows| {
        let at = last.get(&machine.id).copied();
        // Nothing is overdue where nothing is to be had.
        let is_due = machine.updates != Some(0) && at.is_none_or(|at| at < limit);
        if machine.stage == Stage::Installed && is_due {
            unknown |= machine.updates.is_none();
            rows.push(vec![
                machine.name.as_str().into(),
                system(machine),
                machine.updates.into(),
                machine.security_updates.into(),
                at.into(),
                at.map(|at| (asked.now - at) / DAY).into(),
            ]);
        }
    })
    .await?;
    oldest_first(&mut rows, 4);
    // Who misses the most security updates comes first; the order from before holds among equals.
    rows.sort_by_key(|row| match row.get(3) {
        Some(Cell::Number(security)) => -security,
        _ => 0,
    });
    let head = [
        ("client", Kind::Client),
        ("system", Kind::Text),
        ("updates", Kind::Number),
        ("security_updates", Kind::Number),
        ("updated_at", Kind::Time),
        ("days", Kind::Number),
    ];
    let days = asked.measured(tx, "updates").await?;
    Ok(Report { days, ..table(&head, rows, if unknown { &["updates-by-jobs"] } else { &[] }) })
}

pub(super) async fn reboots(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let mut unknown = 0;
    let rows = each(tx, asked, |machine, rows| {
        let os = machine.facts.as_ref().map(|facts| &facts.os);
        // What is told with the packages is newer: facts are measured when a machine starts.
        let (why, at) = match (&machine.condition, os) {
            (Some((condition, at)), _) => (condition.reboot_why.as_str(), Some(*at)),
            (None, Some(os)) => (os.reboot_wanted.as_str(), machine.facts_at),
            (None, None) => {
                unknown += 1;
                return;
            }
        };
        let services = machine.condition.as_ref().map(|(condition, _)| condition.services.join(" "));
        if !why.is_empty() || services.as_ref().is_some_and(|services| !services.is_empty()) {
            rows.push(vec![
                machine.name.as_str().into(),
                why.into(),
                services.unwrap_or_default().into(),
                os.map(|os| os.kernel.as_str()).unwrap_or_default().into(),
                at.into(),
            ]);
        }
    })
    .await?;
    let head = [
        ("client", Kind::Client),
        ("why", Kind::Text),
        ("services", Kind::Text),
        ("kernel", Kind::Text),
        ("measured_at", Kind::Time),
    ];
    let days = asked.measured(tx, "reboots").await?;
    let notes: &[&str] = if unknown > 0 { &["some-not-measured"] } else { &[] };
    Ok(Report { days, ..table(&head, rows, notes) })
}

pub(super) async fn software(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let rows = each(tx, asked, |machine, rows| {
        // The installer's own system is none that was installed.
        let facts = machine.facts.as_ref().filter(|facts| facts.realm == wire::enrol::Realm::System);
        let os = facts.map(|facts| facts.os.clone()).unwrap_or_default();
        rows.push(vec![
            machine.name.as_str().into(),
            os.name.into(),
            os.version.into(),
            os.kernel.into(),
            machine.agent_version.as_str().into(),
            machine.packages.into(),
            machine.updates.into(),
            machine.security_updates.into(),
            facts.and(machine.facts_at).into(),
        ]);
    })
    .await?;
    let head = [
        ("client", Kind::Client),
        ("system", Kind::Text),
        ("version", Kind::Text),
        ("kernel", Kind::Text),
        ("agent", Kind::Text),
        ("packages", Kind::Number),
        ("updates", Kind::Number),
        ("security_updates", Kind::Number),
        ("measured_at", Kind::Time),
    ];
    Ok(table(&head, rows, &[]))
}

/// Every package in every version, and on how many clients it is.
pub(super) async fn spread(tx: &mut Tx, asked: &Asked<'_>) -> Result<Report, Error> {
    let rows = packages::spread(tx, asked.members.as_ref(), asked.sees)
        .await?
        .into_iter()
        .map(|package| {
            vec![
                package.key.name.into(),
                package.key.architecture.into(),
                package.key.version.into(),
                package.clients.into(),
            ]
        })
        .collect();
    let head = [
        ("package", Kind::Text),
        ("architecture", Kind::Text),
        ("version", Kind::Text),
        ("clients", Kind::Number),
    ];
    Ok(table(&head, rows, &[]))
}
