//! When work may begin: weekly times and calendars, open or closed, in a time zone.
//!
//! Weekly times are those of the clock on the wall: a time that the clock skips in spring is the next one that it shows; of one that it
//! shows twice in autumn, a window has both. A closed window wins over an open one. Work that began in time may end later.

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc, offset::LocalResult,
};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    calendar::{self, Event},
    spec::SpecProblem,
};

/// So far ahead a change of the window is looked for, in days.
const AHEAD: u64 = 32;
/// So far back a window may have begun, in days.
const BACK: u64 = 2;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// Largest calendar, in bytes.
const LARGEST: usize = 200_000;

/// When work may begin. Without any, always.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutWindows {
    /// The time zone of the weekly times, such as `Europe/Berlin`; UTC when absent.
    pub time_zone: Option<String>,
    /// Weekly times in which work may begin, such as `sun 02:00-05:00` or `mon-fri 20:00-06:00`.
    pub open: Vec<String>,
    /// Weekly times in which it may not.
    pub closed: Vec<String>,
    /// A calendar (iCalendar, RFC 5545) in whose events work may begin.
    pub open_calendar: Option<String>,
    /// A calendar in whose events it may not.
    pub closed_calendar: Option<String>,
}

/// Whether work may begin, and until when that is so; absent when it does not change soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// It may.
    Open {
        /// Until then.
        until: Option<i64>,
    },
    /// It may not.
    Closed {
        /// Until then.
        until: Option<i64>,
    },
}

/// A weekly time: on these days from one time to another, perhaps of the next day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weekly {
    days: [bool; 7],
    from: NaiveTime,
    /// Midnight at the end of the day, when it is midnight.
    to: NaiveTime,
}

/// A weekly time that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no weekly time: write it like `sun 02:00-05:00`, `mon-fri 20:00-06:00` or `sat,sun 00:00-24:00`"
)]
pub struct UnknownTime(String);

impl FromStr for Weekly {
    type Err = UnknownTime;

    fn from_str(text: &str) -> Result<Self, UnknownTime> {
        let unknown = || UnknownTime(text.to_owned());
        let lower = text.trim().to_lowercase();
        let (days, times) = lower.split_once(' ').ok_or_else(unknown)?;
        let day = |word: &str| DAYS.iter().position(|day| *day == word.trim()).ok_or_else(unknown);
        let mut chosen = [false; 7];
        for part in days.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None if part == "daily" => (0, 6),
                None => (day(part)?, day(part)?),
            };
            let length = (last + 7 - first) % 7;
            for at in (first..=first + length).map(|at| at % 7) {
                if let Some(day) = chosen.get_mut(at) {
                    *day = true;
                }
            }
        }
        let (from, to) = times.trim().split_once('-').ok_or_else(unknown)?;
        let time = |word: &str| NaiveTime::parse_from_str(word.trim(), "%H:%M").map_err(|_| unknown());
        let midnight = to.trim() == "24:00";
        let (from, to) = (time(from)?, if midnight { NaiveTime::MIN } else { time(to)? });
        if from == to && !midnight {
            return Err(unknown());
        }
        Ok(Self { days: chosen, from, to })
    }
}

impl fmt::Display for Weekly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days: Vec<_> =
            DAYS.iter().zip(self.days).filter(|(_, chosen)| *chosen).map(|(day, _)| *day).collect();
        let to =
            if self.to == NaiveTime::MIN { "24:00".to_owned() } else { self.to.format("%H:%M").to_string() };
        write!(f, "{} {}-{to}", days.join(","), self.from.format("%H:%M"))
    }
}

/// From when to when, in microseconds; the end is not part of it.
pub(super) type Span = (i64, i64);

impl Weekly {
    fn spans(&self, zone: Tz, first: NaiveDate, days: u64) -> Vec<Span> {
        let dates = (0..days).filter_map(|day| first.checked_add_days(Days::new(day)));
        let chosen = |date: &NaiveDate| {
            let day = usize::try_from(date.weekday().num_days_from_monday()).unwrap_or(0);
            self.days.get(day).copied().unwrap_or(false)
        };
        dates
            .filter(chosen)
            .filter_map(|date| {
                let last = if self.to <= self.from { date.checked_add_days(Days::new(1))? } else { date };
                let from = on_the_wall(zone, date.and_time(self.from), false);
                let to = on_the_wall(zone, last.and_time(self.to), true);
                Some((from, to))
            })
            .filter(|(from, to)| from < to)
            .collect()
    }
}

/// When the clock on the wall shows a time: for one that it skips, the next that it shows; of one that it shows twice, the first or the last.
pub(super) fn on_the_wall(zone: Tz, mut local: NaiveDateTime, last: bool) -> i64 {
    // No zone skips more than a day.
    for _ in 0..=24 * 60 {
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) => return at.timestamp_micros(),
            LocalResult::Ambiguous(first, second) => {
                return if last { second } else { first }.timestamp_micros();
            }
            LocalResult::None => local += chrono::TimeDelta::minutes(1),
        }
    }
    local.and_utc().timestamp_micros()
}

/// Windows that were read.
#[derive(Clone, Debug)]
pub struct Hours {
    zone: Tz,
    open: Vec<Weekly>,
    closed: Vec<Weekly>,
    open_events: Option<Vec<Event>>,
    closed_events: Vec<Event>,
}

impl RolloutWindows {
    /// Reads them.
    ///
    /// # Errors
    /// Every field that cannot be read.
    pub fn read(&self) -> Result<Hours, Vec<SpecProblem>> {
        let mut found = Vec::new();
        let mut wrong = |field: String, message: String| found.push(SpecProblem { field, message });
        let name = self.time_zone.as_deref().unwrap_or("UTC");
        let zone = name.parse::<Tz>().unwrap_or_else(|_| {
            wrong(
                "windows.time_zone".to_owned(),
                format!("there is no time zone `{name}`; name one like Europe/Berlin"),
            );
            Tz::UTC
        });
        let mut weekly = |field: &str, texts: &[String]| -> Vec<Weekly> {
            let mut read = Vec::with_capacity(texts.len());
            for (at, text) in texts.iter().enumerate() {
                match text.parse::<Weekly>() {
                    Ok(time) => read.push(time),
                    Err(error) => wrong(format!("windows.{field}[{at}]"), error.to_string()),
                }
            }
            read
        };
        let (open, closed) = (weekly("open", &self.open), weekly("closed", &self.closed));
        let mut events = |field: &str, text: &Option<String>| -> Option<Vec<Event>> {
            let text = text.as_deref().filter(|text| !text.trim().is_empty())?;
            let read = if text.len() > LARGEST {
                Err(format!("the calendar is larger than {LARGEST} bytes"))
            } else {
                calendar::read(text, zone)
            };
            read.unwrap_or_else(|message| {
                wrong(format!("windows.{field}"), message);
                Vec::new()
            })
            .into()
        };
        let open_events = events("open_calendar", &self.open_calendar);
        let closed_events = events("closed_calendar", &self.closed_calendar).unwrap_or_default();
        if found.is_empty() {
            Ok(Hours { zone, open, closed, open_events, closed_events })
        } else {
            Err(found)
        }
    }
}

impl Hours {
    /// Whether work may begin at a time, and until when that is so.
    pub fn at(&self, now: i64) -> Window {
        if self.open.is_empty()
            && self.closed.is_empty()
            && self.open_events.is_none()
            && self.closed_events.is_empty()
        {
            return Window::Open { until: None };
        }
        let today = date(self.zone, now);
        let first = today.checked_sub_days(Days::new(BACK)).unwrap_or(today);
        let horizon = now.saturating_add(i64::try_from(AHEAD).unwrap_or(0) * 86_400 * crate::clock::SECOND);
        let spans = |weekly: &[Weekly], events: &[Event]| {
            let weekly = weekly.iter().flat_map(|time| time.spans(self.zone, first, BACK + AHEAD + 1));
            let events = events.iter().flat_map(|event| event.spans(now, horizon));
            joined(weekly.chain(events).filter(|(from, to)| *to > now && *from < horizon).collect())
        };
        let no_events = Vec::new();
        let always = self.open.is_empty() && self.open_events.is_none();
        let open = if always {
            vec![(i64::MIN, i64::MAX)]
        } else {
            spans(&self.open, self.open_events.as_ref().unwrap_or(&no_events))
        };
        let closed = spans(&self.closed, &self.closed_events);
        let known = |until: i64| (until < horizon).then_some(until);
        let around =
            |spans: &[Span], at: i64| spans.iter().copied().find(|(from, to)| *from <= at && at < *to);
        if let (Some((_, end)), None) = (around(&open, now), around(&closed, now)) {
            let next = closed.iter().map(|(from, _)| *from).find(|from| *from > now);
            return Window::Open { until: known(next.map_or(end, |next| next.min(end))) };
        }
        // The first time that is in an open one and in no closed one: the beginning of an open one, or the end of a closed one.
        let mut times: Vec<i64> =
            open.iter().map(|(from, _)| *from).chain(closed.iter().map(|(_, to)| *to)).collect();
        times.sort_unstable();
        let opens = times
            .into_iter()
            .find(|at| *at > now && around(&open, *at).is_some() && around(&closed, *at).is_none());
        Window::Closed { until: opens.and_then(known) }
    }
}

impl Hours {
    /// From when to when the open time is in which a time lies, whatever is closed in it: a period of something recurring.
    pub fn period(&self, now: i64) -> Option<(i64, i64)> {
        let today = date(self.zone, now);
        let first = today.checked_sub_days(Days::new(BACK)).unwrap_or(today);
        let events = self.open_events.iter().flatten().flat_map(|event| event.spans(now, now));
        let weekly = self.open.iter().flat_map(|time| time.spans(self.zone, first, BACK + BACK));
        joined(weekly.chain(events).collect()).into_iter().find(|(from, to)| *from <= now && now < *to)
    }
}

/// The day that the calendar on the wall shows.
fn date(zone: Tz, now: i64) -> NaiveDate {
    DateTime::<Utc>::from_timestamp_micros(now).unwrap_or_default().with_timezone(&zone).date_naive()
}

/// Spans in order, those that touch as one.
fn joined(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut joined: Vec<Span> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match joined.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests;
