//! What may go wrong with one machine, and how often it did in a run.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, mpsc};

use super::dice::Dice;

/// What an agent asks of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are the calls of `agent::server::Server`")]
pub enum Call {
    Trust,
    Enrol,
    Renew,
    Poll,
    Report,
    Facts,
    Packages,
    Secret,
    Blob,
}

/// What happens to one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Fine,
    /// It never arrives.
    RequestLost,
    /// It is answered, but the answer never arrives.
    AnswerLost,
    /// It arrives twice, at the same time or the second one this much later.
    Twice(Duration),
}

/// What happens to an agent while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blow {
    /// SIGKILL; it is started again.
    Kill,
    /// SIGTERM; it is started again.
    Stop,
    /// The machine's plug is pulled and put in again.
    PowerCut,
    /// From now on no message gets through, until somebody repairs it.
    Cut,
}

/// How often, in a thousand messages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    /// Lost on the way there.
    pub request_lost: u64,
    /// Lost on the way back.
    pub answer_lost: u64,
    /// Repeated.
    pub twice: u64,
    /// Held up.
    pub late: u64,
    /// Of blobs: broken off in the middle.
    pub broken: u64,
}

impl Chances {
    /// Nothing ever goes wrong.
    pub const NONE: Self = Self { request_lost: 0, answer_lost: 0, twice: 0, late: 0, broken: 0 };
    /// A bad network.
    pub const BAD: Self = Self { request_lost: 40, answer_lost: 40, twice: 60, late: 150, broken: 300 };
}

/// Longest that a message is held up.
const LATEST_MS: u64 = 250;

/// How often what happened, in all of a fleet.
#[derive(Debug, Default)]
pub struct Tally(Mutex<BTreeMap<String, u64>>);

impl Tally {
    /// Counts one.
    pub fn count(&self, what: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(what.to_owned()).or_default() += 1;
    }

    /// How often it happened.
    pub fn of(&self, what: &str) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(what).copied().unwrap_or(0)
    }

    /// Everything in one line.
    pub fn summary(&self) -> String {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.iter().map(|(what, times)| format!("{what} {times}")).collect::<Vec<_>>().join(", ")
    }
}

/// The luck of one machine. Shared by all connections that it ever makes.
pub struct Luck {
    state: Mutex<State>,
    blows: mpsc::UnboundedSender<Blow>,
    tally: Arc<Tally>,
}

struct State {
    dice: Dice,
    chances: Chances,
    /// What comes at which message: the number of messages to come first.
    planned: BTreeMap<u64, Blow>,
    messages: u64,
    is_cut: bool,
    ambush: Option<Ambush>,
}

/// Waits for one answer of a kind, and lets somebody act before the agent hears of it, which it then never does.
#[derive(Clone)]
pub struct Ambush {
    /// Which answer.
    pub call: Call,
    /// Told that the answer is there.
    pub reached: Arc<Notify>,
    /// Awaited before the agent goes on.
    pub done: Arc<Notify>,
}

/// What a message meets on its way.
pub(super) struct Way {
    pub(super) held_up: Duration,
    pub(super) fate: Fate,
}

impl Luck {
    /// Luck by dice. `blows` is told what happens to the agent.
    pub fn new(
        dice: Dice,
        chances: Chances,
        planned: BTreeMap<u64, Blow>,
        blows: mpsc::UnboundedSender<Blow>,
        tally: Arc<Tally>,
    ) -> Self {
        let state = State { dice, chances, planned, messages: 0, is_cut: false, ambush: None };
        Self { state: Mutex::new(state), blows, tally }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about a message. `None`: the agent does not live long enough to hear of it.
    pub(super) fn way(&self, call: Call) -> Option<Way> {
        let mut state = self.state();
        state.messages += 1;
        self.tally.count("messages");
        let number = state.messages;
        match state.planned.remove(&number) {
            None => {}
            Some(Blow::Cut) => {
                self.tally.count("cuts");
                state.is_cut = true;
            }
            Some(blow) => {
                self.tally.count(&format!("{blow:?}"));
                // Nobody listens any more when the fleet is being taken down.
                self.blows.send(blow).ok();
                if blow != Blow::Stop {
                    return None;
                }
            }
        }
        if state.is_cut {
            return Some(Way { held_up: Duration::ZERO, fate: Fate::RequestLost });
        }
        let chances = state.chances;
        let held_up = if state.dice.hits(chances.late) { state.dice.between(1, LATEST_MS) } else { 0 };
        let throw = state.dice.between(0, 1000);
        let fate = if throw < chances.request_lost {
            Fate::RequestLost
        } else if throw < chances.request_lost + chances.answer_lost {
            Fate::AnswerLost
        } else if throw < chances.request_lost + chances.answer_lost + chances.twice {
            let late = state.dice.between(0, 2) * state.dice.between(0, LATEST_MS);
            Fate::Twice(Duration::from_millis(late))
        } else {
            Fate::Fine
        };
        drop(state);
        match fate {
            Fate::Fine => {}
            Fate::RequestLost => self.tally.count("requests lost"),
            Fate::AnswerLost => self.tally.count("answers lost"),
            Fate::Twice(_) => self.tally.count("repeated"),
        }
        tracing::trace!(?call, number, ?fate, "a message");
        Some(Way { held_up: Duration::from_millis(held_up), fate })
    }

    /// After how many pieces a blob breaks off.
    pub(super) fn breaks_after(&self) -> Option<usize> {
        let mut state = self.state();
        let broken = state.chances.broken;
        let hit = state.dice.hits(broken);
        let pieces = hit.then(|| usize::try_from(state.dice.between(0, 4)).unwrap_or(0));
        drop(state);
        if hit {
            self.tally.count("broken streams");
        }
        pieces
    }

    /// Whoever waits for this answer.
    pub(super) fn ambush(&self, call: Call) -> Option<Ambush> {
        let mut state = self.state();
        if state.ambush.as_ref().is_some_and(|ambush| ambush.call == call) {
            state.ambush.take()
        } else {
            None
        }
    }

    /// Waits for the next answer of a kind.
    pub fn lie_in_wait(&self, call: Call) -> Ambush {
        let ambush = Ambush { call, reached: Arc::default(), done: Arc::default() };
        self.state().ambush = Some(ambush.clone());
        ambush
    }

    /// Lets something happen to the agent now.
    pub(super) fn strike(&self, blow: Blow) {
        self.tally.count(&format!("{blow:?}"));
        self.blows.send(blow).ok();
    }

    /// Whether the machine's network is cut.
    pub fn is_cut(&self) -> bool {
        self.state().is_cut
    }

    /// Whether something is still to happen to the machine.
    pub fn is_planned(&self) -> bool {
        !self.state().planned.is_empty()
    }

    /// Lets messages through again.
    pub fn repair(&self) {
        self.state().is_cut = false;
    }

    /// From now on nothing goes wrong with messages any more.
    pub fn calm(&self) {
        let mut state = self.state();
        state.chances = Chances::NONE;
        state.planned.clear();
        state.is_cut = false;
    }
}
