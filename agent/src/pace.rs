//! Back-pressure: a step that prints faster than the server takes it is not polled until the spool has room again.
//!
//! So pipes fill, the command waits, and neither memory nor disk grow without bound. A step that is to stop always goes on.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::spool::Spool;

/// A future at the pace of a spool.
pub struct Paced<'a, T> {
    inner: BoxFuture<'a, T>,
    spool: &'a Spool,
    stop: &'a CancellationToken,
}

impl<'a, T> Paced<'a, T> {
    /// Lets `inner` run while the spool is not congested, or `stop` has fired. Whoever fires it has to poll again.
    pub fn new(inner: BoxFuture<'a, T>, spool: &'a Spool, stop: &'a CancellationToken) -> Self {
        Self { inner, spool, stop }
    }
}

impl<T> Future for Paced<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        if !self.stop.is_cancelled() && self.spool.is_congested(cx.waker()) {
            return Poll::Pending;
        }
        self.inner.as_mut().poll(cx)
    }
}
