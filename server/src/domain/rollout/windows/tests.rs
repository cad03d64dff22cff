use chrono::Timelike;
use proptest::prelude::*;

use super::*;
use crate::clock::SECOND;

fn hours(windows: &RolloutWindows) -> Hours {
    windows.read().unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn at(text: &str) -> i64 {
    DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros()
}

fn berlin(open: &[&str], closed: &[&str]) -> Hours {
    hours(&RolloutWindows {
        time_zone: Some("Europe/Berlin".to_owned()),
        open: open.iter().map(|text| (*text).to_owned()).collect(),
        closed: closed.iter().map(|text| (*text).to_owned()).collect(),
        ..RolloutWindows::default()
    })
}

#[test]
fn a_weekly_time_is_read_and_written() {
    for (text, shown) in [
        ("sun 02:00-05:00", "sun 02:00-05:00"),
        ("Mon-Fri 20:00-06:00", "mon,tue,wed,thu,fri 20:00-06:00"),
        ("sat-mon 00:00-24:00", "mon,sat,sun 00:00-24:00"),
        ("daily 1:30-2:00", "mon,tue,wed,thu,fri,sat,sun 01:30-02:00"),
    ] {
        assert_eq!(text.parse::<Weekly>().unwrap().to_string(), shown);
    }
    for wrong in ["sun", "sun 2-5", "noday 02:00-05:00", "sun 02:00-02:00", "sun 25:00-26:00", ""] {
        assert!(wrong.parse::<Weekly>().is_err(), "{wrong}");
    }
}

#[test]
fn a_sunday_night_is_open_by_the_clock_on_the_wall() {
    let hours = berlin(&["sun 02:00-05:00"], &[]);
    // In winter Berlin is an hour ahead of UTC, in summer two.
    assert_eq!(
        hours.at(at("2026-01-11T01:00:00Z")),
        Window::Open { until: Some(at("2026-01-11T04:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-01-11T00:59:59Z")),
        Window::Closed { until: Some(at("2026-01-11T01:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-07-12T00:00:00Z")),
        Window::Open { until: Some(at("2026-07-12T03:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-07-12T03:00:00Z")),
        Window::Closed { until: Some(at("2026-07-19T00:00:00Z")) }
    );
    // 29 March 2026: the clock goes from 02:00 to 03:00; 25 October: 02:00 to 03:00 come twice.
    assert_eq!(
        hours.at(at("2026-03-29T01:00:00Z")),
        Window::Open { until: Some(at("2026-03-29T03:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-10-25T00:00:00Z")),
        Window::Open { until: Some(at("2026-10-25T04:00:00Z")) }
    );
}

#[test]
fn a_night_goes_over_midnight_and_a_blackout_wins() {
    let hours = berlin(&["mon-fri 20:00-06:00"], &["wed 22:00-23:00"]);
    assert!(
        matches!(hours.at(at("2026-01-10T04:00:00Z")), Window::Open { .. }),
        "Friday's night ends on Saturday"
    );
    assert_eq!(
        hours.at(at("2026-01-10T12:00:00Z")),
        Window::Closed { until: Some(at("2026-01-12T19:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-01-07T20:00:00Z")),
        Window::Open { until: Some(at("2026-01-07T21:00:00Z")) }
    );
    assert_eq!(
        hours.at(at("2026-01-07T21:30:00Z")),
        Window::Closed { until: Some(at("2026-01-07T22:00:00Z")) }
    );
}

#[test]
fn a_period_is_the_open_time_whatever_is_closed_in_it() {
    let hours = berlin(&["sun 02:00-05:00"], &["sun 03:00-03:30"]);
    let period = Some((at("2026-01-11T01:00:00Z"), at("2026-01-11T04:00:00Z")));
    assert_eq!(hours.period(at("2026-01-11T01:00:00Z")), period);
    assert_eq!(hours.period(at("2026-01-11T02:10:00Z")), period);
    assert_eq!(hours.period(at("2026-01-11T04:00:00Z")), None);
}

#[test]
fn without_windows_it_is_always_open() {
    assert_eq!(hours(&RolloutWindows::default()).at(0), Window::Open { until: None });
    let never = berlin(&[], &["daily 00:00-24:00"]);
    assert_eq!(never.at(at("2026-01-07T21:30:00Z")), Window::Closed { until: None });
}

const FREEZE: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n\
BEGIN:VEVENT\r\nUID:freeze\r\nSUMMARY:No changes at the turn\r\n  of the year\r\nDTSTART;VALUE=DATE:20251222\r\nDTEND;VALUE=DATE:20260105\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:payday\r\nDTSTART;TZID=Europe/Berlin:20260130T080000\r\nDURATION:PT4H\r\nRRULE:FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20261231\r\nEXDATE;TZID=Europe/Berlin:20260327T080000\r\nEND:VEVENT\r\n\
BEGIN:VEVENT\r\nUID:payday\r\nRECURRENCE-ID;TZID=Europe/Berlin:20260424T080000\r\nDTSTART;TZID=Europe/Berlin:20260423T080000\r\nDURATION:PT4H\r\nEND:VEVENT\r\n\
END:VCALENDAR\r\n";

#[test]
fn a_calendar_closes_with_its_recurring_events() {
    let windows = RolloutWindows {
        time_zone: Some("Europe/Berlin".to_owned()),
        closed_calendar: Some(FREEZE.to_owned()),
        ..RolloutWindows::default()
    };
    let hours = hours(&windows);
    let is_open = |text: &str| matches!(hours.at(at(text)), Window::Open { .. });
    assert!(!is_open("2025-12-24T12:00:00Z"));
    assert!(!is_open("2028-01-01T12:00:00Z"), "every year");
    assert_eq!(
        hours.at(at("2026-01-04T22:00:00Z")),
        Window::Closed { until: Some(at("2026-01-04T23:00:00Z")) }
    );
    assert!(!is_open("2026-02-27T08:00:00Z"), "the last Friday of February, 9:00 in Berlin");
    assert!(is_open("2026-02-27T11:00:00Z"), "four hours are over");
    assert!(is_open("2026-03-27T08:00:00Z"), "left out by EXDATE");
    assert!(is_open("2026-04-24T08:00:00Z"), "moved by RECURRENCE-ID");
    assert!(!is_open("2026-04-23T08:00:00Z"), "to the day before");
    assert!(!is_open("2026-10-30T09:00:00Z"), "still at 9:00 on the wall in winter");
    assert!(is_open("2027-01-29T09:00:00Z"), "it ended with the year");
}

#[test]
fn a_calendar_that_cannot_be_read_is_refused_in_words() {
    let of = |text: &str| {
        let windows = RolloutWindows { closed_calendar: Some(text.to_owned()), ..RolloutWindows::default() };
        windows.read().unwrap_err().remove(0).message
    };
    let event = |lines: &str| {
        format!(
            "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\n{lines}END:VEVENT\r\nEND:VCALENDAR\r\n"
        )
    };
    assert!(of("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n").contains("no event"));
    assert!(of("hello").contains("the calendar"), "{}", of("hello"));
    assert!(
        of(&event("DTSTART;TZID=Mars:20260101T000000\r\nDURATION:PT1H\r\n")).contains("no time zone `Mars`")
    );
    assert!(of(&event("DTSTART:20260101T000000Z\r\n")).contains("no length"));
    assert!(
        of(&event("DTSTART:20260101T000000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=SECONDLY\r\n"))
            .contains("more often")
    );
    assert!(
        of(&event("DTSTART:20260101T000000Z\r\nDURATION:PT1H\r\nRRULE:FREQ=SOMETIMES\r\n")).contains("RRULE")
    );
}

/// Whether the clock on the wall shows a time of the week that one of them names: minute by minute, without any arithmetic of zones.
fn on_wall(times: &[Weekly], zone: Tz, now: i64) -> bool {
    let local = DateTime::<Utc>::from_timestamp_micros(now).unwrap().with_timezone(&zone).naive_local();
    let (day, time) = (local.weekday().num_days_from_monday() as usize, local.time());
    times.iter().any(|weekly| {
        let over = weekly.to <= weekly.from;
        let today = weekly.days[day] && time >= weekly.from && (over || time < weekly.to);
        let yesterday = over && weekly.days[(day + 6) % 7] && time < weekly.to;
        today || yesterday
    })
}

fn weekly() -> impl Strategy<Value = Weekly> {
    (proptest::array::uniform7(any::<bool>()), 0_u32..48, 0_u32..48).prop_map(|(days, from, to)| {
        let time = |half: u32| NaiveTime::from_hms_opt(half / 2, half % 2 * 30, 0).unwrap();
        Weekly { days, from: time(from), to: if from == to { NaiveTime::MIN } else { time(to) } }
    })
}

proptest! {
    /// Around the days on which clocks change, in zones that change by an hour, by half an hour, in the south and never.
    #[test]
    fn windows_hold_whatever_the_clock_does(
        open in proptest::collection::vec(weekly(), 1..4),
        zone in prop_oneof![Just(Tz::Europe__Berlin), Just(Tz::America__New_York), Just(Tz::Australia__Lord_Howe), Just(Tz::UTC)],
        change in prop_oneof![Just("2026-03-29T01:00:00Z"), Just("2026-10-25T01:00:00Z"), Just("2026-03-08T07:00:00Z"),
            Just("2026-11-01T06:00:00Z"), Just("2026-04-04T15:00:00Z"), Just("2026-10-03T15:30:00Z")],
        minutes in -3000_i64..3000,
    ) {
        let now = at(change) + minutes * 60 * SECOND;
        let hours = Hours { zone, open: open.clone(), closed: Vec::new(), open_events: None, closed_events: Vec::new() };
        let wall = on_wall(&open, zone, now);
        let window = hours.at(now);
        let local = DateTime::<Utc>::from_timestamp_micros(now).unwrap().with_timezone(&zone).naive_local();
        let twice = matches!(zone.from_local_datetime(&local), LocalResult::Ambiguous(..));
        match window {
            Window::Open { .. } => prop_assert!(wall || twice, "open at {local}, which none of {open:?} names"),
            Window::Closed { .. } => prop_assert!(!wall, "closed at {local}, which one of {open:?} names"),
        }
        // What is said about the end is true.
        if let Window::Open { until: Some(until) } | Window::Closed { until: Some(until) } = window {
            prop_assert!(until > now);
            let is_open = |at: i64| matches!(hours.at(at), Window::Open { .. });
            prop_assert_ne!(is_open(now), is_open(until), "it does not change when it says so");
            prop_assert_eq!(is_open(now), is_open(until - 1), "it changes before it says so");
            prop_assert!(local.time().nanosecond() == 0);
        }
    }

    #[test]
    fn what_is_closed_is_never_open(
        open in proptest::collection::vec(weekly(), 0..3), closed in proptest::collection::vec(weekly(), 1..3), minutes in 0_i64..20_160,
    ) {
        let now = at("2026-03-23T00:00:00Z") + minutes * 60 * SECOND;
        let zone = Tz::Europe__Berlin;
        let hours = Hours { zone, open: open.clone(), closed: closed.clone(), open_events: None, closed_events: Vec::new() };
        if let Window::Open { until } = hours.at(now) {
            prop_assert!(!on_wall(&closed, zone, now));
            for minute in 0..60 {
                let at = now + minute * 60 * SECOND;
                prop_assert!(until.is_some_and(|until| at >= until) || !on_wall(&closed, zone, at));
            }
        }
    }
}
