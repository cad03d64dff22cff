//! Screens of machines: tickets for them, whoever waits for one, and how many are seen. In memory, since all of it ends with the connections.
//!
//! Invariant: an agent meets only whom a ticket has let wait for a machine of its own host, and each of them once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::{Notify, mpsc, oneshot};
use wire::{ClientId, console::WantedConsole};

use crate::{
    domain::console::{NoTicket, Ticket, Tickets},
    identity::token::{self, Token},
};

/// Consoles at once.
const MOST: usize = 200;
/// Consoles at once of one session or token.
const MOST_OF_ONE: usize = 10;

/// The agent's side of a screen.
pub struct Shown {
    /// What the screen says.
    pub screen: BoxStream<'static, std::io::Result<Bytes>>,
    /// Takes what the person does.
    pub input: mpsc::Sender<Bytes>,
}

/// What an agent answers: a screen, or why there is none.
pub type Answer = Result<Shown, String>;

/// Somebody waits for an answer from a host.
struct Waiting {
    host: ClientId,
    /// Its agent has not heard of it yet.
    unheard: Option<WantedConsole>,
    answer: oneshot::Sender<Answer>,
}

#[derive(Default)]
struct State {
    tickets: Tickets,
    waiting: HashMap<u64, Waiting>,
    links: u64,
    /// How many each holder of tickets sees.
    seen: HashMap<String, usize>,
}

/// All of it.
#[derive(Default)]
pub struct Consoles {
    state: Arc<Mutex<State>>,
    wanted: Notify,
}

/// Nobody waits for it, or not from this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotWanted;

/// There are as many consoles as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A place among those who see a screen; free again when it is dropped.
pub struct Seat {
    state: Arc<Mutex<State>>,
    holder: String,
}

/// Somebody who waits; nobody any more when it is dropped.
pub struct Wait {
    state: Arc<Mutex<State>>,
    link: u64,
    answer: oneshot::Receiver<Answer>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    // Each change is whole by itself.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Consoles {
    /// Gives a ticket out; its secret is shown once.
    pub fn issue(&self, ticket: Ticket, now: i64) -> Token {
        let secret = Token::new();
        locked(&self.state).tickets.issue(secret.hash(), ticket, now);
        secret
    }

    /// Takes a ticket.
    ///
    /// # Errors
    /// It does not let this holder see this client now.
    pub fn take(&self, secret: &str, holder: &str, client: ClientId, now: i64) -> Result<Ticket, NoTicket> {
        locked(&self.state).tickets.take(&token::hash(secret), holder, client, now)
    }

    /// A place for a holder of tickets.
    ///
    /// # Errors
    /// There are too many consoles, or too many of this holder.
    pub fn seat(&self, holder: &str) -> Result<Seat, Full> {
        let mut state = locked(&self.state);
        let all: usize = state.seen.values().sum();
        let own = state.seen.entry(holder.to_owned()).or_default();
        if all >= MOST || *own >= MOST_OF_ONE {
            return Err(Full);
        }
        *own += 1;
        Ok(Seat { state: Arc::clone(&self.state), holder: holder.to_owned() })
    }

    /// Begins to wait for the screen of a machine.
    pub fn want(&self, host: ClientId, machine: &str) -> Wait {
        let (sender, answer) = oneshot::channel();
        let mut state = locked(&self.state);
        state.links += 1;
        let link = state.links;
        let wanted = WantedConsole { link: link.to_string(), machine: machine.to_owned() };
        state.waiting.insert(link, Waiting { host, unheard: Some(wanted), answer: sender });
        drop(state);
        self.wanted.notify_waiters();
        Wait { state: Arc::clone(&self.state), link, answer }
    }

    /// What is wanted of a host and its agent has not heard; waits until there is something.
    pub async fn wanted(&self, host: ClientId) -> Vec<WantedConsole> {
        loop {
            // Registered before looking, so that what comes in between is noticed.
            let came = self.wanted.notified();
            tokio::pin!(came);
            came.as_mut().enable();
            let unheard = |waiting: &mut Waiting| {
                if waiting.host == host { waiting.unheard.take() } else { None }
            };
            let found: Vec<_> = locked(&self.state).waiting.values_mut().filter_map(unheard).collect();
            if !found.is_empty() {
                return found;
            }
            came.await;
        }
    }

    /// Brings an agent's answer to whoever waits for it.
    ///
    /// # Errors
    /// Nobody waits for it from this host.
    pub fn answer(&self, host: ClientId, link: &str, answer: Answer) -> Result<(), NotWanted> {
        let link: u64 = link.parse().map_err(|_| NotWanted)?;
        let mut state = locked(&self.state);
        if state.waiting.get(&link).is_none_or(|waiting| waiting.host != host) {
            return Err(NotWanted);
        }
        let waiting = state.waiting.remove(&link).ok_or(NotWanted)?;
        waiting.answer.send(answer).map_err(|_| NotWanted)
    }
}

impl Wait {
    /// The agent's answer; none when there will not be any.
    pub async fn answer(mut self) -> Option<Answer> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        locked(&self.state).waiting.remove(&self.link);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        if let Some(own) = state.seen.get_mut(&self.holder) {
            *own -= 1;
            if *own == 0 {
                state.seen.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    fn shown() -> Shown {
        Shown { screen: stream::empty().boxed(), input: mpsc::channel(1).0 }
    }

    #[tokio::test]
    async fn only_the_agent_of_the_host_hears_of_it_and_answers_once() {
        let consoles = Consoles::default();
        let wait = consoles.want(ClientId(1), "desk");
        assert!(consoles.wanted(ClientId(2)).now_or_never().is_none());
        let wanted = consoles.wanted(ClientId(1)).await;
        assert_eq!(wanted[0].machine, "desk");
        assert!(consoles.wanted(ClientId(1)).now_or_never().is_none(), "it is told once");
        let link = &wanted[0].link;
        assert_eq!(consoles.answer(ClientId(2), link, Ok(shown())), Err(NotWanted));
        assert_eq!(consoles.answer(ClientId(1), "x", Ok(shown())), Err(NotWanted));
        assert_eq!(consoles.answer(ClientId(1), link, Err("off".to_owned())), Ok(()));
        assert_eq!(consoles.answer(ClientId(1), link, Ok(shown())), Err(NotWanted));
        assert_eq!(wait.answer().await.unwrap().err().unwrap(), "off");
    }

    #[tokio::test]
    async fn an_agent_that_waits_hears_at_once_and_nothing_of_whoever_has_gone() {
        let consoles = Arc::new(Consoles::default());
        let agent = Arc::clone(&consoles);
        let hears = tokio::spawn(async move { agent.wanted(ClientId(1)).await });
        tokio::task::yield_now().await;
        drop(consoles.want(ClientId(1), "gone"));
        let _wait = consoles.want(ClientId(1), "desk");
        assert_eq!(hears.await.unwrap().len(), 1);
    }

    #[test]
    fn nobody_sees_more_than_so_many() {
        let consoles = Consoles::default();
        let mut seats: Vec<_> = (0..MOST_OF_ONE).map(|_| consoles.seat("ann").unwrap()).collect();
        assert!(consoles.seat("ann").is_err() && consoles.seat("bob").is_ok());
        seats.pop();
        assert!(consoles.seat("ann").is_ok());
    }
}
