//! Working on desktops: taking those that are due, and leading each step by step to where it shall be.
//!
//! Invariant: every step ends with something written. Whoever works writes only while his turn is the last one, so a server that was away
//! too long changes nothing any more; what it had asked for meanwhile is found by whoever has the turn now.

use futures_util::StreamExt;

use super::{
    super::{
        Error, clients,
        providers::{self, OpenProvider},
    },
    build, clear, run,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        self, Tx,
        desktops::{self, parts, trials},
        events,
        providers::{self as provider_rows, ProviderRecord},
    },
    domain::desktop::{Desktop, DesktopPart, DesktopState, PartState, ProviderTrial, TrialState},
};

/// Desktops that are worked on at the same time by one server.
const AT_ONCE: usize = 16;
/// Desktops that are looked for at once.
const PORTION: i64 = 200;
/// A turn lasts so long without a further step: longer than any call waits.
const TURN: i64 = 120 * SECOND;
/// A desktop with which nothing is to be done is looked at again after so long.
const IDLE_S: i64 = 3600;
/// So many steps without a pause are work; more are a fault.
const MOST_STEPS: usize = 200;

/// What comes after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next step.
    Now,
    /// A pause of so many seconds.
    After(i64),
    /// Nothing until somebody wants something.
    Idle,
}

/// Why a step has ended before its end.
#[derive(Debug)]
pub(super) enum Halt {
    /// Another server has the turn.
    Lost,
    /// Something is wrong here, not at the provider.
    Wrong(Error),
}

impl<E: Into<Error>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Wrong(error.into())
    }
}

/// A desktop while somebody has its turn.
pub(super) struct Turn<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) desktop: Desktop,
    number: i64,
    pub(super) trials: Vec<ProviderTrial>,
    pub(super) parts: Vec<DesktopPart>,
}

impl Turn<'_> {
    /// A transaction that writes as whoever has the turn.
    pub(super) async fn write(&self) -> Result<Tx, Halt> {
        let mut tx = self.ctx.db.write().await?;
        let until = self.ctx.now() + TURN;
        if desktops::holds(&mut tx, self.desktop.id, self.number, until).await? {
            Ok(tx)
        } else {
            Err(Halt::Lost)
        }
    }

    /// The provider of a trial or a part, with its connection.
    pub(super) async fn provider(&self, id: i64) -> Result<(ProviderRecord, OpenProvider), Halt> {
        let record = {
            let mut tx = self.ctx.db.read().await?;
            provider_rows::by_id(&mut tx, id).await?
        };
        let record = record.ok_or_else(|| Error::not_found(format!("provider {id}")))?;
        let opened = providers::open(self.ctx, &record).await?;
        Ok((record, opened))
    }

    /// Moves the desktop to a state, and tells it.
    pub(super) async fn become_state(
        &self,
        mut tx: Tx,
        state: DesktopState,
        reason: &str,
    ) -> Result<(), Halt> {
        let now = self.ctx.now();
        desktops::set_state(&mut tx, self.desktop.id, state, reason, now).await?;
        let kind = format!("desktop.{}", state.as_str());
        let detail = if reason.is_empty() {
            self.desktop.name.clone()
        } else {
            format!("{}: {reason}", self.desktop.name)
        };
        events::add(&mut tx, &kind, self.desktop.client, None, "server", &detail, now).await?;
        tx.commit().await?;
        self.ctx.presence.events_came();
        Ok(())
    }
}

/// Works on every desktop that is due, until each has to wait for something; tells whether there was any.
///
/// # Errors
/// The database refuses.
pub async fn work(ctx: &Ctx) -> Result<bool, Error> {
    let due = {
        let mut tx = ctx.db.read().await?;
        desktops::due(&mut tx, ctx.now(), PORTION).await?
    };
    let any = !due.is_empty();
    futures_util::stream::iter(due)
        .for_each_concurrent(AT_ONCE, async |id| {
            if let Err(error) = one(ctx, id).await {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    desktop = id,
                    "working on a desktop"
                );
            }
        })
        .await;
    Ok(any)
}

async fn one(ctx: &Ctx, id: i64) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let now = ctx.now();
    let Some(number) = desktops::take(&mut tx, id, now, now + TURN).await? else { return Ok(()) };
    tx.commit().await?;
    let mut pause = IDLE_S;
    let mut failed = None;
    for step in 0..=MOST_STEPS {
        let next = if step < MOST_STEPS { one_step(ctx, id, number).await } else { Ok(Next::After(60)) };
        match next {
            Ok(Next::Now) => continue,
            Ok(Next::After(seconds)) => pause = seconds,
            Ok(Next::Idle) => {}
            Err(Halt::Lost) => return Ok(()),
            Err(Halt::Wrong(error)) => (pause, failed) = (60, Some(error)),
        }
        break;
    }
    let mut tx = ctx.db.write().await?;
    desktops::put_off(&mut tx, id, number, ctx.now() + pause * SECOND).await?;
    tx.commit().await?;
    failed.map_or(Ok(()), Err)
}

async fn one_step(ctx: &Ctx, id: i64, number: i64) -> Result<Next, Halt> {
    let turn = {
        let mut tx = ctx.db.read().await?;
        let Some(desktop) = desktops::by_id(&mut tx, id).await? else { return Ok(Next::Idle) };
        let trials = trials::of(&mut tx, id).await?;
        Turn { ctx, desktop, number, trials, parts: parts::of(&mut tx, id).await? }
    };
    match turn.desktop.state {
        DesktopState::Creating => build::step(&turn).await,
        DesktopState::Ready => run::step(&turn).await,
        DesktopState::Deleting => remove(&turn).await,
        DesktopState::Failed | DesktopState::Lost | DesktopState::Deleted => Ok(Next::Idle),
    }
}

/// Removes everything at providers, then the client.
async fn remove(turn: &Turn<'_>) -> Result<Next, Halt> {
    let all: Vec<_> = turn.parts.iter().filter(|part| part.state != PartState::Gone).collect();
    if !all.is_empty() {
        return clear::step(turn, &all).await;
    }
    let ctx = turn.ctx;
    if let Some(client) = turn.desktop.client {
        let found = {
            let mut tx = ctx.db.read().await?;
            db::clients::find(&mut tx, client).await?
        };
        if let Some(found) = found {
            drop(turn.write().await?);
            clients::delete(ctx, &found.name, &turn.desktop.created_by).await?;
        }
    }
    let mut tx = turn.write().await?;
    for trial in turn.trials.iter().filter(|trial| trial.ended_at.is_none()) {
        trials::end(&mut tx, trial.id, TrialState::Failed, ctx.now()).await?;
    }
    turn.become_state(tx, DesktopState::Deleted, "").await?;
    Ok(Next::Idle)
}
