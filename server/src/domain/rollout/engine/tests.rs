//! The engine against a plain model: a world of clients, agents, people, a clock and a database that loses nothing.

mod properties;
mod stories;

use super::*;
use crate::{
    clock::SECOND,
    domain::{
        job::JobState,
        rollout::{Hours, JobSeen, follow, order_of, split},
    },
};

const HOUR: i64 = 3600 * SECOND;
/// A Saturday, 26 hours before the clocks change in Berlin.
const BEGIN: i64 = 1_774_659_600 * SECOND;

/// A job of the model's queue, with the rules of the real one.
#[derive(Clone, Debug)]
struct Job {
    state: JobState,
    not_before: i64,
    expires_at: Option<i64>,
    begun: bool,
}

#[derive(Clone, Debug)]
struct Client {
    wave: usize,
    state: RolloutClientState,
    online: bool,
    expires_at: Option<i64>,
    jobs: Vec<Job>,
    /// How often somebody asked for it: the first time, and each time that they tried again.
    asked: usize,
    /// How often its agent brought the work to an end, well or not.
    done: usize,
}

/// What people, agents and time do.
#[derive(Clone, Debug)]
enum Event {
    /// The server looks; it is killed after so many steps.
    Round {
        steps: usize,
    },
    /// An agent takes what is queued for it.
    Claim(usize),
    /// Agents take it, all of them.
    ClaimAll,
    /// A running job ends.
    End(usize, bool),
    /// All running jobs end, one of so many badly.
    EndAll {
        one_bad_of: usize,
    },
    /// An agent is lost while it works: the queue puts the job back.
    Lost(usize),
    Offline(usize),
    Online(usize),
    /// Somebody cancels a client's job, or holds it, or lets it go.
    CancelJob(usize),
    HoldJob(usize),
    AcceptJob(usize),
    Start,
    Pause,
    Resume,
    Halt,
    Cancel,
    Retry,
    Latecomer,
    /// The clock goes on, or jumps.
    Minutes(i64),
}

struct World {
    spec: RolloutSpec,
    hours: Hours,
    now: i64,
    state: RolloutState,
    why: Option<Why>,
    waves: Vec<WaveProgress>,
    clients: Vec<Client>,
    ends_at: Option<i64>,
}

impl World {
    fn new(spec: RolloutSpec, count: usize, ends_at: Option<i64>) -> Self {
        let sizes: Vec<_> = spec.waves.iter().map(|wave| wave.size).collect();
        let parts = split(i64::try_from(count).unwrap(), &sizes);
        let mut order: Vec<_> = (0..count).collect();
        order.sort_by_key(|client| order_of(7, i64::try_from(*client).unwrap()));
        let mut clients = vec![None; count];
        let mut rest = order.into_iter();
        for (wave, part) in parts.iter().enumerate() {
            for client in rest.by_ref().take(usize::try_from(*part).unwrap()) {
                clients[client] = Some(Client {
                    wave,
                    state: RolloutClientState::Waiting,
                    online: client % 5 != 0,
                    expires_at: None,
                    jobs: Vec::new(),
                    asked: 1,
                    done: 0,
                });
            }
        }
        Self {
            hours: spec.windows.read().unwrap(),
            now: BEGIN,
            state: RolloutState::Planned,
            why: None,
            waves: vec![WaveProgress::default(); parts.len()],
            clients: clients.into_iter().map(Option::unwrap).collect(),
            spec,
            ends_at,
        }
    }

    fn progress(&self) -> Progress {
        let mut waves = self.waves.clone();
        for wave in &mut waves {
            wave.counts = Counts::default();
        }
        for client in &self.clients {
            waves[client.wave].counts.add(client.state, 1);
        }
        Progress { state: self.state, waves, ends_at: self.ends_at }
    }

    fn is_open(&self) -> bool {
        matches!(self.hours.at(self.now), Window::Open { .. })
    }

    /// What the runner does once: look at the jobs, then decide and act, each step a transaction.
    fn round(&mut self, steps: usize) {
        // The queue's own reaper.
        for client in &mut self.clients {
            for job in &mut client.jobs {
                if matches!(job.state, JobState::Held | JobState::Queued)
                    && job.expires_at.is_some_and(|at| at <= self.now)
                {
                    job.state = JobState::Expired;
                }
            }
        }
        let mut steps = 0..steps;
        for at in 0..self.clients.len() {
            let (now, cancelled) = (self.now, self.state == RolloutState::Cancelled);
            let client = &mut self.clients[at];
            if client.state.is_in_flight() {
                if steps.next().is_none() {
                    return;
                }
                let job = client.jobs.last().unwrap();
                client.state = follow(&[JobSeen { state: job.state, reason: String::new() }]).state;
                if client.state == RolloutClientState::Waiting && cancelled {
                    client.state = RolloutClientState::Cancelled;
                }
                if client.state == RolloutClientState::Queued && !client.online {
                    client.jobs.last_mut().unwrap().state = JobState::Cancelled;
                    client.state =
                        if cancelled { RolloutClientState::Cancelled } else { RolloutClientState::Waiting };
                }
            }
            let started = self.waves[client.wave].started_at.is_some();
            let over = client.expires_at.is_some_and(|at| at <= now);
            if self.state == RolloutState::Running
                && client.state == RolloutClientState::Waiting
                && started
                && over
                && !client.online
            {
                client.state = RolloutClientState::OfflineExpired;
            }
        }
        for _ in steps {
            let window = self.hours.at(self.now);
            let Some(action) = decide(&self.spec, &self.progress(), window, self.now) else { return };
            if !self.act(action) {
                return;
            }
        }
    }

    /// Carries an action out; tells whether anything changed.
    #[expect(clippy::too_many_lines, reason = "one arm for each action")]
    fn act(&mut self, action: Action) -> bool {
        let before = self.clients.iter().map(|client| client.state).collect::<Vec<_>>();
        match action {
            Action::Begin { wave } => {
                assert!(
                    wave == 0 || self.waves[wave - 1].settled_at.is_some(),
                    "a wave begins after the one before it"
                );
                assert!(self.waves[wave].started_at.is_none() && self.is_open());
                self.waves[wave].started_at = Some(self.now);
                for client in self.clients.iter_mut().filter(|client| client.wave == wave) {
                    client.expires_at = Some(self.now + self.spec.expire_after_s * SECOND);
                }
                return true;
            }
            Action::Settle { wave } => {
                self.waves[wave].settled_at = Some(self.now);
                return true;
            }
            Action::Order { up_to, at_most, until } => {
                assert_eq!(self.state, RolloutState::Running);
                assert!(self.is_open(), "nothing is ordered while the window is closed");
                let mut left = at_most;
                for wave in 0..=up_to {
                    assert!(
                        self.waves[wave].started_at.is_some(),
                        "nothing is ordered before its wave begins"
                    );
                    for client in self.clients.iter_mut().filter(|client| client.wave == wave) {
                        if left > 0 && client.online && client.state == RolloutClientState::Waiting {
                            assert!(
                                client.jobs.iter().all(|job| !matches!(
                                    job.state,
                                    JobState::Held | JobState::Queued | JobState::Running
                                )),
                                "a client with an open job gets another one"
                            );
                            left -= 1;
                            client.state = RolloutClientState::Queued;
                            let (not_before, expires_at) = (self.now, until);
                            client.jobs.push(Job {
                                state: JobState::Queued,
                                not_before,
                                expires_at,
                                begun: false,
                            });
                        }
                    }
                }
            }
            Action::TakeBack => {
                let cancelled = self.state == RolloutState::Cancelled;
                for client in &mut self.clients {
                    let over = self.ends_at.is_some_and(|end| end <= self.now);
                    let held = client.state == RolloutClientState::Held && (cancelled || over);
                    let job = client.jobs.last_mut();
                    if let Some(job) = job
                        && (client.state == RolloutClientState::Queued || held)
                        && matches!(job.state, JobState::Held | JobState::Queued)
                    {
                        job.state = JobState::Cancelled;
                        client.state = if cancelled {
                            RolloutClientState::Cancelled
                        } else {
                            RolloutClientState::Waiting
                        };
                    }
                }
            }
            Action::LeaveOut => {
                for client in &mut self.clients {
                    if client.state == RolloutClientState::Waiting {
                        client.state = RolloutClientState::Skipped;
                    }
                }
            }
            Action::Pause(why) => (self.state, self.why) = (RolloutState::Paused, Some(why)),
            Action::Halt(why) => (self.state, self.why) = (RolloutState::Halted, Some(why)),
            Action::Finish => {
                self.state = RolloutState::Finished;
                assert!(
                    self.clients.iter().all(|client| client.state.is_final()),
                    "it finishes with somebody open"
                );
            }
        }
        self.state != RolloutState::Running
            || before != self.clients.iter().map(|client| client.state).collect::<Vec<_>>()
    }

    fn resume(&mut self) {
        if !matches!(self.state, RolloutState::Paused | RolloutState::Halted) {
            return;
        }
        let counts: Vec<_> = self.progress().waves.iter().map(|wave| wave.counts).collect();
        for (place, wave) in self.waves.iter_mut().enumerate() {
            wave.forgiven = counts[place].failed;
        }
        match self.why.take() {
            Some(Why::PausePoint { wave }) => self.waves[wave - 1].released = true,
            Some(Why::NobodySucceeded { wave, .. } | Why::NotEnoughSucceeded { wave: Some(wave), .. }) => {
                self.waves[wave - 1].waved_through = true;
            }
            Some(Why::NotEnoughSucceeded { wave: None, .. }) => {
                self.waves.last_mut().unwrap().waved_through = true;
            }
            _ => {}
        }
        self.state = RolloutState::Running;
    }

    fn job(&mut self, client: usize) -> Option<&mut Job> {
        let count = self.clients.len();
        self.clients.get_mut(client % count.max(1)).and_then(|client| client.jobs.last_mut())
    }

    fn claim(&mut self, client: usize) {
        let (now, open) = (self.now, self.is_open());
        let Some(client) = self.clients.get_mut(client) else { return };
        let Some(job) = client.jobs.last_mut() else { return };
        let due = job.not_before <= now && job.expires_at.is_none_or(|at| at > now);
        if client.online && job.state == JobState::Queued && due {
            // A retry of the queue's own after a loss may begin again as long as the same window is open.
            assert!(open, "an agent begins while the window is closed");
            (job.state, job.begun) = (JobState::Running, true);
        }
    }

    fn end(&mut self, client: usize, well: bool) {
        let Some(client) = self.clients.get_mut(client) else { return };
        if let Some(job) = client.jobs.last_mut().filter(|job| job.state == JobState::Running) {
            job.state = if well { JobState::Succeeded } else { JobState::Failed };
            client.done += 1;
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each event")]
    fn happen(&mut self, event: &Event) {
        let count = self.clients.len().max(1);
        match event {
            Event::Round { steps } => self.round(*steps),
            Event::Claim(client) => self.claim(client % count),
            Event::ClaimAll => (0..self.clients.len()).for_each(|client| self.claim(client)),
            Event::End(client, well) => self.end(client % count, *well),
            Event::EndAll { one_bad_of } => {
                (0..self.clients.len())
                    .for_each(|client| self.end(client, client % one_bad_of != one_bad_of - 1));
            }
            Event::Lost(client) => {
                if let Some(job) = self.job(*client).filter(|job| job.state == JobState::Running) {
                    job.state = JobState::Queued;
                }
            }
            Event::Offline(client) | Event::Online(client) => {
                let online = matches!(event, Event::Online(_));
                if let Some(client) = self.clients.get_mut(client % count) {
                    client.online = online;
                }
            }
            Event::CancelJob(client) | Event::HoldJob(client) | Event::AcceptJob(client) => {
                let (from, to) = match event {
                    Event::HoldJob(_) => (JobState::Queued, JobState::Held),
                    Event::AcceptJob(_) => (JobState::Held, JobState::Queued),
                    _ => (JobState::Queued, JobState::Cancelled),
                };
                if let Some(job) = self.job(*client).filter(|job| job.state == from) {
                    job.state = to;
                }
            }
            Event::Start => {
                if self.state == RolloutState::Planned {
                    self.state = RolloutState::Running;
                }
            }
            Event::Pause | Event::Halt => {
                if self.state == RolloutState::Running {
                    let to = if matches!(event, Event::Pause) {
                        RolloutState::Paused
                    } else {
                        RolloutState::Halted
                    };
                    self.state = to;
                    self.why = Some(Why::Person { actor: "ann".to_owned(), reason: String::new() });
                }
            }
            Event::Resume => self.resume(),
            Event::Cancel => {
                if !self.state.is_final() {
                    self.state = RolloutState::Cancelled;
                    for client in
                        self.clients.iter_mut().filter(|client| client.state == RolloutClientState::Waiting)
                    {
                        client.state = RolloutClientState::Cancelled;
                    }
                }
            }
            Event::Retry => {
                if matches!(self.state, RolloutState::Halted | RolloutState::Paused | RolloutState::Finished)
                {
                    let again = [RolloutClientState::Failed, RolloutClientState::OfflineExpired];
                    let mut any = false;
                    for client in self.clients.iter_mut().filter(|client| again.contains(&client.state)) {
                        client.state = RolloutClientState::Waiting;
                        client.expires_at = Some(self.now + self.spec.expire_after_s * SECOND);
                        client.asked += 1;
                        any = true;
                    }
                    if any {
                        for wave in &mut self.waves {
                            wave.forgiven = 0;
                        }
                        self.state = RolloutState::Running;
                        self.why = None;
                    }
                }
            }
            Event::Latecomer => {
                if self.state == RolloutState::Running {
                    let wave = self.waves.len() - 1;
                    self.clients.push(Client {
                        wave,
                        state: RolloutClientState::Waiting,
                        online: true,
                        expires_at: self.waves[wave]
                            .started_at
                            .map(|at| at + self.spec.expire_after_s * SECOND),
                        jobs: Vec::new(),
                        asked: 1,
                        done: 0,
                    });
                }
            }
            Event::Minutes(minutes) => self.now += minutes * 60 * SECOND,
        }
    }

    /// What holds at every moment.
    fn check(&self, before: &[(usize, RolloutClientState)], ran: bool) {
        let flying = self.clients.iter().filter(|client| {
            client
                .jobs
                .iter()
                .any(|job| matches!(job.state, JobState::Held | JobState::Queued | JobState::Running))
        });
        assert!(i64::try_from(flying.count()).unwrap() <= self.spec.at_once, "more at once than allowed");
        for (place, client) in self.clients.iter().enumerate() {
            assert!(
                client.done <= client.asked,
                "client {place} had the work more often than somebody asked for"
            );
            let open = client
                .jobs
                .iter()
                .filter(|job| matches!(job.state, JobState::Held | JobState::Queued | JobState::Running));
            assert!(open.count() <= 1);
            if let Some((jobs, state)) = before.get(place) {
                assert!(
                    ran || client.jobs.len() == *jobs,
                    "client {place} is given work while the rollout does not run"
                );
                assert!(
                    !(state.is_final() && client.jobs.len() > *jobs),
                    "client {place} is given work after its end"
                );
            }
            if client.state.is_in_flight() {
                assert!(!client.jobs.is_empty());
            }
        }
    }

    /// Everything goes well from now on, and somebody looks after it.
    fn end_well(&mut self) {
        for client in &mut self.clients {
            client.online = true;
        }
        for _ in 0..4000 {
            if self.state.is_final() && self.clients.iter().all(|client| client.state.is_final()) {
                return;
            }
            self.happen(&Event::Start);
            self.happen(&Event::Resume);
            for client in 0..self.clients.len() {
                self.happen(&Event::AcceptJob(client));
            }
            self.happen(&Event::Round { steps: 10_000 });
            self.happen(&Event::ClaimAll);
            self.happen(&Event::EndAll { one_bad_of: usize::MAX });
            self.happen(&Event::Round { steps: 10_000 });
            self.happen(&Event::Minutes(17));
        }
        let open: Vec<_> = self.clients.iter().filter(|client| !client.state.is_final()).collect();
        panic!("it does not end: {:?} {:?} {:?} {open:?}", self.state, self.why, self.waves);
    }
}
