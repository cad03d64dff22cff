//! How long a peer may keep a connection without saying anything.
//!
//! Invariant: whoever connects to a listener and then is silent, or says its request byte by byte, is gone after a bounded time, so strangers
//! cannot use up the server's connections one by one. What a request may take once it is understood is decided beside its route.

use std::{
    future::Ready,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum_server::{AddrListener, Address, Server, accept::Accept};
use hyper_util::rt::TokioTimer;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Most bytes of a request's head over HTTP/1; more is refused with 431.
const LARGEST_HEAD: usize = 64 << 10;

/// Times after which a connection ends.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A TLS handshake.
    pub handshake: Duration,
    /// The head of an HTTP/1 request, and the pause before it.
    pub head: Duration,
    /// No byte in either direction: longer than any poll waits, and than the slowest disk needs for an image.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            silence: Duration::from_mins(5),
        }
    }
}

impl Patience {
    /// Sets the limits for heads of requests on a listener.
    pub fn bound<A, L, Acc>(&self, mut server: Server<A, Acc>) -> Server<A, Acc>
    where
        A: Address<Listener = L>,
        L: AddrListener<A::Stream, A>,
    {
        let builder = server.http_builder();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.head).max_buf_size(LARGEST_HEAD);
        builder.http2().timer(TokioTimer::new());
        server
    }
}

impl<I, S> Accept<I, S> for Patience {
    type Stream = Watched<I>;
    type Service = S;
    type Future = Ready<io::Result<(Watched<I>, S)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let watched = Watched { stream, silence: self.silence, end: Box::pin(sleep(self.silence)) };
        std::future::ready(Ok((watched, service)))
    }
}

/// A connection that fails when nothing moves on it for too long.
#[derive(Debug)]
pub struct Watched<I> {
    stream: I,
    silence: Duration,
    end: Pin<Box<Sleep>>,
}

impl<I> Watched<I> {
    /// Something moved, or the time is over, or both have to be waited for.
    fn watch<T>(&mut self, cx: &mut Context<'_>, moved: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.end.as_mut().reset(Instant::now() + self.silence);
            return moved;
        }
        ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer was silent for too long")))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Watched<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.watch(cx, moved)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Watched<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, moved)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let moved = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.watch(cx, moved)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let moved = Pin::new(&mut self.stream).poll_flush(cx);
        match moved {
            // Nothing to flush is no sign of life.
            Poll::Ready(done) => Poll::Ready(done),
            Poll::Pending => self.watch(cx, Poll::Pending),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn pair(silence: Duration) -> (Watched<tokio::io::DuplexStream>, tokio::io::DuplexStream) {
        let (near, far) = tokio::io::duplex(16);
        let patience = Patience { silence, ..Patience::default() };
        let (watched, ()) = patience.accept(near, ()).into_inner().unwrap();
        (watched, far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_is_given_up() {
        let (mut near, _far) = pair(Duration::from_secs(5));
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (mut near, _far) = pair(Duration::from_secs(5));
        let error = near.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_something_now_and_then_stays() {
        let (mut near, mut far) = pair(Duration::from_secs(5));
        let talk = async {
            for number in 0..10 {
                tokio::time::sleep(Duration::from_secs(4)).await;
                far.write_u8(number).await.unwrap();
            }
            far
        };
        let listen = async {
            for number in 0..10 {
                assert_eq!(near.read_u8().await.unwrap(), number);
            }
        };
        let (_far, ()) = tokio::join!(talk, listen);
    }
}
