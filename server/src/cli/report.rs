//! `lotse report`

use clap::ValueEnum;

use super::{
    Exit, Failure, Output,
    api::{Api, Name, Query},
    output::{say, table, time, write_json},
};
use crate::{
    clock::SECOND,
    domain::{
        layout::size::human,
        report::{Cell, Column, Kind, NAMES, Report, iso_day},
    },
};

#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  lotse report failures --from 2026-01-01\n  lotse report hardware --group room-101 --format csv > hardware.csv"
)]
pub(super) struct ReportWords {
    /// Which report; without a name they are listed.
    name: Option<Name>,
    /// Only members of this group.
    #[arg(long)]
    group: Option<Name>,
    /// Older than so many days counts as overdue (30) or silent (7).
    #[arg(long, value_parser = clap::value_parser!(i64).range(0..=36_500))]
    days: Option<i64>,
    /// What happened from this day on.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = midnight)]
    from: Option<i64>,
    /// What happened before this day.
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = midnight)]
    to: Option<i64>,
    /// How it is written; `--output json` is the same as `json` here.
    #[arg(long, value_enum)]
    format: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Columns for people.
    Table,
    /// For spreadsheets.
    Csv,
    /// For programs.
    Json,
}

fn midnight(text: &str) -> Result<i64, String> {
    iso_day(text)
        .map(|day| day * 86_400 * SECOND)
        .ok_or_else(|| format!("`{text}` must be a date such as 2026-01-31"))
}

pub(super) async fn run(api: &Api, words: ReportWords) -> anyhow::Result<()> {
    let Some(name) = words.name else {
        let names: Vec<String> = api.get("/reports").await?;
        if !api.wrote_json(&names)? {
            table(&["REPORT"], &names.into_iter().map(|name| vec![name]).collect::<Vec<_>>());
        }
        return Ok(());
    };
    if !NAMES.contains(&name.as_str()) {
        let message = format!("there is no report `{name}`; there are: {}", NAMES.join(", "));
        return Err(Failure::error(Exit::Usage, message));
    }
    let query = Query::new(&format!("/reports/{name}"))
        .with("group", words.group)
        .with("days", words.days)
        .with("from", words.from)
        .with("to", words.to);
    let report: Report = api.get(&query.0).await?;
    match words.format {
        Some(Format::Csv) => say(report.to_csv().trim_end()),
        Some(Format::Json) => write_json(&report)?,
        None if api.output == Output::Json => write_json(&report)?,
        _ => {
            let head: Vec<String> = report.columns.iter().map(|column| column.name.to_uppercase()).collect();
            let head: Vec<&str> = head.iter().map(String::as_str).collect();
            let rows: Vec<Vec<String>> = report
                .rows
                .iter()
                .map(|row| {
                    row.iter().zip(&report.columns).map(|(cell, column)| shown(cell, column)).collect()
                })
                .collect();
            table(&head, &rows);
        }
    }
    Ok(())
}

fn shown(cell: &Cell, column: &Column) -> String {
    match (cell, column.kind) {
        (Cell::Nothing, _) => String::new(),
        (Cell::Text(text), _) => text.clone(),
        (Cell::Number(at), Kind::Time) => time(*at),
        (Cell::Number(bytes), Kind::Bytes) => human(u64::try_from(*bytes).unwrap_or(0)),
        (Cell::Number(number), _) => number.to_string(),
    }
}
