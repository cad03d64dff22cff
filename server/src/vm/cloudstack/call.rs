//! One call of the API: signed, sent as a form, its answer taken out of its envelope.
//!
//! Invariant: everything is in the body of a POST, so neither keys nor signatures stand in an address that somebody logs; errors carry
//! neither the request nor the address with its query.

use std::fmt;

use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use super::{
    faults::{self, Effect, class},
    sign,
};
use crate::{
    clock::{Clock, SECOND, rfc3339},
    domain::desktop::FaultClass,
    vm::Error,
};

/// A signature counts for so long; the server takes at most 15 minutes.
const VALID_FOR: i64 = 600 * SECOND;
/// No answer is larger.
const LARGEST: usize = 32 << 20;

/// The keys of an account.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Keys {
    /// Who asks.
    pub api_key: String,
    /// What proves it.
    pub secret_key: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// Sends calls of one account.
pub(super) struct Caller {
    pub(super) http: Client,
    pub(super) endpoint: String,
    pub(super) keys: Keys,
    pub(super) clock: Clock,
}

impl Caller {
    /// Sends a command, and gives what its answer holds. `attempt` says for people what is attempted.
    pub(super) async fn call(
        &self,
        effect: Effect,
        attempt: &str,
        command: &str,
        params: Vec<(&str, String)>,
    ) -> Result<Value, Error> {
        let mut form: Vec<(String, String)> =
            params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let expires = rfc3339(self.clock.now() + VALID_FOR).replace('Z', "+0000");
        for (name, value) in [
            ("command", command),
            ("apiKey", &self.keys.api_key),
            ("response", "json"),
            ("signatureVersion", "3"),
            ("expires", &expires),
        ] {
            form.push((name.to_owned(), value.to_owned()));
        }
        let signature = sign::signature(&self.keys.secret_key, &form);
        form.push(("signature".to_owned(), signature));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let request = self
            .http
            .post(&self.endpoint)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await.map_err(|error| unsent(error, effect, attempt))?;
        let status = answer.status();
        let wait = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let text = read(answer).await.map_err(|reason| Error::new(effect.unknown(), attempt, reason))?;
        opened(status, wait, &text, effect, attempt)
    }
}

/// Why there is no answer. What never left has not happened.
fn unsent(error: reqwest::Error, effect: Effect, attempt: &str) -> Error {
    let class =
        if error.is_connect() || error.is_builder() { FaultClass::Transient } else { effect.unknown() };
    let reason = format!("{:#}", anyhow::Error::from(error.without_url()));
    Error::new(class, attempt, format!("the provider gave no answer: {reason}"))
}

async fn read(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST => bytes.extend_from_slice(&chunk),
            Ok(Some(_)) => return Err("the answer is larger than any that makes sense".to_owned()),
            Ok(None) => return Ok(bytes),
            Err(error) => {
                let error = anyhow::Error::from(error.without_url());
                return Err(format!("the answer broke off: {error:#}"));
            }
        }
    }
}

/// Takes an answer out of its envelope: `{"<command>response": {…}}`, or `errorresponse` of old servers.
fn opened(
    status: StatusCode,
    wait: Option<i64>,
    body: &[u8],
    effect: Effect,
    attempt: &str,
) -> Result<Value, Error> {
    let code = i64::from(status.as_u16());
    let inside = match serde_json::from_slice::<Value>(body) {
        Ok(Value::Object(object)) => {
            let mut object = object.into_iter();
            object.find(|(name, _)| name.to_lowercase().ends_with("response")).map(|(_, inside)| inside)
        }
        _ => None,
    };
    let Some(inside) = inside else {
        // Something between us and the management server has answered, or it is not one.
        let class = match class(code, "", effect) {
            _ if status.is_success() => effect.unknown(),
            FaultClass::Caller | FaultClass::Gone => FaultClass::Caller,
            class => class,
        };
        let mut error =
            Error::new(class, attempt, format!("the answer ({status}) is none of CloudStack's API"));
        error.again_after_s = wait;
        return Err(error);
    };
    let told = number(&inside, "errorcode");
    if told.is_none() && status.is_success() {
        return Ok(inside);
    }
    let text = text(&inside, "errortext");
    let mut error = failed(told.unwrap_or(code), &text, effect, attempt);
    error.again_after_s =
        wait.or_else(|| faults::pause(&text)).filter(|_| error.class == FaultClass::Transient);
    Err(error)
}

/// An error as the API tells it.
pub(super) fn failed(code: i64, text: &str, effect: Effect, attempt: &str) -> Error {
    let said = if text.is_empty() { "without a reason" } else { text };
    Error::new(class(code, text, effect), attempt, format!("{said} ({code})"))
}

/// A text in an answer; numbers, as old servers have them, are texts as well.
pub(super) fn text(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// A text that is there and not empty.
pub(super) fn known(value: &Value, name: &str) -> Option<String> {
    Some(text(value, name)).filter(|text| !text.is_empty())
}

/// A number in an answer; old servers write some as texts.
pub(super) fn number(value: &Value, name: &str) -> Option<i64> {
    match &value[name] {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether something is so; old servers write that as text.
pub(super) fn yes(value: &Value, name: &str) -> Option<bool> {
    match &value[name] {
        Value::Bool(so) => Some(*so),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str, effect: Effect) -> Result<Value, Error> {
        opened(StatusCode::from_u16(status).unwrap(), None, body.as_bytes(), effect, "trying")
    }

    #[test]
    fn an_envelope_is_opened_whatever_its_name() {
        for body in [
            r#"{"listzonesresponse":{"zone":[{"id":1}]}}"#,
            r#"{ "restorevmresponse" : {"zone":[{"id":"1"}],"unknown":{}} }"#,
        ] {
            let inside = answer(200, body, Effect::Looks).unwrap();
            assert_eq!(text(&inside["zone"][0], "id"), "1");
        }
        assert_eq!(answer(200, r#"{"listisosresponse":{}}"#, Effect::Looks).unwrap(), serde_json::json!({}));
    }

    #[test]
    fn what_is_no_answer_leaves_a_question_only_when_something_was_to_change() {
        for (status, body) in [(200, "<html>busy</html>"), (200, "[]"), (502, "Bad Gateway"), (200, "{\"a\"")]
        {
            assert_eq!(
                answer(status, body, Effect::Changes).unwrap_err().class,
                FaultClass::Ambiguous,
                "{body}"
            );
            assert_eq!(
                answer(status, body, Effect::Looks).unwrap_err().class,
                FaultClass::Transient,
                "{body}"
            );
        }
        // A proxy that turns us away has not passed anything on.
        assert_eq!(answer(401, "<html>", Effect::Changes).unwrap_err().class, FaultClass::Authentication);
        assert_eq!(answer(404, "<html>", Effect::Looks).unwrap_err().class, FaultClass::Transient);
    }

    #[test]
    fn keys_are_not_shown() {
        let keys = Keys { api_key: "open".to_owned(), secret_key: "hidden".to_owned() };
        assert_eq!(format!("{keys:?}"), "Keys(…)");
    }

    #[test]
    fn an_error_says_its_class_its_words_and_its_pause() {
        let body = r#"{"deployvirtualmachineresponse":{"uuidList":[],"errorcode":533,"cserrorcode":4350,"errortext":"full"}}"#;
        let error = answer(533, body, Effect::Changes).unwrap_err();
        assert_eq!((error.class, error.to_string().as_str()), (FaultClass::Capacity, "trying: full (533)"));
        let body = r#"{"errorresponse":{"errorcode":429,"errortext":"please retry after 9000 ms."}}"#;
        let error = answer(429, body, Effect::Changes).unwrap_err();
        assert_eq!((error.class, error.again_after_s), (FaultClass::Transient, Some(10)));
    }
}
