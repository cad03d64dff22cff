//! Files that somebody sends as a body: of any length up to a limit, and for as long as something comes.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use tokio_stream::StreamExt;

/// No package is larger.
pub(super) const LARGEST_PACKAGE: usize = 4 << 30;
/// A sender that is silent for so long has gone.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The content of a body, which ends with an error when it is too large or nothing comes any more.
pub(super) fn sent(
    body: Body,
    largest: usize,
) -> impl Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> {
    let limited = http_body_util::Limited::new(body, largest);
    http_body_util::BodyDataStream::new(limited).timeout(LONGEST_PAUSE).map(|chunk| match chunk {
        Ok(Ok(chunk)) => Ok(chunk),
        Ok(Err(error)) => Err(error),
        Err(elapsed) => Err(Box::new(elapsed).into()),
    })
}
