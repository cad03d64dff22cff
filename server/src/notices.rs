//! What sends notices, by itself and beside everything else: a receiver that is slow keeps nobody waiting but other notices.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{
    app::{Error, notices, report_mails},
    context::Ctx,
};

/// What has happened is looked at this often.
const GATHER_EVERY: Duration = Duration::from_secs(2);
/// How clients are is looked at this often.
const HEALTH_EVERY: Duration = Duration::from_mins(1);
/// Old notices are forgotten this often.
const PRUNE_EVERY: Duration = Duration::from_hours(1);

/// Runs until `stop` fires; what is being sent then is sent again after the next start.
pub async fn run(ctx: Ctx, stop: CancellationToken) {
    let every = |period| {
        let mut interval = interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        interval
    };
    let (mut gather, mut health, mut prune) = (every(GATHER_EVERY), every(HEALTH_EVERY), every(PRUNE_EVERY));
    let work = async {
        loop {
            tokio::select! {
                _ = gather.tick() => {
                    logged("gathering notices", notices::gather(&ctx).await);
                    logged("sending notices", notices::deliver(&ctx).await);
                    logged("sending reports", report_mails::work(&ctx).await);
                }
                _ = health.tick() => logged("looking how clients are", notices::watch_health(&ctx).await),
                _ = prune.tick() => logged("forgetting old notices", notices::prune(&ctx).await),
            }
        }
    };
    tokio::select! {
        () = work => {}
        () = stop.cancelled() => {}
    }
}

fn logged(attempt: &str, result: Result<(), Error>) {
    if let Err(error) = result {
        tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "{attempt}");
    }
}
