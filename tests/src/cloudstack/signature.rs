//! Who asks: parameters, and the signature over them as the management server checks it.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use server::clock::{SECOND, micros};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The parameters of a request, as they came.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// From a query or a form (application/x-www-form-urlencoded).
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(name, value)| (decoded(name), decoded(value)))
                .collect(),
        )
    }

    /// A parameter, whose name is looked for in small and large letters alike; empty when it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// A parameter that must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, (u16, String)> {
        match self.get(name) {
            "" => Err((431, format!("Unable to execute API command due to missing parameter {name}"))),
            value => Ok(value),
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<i64, (u16, String)> {
        self.need(name)?.parse().map_err(|_| (431, format!("Unable to parse {name} as a number")))
    }
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut found = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok()))
            .flatten();
        match (bytes[at], escaped) {
            (_, Some(byte)) => {
                found.push(byte);
                at += 3;
                continue;
            }
            (b'+', None) => found.push(b' '),
            (byte, None) => found.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&found).into_owned()
}

/// `java.net.URLEncoder` in UTF-8, with `%20` where that writes `+`.
fn java(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte as char),
            other => out.extend(['%', digit(other >> 4), digit(other & 15)]),
        }
    }
    out
}

fn digit(value: u8) -> char {
    char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase()
}

/// Checks key, time and signature.
///
/// # Errors
/// The words with which the server refuses.
pub(super) fn verify(params: &Params, (key, secret): (&str, &str), now: i64) -> Result<(), String> {
    let refused = || Err("unable to verify user credentials and/or request signature".to_owned());
    if params.get("apiKey") != key {
        return refused();
    }
    if params.get("signatureVersion") == "3" {
        let text = params.get("expires");
        // `+0000` is how clients write what RFC 3339 writes as `Z`.
        let text = text.strip_suffix("+0000").map_or_else(|| text.to_owned(), |start| format!("{start}Z"));
        let Ok(expires) = OffsetDateTime::parse(&text, &Rfc3339) else { return refused() };
        let left = micros(expires) - now;
        if !(0..=15 * 60 * SECOND).contains(&left) {
            return refused();
        }
    }
    let mut named: Vec<&(String, String)> =
        params.0.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("signature")).collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text = String::new();
    for (name, value) in named {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        text.push_str(&java(value));
    }
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    let Ok(shown) = STANDARD.decode(params.get("signature")) else { return refused() };
    if hmac::verify(&key, text.to_lowercase().as_bytes(), &shown).is_err() { refused() } else { Ok(()) }
}
