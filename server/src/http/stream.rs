//! Server-sent events that lose nothing: each batch is read from the database after the last number sent, so a reader that comes back
//! with `Last-Event-ID` goes on exactly where it was. A reader whose token or session ends meanwhile is given nothing more.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::HeaderMap,
    response::{
        IntoResponse,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{StreamExt, future::BoxFuture, stream};

use tokio::{sync::Notify, time::Instant};
use wire::AttemptId;

use crate::{
    app::{
        Error, job_records,
        people::{self, Actor},
    },
    context::Ctx,
    domain::job::AttemptState,
};

/// Most events that are read at once; as many are a full batch, behind which more may be.
pub(super) const BATCH: i64 = 500;
const FULL: usize = 500;
/// Readers look by themselves this often: another node may have stored something.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Readers do not look more often than this, however fast something comes: nobody reads faster, and many readers share one database.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// The number of an event, and the event.
pub(super) type Item = (i64, Event);
/// Reads what follows a number; true when nothing can follow any more.
type Read = dyn Fn(Ctx, i64) -> BoxFuture<'static, Result<(Vec<Item>, bool), Error>> + Send + Sync;

/// From where a reader wants to go on.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<i64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// An event of a stream.
pub(super) fn item<T: serde::Serialize>(id: i64, name: &str, value: &T) -> Result<Item, Error> {
    let event = Event::default()
        .id(id.to_string())
        .event(name)
        .json_data(value)
        .map_err(|error| Error::Internal(error.into()))?;
    Ok((id, event))
}

/// Follows what `read` gives whenever `came` fires: until it says that nothing can follow, an error, the end of the reader's token or
/// session, or the server's.
pub(super) fn follow<R>(
    ctx: Ctx,
    reader: Actor,
    came: Arc<Notify>,
    after: i64,
    read: R,
) -> impl IntoResponse + use<R>
where
    R: Fn(Ctx, i64) -> BoxFuture<'static, Result<(Vec<Item>, bool), Error>> + Send + Sync + 'static,
{
    let read: Box<Read> = Box::new(read);
    let counted = ctx.metrics.stream();
    let begun = (ctx, reader, came, after, read, Instant::now());
    let batches = stream::unfold(Some(begun), |state| async move {
        let (ctx, reader, came, mut after, read, mut not_before) = state?;
        loop {
            tokio::time::sleep_until(not_before).await;
            // Registered before reading, so that what is stored in between wakes us.
            let more = Arc::clone(&came).notified_owned();
            tokio::pin!(more);
            more.as_mut().enable();
            not_before = Instant::now() + LOOK_AFTER;
            let batch = match people::is_still_let_in(&ctx, &reader).await {
                Ok(true) => read(ctx.clone(), after).await,
                Ok(false) => return None,
                Err(error) => Err(error),
            };
            match batch {
                Ok((items, ended)) => {
                    after = items.last().map_or(after, |(id, _)| *id);
                    if items.len() == FULL {
                        not_before = Instant::now();
                    }
                    let mut events: Vec<_> = items.into_iter().map(|(_, event)| event).collect();
                    if ended {
                        events.push(Event::default().event("end").data("end"));
                        return Some((events, None));
                    }
                    if !events.is_empty() {
                        return Some((events, Some((ctx, reader, came, after, read, not_before))));
                    }
                }
                Err(error) => {
                    tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "following events");
                    return None;
                }
            }
            tokio::select! {
                () = more => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = ctx.presence.closing().cancelled() => return None,
            }
        }
    });
    let events = batches.flat_map(move |events| {
        // Lives for as long as the stream.
        let _reading = &counted;
        stream::iter(events.into_iter().map(Ok::<_, Infallible>))
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
}

/// What an attempt reports, from a number on; ends with the attempt.
pub(super) fn output(ctx: Ctx, reader: Actor, id: AttemptId, after: i64) -> impl IntoResponse + use<> {
    let came = ctx.presence.output(id);
    follow(ctx, reader, came, after, move |ctx, after| {
        Box::pin(async move {
            let mut tx = ctx.db.read().await?;
            // The state is read first: what was stored when it was final is all there is.
            let ended = job_records::attempt(&mut tx, id).await?.state != AttemptState::Running;
            let events = job_records::output(&mut tx, id, after, BATCH).await?;
            let more = events.len() == FULL;
            let items = events
                .into_iter()
                .map(|event| item(i64::try_from(event.seq).unwrap_or(0), "output", &event))
                .collect::<Result<Vec<_>, Error>>()?;
            Ok((items, ended && !more))
        })
    })
}
