//! Reading server-sent events (WHATWG HTML, 9.2).

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// One event of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// Its kind; empty when it has none.
    pub(super) event: String,
    /// Its data.
    pub(super) data: String,
}

/// The events of a stream, until it ends or breaks. What came without the empty line at its end does not count.
pub(super) fn messages<E>(
    bytes: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = Message> + Unpin {
    let state = (Box::pin(bytes), Vec::<u8>::new());
    Box::pin(futures_util::stream::unfold(state, |(mut bytes, mut buffer)| async move {
        loop {
            if let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = buffer.drain(..end + 2).collect();
                if let Some(message) = message(&String::from_utf8_lossy(&block)) {
                    return Some((message, (bytes, buffer)));
                }
                continue;
            }
            match bytes.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(_)) | None => return None,
            }
        }
    }))
}

fn message(block: &str) -> Option<Message> {
    let (mut event, mut data) = (String::new(), Vec::new());
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event),
            "data" => data.push(value),
            _ => {}
        }
    }
    (!data.is_empty()).then(|| Message { event, data: data.join("\n") })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(chunks: &[&'static str]) -> Vec<Message> {
        let chunks: Vec<_> = chunks
            .iter()
            .map(|chunk| Ok::<_, std::io::Error>(Bytes::from_static(chunk.as_bytes())))
            .collect();
        messages(futures_util::stream::iter(chunks)).collect().await
    }

    #[tokio::test]
    async fn events_are_read_across_chunks_and_comments_are_not_events() {
        let found = read(&[
            ": alive\n\nid: 1\nevent: out",
            "put\ndata: {\"a\":\ndata: 1}\n",
            "\n: x\n\nevent: end\ndata: end\n\n",
        ])
        .await;
        let message = |event: &str, data: &str| Message { event: event.to_owned(), data: data.to_owned() };
        assert_eq!(found, [message("output", "{\"a\":\n1}"), message("end", "end")]);
    }

    #[tokio::test]
    async fn an_event_that_was_cut_off_does_not_count() {
        assert_eq!(read(&["data: 1\n\ndata: 2\n"]).await.len(), 1);
    }
}
