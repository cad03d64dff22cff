//! Events of an iCalendar file (RFC 5545): VEVENT with DTSTART, DTEND or DURATION, RRULE, RDATE and EXDATE. Times without a zone are those
//! of the zone that is given; changed single occurrences (RECURRENCE-ID) take the place of the original ones.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use chrono_tz::Tz;
use icalendar::{Calendar, Component, Property};
use rrule::{RRule, RRuleSet, Unvalidated};

use super::windows::{Span, on_the_wall};

/// Most events of a calendar.
const MOST_EVENTS: usize = 500;
/// Most times that a rule may give until the end of what is looked at.
const MOST_TIMES: u16 = 10_000;
/// No event is longer, in microseconds: 62 days.
const LONGEST: i64 = 62 * 86_400 * crate::clock::SECOND;

/// An event, perhaps a recurring one.
#[derive(Clone, Debug)]
pub(super) struct Event {
    set: RRuleSet,
    length: i64,
    /// It recurs by this rule's set; otherwise it is only at its start.
    recurs: bool,
}

/// Reads all events of a calendar.
///
/// # Errors
/// What cannot be read, in words.
pub(super) fn read(text: &str, zone: Tz) -> Result<Vec<Event>, String> {
    let calendar: Calendar = text.parse().map_err(|error: String| {
        format!("the calendar cannot be read: {}", error.lines().next().unwrap_or_default())
    })?;
    let events: Vec<_> = calendar.events().collect();
    if events.is_empty() {
        return Err("the calendar has no event (VEVENT)".to_owned());
    }
    if events.len() > MOST_EVENTS {
        return Err(format!("the calendar has more than {MOST_EVENTS} events"));
    }
    let mut changed: Vec<(&str, i64)> = Vec::new();
    for event in &events {
        if let Some(property) = event.properties().get("RECURRENCE-ID") {
            let at = instant(property.value(), property, zone)?;
            changed.push((event.property_value("UID").unwrap_or_default(), at.timestamp_micros()));
        }
    }
    events.iter().map(|event| one(event, zone, &changed).map_err(|why| in_event(event, &why))).collect()
}

fn in_event(event: &icalendar::Event, why: &str) -> String {
    let name =
        event.property_value("SUMMARY").or_else(|| event.property_value("UID")).unwrap_or("without a name");
    format!("event `{name}`: {why}")
}

fn one(event: &icalendar::Event, zone: Tz, changed: &[(&str, i64)]) -> Result<Event, String> {
    let properties = event.properties();
    let start = properties.get("DTSTART").ok_or("it has no DTSTART")?;
    let is_date = !start.value().contains('T');
    let begins = instant(start.value(), start, zone)?;
    let length = match (properties.get("DTEND"), properties.get("DURATION")) {
        (Some(end), _) => instant(end.value(), end, zone)?.timestamp_micros() - begins.timestamp_micros(),
        (None, Some(duration)) => length(duration.value())?,
        (None, None) if is_date => 86_400 * crate::clock::SECOND,
        (None, None) => 0,
    };
    if !(1..=LONGEST).contains(&length) {
        return Err("it has no length, or is longer than 62 days".to_owned());
    }
    let mut set = RRuleSet::new(begins);
    let rule = properties.get("RRULE").map(Property::value);
    if let Some(rule) = rule {
        let rule: RRule<Unvalidated> =
            in_utc(rule, start, zone)?.parse().map_err(|error| format!("RRULE {rule}: {error}"))?;
        if matches!(rule.get_freq(), rrule::Frequency::Minutely | rrule::Frequency::Secondly) {
            return Err("it recurs more often than every hour".to_owned());
        }
        set = set.rrule(rule.validate(begins).map_err(|error| format!("RRULE: {error}"))?);
    }
    let all = |name: &str| {
        let several = event.multi_properties().get(name).into_iter().flatten();
        let times = several.chain(properties.get(name)).flat_map(|property| {
            property
                .value()
                .split(',')
                .map(move |value| instant(value.split('/').next().unwrap_or(value), property, zone))
        });
        times.collect::<Result<Vec<_>, String>>()
    };
    let added = all("RDATE")?;
    let recurs = rule.is_some() || !added.is_empty();
    if rule.is_none() && recurs {
        set = set.rdate(begins);
    }
    set = added.into_iter().fold(set, RRuleSet::rdate);
    set = all("EXDATE")?.into_iter().fold(set, RRuleSet::exdate);
    if recurs && !properties.contains_key("RECURRENCE-ID") {
        let uid = event.property_value("UID").unwrap_or_default();
        for (_, at) in changed.iter().filter(|(other, _)| *other == uid) {
            let at = DateTime::<Utc>::from_timestamp_micros(*at).unwrap_or_default();
            set = set.exdate(at.with_timezone(&begins.timezone()));
        }
    }
    Ok(Event { set, length, recurs })
}

impl Event {
    /// When it is, as far as it touches the time between two times.
    pub(super) fn spans(&self, from: i64, to: i64) -> Vec<Span> {
        let date = |at: i64| {
            let at = DateTime::<Utc>::from_timestamp_micros(at).unwrap_or_default();
            at.with_timezone(&self.set.get_dt_start().timezone())
        };
        let begins: Vec<i64> = if self.recurs {
            // An occurrence at the last moment counts.
            let (first, last) = (date(from.saturating_sub(self.length)), date(to.saturating_add(1)));
            let set = self.set.clone().after(first).before(last);
            set.all(MOST_TIMES).dates.iter().map(DateTime::timestamp_micros).collect()
        } else {
            vec![self.set.get_dt_start().timestamp_micros()]
        };
        begins.into_iter().map(|at| (at, at.saturating_add(self.length))).collect()
    }
}

/// A DATE or DATE-TIME (RFC 5545, 3.3.4 and 3.3.5) with the zone that its property names.
fn instant(value: &str, property: &Property, zone: Tz) -> Result<DateTime<rrule::Tz>, String> {
    let value = value.trim();
    let zone = match property.params().get("TZID") {
        Some(named) if !value.ends_with('Z') => {
            let name = named.value().trim_matches('"');
            name.parse::<Tz>()
                .map_err(|_| format!("there is no time zone `{name}`; use names like Europe/Berlin"))?
        }
        _ => zone,
    };
    let (zone, local) = local(value, zone).ok_or_else(|| format!("`{value}` is no time"))?;
    let at = DateTime::<Utc>::from_timestamp_micros(on_the_wall(zone, local, false)).unwrap_or_default();
    Ok(at.with_timezone(&rrule::Tz::Tz(zone)))
}

fn local(value: &str, zone: Tz) -> Option<(Tz, NaiveDateTime)> {
    let (zone, bare) = match value.strip_suffix('Z') {
        Some(bare) => (Tz::UTC, bare),
        None => (zone, value),
    };
    let local = match NaiveDateTime::parse_from_str(bare, "%Y%m%dT%H%M%S") {
        Ok(local) => local,
        Err(_) => NaiveDate::parse_from_str(bare, "%Y%m%d").ok()?.and_time(NaiveTime::MIN),
    };
    Some((zone, local))
}

/// The rule with its end in UTC, which is the only one that goes together with a start in a zone.
fn in_utc(rule: &str, start: &Property, zone: Tz) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in rule.split(';') {
        match part.split_once('=') {
            Some((name, value)) if name.eq_ignore_ascii_case("UNTIL") => {
                // A date is meant with the whole of its day.
                let value = if value.contains('T') { value.to_owned() } else { format!("{value}T235959") };
                let until = instant(&value, start, zone)?.with_timezone(&Utc);
                parts.push(format!("UNTIL={}", until.format("%Y%m%dT%H%M%SZ")));
            }
            _ => parts.push(part.to_owned()),
        }
    }
    Ok(parts.join(";"))
}

/// A DURATION (RFC 5545, 3.3.6), such as `PT3H` or `P1DT12H`, in microseconds.
fn length(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is no DURATION");
    let body = text.trim().trim_start_matches('+').strip_prefix('P').ok_or_else(wrong)?;
    let (mut seconds, mut number, mut in_time) = (0_i64, String::new(), false);
    for letter in body.chars() {
        let unit = match letter {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            'T' => {
                in_time = true;
                continue;
            }
            'W' => 7 * 86_400,
            'D' => 86_400,
            'H' if in_time => 3600,
            'M' if in_time => 60,
            'S' if in_time => 1,
            _ => return Err(wrong()),
        };
        let count: i64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        seconds = count.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
    }
    seconds.checked_mul(crate::clock::SECOND).filter(|_| number.is_empty()).ok_or_else(wrong)
}
