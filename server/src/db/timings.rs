//! How long the database lets others wait. Of the whole process: a server has one database.

use std::sync::LazyLock;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};

/// From a read of what is in memory to a writer that waits behind many.
const BUCKETS: [f64; 12] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 5.0];

/// What kind of transaction.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    /// `read` or `write`.
    pub kind: &'static str,
}

type Timing = Family<Kind, Histogram, fn() -> Histogram>;

/// All timings, in seconds.
pub struct Timings {
    /// Until a transaction has begun.
    pub wait: Timing,
    /// Until a transaction lasts.
    pub commit: Timing,
}

static TIMINGS: LazyLock<Timings> = LazyLock::new(|| {
    let timing = || Timing::new_with_constructor(|| Histogram::new(BUCKETS));
    Timings { wait: timing(), commit: timing() }
});

/// The timings of this process.
pub fn all() -> &'static Timings {
    &TIMINGS
}

/// Waits for something, and notes how long that took.
pub(super) async fn timed<T>(timing: &Timing, kind: &'static str, work: impl Future<Output = T>) -> T {
    let began = std::time::Instant::now();
    let done = work.await;
    timing.get_or_create(&Kind { kind }).observe(began.elapsed().as_secs_f64());
    done
}
