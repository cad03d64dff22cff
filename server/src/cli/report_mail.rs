//! `lotse report-mail`

use clap::{Args, Subcommand};
use reqwest::Method;

use super::{
    api::{Api, Name},
    output::{note, say, table, time},
};
use crate::{
    app::report_mails::NewReportMail,
    domain::report_mail::{Every, MailWish, ReportMail, Sending},
};

#[derive(Subcommand)]
pub(super) enum ReportMailCommand {
    /// List reports that are mailed by the calendar
    List,
    /// Have a report mailed by the calendar, as a text with its table as a CSV file
    #[command(
        after_help = "Examples:\n  lotse report-mail add overdue updates admin@school.example --weekly 1 --time 07:00 --time-zone Europe/Berlin\n  lotse report-mail add month-end failures it@school.example --monthly 31 --group room-101"
    )]
    Add {
        /// A name for it.
        name: Name,
        /// Which report; `lotse report` lists them.
        report: String,
        /// Addresses.
        #[arg(required = true)]
        to: Vec<String>,
        #[command(flatten)]
        wanted: Box<Wanted>,
    },
    /// Send one now, beside its periods
    Send {
        /// Its name.
        name: Name,
    },
    /// When one was sent, the newest first
    Sendings {
        /// Its name.
        name: Name,
    },
    /// Switch one on
    Enable {
        /// Its name.
        name: Name,
    },
    /// Switch one off
    Disable {
        /// Its name.
        name: Name,
    },
    /// Remove one
    Delete {
        /// Its name.
        name: Name,
    },
}

/// When and how a report is sent.
#[derive(Args)]
pub(super) struct Wanted {
    /// Every day.
    #[arg(long, group = "every")]
    daily: bool,
    /// Every week on this day, 1 (Monday) to 7; what is usual.
    #[arg(long, value_name = "WEEKDAY", group = "every")]
    weekly: Option<i8>,
    /// Every month on this day; 31 is always the last.
    #[arg(long, value_name = "DAY", group = "every")]
    monthly: Option<i8>,
    /// At which time of the day.
    #[arg(long, value_name = "HH:MM", default_value = "07:00")]
    time: String,
    /// In which time zone.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    time_zone: String,
    /// Only members of this group.
    #[arg(long)]
    group: Option<Name>,
    /// Older than so many days counts as overdue or silent.
    #[arg(long)]
    days: Option<i64>,
    /// Language of the mails: en or de.
    #[arg(long, default_value = "en")]
    language: String,
    /// Not when there is nothing in it.
    #[arg(long)]
    not_when_empty: bool,
}

impl Wanted {
    fn into_wish(self, report: String, to: Vec<String>) -> MailWish {
        let every = match (self.daily, self.monthly) {
            (true, _) => Every::Daily,
            (_, Some(_)) => Every::Monthly,
            _ => Every::Weekly,
        };
        MailWish {
            report,
            group: self.group.map(|group| group.as_str().to_owned()),
            days: self.days,
            every,
            weekday: self.weekly.unwrap_or(1),
            day: self.monthly.unwrap_or(1),
            time: self.time,
            time_zone: self.time_zone,
            to,
            language: self.language,
            when_empty: !self.not_when_empty,
            enabled: true,
        }
    }
}

pub(super) async fn run(api: &Api, command: ReportMailCommand) -> anyhow::Result<()> {
    match command {
        ReportMailCommand::List => list(api).await,
        ReportMailCommand::Add { name, report, to, wanted } => {
            let new = NewReportMail { name: name.as_str().to_owned(), wish: wanted.into_wish(report, to) };
            let mail: ReportMail = api.send_json(Method::POST, "/report-mails", &new).await?;
            if !api.wrote_json(&mail)? {
                say(&format!("{name} is sent on {} UTC for the first time.", time(mail.next_at)));
            }
            Ok(())
        }
        ReportMailCommand::Send { name } => {
            let done = "The mail server has taken the report.";
            api.order(Method::POST, &format!("/report-mails/{name}/send"), done).await
        }
        ReportMailCommand::Sendings { name } => sendings(api, &name).await,
        ReportMailCommand::Enable { name } => switch(api, &name, true).await,
        ReportMailCommand::Disable { name } => switch(api, &name, false).await,
        ReportMailCommand::Delete { name } => {
            let done = format!("{name} is sent no more.");
            api.order(Method::DELETE, &format!("/report-mails/{name}"), &done).await
        }
    }
}

async fn list(api: &Api) -> anyhow::Result<()> {
    let mails: Vec<ReportMail> = api.get("/report-mails").await?;
    if api.wrote_json(&mails)? {
        return Ok(());
    }
    if mails.is_empty() {
        note("No report is mailed yet: `lotse report-mail add NAME REPORT ADDRESS`.");
        return Ok(());
    }
    let row = |mail: ReportMail| {
        let every = match mail.wish.every {
            Every::Daily => "daily".to_owned(),
            Every::Weekly => format!("weekly on day {}", mail.wish.weekday),
            Every::Monthly => format!("monthly on day {}", mail.wish.day),
        };
        vec![
            mail.name,
            mail.wish.report,
            mail.wish.group.unwrap_or_default(),
            format!("{every} at {} {}", mail.wish.time, mail.wish.time_zone),
            if mail.wish.enabled { time(mail.next_at) } else { "off".to_owned() },
            mail.wish.to.join(","),
        ]
    };
    let rows: Vec<_> = mails.into_iter().map(row).collect();
    table(&["NAME", "REPORT", "GROUP", "EVERY", "NEXT", "TO"], &rows);
    Ok(())
}

async fn sendings(api: &Api, name: &Name) -> anyhow::Result<()> {
    let sendings: Vec<Sending> = api.get(&format!("/report-mails/{name}/sendings")).await?;
    if api.wrote_json(&sendings)? {
        return Ok(());
    }
    let row = |sending: Sending| {
        vec![
            time(sending.period_at),
            sending.state,
            sending.attempts.to_string(),
            sending.rows.map(|rows| rows.to_string()).unwrap_or_default(),
            sending.error,
        ]
    };
    let rows: Vec<_> = sendings.into_iter().map(row).collect();
    table(&["DUE", "STATE", "ATTEMPTS", "ROWS", "ERROR"], &rows);
    Ok(())
}

async fn switch(api: &Api, name: &Name, enabled: bool) -> anyhow::Result<()> {
    let path = format!("/report-mails/{name}");
    let mail: ReportMail = api.get(&path).await?;
    let wish = MailWish { enabled, ..mail.wish };
    let mail: ReportMail = api.send_json(Method::PUT, &path, &wish).await?;
    if !api.wrote_json(&mail)? {
        say(&format!("{name} is {}.", if enabled { "on" } else { "off" }));
    }
    Ok(())
}
