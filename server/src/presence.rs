//! Who is connected and who has work waiting, in memory: a poll that has nothing to do never touches the database.
//!
//! Invariant: work that is queued is noticed. Whoever queues a job calls [`Presence::work_waits_for`]; a reconciler asks the database
//! every few seconds as well, so a missed call, another node or a time that came delays work but never loses it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wire::{AttemptId, ClientId, enrol::Realm};

pub use crate::domain::client_status::ONLINE_FOR;

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
    may_hold_work: bool,
    /// Grows whenever an attempt is begun.
    begun: u64,
    /// Polls since the server started.
    polls: u64,
    wake: Arc<Notify>,
}

#[derive(Clone, Copy)]
struct Certificate {
    client: ClientId,
    until: i64,
}

/// Presence of all clients.
#[derive(Default)]
pub struct Presence {
    clients: Mutex<HashMap<ClientId, Entry>>,
    certificates: Mutex<HashMap<String, Certificate>>,
    events: Arc<Notify>,
    outputs: Mutex<HashMap<AttemptId, Arc<Notify>>>,
    batches: Notify,
    indices: Notify,
    rollouts: Notify,
    desktops: Notify,
    closing: CancellationToken,
}

impl Presence {
    fn clients(&self) -> MutexGuard<'_, HashMap<ClientId, Entry>> {
        // The map is only ever changed by single assignments, so it is whole even after a panic elsewhere.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an agent was heard; tells whether its boot, realm or version is another than before.
    pub fn heard(&self, client: ClientId, seen: Seen) -> bool {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        let changed = entry.seen.as_ref().is_none_or(|before| {
            before.boot_id != seen.boot_id
                || before.realm != seen.realm
                || before.agent_version != seen.agent_version
        });
        entry.seen = Some(seen);
        if changed {
            (entry.work, entry.may_hold_work) = (true, true);
        }
        changed
    }

    /// Notes that an agent was heard while it works.
    pub fn still_there(&self, client: ClientId, now: i64) {
        if let Some(seen) = self.clients().entry(client).or_default().seen.as_mut() {
            seen.at = now;
        }
    }

    /// The database may have a running attempt of the client.
    pub fn may_hold_work(&self, client: ClientId) -> bool {
        self.clients().get(&client).is_none_or(|entry| entry.may_hold_work)
    }

    /// Notes that an attempt of the client is begun: right before and right after that is committed.
    pub fn begins_work(&self, client: ClientId) {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        entry.may_hold_work = true;
        entry.begun += 1;
    }

    /// A number that grows whenever an attempt of the client is begun: ask before looking whether one runs.
    pub fn begun(&self, client: ClientId) -> u64 {
        self.clients().entry(client).or_default().begun
    }

    /// Notes that no attempt of the client runs, by somebody who had [`Presence::begun`] before he looked; a newer one counts more.
    pub fn holds_no_work(&self, client: ClientId, begun: u64) {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        if entry.begun == begun {
            entry.may_hold_work = false;
        }
    }

    /// Notes that a poll of the client has begun, and wakes the older ones, which nobody may listen to any more. Gives its number.
    pub fn begins_poll(&self, client: ClientId) -> u64 {
        let mut clients = self.clients();
        let entry = clients.entry(client).or_default();
        entry.polls += 1;
        entry.wake.notify_waiters();
        entry.polls
    }

    /// Whether no newer poll of the client has begun.
    pub fn is_newest_poll(&self, client: ClientId, number: u64) -> bool {
        self.clients().get(&client).is_none_or(|entry| entry.polls == number)
    }

    fn certificates(&self) -> MutexGuard<'_, HashMap<String, Certificate>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client of a certificate that was looked up a moment ago.
    pub fn certificate(&self, serial: &str, now: i64) -> Option<ClientId> {
        self.certificates().get(serial).filter(|known| known.until > now).map(|known| known.client)
    }

    /// Keeps for a moment whose a certificate is.
    pub fn keep_certificate(&self, serial: &str, client: ClientId, until: i64) {
        self.certificates().insert(serial.to_owned(), Certificate { client, until });
    }

    /// A client's certificates were revoked or replaced: look each up again.
    pub fn forget_certificates(&self, client: ClientId) {
        self.certificates().retain(|_, known| known.client != client);
    }

    /// What is known of a client's agent.
    pub fn seen(&self, client: ClientId) -> Option<Seen> {
        self.clients().get(&client).and_then(|entry| entry.seen.clone())
    }

    /// How many agents were heard a moment ago.
    pub fn connected(&self, now: i64) -> i64 {
        let clients = self.clients();
        let heard = clients.values().filter_map(|entry| entry.seen.as_ref());
        i64::try_from(heard.filter(|seen| now - seen.at < ONLINE_FOR).count()).unwrap_or(i64::MAX)
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
            if let Some(seen) = entry.seen.as_ref().filter(|seen| seen.at != entry.written_at) {
                entry.written_at = seen.at;
                unwritten.push((*client, seen.clone()));
            }
        }
        // Whoever changes several clients changes them in the order of their numbers, so that two never wait for each other.
        unwritten.sort_by_key(|(client, _)| *client);
        unwritten
    }

    /// Fires whenever something was added to the event stream.
    pub fn events(&self) -> Arc<Notify> {
        Arc::clone(&self.events)
    }

    /// Says that something was added to the event stream.
    pub fn events_came(&self) {
        self.events.notify_waiters();
    }

    /// Fires when an order for many clients was given.
    pub fn batches(&self) -> &Notify {
        &self.batches
    }

    /// Wakes whoever reads what archives offer: somebody searches where nobody has before.
    pub fn indices(&self) -> &Notify {
        &self.indices
    }

    /// Says that an order for many clients was given.
    pub fn batch_came(&self) {
        self.batches.notify_one();
    }

    /// Fires when somebody changed a rollout.
    pub fn rollouts(&self) -> &Notify {
        &self.rollouts
    }

    /// Says that somebody changed a rollout.
    pub fn rollout_came(&self) {
        self.rollouts.notify_one();
    }

    /// Fires when there is something to do for a desktop.
    pub fn desktops(&self) -> &Notify {
        &self.desktops
    }

    /// Says that there is something to do for a desktop.
    pub fn desktop_came(&self) {
        self.desktops.notify_one();
    }

    fn outputs(&self) -> MutexGuard<'_, HashMap<AttemptId, Arc<Notify>>> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fires whenever the attempt has reported something, for as long as it is kept.
    pub fn output(&self, attempt: AttemptId) -> Arc<Notify> {
        let mut outputs = self.outputs();
        outputs.retain(|_, notify| Arc::strong_count(notify) > 1);
        Arc::clone(outputs.entry(attempt).or_default())
    }

    /// Says that the attempt has reported something.
    pub fn output_came(&self, attempt: AttemptId) {
        if let Some(notify) = self.outputs().get(&attempt) {
            notify.notify_waiters();
        }
    }

    /// Says that the server stops: whatever waits here ends.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Fires when the server stops.
    pub fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}
