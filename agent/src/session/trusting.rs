//! From the CA fingerprint to a trusted CA and a right clock.

use std::time::Duration;

use crate::{
    backoff::{self, Backoff},
    identity::Credentials,
    report::chain,
    server, trust,
};

use super::{Error, Life};

/// A wrong CA does not become right by asking often.
const WRONG_CA_PAUSE: Duration = Duration::from_mins(1);

impl Life<'_> {
    /// The CA, once it is trusted; the clock is set on the way. `None`: told to stop.
    ///
    /// An agent that has an identity knows its CA already: it asks only for the time, and not twice.
    pub(super) async fn trust(&self, known: Option<&Credentials>) -> Result<Option<String>, Error> {
        let addresses = &self.session.config.addresses;
        let mut backoff = Backoff::default();
        loop {
            let nonce = nonce()?;
            let asking = self.session.connect.trust(&addresses.boot, &nonce);
            let answer = tokio::select! {
                answer = asking => answer,
                () = self.stop.cancelled() => return Ok(None),
            };
            let pause = match answer {
                Ok(trust) => match trust::verify(&trust, &nonce, &addresses.ca) {
                    Ok(()) => {
                        self.correct_clock(trust.server_at);
                        return Ok(Some(trust.ca_pem));
                    }
                    Err(error) => {
                        tracing::error!(boot_url = addresses.boot, %error, "the server is not trusted");
                        self.say_once(format!("{}: {error}", addresses.boot));
                        WRONG_CA_PAUSE
                    }
                },
                Err(error) => {
                    if let Some(credentials) = known
                        && error.is_transient()
                    {
                        tracing::info!(
                            error = chain(&error),
                            "the time was not checked; going on with the known CA"
                        );
                        return Ok(Some(credentials.identity.ca_pem.clone()));
                    }
                    self.say_unreachable(&addresses.boot, &error);
                    backoff.fail(backoff::random())
                }
            };
            if !self.pause(pause).await {
                return Ok(None);
            }
        }
    }

    fn correct_clock(&self, server_at: i64) {
        let host = self.session.host.as_ref();
        let Some(at) = trust::clock_correction(host.now(), server_at) else { return };
        match host.set_clock(at) {
            Ok(()) => {
                tracing::warn!("the clock was wrong and has been set to the server's time");
                self.say("the clock was wrong and has been set to the server's time");
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the clock is wrong and cannot be set"
                );
                self.say("the clock is wrong and cannot be set; the server's certificate may look invalid");
            }
        }
    }

    pub(super) fn say_unreachable(&self, url: &str, error: &server::Error) {
        tracing::debug!(url, error = chain(error), "the server does not answer; trying again");
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        self.say_once(format!("waiting for the server at {url}: {cause}"));
    }
}

fn nonce() -> Result<String, Error> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(hex::encode(bytes))
}
