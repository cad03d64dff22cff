//! Tickets for consoles: each lets one session see the screen of one machine, once and soon. Pure.

use std::collections::HashMap;

use wire::{ClientId, Sha256};

/// A ticket is valid this long, in microseconds.
pub const TICKET_FOR: i64 = 60_000_000;
/// Tickets that wait to be used; of more the oldest are forgotten.
const MOST: usize = 10_000;

/// For whom and what a ticket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The session or token that asked for it.
    pub holder: String,
    /// The client whose screen is meant.
    pub client: ClientId,
    /// The host of its machine.
    pub host: ClientId,
    /// The machine's name there.
    pub machine: String,
    /// Not valid from this time on.
    pub until: i64,
}

/// Why a ticket lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTicket {
    /// There is none like this, or it was used.
    #[error("the ticket is unknown or was used already")]
    Unknown,
    /// It came too late.
    #[error("the ticket has expired")]
    Expired,
    /// Somebody else has asked for it.
    #[error("the ticket is for somebody else")]
    NotYours,
    /// It is for another client.
    #[error("the ticket is for another client")]
    OtherClient,
}

/// Tickets that were given out, by the hash of their secret.
#[derive(Debug, Default)]
pub struct Tickets(HashMap<Sha256, Ticket>);

impl Tickets {
    /// Gives one out.
    pub fn issue(&mut self, hash: Sha256, ticket: Ticket, now: i64) {
        self.0.retain(|_, known| known.until > now);
        if self.0.len() >= MOST
            && let Some(oldest) =
                self.0.iter().min_by_key(|(_, known)| known.until).map(|(hash, _)| hash.clone())
        {
            self.0.remove(&oldest);
        }
        self.0.insert(hash, ticket);
    }

    /// Takes one. Whatever comes of it, nobody can use it again.
    ///
    /// # Errors
    /// It does not let this holder see this client now.
    pub fn take(
        &mut self,
        hash: &Sha256,
        holder: &str,
        client: ClientId,
        now: i64,
    ) -> Result<Ticket, NoTicket> {
        let ticket = self.0.remove(hash).ok_or(NoTicket::Unknown)?;
        if ticket.until <= now {
            return Err(NoTicket::Expired);
        }
        if ticket.holder != holder {
            return Err(NoTicket::NotYours);
        }
        if ticket.client != client {
            return Err(NoTicket::OtherClient);
        }
        Ok(ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(number: u8) -> Sha256 {
        Sha256::from_bytes([number; 32])
    }

    fn tickets() -> Tickets {
        let mut tickets = Tickets::default();
        let (client, host) = (ClientId(1), ClientId(2));
        let ticket =
            Ticket { holder: "ann".to_owned(), client, host, machine: "m".to_owned(), until: TICKET_FOR };
        tickets.issue(hash(1), ticket, 0);
        tickets
    }

    #[test]
    fn a_ticket_lets_its_holder_in_once() {
        let mut tickets = tickets();
        assert_eq!(tickets.take(&hash(1), "ann", ClientId(1), 1).unwrap().machine, "m");
        assert_eq!(tickets.take(&hash(1), "ann", ClientId(1), 1), Err(NoTicket::Unknown));
    }

    #[test]
    fn a_ticket_of_somebody_else_for_something_else_or_from_long_ago_lets_nobody_in_and_is_gone() {
        for (holder, client, now, why) in [
            ("bob", 1, 1, NoTicket::NotYours),
            ("ann", 3, 1, NoTicket::OtherClient),
            ("ann", 1, TICKET_FOR, NoTicket::Expired),
        ] {
            let mut tickets = tickets();
            assert_eq!(tickets.take(&hash(1), holder, ClientId(client), now), Err(why));
            assert_eq!(tickets.take(&hash(1), "ann", ClientId(1), 1), Err(NoTicket::Unknown));
        }
        assert_eq!(tickets().take(&hash(2), "ann", ClientId(1), 1), Err(NoTicket::Unknown));
    }

    #[test]
    fn tickets_that_nobody_uses_are_forgotten() {
        let mut tickets = tickets();
        let ticket = tickets.0[&hash(1)].clone();
        tickets.issue(hash(2), Ticket { until: 2 * TICKET_FOR, ..ticket }, TICKET_FOR);
        assert_eq!(tickets.0.len(), 1);
    }
}
