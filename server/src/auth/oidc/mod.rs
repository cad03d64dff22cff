//! The door to a login service: `OpenID` Connect by authorization code, with PKCE (RFC 7636), `state` and `nonce`.
//!
//! Invariant: who somebody is comes from a token that a key of the service signed, for Lotse and for the very question that this browser
//! was sent away with; `sub` and issuer are the identity, never a name or a mail address. Every request goes over HTTPS with a checked
//! certificate, follows no redirection, and ends within the time limit; no answer is read further than [`LARGEST`].

mod metadata;
mod person;
mod settings;
mod token;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::jwk::Jwk;
use reqwest::{Certificate, RequestBuilder, Url, header, redirect::Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use self::{
    metadata::Metadata,
    token::{Expected, Fault},
};
pub use self::{
    person::Person,
    settings::{Settings, SettingsError},
};
pub use super::mapping::Mapping;
use crate::{clock::SECOND, identity::token::random_bytes};

/// No answer of a login service is larger.
const LARGEST: usize = 1 << 20;
/// What the service says about itself is read again after so long: soon enough to notice before a login that it is away.
const FRESH: i64 = 60 * SECOND;
/// Keys are looked for again at most so often, whoever shows tokens of unknown ones.
const KEYS_REST: i64 = 30 * SECOND;
/// One that gave no answer is not asked again by the next login for so long.
const REST: i64 = 5 * SECOND;
const EXCHANGE: &str = "exchanging a code";

/// Why nobody was recognised.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be reached, or it does not show the right certificate.
    #[error("{attempt} at the login service")]
    Unreachable {
        /// What was attempted.
        attempt: &'static str,
        /// Why not.
        #[source]
        source: reqwest::Error,
    },
    /// It gave no answer just now.
    #[error("the login service gave no answer a moment ago")]
    Resting,
    /// It answers, but not what it should.
    #[error("{attempt} at the login service: {reason}")]
    Answer {
        /// What was attempted.
        attempt: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The secret cannot be read.
    #[error("reading the secret for the login service")]
    Secret(#[source] std::io::Error),
    /// The code or the token is not believed.
    #[error("the answer of the login service is not believed: {0}")]
    Untrusted(String),
}

/// What a browser is sent away with, and must bring back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Comes back in the address.
    pub state: String,
    nonce: String,
    /// The secret half of PKCE.
    verifier: String,
}

impl Question {
    /// A new one, which nobody can guess.
    pub fn new() -> Self {
        let secret = || BASE64.encode(random_bytes::<32>());
        Self { state: secret(), nonce: secret(), verifier: secret() }
    }

    /// `S256` (RFC 7636, 4.2).
    fn challenge(&self) -> String {
        BASE64.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, self.verifier.as_bytes()))
    }
}

impl Default for Question {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug)]
struct Known {
    metadata: Metadata,
    keys: Vec<Jwk>,
    read_at: i64,
    keys_read_at: i64,
}

/// A login service.
pub struct LoginService {
    settings: Settings,
    client: reqwest::Client,
    known: tokio::sync::Mutex<Option<Known>>,
    /// Where it ends its own session; known once it was asked.
    end: Mutex<Option<Url>>,
    /// When it last gave no answer, microseconds since the Unix epoch.
    failed_at: Mutex<Option<i64>>,
}

impl LoginService {
    /// Sets up the client; nothing is sent yet.
    ///
    /// # Errors
    /// The CA file cannot be read.
    pub fn open(settings: Settings) -> Result<Self, SettingsError> {
        let mut client = reqwest::Client::builder()
            .https_only(true)
            .redirect(Policy::none())
            .timeout(Duration::from_secs(settings.timeout.into()))
            .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &settings.ca_file {
            let failed = |reason: String| SettingsError::Ca { path: path.clone(), reason };
            let pem = fs_err::read(path).map_err(|error| failed(error.to_string()))?;
            let certificates =
                Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
            if certificates.is_empty() {
                return Err(failed("there is no certificate in it".to_owned()));
            }
            client = client.tls_certs_only(certificates);
        }
        let client = client.build().map_err(SettingsError::Client)?;
        Ok(Self {
            settings,
            client,
            known: tokio::sync::Mutex::default(),
            end: Mutex::default(),
            failed_at: Mutex::default(),
        })
    }

    /// How people know it.
    pub fn title(&self) -> &str {
        &self.settings.title
    }

    /// For how long a login counts, in microseconds.
    pub fn valid_for(&self) -> i64 {
        i64::from(self.settings.valid_for) * SECOND
    }

    /// Whether it gave no answer when it was last asked.
    pub fn is_down(&self) -> bool {
        self.failed_at.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Where somebody ends their session there, with the way back here; nothing when it offers none.
    pub fn end_address(&self, back: &str) -> Option<String> {
        let mut url = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", back);
        Some(url.into())
    }

    /// Where a browser is sent with a question; the answer comes to `redirect`.
    ///
    /// # Errors
    /// The service gives no answer.
    pub async fn address(&self, question: &Question, redirect: &str, now: i64) -> Result<String, Error> {
        let mut url = self.known(now).await?.metadata.authorization_endpoint.0;
        let scopes: BTreeSet<_> =
            self.settings.scopes.iter().map(String::as_str).filter(|scope| *scope != "openid").collect();
        let scopes: Vec<_> = ["openid"].into_iter().chain(scopes).collect();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", &scopes.join(" "))
            .append_pair("state", &question.state)
            .append_pair("nonce", &question.nonce)
            .append_pair("code_challenge", &question.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Whether an answer was sent by this service, as far as its address says (RFC 9207).
    ///
    /// # Errors
    /// The service gives no answer.
    pub async fn has_answered(&self, issuer: Option<&str>, now: i64) -> Result<bool, Error> {
        Ok(match issuer {
            Some(issuer) => issuer == self.settings.issuer,
            None => !self.known(now).await?.metadata.authorization_response_iss_parameter_supported,
        })
    }

    /// Who somebody is who came back with a code.
    ///
    /// # Errors
    /// The service gives no answer, or what it says cannot be believed.
    pub async fn person(
        &self,
        question: &Question,
        code: &str,
        redirect: &str,
        now: i64,
    ) -> Result<Person, Error> {
        let known = self.known(now).await?;
        let tokens = self.exchange(&known.metadata, question, code, redirect).await;
        if let Err(Error::Unreachable { .. }) = &tokens {
            *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        }
        let tokens = tokens?;
        let expected = Expected {
            issuer: &self.settings.issuer,
            client: &self.settings.client_id,
            nonce: &question.nonce,
        };
        let untrusted = |fault: Fault| Error::Untrusted(fault.to_string());
        let mut claims = match token::verify(&tokens.id_token, &known.keys, &expected, now) {
            // It may have new keys since.
            Err(Fault::UnknownKey) => {
                let keys = self.new_keys(now).await?;
                token::verify(&tokens.id_token, &keys, &expected, now).map_err(untrusted)?
            }
            other => other.map_err(untrusted)?,
        };
        let lacks = |claims: &Map<String, Value>| {
            let settings = &self.settings;
            [&settings.name_claim, &settings.groups_claim]
                .into_iter()
                .any(|name| person::claim(claims, name).is_none())
        };
        if lacks(&claims)
            && let (Some(url), Some(access)) = (known.metadata.userinfo_endpoint, tokens.access_token)
        {
            let attempt = "asking for more about a person";
            let more: Map<String, Value> =
                self.json(self.client.get(url.0).bearer_auth(access), attempt).await?;
            // It may be an answer about somebody else (Core 1.0, 5.3.2).
            if more.get("sub") != claims.get("sub") {
                return Err(Error::Untrusted("it tells more about somebody else".to_owned()));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(person::read(&self.settings, &claims))
    }

    /// Looks whether the service answers.
    ///
    /// # Errors
    /// It does not.
    pub async fn look(&self) -> Result<(), Error> {
        self.metadata().await.map(drop)
    }

    async fn exchange(
        &self,
        metadata: &Metadata,
        question: &Question,
        code: &str,
        redirect: &str,
    ) -> Result<Tokens, Error> {
        let secret = match &self.settings.client_secret_file {
            Some(file) => Some(fs_err::tokio::read_to_string(file).await.map_err(Error::Secret)?),
            None => None,
        };
        let request = self.exchange_request(metadata, question, code, redirect, secret.as_deref());
        self.json(request, EXCHANGE).await
    }

    fn exchange_request(
        &self,
        metadata: &Metadata,
        question: &Question,
        code: &str,
        redirect: &str,
        secret: Option<&str>,
    ) -> RequestBuilder {
        let client = self.settings.client_id.as_str();
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect)
            .append_pair("code_verifier", &question.verifier);
        let mut request = self.client.post(metadata.token_endpoint.0.clone());
        match secret.map(|secret| secret.trim_end_matches(['\r', '\n'])) {
            Some(secret) => {
                let methods = &metadata.token_endpoint_auth_methods_supported;
                let knows = |method: &str| methods.iter().any(|known| known == method);
                if knows("client_secret_post") && !knows("client_secret_basic") {
                    form.append_pair("client_id", client).append_pair("client_secret", secret);
                } else {
                    // Both are encoded as in a form first (RFC 6749, 2.3.1); a blank so that it is read by those who take `+` for itself.
                    let encoded = |text: &str| {
                        form_urlencoded::byte_serialize(text.as_bytes())
                            .collect::<String>()
                            .replace('+', "%20")
                    };
                    request = request.basic_auth(encoded(client), Some(encoded(secret)));
                }
            }
            None => {
                form.append_pair("client_id", client);
            }
        }
        request
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .body(form.finish())
    }

    /// What the service says about itself, with its keys. Logins that come while it is asked wait for one answer.
    async fn known(&self, now: i64) -> Result<Known, Error> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref().filter(|known| now - known.read_at < FRESH) {
            return Ok(known.clone());
        }
        let failed_at = *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if failed_at.is_some_and(|at| (0..REST).contains(&(now - at))) {
            return Err(Error::Resting);
        }
        let read = async {
            let metadata = self.metadata().await?;
            let keys = self.keys(&metadata).await?;
            Ok(Known { metadata, keys, read_at: now, keys_read_at: now })
        };
        let read = self.noted(read.await, now)?;
        let end = read.metadata.end_session_endpoint.clone().map(|address| address.0);
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
        Ok(known.insert(read).clone())
    }

    fn noted<T>(&self, answer: Result<T, Error>, now: i64) -> Result<T, Error> {
        *self.failed_at.lock().unwrap_or_else(PoisonError::into_inner) = answer.is_err().then_some(now);
        answer
    }

    async fn metadata(&self) -> Result<Metadata, Error> {
        let attempt = "reading what it says about itself";
        let url = format!("{}/.well-known/openid-configuration", self.settings.issuer.trim_end_matches('/'));
        let metadata: Metadata = self.json(self.client.get(url), attempt).await?;
        if metadata.issuer != self.settings.issuer {
            let reason = format!("it calls itself {}, and not {}", metadata.issuer, self.settings.issuer);
            return Err(Error::Answer { attempt, reason });
        }
        Ok(metadata)
    }

    async fn keys(&self, metadata: &Metadata) -> Result<Vec<Jwk>, Error> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = self.json(self.client.get(metadata.jwks_uri.0.clone()), "reading its keys").await?;
        // Keys of a kind that nobody knows here are left out (RFC 7517, 5).
        Ok(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    /// The keys as they are now, unless they were read a moment ago.
    async fn new_keys(&self, now: i64) -> Result<Vec<Jwk>, Error> {
        let mut known = self.known.lock().await;
        let Some(known) = known.as_mut() else { return Ok(Vec::new()) };
        if now - known.keys_read_at >= KEYS_REST {
            known.keys = self.keys(&known.metadata).await?;
            known.keys_read_at = now;
        }
        Ok(known.keys.clone())
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        request: RequestBuilder,
        attempt: &'static str,
    ) -> Result<T, Error> {
        let unreachable =
            |source: reqwest::Error| Error::Unreachable { attempt, source: source.without_url() };
        let mut answer = request.send().await.map_err(unreachable)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(Error::Answer { attempt, reason: "its answer is too large".to_owned() });
            }
            body.extend_from_slice(&chunk);
        }
        let status = answer.status();
        if status.is_client_error() && attempt == EXCHANGE {
            // A code that was used, made up, or given to another browser (RFC 6749, 5.2).
            return Err(Error::Untrusted(format!("it answered {status} with `{}`", word(&body))));
        }
        if !status.is_success() {
            return Err(Error::Answer {
                attempt,
                reason: format!("it answered {status} with `{}`", word(&body)),
            });
        }
        serde_json::from_slice(&body).map_err(|error| Error::Answer { attempt, reason: error.to_string() })
    }
}

/// The `error` of an answer (RFC 6749, 5.2), which is a word and no secret.
fn word(body: &[u8]) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let word = answer.as_ref().and_then(|answer| answer.get("error")?.as_str()).unwrap_or("no error");
    word.chars().filter(|letter| !letter.is_control()).take(60).collect()
}

#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_the_one_of_the_rfc() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned();
        let question = Question { state: String::new(), nonce: String::new(), verifier };
        assert_eq!(question.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert_ne!(Question::new(), Question::new());
    }
}
