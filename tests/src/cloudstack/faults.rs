//! What goes wrong, and when.

use std::{collections::HashMap, time::Duration};

/// A fault of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and the error has this code.
    Before(u16),
    /// It is done, and the answer is an error with this code.
    After(u16),
    /// Nothing is done, and the connection ends.
    Silent,
    /// It is done, and the connection ends before the answer.
    Lost,
    /// It is done, and no answer ever comes.
    Hangs,
    /// It is done, and the answer is none.
    Garbage,
    /// Nothing is done: a proxy shows its page.
    Page,
    /// It takes so long.
    Slow(Duration),
    /// It is begun well; the job ends with this code.
    JobFails(u16),
}

/// Faults at random, the same for the same seed and order of calls.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    /// Where the numbers begin.
    pub seed: u64,
    /// Of a thousand calls so many go wrong.
    pub per_mille: u64,
}

impl Random {
    /// The next number (splitmix64).
    fn draw(&mut self) -> u64 {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fault(&mut self) -> Option<Fault> {
        if self.draw() % 1000 >= self.per_mille {
            return None;
        }
        Some(match self.draw() % 12 {
            0 => Fault::Before(530),
            1 => Fault::Before(533),
            2 => Fault::Before(429),
            3 => Fault::Before(401),
            4 => Fault::After(530),
            5 => Fault::Silent,
            6 | 7 => Fault::Lost,
            8 => Fault::Garbage,
            9 => Fault::Page,
            10 => Fault::JobFails(530),
            _ => Fault::JobFails(533),
        })
    }
}

/// What is to go wrong.
#[derive(Default)]
pub(super) struct Faults {
    next: Vec<(String, Fault)>,
    always: Option<Fault>,
    random: Option<Random>,
    calls: HashMap<String, usize>,
}

impl Faults {
    pub(super) fn next(&mut self, command: &str, fault: Fault) {
        self.next.push((command.to_owned(), fault));
    }

    pub(super) fn always(&mut self, fault: Option<Fault>) {
        self.always = fault;
    }

    pub(super) fn random(&mut self, random: Option<Random>) {
        self.random = random;
    }

    pub(super) fn calls(&self, command: &str) -> usize {
        self.calls.get(command).copied().unwrap_or(0)
    }

    /// What goes wrong with this call.
    pub(super) fn meet(&mut self, command: &str) -> Option<Fault> {
        *self.calls.entry(command.to_owned()).or_default() += 1;
        if let Some(at) = self.next.iter().position(|(known, _)| known == command) {
            return Some(self.next.remove(at).1);
        }
        self.always.clone().or_else(|| self.random.as_mut().and_then(Random::fault))
    }
}
