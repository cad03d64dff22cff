//! Notices: who is told of what happens, what they are told, and when it is tried again. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::problem::FieldProblem;

use crate::clock::SECOND;

/// Events that one notice tells in full; of the others it tells how many there are.
pub const TOLD: usize = 50;
/// After so many attempts a notice is given up: about two days.
pub const ATTEMPTS: i64 = 20;

/// A channel as an admin wants it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChannelWish {
    /// How notices go out.
    #[serde(flatten)]
    pub way: Way,
    /// Which kinds of events, such as `job.failed`, `client.*` or `*`.
    #[serde(default = "usual_events")]
    pub events: Vec<String>,
    /// Only events of clients in these groups; empty: of all.
    #[serde(default)]
    pub groups: Vec<String>,
    /// So many seconds after the first event are gathered into one notice, 0 to 86400.
    #[serde(default = "a_minute")]
    pub gather_s: i64,
    /// Nothing goes out while it is off.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// How notices go out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Way {
    /// By mail.
    Mail {
        /// Addresses.
        to: Vec<String>,
        /// `en` or `de`.
        #[serde(default = "english")]
        language: String,
    },
    /// By a signed HTTPS request.
    Webhook {
        /// Where to.
        url: String,
    },
}

fn usual_events() -> Vec<String> {
    ["job.failed", "client.alarm", "client.health", "approval.asked", "rollout.halted"]
        .map(str::to_owned)
        .to_vec()
}

fn a_minute() -> i64 {
    60
}

fn yes() -> bool {
    true
}

fn english() -> String {
    "en".to_owned()
}

impl Way {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Mail { .. } => "mail",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Where to, in one line.
    pub fn target(&self) -> String {
        match self {
            Self::Mail { to, .. } => to.join(", "),
            Self::Webhook { url } => url.clone(),
        }
    }
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Channel {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What is wanted of it.
    #[serde(flatten)]
    pub wish: ChannelWish,
    /// When it was made.
    pub created_at: i64,
    /// Grows with every change.
    pub version: i64,
}

impl ChannelWish {
    /// What is wrong with it.
    pub fn check(&self) -> Vec<FieldProblem> {
        let mut wrong = Vec::new();
        let mut say = |field: &str, message: &str| {
            wrong.push(FieldProblem { field: field.to_owned(), message: message.to_owned() });
        };
        match &self.way {
            Way::Mail { to, language } => {
                if to.is_empty() || to.len() > 50 || !to.iter().all(|address| is_mail_address(address)) {
                    say("to", "must be 1 to 50 mail addresses such as admin@school.example");
                }
                if !["en", "de"].contains(&language.as_str()) {
                    say("language", "must be en or de");
                }
            }
            Way::Webhook { url } => {
                let rest = url.strip_prefix("https://").unwrap_or_default();
                let host = rest.split(['/', '?']).next().unwrap_or_default();
                let plain = !url.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#');
                if host.is_empty() || host.contains('@') || url.len() > 2000 || !plain {
                    say("url", "must begin with https://, without user and password");
                }
            }
        }
        let is_word = |c: u8| c.is_ascii_lowercase() || c == b'-';
        let is_kind = |kind: &String| {
            let part = |part: &str| !part.is_empty() && part.bytes().all(is_word);
            kind == "*"
                || kind.split_once('.').is_some_and(|(area, what)| part(area) && (what == "*" || part(what)))
        };
        if self.events.is_empty() || self.events.len() > 100 || !self.events.iter().all(is_kind) {
            say("events", "must be kinds of events such as job.failed, client.* or *");
        }
        if self.groups.len() > 1000 {
            say("groups", "are more than 1000");
        }
        if !(0..=86_400).contains(&self.gather_s) {
            say("gather_s", "must be 0 to 86400 seconds");
        }
        wrong
    }

    /// Whether a kind of event is wanted.
    pub fn wants(&self, kind: &str) -> bool {
        self.events.iter().any(|wanted| {
            wanted == "*"
                || wanted == kind
                || wanted.strip_suffix('*').is_some_and(|area| area.ends_with('.') && kind.starts_with(area))
        })
    }
}

/// Whether a text is a mail address as people use them (a part of RFC 5321, 4.1.2).
pub fn is_mail_address(text: &str) -> bool {
    let Some((name, domain)) = text.rsplit_once('@') else { return false };
    let fits = |c: u8| c.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&c);
    (1..=64).contains(&name.len())
        && name.bytes().all(fits)
        && !name.starts_with('.')
        && !name.ends_with('.')
        && super::client::is_domain(&domain.to_ascii_lowercase())
}

/// What a channel is told in one go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notice {
    /// Its own name, the same at every attempt: by it a receiver knows one that came twice.
    pub id: String,
    /// When it was written.
    pub at: i64,
    /// Name of the channel.
    pub channel: String,
    /// Somebody pressed the test button.
    pub test: bool,
    /// How many events of each kind there were.
    pub counts: BTreeMap<String, i64>,
    /// The first of them, oldest first.
    pub events: Vec<NoticeEvent>,
    /// How many are not told.
    pub left_out: i64,
}

/// An event as a notice tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoticeEvent {
    /// Its number.
    pub id: i64,
    /// When.
    pub at: i64,
    /// What, such as `job.failed`.
    pub kind: String,
    /// Name of the client.
    pub client: Option<String>,
    /// Number of the job.
    pub job: Option<i64>,
    /// Who did it.
    pub actor: String,
    /// More about it.
    pub detail: String,
}

impl Notice {
    /// All events in one notice: how many of each kind, and the first in full.
    pub fn new(id: String, channel: &str, mut events: Vec<NoticeEvent>, at: i64) -> Self {
        let mut counts = BTreeMap::new();
        for event in &events {
            *counts.entry(event.kind.clone()).or_insert(0) += 1;
        }
        let left_out = events.len().saturating_sub(TOLD);
        events.truncate(TOLD);
        let left_out = i64::try_from(left_out).unwrap_or(i64::MAX);
        Self { id, at, channel: channel.to_owned(), test: false, counts, events, left_out }
    }

    /// One that only shows that the way works.
    pub fn test(id: String, channel: &str, at: i64) -> Self {
        Self { test: true, ..Self::new(id, channel, Vec::new(), at) }
    }
}

/// A notice on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Posted {
    /// Its number.
    pub id: i64,
    /// The channel's number.
    pub channel: i64,
    /// What is told.
    pub notice: Notice,
    /// `waiting`, `sent` or `given-up`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next.
    pub next_at: i64,
    /// Why the last attempt failed.
    pub error: String,
    /// When it was written.
    pub created_at: i64,
    /// When it was sent or given up.
    pub finished_at: Option<i64>,
}

/// Pause before another attempt: 10 seconds, doubled each time, at most three hours.
pub fn pause(attempts: i64) -> i64 {
    let doubled = 10_i64 << attempts.saturating_sub(1).clamp(0, 20);
    doubled.min(3 * 3600) * SECOND
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(way: Way) -> ChannelWish {
        ChannelWish { way, events: usual_events(), groups: Vec::new(), gather_s: 60, enabled: true }
    }

    fn event(id: i64) -> NoticeEvent {
        NoticeEvent {
            id,
            at: id,
            kind: "job.failed".to_owned(),
            client: Some(format!("lab-{id}")),
            job: Some(id),
            actor: "queue".to_owned(),
            detail: String::new(),
        }
    }

    #[test]
    fn a_channel_wants_what_it_names() {
        let mut wish = wish(Way::Webhook { url: "https://hooks.example/x".to_owned() });
        assert!(wish.wants("job.failed") && !wish.wants("job.running") && !wish.wants("job.failed-too"));
        wish.events = vec!["client.*".to_owned()];
        assert!(wish.wants("client.alarm") && !wish.wants("clients.alarm") && !wish.wants("job.failed"));
        wish.events = vec!["*".to_owned()];
        assert!(wish.wants("anything.at-all"));
    }

    #[test]
    fn only_what_can_be_reached_and_understood_is_taken() {
        let hook = |url: &str| wish(Way::Webhook { url: url.to_owned() }).check().len();
        assert_eq!(hook("https://hooks.example:8443/a?b=c"), 0);
        for wrong in
            ["http://hooks.example", "https://", "https://u:p@hooks.example", "https://a b", "ftp://x"]
        {
            assert_eq!(hook(wrong), 1, "{wrong}");
        }
        let mail =
            |to: &str| wish(Way::Mail { to: vec![to.to_owned()], language: "de".to_owned() }).check().len();
        assert_eq!(mail("admin@school.example"), 0);
        for wrong in ["admin", "a@", "@b", "a b@c.example", "a@b.example\nBcc: x@y.example", ".a@b.example"] {
            assert_eq!(mail(wrong), 1, "{wrong}");
        }
        let mut kinds = wish(Way::Webhook { url: "https://hooks.example".to_owned() });
        for wrong in ["", "job", "job.", "*.failed", "job.fai*"] {
            kinds.events = vec![wrong.to_owned()];
            assert_eq!(kinds.check().len(), 1, "{wrong}");
        }
    }

    #[test]
    fn five_hundred_failures_are_one_notice() {
        let notice = Notice::new("n".to_owned(), "c", (1..=500).map(event).collect(), 0);
        assert_eq!(notice.counts["job.failed"], 500);
        assert_eq!((notice.events.len(), notice.left_out), (TOLD, 450));
    }

    #[test]
    fn pauses_grow_to_three_hours_and_end_after_about_two_days() {
        assert_eq!((pause(1), pause(2), pause(30)), (10 * SECOND, 20 * SECOND, 3 * 3600 * SECOND));
        let days = (1..ATTEMPTS).map(pause).sum::<i64>() / (24 * 3600 * SECOND);
        assert!((1..=2).contains(&days), "{days}");
    }

    #[test]
    fn a_channel_is_read_as_it_is_written() {
        let wish = wish(Way::Mail { to: vec!["a@b.example".to_owned()], language: "de".to_owned() });
        let text = serde_json::to_string(&wish).unwrap();
        assert_eq!(serde_json::from_str::<ChannelWish>(&text).unwrap(), wish);
        let short = r#"{"kind":"webhook","url":"https://x.example"}"#;
        assert_eq!(serde_json::from_str::<ChannelWish>(short).unwrap().gather_s, 60);
    }
}
