//! Reports that are mailed by the calendar: what is sent, to whom, and when the next period begins. Pure; the rules of time zones are
//! those of the IANA database that comes with the program.
//!
//! Invariant: periods of one wish follow each other; what daylight saving skips happens right after, what it repeats happens once.

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::problem::FieldProblem;

use super::{notice::is_mail_address, report::NAMES};

/// A month and some days: no period is longer.
const FARTHEST: i64 = 63;

/// What somebody wants to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MailWish {
    /// Which report.
    pub report: String,
    /// Only members of this group.
    #[serde(default)]
    pub group: Option<String>,
    /// Older than so many days counts as overdue or silent.
    #[serde(default)]
    pub days: Option<i64>,
    /// How often.
    pub every: Every,
    /// On which day of the week, 1 (Monday) to 7.
    #[serde(default = "first")]
    pub weekday: i8,
    /// On which day of the month, 1 to 31; months that have no such day: on their last.
    #[serde(default = "first")]
    pub day: i8,
    /// At which time of the day, `HH:MM`.
    #[serde(default = "seven")]
    pub time: String,
    /// In which time zone, such as `Europe/Berlin`.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Addresses.
    pub to: Vec<String>,
    /// `en` or `de`.
    #[serde(default = "english")]
    pub language: String,
    /// Also when there is nothing in it.
    #[serde(default = "yes")]
    pub when_empty: bool,
    /// Nothing is sent while it is off.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// How often a report is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ReportPeriod)]
pub enum Every {
    /// Every day.
    Daily,
    /// Once a week.
    Weekly,
    /// Once a month.
    Monthly,
}

impl Every {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Monthly => "monthly",
        }
    }
}

fn first() -> i8 {
    1
}

fn seven() -> String {
    "07:00".to_owned()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn english() -> String {
    "en".to_owned()
}

fn yes() -> bool {
    true
}

/// A report that is mailed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReportMail {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What is sent.
    #[serde(flatten)]
    pub wish: MailWish,
    /// When it is sent next, microseconds since the Unix epoch.
    pub next_at: i64,
    /// When it was made.
    pub created_at: i64,
}

/// One sending of a report, for one period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sending {
    /// Its number.
    pub id: i64,
    /// Which report mail.
    pub mail: i64,
    /// When its period began.
    pub period_at: i64,
    /// `waiting`, `sending`, `sent`, `given-up`, or `unknown`: nobody said whether it arrived, so it is not sent again.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at: i64,
    /// Why it did not arrive.
    pub error: String,
    /// How many rows the report had.
    pub rows: Option<i64>,
    /// When it ended.
    pub finished_at: Option<i64>,
}

impl MailWish {
    /// What is wrong with it.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut wrong = Vec::new();
        let mut say = |is_fine: bool, field: &str, message: &str| {
            if !is_fine {
                wrong.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
            }
        };
        let report = format!("must be one of {}", NAMES.join(", "));
        say(NAMES.contains(&self.report.as_str()), "report", &report);
        say(self.days.is_none_or(|days| (0..=36_500).contains(&days)), "days", "must be 0 to 36500");
        say((1..=7).contains(&self.weekday), "weekday", "must be 1 (Monday) to 7 (Sunday)");
        say((1..=31).contains(&self.day), "day", "must be 1 to 31");
        say(clock(&self.time).is_some(), "time", "must be a time of the day such as 07:00");
        say(zone(&self.time_zone).is_some(), "time_zone", "must be a time zone such as Europe/Berlin");
        let addresses = (1..=50).contains(&self.to.len()) && self.to.iter().all(|to| is_mail_address(to));
        say(addresses, "to", "must be 1 to 50 mail addresses such as admin@school.example");
        say(["en", "de"].contains(&self.language.as_str()), "language", "must be en or de");
        wrong
    }

    /// When the first period after a time begins; `None` when the wish is none that [`MailWish::check`] lets pass.
    pub fn next(&self, after: i64) -> Option<i64> {
        (0..=FARTHEST).filter_map(|days| self.on(after, days)).find(|at| *at > after)
    }

    /// When the last period before a time began.
    pub fn previous(&self, before: i64) -> Option<i64> {
        (0..=FARTHEST).filter_map(|days| self.on(before, -days)).find(|at| *at < before)
    }

    /// When a period begins so many days from a time, if one does on that day.
    fn on(&self, from: i64, days: i64) -> Option<i64> {
        let (zone, time) = (zone(&self.time_zone)?, clock(&self.time)?);
        let today = DateTime::from_timestamp_micros(from)?.with_timezone(&zone).date_naive();
        let apart = Days::new(days.unsigned_abs());
        let date = if days >= 0 { today.checked_add_days(apart)? } else { today.checked_sub_days(apart)? };
        let last = || date.checked_add_days(Days::new(1)).is_none_or(|next| next.day() == 1);
        let fits = match self.every {
            Every::Daily => true,
            Every::Weekly => date.weekday().number_from_monday() == u32::try_from(self.weekday).ok()?,
            Every::Monthly => {
                let day = u32::try_from(self.day).ok()?;
                date.day() == day || (date.day() < day && last())
            }
        };
        fits.then(|| begins(zone, date.and_time(time)))
    }
}

/// When a period begins that begins by the clock on the wall.
fn begins(zone: Tz, local: NaiveDateTime) -> i64 {
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp_micros(),
        LocalResult::None => {
            // So long after the clock was put forward as it would have been: by the offset of before. No zone skips two days.
            let before = (1..=48)
                .find_map(|hours| zone.from_local_datetime(&(local - TimeDelta::hours(hours))).latest());
            let offset = before.map_or(0, |before| before.offset().fix().local_minus_utc());
            (local - TimeDelta::seconds(offset.into())).and_utc().timestamp_micros()
        }
    }
}

fn zone(name: &str) -> Option<Tz> {
    // Nothing is read from the machine: all servers of a site have to agree.
    name.parse().ok()
}

fn clock(text: &str) -> Option<NaiveTime> {
    let (hour, minute) = text.split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(every: Every, weekday: i8, day: i8, time: &str, zone: &str) -> MailWish {
        MailWish {
            report: "updates".to_owned(),
            group: None,
            days: None,
            every,
            weekday,
            day,
            time: time.to_owned(),
            time_zone: zone.to_owned(),
            to: vec!["admin@school.example".to_owned()],
            language: "de".to_owned(),
            when_empty: true,
            enabled: true,
        }
    }

    fn at(text: &str) -> i64 {
        text.parse::<DateTime<chrono::Utc>>().unwrap().timestamp_micros()
    }

    fn next(wish: &MailWish, after: &str) -> String {
        let next = DateTime::from_timestamp_micros(wish.next(at(after)).unwrap()).unwrap();
        next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
    }

    #[test]
    fn periods_begin_by_the_clock_of_the_time_zone() {
        let daily = wish(Every::Daily, 1, 1, "07:00", "Europe/Berlin");
        assert_eq!(next(&daily, "2026-01-10T05:59:59Z"), "2026-01-10T06:00:00Z");
        assert_eq!(next(&daily, "2026-01-10T06:00:00Z"), "2026-01-11T06:00:00Z");
        assert_eq!(next(&daily, "2026-07-10T06:00:00Z"), "2026-07-11T05:00:00Z");
        let weekly = wish(Every::Weekly, 7, 1, "00:30", "America/New_York");
        // It is still Saturday there.
        assert_eq!(next(&weekly, "2026-01-11T02:00:00Z"), "2026-01-11T05:30:00Z");
        let monthly = wish(Every::Monthly, 1, 31, "12:00", "UTC");
        assert_eq!(next(&monthly, "2026-01-31T12:00:00Z"), "2026-02-28T12:00:00Z");
        assert_eq!(next(&monthly, "2028-02-01T00:00:00Z"), "2028-02-29T12:00:00Z");
    }

    #[test]
    fn what_daylight_saving_skips_happens_after_and_what_it_repeats_happens_once() {
        let daily = wish(Every::Daily, 1, 1, "02:30", "Europe/Berlin");
        assert_eq!(next(&daily, "2026-03-28T12:00:00Z"), "2026-03-29T01:30:00Z");
        assert_eq!(next(&daily, "2026-10-24T12:00:00Z"), "2026-10-25T00:30:00Z");
        assert_eq!(next(&daily, "2026-10-25T00:30:00Z"), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn what_cannot_be_sent_is_named_by_field() {
        let mut wrong = wish(Every::Daily, 0, 32, "7:00", "Europe/Nowhere");
        wrong.report = "nothing".to_owned();
        wrong.to.clear();
        wrong.language = "fr".to_owned();
        wrong.days = Some(-1);
        let fields: Vec<_> = wrong.check().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["report", "days", "weekday", "day", "time", "time_zone", "to", "language"]);
        assert_eq!(wish(Every::Daily, 1, 1, "07:00", "Europe/Berlin").check(), Vec::new());
        assert_eq!(wrong.next(0), None);
    }

    proptest! {
        #[test]
        fn periods_follow_each_other(
            every in prop_oneof![Just(Every::Daily), Just(Every::Weekly), Just(Every::Monthly)],
            weekday in 1..8_i8, day in 1..32_i8, hour in 0..24, minute in 0..60,
            zone in prop_oneof![Just("UTC"), Just("Europe/Berlin"), Just("America/St_Johns"), Just("Australia/Lord_Howe")],
            from in 0..4_000_000_000_000_000_i64,
        ) {
            let wish = wish(every, weekday, day, &format!("{hour:02}:{minute:02}"), zone);
            let first = wish.next(from).unwrap();
            let second = wish.next(first).unwrap();
            prop_assert!(from < first && first < second);
            prop_assert_eq!(wish.previous(second), Some(first));
            let longest = match every { Every::Daily => 1, Every::Weekly => 7, Every::Monthly => 31 };
            // An hour or two of daylight saving more.
            prop_assert!(second - first <= (longest * 24 + 2) * 3_600_000_000);
        }
    }
}
