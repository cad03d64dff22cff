//! Notices: gathered from what happens, put on their way, and sent until they arrive or are given up.
//!
//! Invariant: a channel's place in the stream of events moves in the transaction that puts the notice about them on its way, so no event
//! is told twice or lost, whenever a server ends and however many there are. A notice that was sent, but whose answer got lost, is
//! sent again under the same id.

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::Serialize;

use super::{Error, settings};
use crate::{
    clock::{self, SECOND},
    context::Ctx,
    db::{channels, events},
    delivery::{mail, webhook},
    domain::{
        notice::{ATTEMPTS, Channel, Notice, NoticeEvent, Posted, Way, pause},
        settings::{
            MAIL_FROM, MAIL_PORT, MAIL_SECURITY, MAIL_SERVER, MAIL_USER, RETENTION_NOTICE_DAYS, Settings,
        },
    },
    presence::ONLINE_FOR,
};

/// Events that are looked at in one go; a notice never tells of more.
const BATCH: i64 = 1000;
/// A notice that a server has taken is left to it for so long.
const TAKEN_FOR: i64 = 120 * SECOND;
/// What the database knows of an agent is at most so much older than what the server knows.
const UNWRITTEN_FOR: i64 = 300 * SECOND;
/// Changes of health that are told in one round.
const CHANGES: i64 = 5000;

/// A new name for a notice.
pub(super) fn new_id() -> String {
    format!("notice_{}", uuid::Uuid::new_v4().simple())
}

/// Scheme, host and port of a URL.
pub(super) fn place_of(url: &str) -> String {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    format!("https://{}", rest.split(['/', '?']).next().unwrap_or_default())
}

/// Looks at what has happened, and puts on its way what channels want to know.
///
/// # Errors
/// The database refuses.
pub async fn gather(ctx: &Ctx) -> Result<(), Error> {
    let wanted = {
        let mut tx = ctx.db.read().await?;
        channels::list(&mut tx).await?
    };
    for channel in wanted {
        while gather_for(ctx, &channel).await? {}
    }
    Ok(())
}

/// Goes on for one channel; tells whether there may be more.
async fn gather_for(ctx: &Ctx, channel: &Channel) -> Result<bool, Error> {
    let now = ctx.now();
    let (place, found) = {
        let mut tx = ctx.db.read().await?;
        let place = channels::place(&mut tx, channel.id).await?;
        (place, channels::events_after(&mut tx, place, BATCH).await?)
    };
    let Some(last) = found.last().map(|(event, _)| event.id) else { return Ok(false) };
    let full = found.len() >= usize::try_from(BATCH).unwrap_or(usize::MAX);
    let wish = &channel.wish;
    let is_wanted = |event: &NoticeEvent, groups: &[String]| {
        wish.enabled
            && wish.wants(&event.kind)
            && (wish.groups.is_empty() || groups.iter().any(|group| wish.groups.contains(group)))
    };
    let mut told = Vec::new();
    let mut before_first = last;
    for (event, groups) in found {
        if is_wanted(&event, &groups) {
            if told.is_empty() {
                before_first = event.id - 1;
            }
            told.push(event);
        }
    }
    let due = told.first().is_some_and(|first| first.at + wish.gather_s * SECOND <= now)
        || (full && !told.is_empty());
    let to = if told.is_empty() || due { last } else { before_first };
    if to == place {
        return Ok(false);
    }
    let mut tx = ctx.db.write().await?;
    if !channels::move_place(&mut tx, channel.id, place, to).await? {
        return Ok(false);
    }
    if due {
        let notice = Notice::new(new_id(), &channel.name, told, now);
        channels::post(&mut tx, channel.id, &notice, now).await?;
    }
    tx.commit().await?;
    Ok(full && to == last)
}

/// Sends what is due, one after the other.
///
/// # Errors
/// The database refuses; that a notice does not arrive is none.
pub async fn deliver(ctx: &Ctx) -> Result<(), Error> {
    loop {
        let now = ctx.now();
        let due = {
            let mut tx = ctx.db.read().await?;
            channels::any_due(&mut tx, now).await?
        };
        if !due {
            return Ok(());
        }
        let mut tx = ctx.db.write().await?;
        let Some(posted) = channels::take_due(&mut tx, now, now + TAKEN_FOR).await? else { return Ok(()) };
        let channel = channels::by_id(&mut tx, posted.channel).await?;
        tx.commit().await?;
        let Some(channel) = channel else { continue };
        let sent = send(ctx, &channel, &posted.notice).await;
        note(ctx, &channel, &posted, sent).await?;
    }
}

async fn note(ctx: &Ctx, channel: &Channel, posted: &Posted, sent: anyhow::Result<()>) -> Result<(), Error> {
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    match sent {
        Ok(()) => channels::finish(&mut tx, posted.id, "sent", "", now).await?,
        Err(error) => {
            let reason: String = format!("{error:#}").chars().take(1000).collect();
            if posted.attempts >= ATTEMPTS {
                tracing::error!(channel = channel.name, reason, "a notice was given up");
                channels::finish(&mut tx, posted.id, "given-up", &reason, now).await?;
                let detail = format!("{}: {reason}", channel.name);
                events::add(&mut tx, "notice.given-up", None, None, "server", &detail, now).await?;
            } else {
                tracing::warn!(channel = channel.name, reason, "a notice did not arrive, and is tried again");
                channels::again(&mut tx, posted.id, &reason, now + pause(posted.attempts)).await?;
            }
        }
    }
    Ok(tx.commit().await?)
}

/// Sends a notice once.
pub(super) async fn send(ctx: &Ctx, channel: &Channel, notice: &Notice) -> anyhow::Result<()> {
    let allowed = &ctx.config.notices;
    match &channel.wish.way {
        Way::Webhook { url } => {
            let mut tx = ctx.db.read().await?;
            let secret = channels::secret(&mut tx, channel.id).await?.unwrap_or_default();
            drop(tx);
            let body = serde_json::to_string(notice)?;
            let timestamp = ctx.now() / SECOND;
            let call = webhook::Call { url, id: &notice.id, timestamp, body, secret: &secret };
            Ok(webhook::send(&call, allowed.ca.as_deref(), &allowed.webhook_allow).await?)
        }
        Way::Mail { to, language } => {
            let mut tx = ctx.db.read().await?;
            let set = settings::current(&mut tx).await?;
            drop(tx);
            let server = mail_server(ctx, &set)?;
            let view = MailView::new(ctx, notice);
            let write = |name: &str| ctx.pages.render(language, name, &view).context("writing the mail");
            let mail = mail::Mail {
                id: &notice.id,
                from: &set.text(&MAIL_FROM),
                to,
                subject: write("mails/notice-subject.txt")?.trim().to_owned(),
                text: write("mails/notice.txt")?,
                attachment: None,
            };
            Ok(mail::send(&server, &mail).await?)
        }
    }
}

pub(super) fn mail_server<'a>(ctx: &'a Ctx, set: &Settings) -> anyhow::Result<mail::Server<'a>> {
    let (host, from) = (set.text(&MAIL_SERVER), set.text(&MAIL_FROM));
    anyhow::ensure!(!host.is_empty(), "no mail server is set: `lotse setting set mail.server NAME`");
    anyhow::ensure!(!from.is_empty(), "no sender is set: `lotse setting set mail.from ADDRESS`");
    Ok(mail::Server {
        host,
        port: u16::try_from(set.number(&MAIL_PORT)).unwrap_or(587),
        security: set.text(&MAIL_SECURITY),
        user: set.text(&MAIL_USER),
        password_file: ctx.config.notices.mail_password_file.as_deref(),
        ca: ctx.config.notices.ca.as_deref(),
    })
}

/// What the template of a mail is given.
#[derive(Serialize)]
struct MailView {
    test: bool,
    total: i64,
    left_out: i64,
    counts: BTreeMap<String, Count>,
    events: Vec<EventView>,
    channel: String,
    server: String,
}

#[derive(Serialize)]
struct Count {
    key: String,
    count: i64,
}

#[derive(Serialize)]
struct EventView {
    at: String,
    kind: String,
    key: String,
    client: String,
    job: Option<i64>,
    detail: String,
}

impl MailView {
    fn new(ctx: &Ctx, notice: &Notice) -> Self {
        // One line stays one line.
        let line = |text: &str| text.replace(char::is_control, " ");
        let key = |kind: &str| kind.replace('.', "-");
        let counts = notice.counts.iter();
        Self {
            test: notice.test,
            total: notice.counts.values().sum(),
            left_out: notice.left_out,
            counts: counts
                .map(|(kind, count)| (kind.clone(), Count { key: key(kind), count: *count }))
                .collect(),
            events: notice
                .events
                .iter()
                .map(|event| EventView {
                    at: clock::rfc3339(event.at).replace('T', " ").replace('Z', " UTC"),
                    key: key(&event.kind),
                    kind: event.kind.clone(),
                    client: event.client.clone().unwrap_or_default(),
                    job: event.job,
                    detail: line(&event.detail).chars().take(300).collect(),
                })
                .collect(),
            channel: notice.channel.clone(),
            server: ctx.addresses.https.clone(),
        }
    }
}

/// Notes as events how clients have come to be since the last look, when a channel wants to know. Who is looked at first is noted silently.
///
/// # Errors
/// The database refuses.
pub async fn watch_health(ctx: &Ctx) -> Result<(), Error> {
    let now = ctx.now();
    let silent_since = now - ONLINE_FOR - UNWRITTEN_FOR;
    let changed = {
        let mut tx = ctx.db.read().await?;
        let wanted = channels::list(&mut tx).await?;
        if !wanted.iter().any(|channel| channel.wish.enabled && channel.wish.wants("client.health")) {
            return Ok(());
        }
        channels::changed_health(&mut tx, silent_since, CHANGES).await?
    };
    if changed.is_empty() {
        return Ok(());
    }
    let mut tx = ctx.db.write().await?;
    for (client, health, before) in changed {
        // One that was removed meanwhile is not noted.
        if crate::db::clients::find(&mut tx, client).await?.is_none() {
            continue;
        }
        channels::set_health(&mut tx, client, &health, now).await?;
        if let Some(before) = before {
            let detail = format!("{before} → {health}");
            events::add(&mut tx, "client.health", Some(client), None, "server", &detail, now).await?;
        }
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// Forgets notices that ended long ago.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let days = settings::current(&mut tx).await?.number(&RETENTION_NOTICE_DAYS);
    channels::prune(&mut tx, ctx.now() - days * 24 * 3600 * SECOND).await?;
    Ok(tx.commit().await?)
}
