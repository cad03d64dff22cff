//! A screen between a browser and the agent of the machine's host: bytes of RFB both ways, each side no faster than the other takes them.
//!
//! Invariant: nothing is relayed for whoever is not let in any more; whatever ends it is said to the browser by a code and in words.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::ws::{
        CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderMap, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    Sink, SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{sync::mpsc::Sender, time::interval};

use super::Rejection;
use crate::{
    app::{
        Error,
        consoles::{self, Closed},
        people::Actor,
    },
    clock::SECOND,
    consoles::Shown,
    context::Ctx,
};

/// A request that is a WebSocket's, or why not.
pub(super) type Upgrade = Result<WebSocketUpgrade, WebSocketUpgradeRejection>;

/// The subprotocol of all browsers' clients for RFB.
const BINARY: &str = "binary";
/// Begins the subprotocol that is the ticket: only there can a browser's page say something that no log keeps.
const TICKET: &str = "ticket.";
/// Most bytes of one message of a browser: the largest are texts for the machine's clipboard.
const LARGEST_MESSAGE: usize = 1 << 20;
/// A browser that takes a piece of the picture for longer is gone.
const TAKES_WITHIN: Duration = Duration::from_secs(60);
/// Whether somebody may stay is looked at this often.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A browser that is there answers as often; whatever lies between keeps the connection.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A screen on which nothing moves and for which nobody does anything ends after this time, in microseconds.
const IDLE_FOR: i64 = 15 * 60 * SECOND;
/// Nobody sees one for longer without opening it anew, in microseconds.
const LONGEST: i64 = 12 * 3600 * SECOND;
/// The last word is given this time.
const LAST_WORD: Duration = Duration::from_secs(5);
/// Longest reason of a close frame in bytes (RFC 6455, 5.5).
const LONGEST_REASON: usize = 123;

/// Why a console ends; the code is for the page, which says it in its reader's language.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// The browser has left.
    Left,
    /// The machine's screen has ended.
    Machine,
    /// Nothing moved.
    Idle,
    /// It lasted as long as it may.
    Long,
    /// Their session or role is gone.
    NoAccess,
    /// The browser does not take what it gets.
    Slow,
    /// The browser says something else than it shall.
    Nonsense,
    /// The server stops.
    Stopping,
    /// It never began.
    Closed(Closed),
    /// The server's own fault.
    Fault,
}

impl End {
    fn code(&self) -> u16 {
        match self {
            Self::Left => 1000,
            Self::Fault => 1011,
            Self::NoAccess => 4001,
            Self::Closed(Closed::Ticket(_)) => 4003,
            Self::Closed(Closed::Refused(_)) => 4004,
            Self::Closed(Closed::Silent) => 4005,
            Self::Idle => 4008,
            Self::Closed(Closed::Full) => 4009,
            Self::Machine => 4010,
            Self::Long => 4011,
            Self::Slow => 4012,
            Self::Nonsense => 4013,
            Self::Stopping => 4014,
        }
    }

    fn reason(&self) -> String {
        let reason = match self {
            Self::Left => "",
            Self::Machine => "the machine's screen has ended: it was switched off, or its host stopped",
            Self::Idle => "nothing has moved for a quarter of an hour",
            Self::Long => "it was open for half a day",
            Self::NoAccess => "your session has ended, or your role is not enough any more",
            Self::Slow => "your browser does not take the picture",
            Self::Nonsense => "your browser sends what a console does not understand",
            Self::Stopping => "the server stops",
            Self::Fault => "the server has failed",
            Self::Closed(closed) => return closed.to_string(),
        };
        reason.to_owned()
    }
}

/// Lets a browser see the screen of a client.
///
/// # Errors
/// The request is no WebSocket's, or it comes from a page of somebody else.
pub(super) fn relayed(
    ctx: Ctx,
    actor: Actor,
    name: String,
    language: &'static str,
    (headers, upgrade): (&HeaderMap, Upgrade),
) -> Result<Response, Rejection> {
    check_origin(headers)?;
    let upgrade = upgrade.map_err(|error| {
        Error::invalid(format!("this address is for WebSockets: {error}"), "use HTTP/1.1 and its upgrade")
    })?;
    let ticket = offered(headers).find_map(|word| word.strip_prefix(TICKET)).unwrap_or_default().to_owned();
    let upgrade = upgrade
        .protocols([BINARY])
        .max_message_size(LARGEST_MESSAGE)
        .max_frame_size(LARGEST_MESSAGE)
        .max_write_buffer_size(4 * LARGEST_MESSAGE);
    Ok(upgrade.on_upgrade(async move |socket| {
        let counted = ctx.metrics.stream();
        let (mut browser, said) = socket.split();
        let end = see(&ctx, &actor, &name, &ticket, &mut browser, said).await;
        tracing::info!(client = name, actor = actor.name, code = end.code(), "a console has ended");
        let reason = ctx.pages.say(language, &end.reason()).into_owned();
        say(&mut browser, end.code(), reason).await;
        drop(counted);
    }))
}

/// A page of another site could open a WebSocket with the session of whoever looks at it (RFC 6455, 10.2).
fn check_origin(headers: &HeaderMap) -> Result<(), Error> {
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    if origin.to_str().is_ok_and(|origin| origin.strip_prefix("https://") == Some(host)) {
        return Ok(());
    }
    Err(Error::Forbidden("a console is opened by this server's own pages only".to_owned()))
}

/// The subprotocols that a browser offers.
fn offered(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

async fn see(
    ctx: &Ctx,
    actor: &Actor,
    name: &str,
    ticket: &str,
    browser: &mut SplitSink<WebSocket, Message>,
    mut said: SplitStream<WebSocket>,
) -> End {
    let entered = match consoles::enter(ctx, name, actor, ticket).await {
        Ok(Ok(entered)) => entered,
        Ok(Err(closed)) => return End::Closed(closed),
        Err(error) => return fault(error),
    };
    let shown = tokio::select! {
        shown = consoles::shown(ctx, &entered) => shown,
        end = leaves(&mut said) => return end,
    };
    let Shown { screen, input } = match shown {
        Ok(shown) => shown,
        Err(closed) => return End::Closed(closed),
    };
    let moved = Arc::new(AtomicI64::new(ctx.now()));
    let now = || moved.store(ctx.now(), Ordering::Relaxed);
    tokio::select! {
        end = show(screen, browser, &now) => end,
        end = act(said, &input, &now) => end,
        end = watch(ctx, actor, name, &moved) => end,
    }
}

fn fault(error: Error) -> End {
    match error {
        // The client was removed in the meantime.
        Error::NotFound { .. } => End::NoAccess,
        error => {
            tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "a console");
            End::Fault
        }
    }
}

/// Ends when the browser leaves before there is a picture; what it says before is too early.
async fn leaves(said: &mut SplitStream<WebSocket>) -> End {
    match said.next().await {
        Some(Ok(Message::Close(_)) | Err(_)) | None => End::Left,
        Some(Ok(_)) => End::Nonsense,
    }
}

/// From the machine to the browser.
async fn show(
    mut screen: futures_util::stream::BoxStream<'static, std::io::Result<Bytes>>,
    browser: &mut (impl Sink<Message> + Unpin),
    moved: &(impl Fn() + Sync),
) -> End {
    let mut ping = interval(PING_EVERY);
    loop {
        let message = tokio::select! {
            piece = screen.next() => match piece {
                Some(Ok(piece)) => Message::Binary(piece),
                Some(Err(_)) | None => return End::Machine,
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
        };
        let is_picture = matches!(message, Message::Binary(_));
        match tokio::time::timeout(TAKES_WITHIN, browser.send(message)).await {
            Ok(Ok(())) if is_picture => moved(),
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Left,
            Err(_) => return End::Slow,
        }
    }
}

/// From the browser to the machine.
async fn act(mut said: SplitStream<WebSocket>, input: &Sender<Bytes>, moved: &(impl Fn() + Sync)) -> End {
    loop {
        match said.next().await {
            Some(Ok(Message::Binary(piece))) => {
                moved();
                if input.send(piece).await.is_err() {
                    return End::Machine;
                }
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_))) => return End::Nonsense,
            Some(Ok(Message::Close(_))) | None => return End::Left,
            Some(Err(error)) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a console's browser");
                return End::Left;
            }
        }
    }
}

/// Ends when somebody may not stay any more.
async fn watch(ctx: &Ctx, actor: &Actor, name: &str, moved: &AtomicI64) -> End {
    let begun = ctx.now();
    let mut look = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = ctx.presence.closing().cancelled() => return End::Stopping,
        }
        let now = ctx.now();
        if now - moved.load(Ordering::Relaxed) > IDLE_FOR {
            return End::Idle;
        }
        if now - begun > LONGEST {
            return End::Long;
        }
        match consoles::may_stay(ctx, name, actor).await {
            Ok(true) => {}
            Ok(false) => return End::NoAccess,
            Err(error) => return fault(error),
        }
    }
}

/// The last word to a browser.
async fn say(browser: &mut SplitSink<WebSocket, Message>, code: u16, mut reason: String) {
    let mut length = reason.len().min(LONGEST_REASON);
    while !reason.is_char_boundary(length) {
        length -= 1;
    }
    reason.truncate(length);
    let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
    let last = browser.send(Message::Close(Some(frame)));
    // Who has left hears nothing.
    tokio::time::timeout(LAST_WORD, last).await.ok();
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_pages_of_this_server_open_consoles() {
        let host = (header::HOST, "lotse.example:8443");
        let from = |origin| check_origin(&headers(&[host.clone(), (header::ORIGIN, origin)]));
        assert!(from("https://lotse.example:8443").is_ok());
        for other in
            ["https://lotse.example", "http://lotse.example:8443", "https://evil.example", "null", ""]
        {
            assert!(from(other).is_err(), "{other}");
        }
        // Programs have no pages.
        assert!(check_origin(&headers(&[host])).is_ok());
    }

    #[test]
    fn a_ticket_is_one_of_the_subprotocols() {
        let offers = headers(&[(header::SEC_WEBSOCKET_PROTOCOL, "binary, ticket.lotse_abc")]);
        assert_eq!(offered(&offers).collect::<Vec<_>>(), ["binary", "ticket.lotse_abc"]);
    }
}
