//! How a machine without an identity gets one: with its token at once, without one as soon as somebody adopts it.

use std::time::Duration;

use wire::{
    Mac,
    enrol::{EnrolRequest, EnrolResponse, RenewRequest},
    facts::Facts,
};

use crate::{
    backoff::{self, Backoff},
    facts,
    identity::{Credentials, NewKey},
    metadata,
    report::chain,
    server::{self, Server},
};

use super::{Error, Life};

const ASK_AGAIN_S: std::ops::RangeInclusive<u32> = 1..=300;

/// What to do when the server refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnRefusal {
    /// Say so, and go on without the token: the machine waits to be adopted.
    Announce,
    /// End with the server's reason: a person stands by and can get a new token.
    GiveUp,
}

impl Life<'_> {
    /// Asks until there is an identity; stores it. `None`: told to stop.
    ///
    /// All requests carry the same key, also after a restart, so a server whose answer was lost can answer the repetition.
    pub(super) async fn enrol(
        &self,
        ca_pem: &str,
        on_refusal: OnRefusal,
    ) -> Result<Option<Credentials>, Error> {
        let session = self.session;
        let config = &session.config;
        let server = session.connect.connect(&config.addresses, ca_pem, None)?;
        let key = NewKey::for_enrolment(session.host.as_ref(), &config.state_dir)?;
        let fingerprint = grouped(key.fingerprint().as_str());
        self.say(&format!("this machine's key: {fingerprint}"));
        let mut token = config.token.clone();
        let mut looked = metadata::looked(session.host.as_ref());
        let mut backoff = Backoff::default();
        loop {
            let facts = facts::gather(session.host.as_ref(), config.realm).await;
            let request = EnrolRequest {
                token: token.clone(),
                csr_pem: key.csr_pem.clone(),
                mac: config.boot_mac.or_else(|| first_interface(&facts)).ok_or(Error::NoInterface)?,
                boot_id: self.boot_id.clone(),
                realm: config.realm,
                agent_version: env!("CARGO_PKG_VERSION").to_owned(),
                facts,
                looked: looked.clone(),
            };
            let answer = tokio::select! {
                answer = server.enrol(&request) => answer,
                () = self.stop.cancelled() => return Ok(None),
            };
            if answer.is_ok() {
                looked.clear();
            }
            let pause = match answer {
                Ok(EnrolResponse::Enrolled(identity)) => {
                    self.say(&format!("enrolled as {} (client {})", identity.name, identity.client));
                    let credentials = key.into_credentials(*identity, config.realm, session.host.now());
                    credentials.store(session.host.as_ref(), &config.state_dir)?;
                    return Ok(Some(credentials));
                }
                Ok(EnrolResponse::Waiting { ask_again_s, message, .. }) => {
                    backoff.succeed();
                    self.say_once(format!("{message} This machine's key: {fingerprint}"));
                    Duration::from_secs(ask_again_s.clamp(*ASK_AGAIN_S.start(), *ASK_AGAIN_S.end()).into())
                }
                Ok(EnrolResponse::Unknown) => {
                    self.say("the server is newer than this agent and gave an answer it does not know");
                    Duration::from_mins(1)
                }
                Err(error) if error.is_transient() => {
                    self.say_unreachable(&config.addresses.server, &error);
                    backoff.fail(backoff::random())
                }
                Err(error) if on_refusal == OnRefusal::GiveUp => return Err(Error::Refused(chain(&error))),
                Err(error) => {
                    tracing::error!(error = chain(&error), "the server refused the enrolment");
                    self.say(&format!("the server refused the enrolment: {}", chain(&error)));
                    if token.take().is_some() {
                        self.say("going on without the token: an admin has to adopt this machine");
                    }
                    // A refusal does not go away within seconds.
                    Duration::from_secs(10) + backoff.fail(backoff::random())
                }
            };
            if !self.pause(pause).await {
                return Ok(None);
            }
        }
    }

    /// Exchanges the identity for one with a fresh key, and stores it.
    pub(super) async fn renew(
        &self,
        server: &dyn Server,
    ) -> Result<Result<Credentials, server::Error>, Error> {
        let session = self.session;
        let key = NewKey::generate()?;
        let request = RenewRequest {
            csr_pem: key.csr_pem.clone(),
            boot_id: self.boot_id.clone(),
            realm: session.config.realm,
        };
        match server.renew(&request).await {
            Err(error) => Ok(Err(error)),
            Ok(identity) => {
                let credentials = key.into_credentials(identity, session.config.realm, session.host.now());
                credentials.store(session.host.as_ref(), &session.config.state_dir)?;
                tracing::info!(client.id = credentials.identity.client.0, "the identity is renewed");
                Ok(Ok(credentials))
            }
        }
    }
}

/// The interface by which a machine is known when nobody says which one it booted from.
fn first_interface(facts: &Facts) -> Option<Mac> {
    let booted = facts.nics.iter().find(|nic| nic.booted);
    let linked = facts.nics.iter().find(|nic| nic.carrier);
    booted.or(linked).or(facts.nics.first()).map(|nic| nic.mac)
}

/// In groups of four, as people compare them.
fn grouped(fingerprint: &str) -> String {
    let signs: Vec<char> = fingerprint.chars().collect();
    signs.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_fingerprint_is_shown_in_groups_of_four() {
        assert_eq!(super::grouped("aabbccddee"), "aabb ccdd ee");
    }
}
