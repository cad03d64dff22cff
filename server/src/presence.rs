//! Who is connected and who has work waiting, in memory: a poll that has nothing to do never touches the database.
//!
//! Invariant: work that is queued is noticed. Whoever queues a job calls [`Presence::work_waits_for`]; a reconciler asks the database
//! every few seconds as well, so a missed call, another node or a time that came delays work but never loses it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use wire::{ClientId, enrol::Realm};

/// An agent counts as connected for this long after its last word, in microseconds.
pub const ONLINE_FOR: i64 = 150 * crate::clock::SECOND;

/// What is known of one agent.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its boot.
    pub boot_id: String,
    /// Where it runs.
    pub realm: Realm,
    /// Its version.
    pub agent_version: String,
    /// When it was last heard.
    pub at: i64,
}

#[derive(Default)]
struct Entry {
    seen: Option<Seen>,
    written_at: i64,
    work: bool,
    wake: Arc<Notify>,
}

/// Presence of all clients.
#[derive(Default)]
pub struct Presence {
    clients: Mutex<HashMap<ClientId, Entry>>,
    events: Notify,
}

impl Presence {
    fn clients(&self) -> MutexGuard<'_, HashMap<ClientId, Entry>> {
        // The map is only ever changed by single assignments, so it is whole even after a panic elsewhere.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an agent was heard; tells whether its boot or realm is another than before.
    pub fn heard(&self, client: ClientId, seen: Seen) -> bool {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        let changed = entry
            .seen
            .as_ref()
            .is_none_or(|before| before.boot_id != seen.boot_id || before.realm != seen.realm);
        entry.seen = Some(seen);
        if changed {
            entry.work = true;
        }
        changed
    }

    /// What is known of a client's agent.
    pub fn seen(&self, client: ClientId) -> Option<Seen> {
        self.clients().get(&client).and_then(|entry| entry.seen.clone())
    }

    /// Notes that a client may have work, and wakes its poll.
    pub fn work_waits_for(&self, client: ClientId) {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        entry.work = true;
        entry.wake.notify_waiters();
    }

    /// Takes the note that a client may have work.
    pub fn take_work(&self, client: ClientId) -> bool {
        std::mem::take(&mut self.clients().entry(client).or_default().work)
    }

    /// Wakes the client's poll when work arrives. Ask for it before looking for work, so that no wake-up is lost.
    pub fn wake(&self, client: ClientId) -> Arc<Notify> {
        Arc::clone(&self.clients().entry(client).or_default().wake)
    }

    /// Forgets a client.
    pub fn forget(&self, client: ClientId) {
        self.clients().remove(&client);
    }

    /// What was heard since the last call, to be written to the database in one go.
    pub fn take_unwritten(&self) -> Vec<(ClientId, Seen)> {
        let mut unwritten = Vec::new();
        for (client, entry) in self.clients().iter_mut() {
            if let Some(seen) = entry.seen.as_ref().filter(|seen| seen.at > entry.written_at) {
                entry.written_at = seen.at;
                unwritten.push((*client, seen.clone()));
            }
        }
        unwritten
    }

    /// Fires whenever something was added to the event stream or to an attempt.
    pub fn events(&self) -> &Notify {
        &self.events
    }

    /// Says that something was added to the event stream or to an attempt.
    pub fn events_came(&self) {
        self.events.notify_waiters();
    }
}
