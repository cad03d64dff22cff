//! ID tokens (`OpenID` Connect Core 1.0, 3.1.3.7): who signed one, for whom, and whether it answers the question that was asked.
//!
//! Invariant: only public-key algorithms count, and only the algorithm of the key: neither `none`, nor a public key used as a password.
//! Pure: time and keys are arguments.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    jwk::{Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};

use crate::clock::SECOND;

/// Clocks may be apart this far.
const SKEW: i64 = 60 * SECOND;
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// None of the known keys made it; there may be new ones.
    #[error("no known key has signed it")]
    UnknownKey,
    /// Something in it is wrong.
    #[error("{0}")]
    Wrong(String),
}

fn wrong(why: impl Into<String>) -> Fault {
    Fault::Wrong(why.into())
}

/// What a token must say.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    /// For whom it must be.
    pub(super) client: &'a str,
    /// Of the very question that it answers.
    pub(super) nonce: &'a str,
}

/// The claims of a token that is believed.
pub(super) fn verify(
    token: &str,
    keys: &[Jwk],
    expected: &Expected<'_>,
    now: i64,
) -> Result<Map<String, Value>, Fault> {
    let header = decode_header(token).map_err(|error| wrong(format!("its header: {error}")))?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(wrong(format!("{:?} is no algorithm that counts", header.alg)));
    }
    let mut validation = Validation::new(header.alg);
    // What it says is checked below, by our own clock.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    for jwk in keys.iter().filter(|jwk| may_sign(jwk, header.kid.as_deref(), header.alg)) {
        let Ok(key) = DecodingKey::from_jwk(jwk) else { continue };
        if let Ok(found) = decode::<Map<String, Value>>(token, &key, &validation) {
            return claims(found.claims, expected, now);
        }
    }
    Err(Fault::UnknownKey)
}

fn may_sign(jwk: &Jwk, kid: Option<&str>, algorithm: Algorithm) -> bool {
    let named = kid.is_none_or(|kid| jwk.common.key_id.as_deref() == Some(kid));
    let used = jwk.common.public_key_use.as_ref().is_none_or(|made_for| *made_for == PublicKeyUse::Signature);
    let fits = jwk.common.key_algorithm.is_none_or(|only| only == KeyAlgorithm::from(algorithm));
    named && used && fits
}

fn claims(
    claims: Map<String, Value>,
    expected: &Expected<'_>,
    now: i64,
) -> Result<Map<String, Value>, Fault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let time = |name: &str| seconds(claims.get(name)?).map(|at| at.saturating_mul(SECOND));
    if text("iss") != Some(expected.issuer) {
        return Err(wrong("another issuer made it"));
    }
    let audience: Vec<_> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audience.contains(&expected.client) {
        return Err(wrong("it is for somebody else"));
    }
    let party = claims.get("azp");
    if (party.is_some() || audience.len() > 1) && party.and_then(Value::as_str) != Some(expected.client) {
        return Err(wrong("it was given to somebody else"));
    }
    if text("nonce") != Some(expected.nonce) {
        return Err(wrong("it answers another question"));
    }
    if time("exp").is_none_or(|at| at.saturating_add(SKEW) <= now) {
        return Err(wrong("it has expired; compare the clocks of both servers"));
    }
    if time("iat").is_none_or(|at| at > now + SKEW) || time("nbf").is_some_and(|at| at > now + SKEW) {
        return Err(wrong("it was made in the future; compare the clocks of both servers"));
    }
    // At most 255 letters (Core 1.0, 2).
    if text("sub").is_none_or(|sub| sub.is_empty() || sub.len() > 255) {
        return Err(wrong("it names nobody"));
    }
    Ok(claims)
}

/// Seconds since the Unix epoch; some write them with a fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a second does not matter, and what is out of range saturates"
)]
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|at| at as i64))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::{
        rand::SystemRandom,
        signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
    };
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    use serde_json::json;

    use super::*;

    const NOW: i64 = 1_800_000_000;
    const EXPECTED: Expected<'static> =
        Expected { issuer: "https://login.example", client: "lotse", nonce: "n" };

    struct Signer(EcdsaKeyPair);

    impl Signer {
        fn new() -> Self {
            Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
        }

        /// The public half as a JWK (RFC 7518, 6.2).
        fn jwk(&self, kid: &str) -> Jwk {
            let point = self.0.public_key().as_ref();
            let (x, y) = (BASE64.encode(&point[1..33]), BASE64.encode(&point[33..]));
            serde_json::from_value(
                json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": x, "y": y }),
            )
            .unwrap()
        }

        fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| BASE64.encode(value.to_string());
            let text = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
            format!("{text}.{}", BASE64.encode(signature.as_ref()))
        }
    }

    fn right() -> Value {
        json!({ "iss": "https://login.example", "aud": "lotse", "sub": "7", "nonce": "n", "iat": NOW, "exp": NOW + 300 })
    }

    fn header() -> Value {
        json!({ "alg": "ES256", "kid": "a" })
    }

    fn changed(name: &str, value: Value) -> Value {
        let mut claims = right();
        claims[name] = value;
        claims
    }

    fn read(signer: &Signer, claims: &Value) -> Result<Map<String, Value>, Fault> {
        verify(&signer.token(&header(), claims), &[signer.jwk("a")], &EXPECTED, NOW * SECOND)
    }

    #[test]
    fn a_right_token_says_who_it_is() {
        let signer = Signer::new();
        assert_eq!(read(&signer, &right()).unwrap()["sub"], "7");
        assert!(read(&signer, &changed("aud", json!(["lotse"]))).is_ok());
        let mut two = changed("aud", json!(["lotse", "other"]));
        assert!(read(&signer, &two).is_err());
        two["azp"] = json!("lotse");
        assert!(read(&signer, &two).is_ok());
    }

    #[test]
    fn clocks_may_be_a_minute_apart_and_not_more() {
        let signer = Signer::new();
        assert!(read(&signer, &changed("exp", json!(NOW - 59))).is_ok());
        assert!(read(&signer, &changed("exp", json!(NOW - 60))).is_err());
        assert!(read(&signer, &changed("iat", json!(NOW + 60))).is_ok());
        assert!(read(&signer, &changed("iat", json!(NOW + 61))).is_err());
        assert!(read(&signer, &changed("nbf", json!(NOW + 61))).is_err());
    }

    #[test]
    fn every_claim_that_is_wrong_or_missing_is_refused() {
        let signer = Signer::new();
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(["https://login.example"])),
            ("iss", json!("https://login.example/")),
            ("aud", json!("another")),
            ("aud", json!([])),
            ("azp", json!("another")),
            ("nonce", json!("m")),
            ("sub", json!("")),
            ("sub", json!(7)),
            ("exp", json!("tomorrow")),
        ] {
            assert!(
                matches!(read(&signer, &changed(name, value.clone())), Err(Fault::Wrong(_))),
                "{name}: {value}"
            );
        }
        for name in ["iss", "aud", "sub", "nonce", "iat", "exp"] {
            let mut claims = right();
            claims.as_object_mut().unwrap().remove(name);
            assert!(read(&signer, &claims).is_err(), "{name}");
        }
    }

    #[test]
    fn nobody_but_a_known_key_signs() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        let keys = [signer.jwk("a")];
        let ask = |token: &str| verify(token, &keys, &EXPECTED, NOW * SECOND);
        assert_eq!(ask(&stranger.token(&header(), &right())), Err(Fault::UnknownKey));
        let other = json!({ "alg": "ES256", "kid": "b" });
        assert_eq!(ask(&stranger.token(&other, &right())), Err(Fault::UnknownKey));
        let nameless = json!({ "alg": "ES256" });
        assert!(ask(&signer.token(&nameless, &right())).is_ok());
        assert_eq!(ask(&stranger.token(&nameless, &right())), Err(Fault::UnknownKey));
        let good = signer.token(&header(), &right());
        let (text, signature) = good.rsplit_once('.').unwrap();
        let claims = BASE64.encode(changed("sub", json!("8")).to_string());
        let forged = format!("{}.{claims}.{signature}", text.split('.').next().unwrap());
        assert!(ask(&forged).is_err());
        assert!(ask(&format!("{text}.")).is_err());
    }

    #[test]
    fn neither_none_nor_a_public_key_as_a_password_counts() {
        let signer = Signer::new();
        let keys = [signer.jwk("a")];
        let part = |value: &Value| BASE64.encode(value.to_string());
        for alg in ["none", "None", "NONE", "HS256", "HS512", ""] {
            let text = format!("{}.{}", part(&json!({ "alg": alg, "kid": "a" })), part(&right()));
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, signer.0.public_key().as_ref());
            let tag = BASE64.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref());
            for token in [format!("{text}."), format!("{text}.{tag}"), text.clone()] {
                assert!(
                    matches!(verify(&token, &keys, &EXPECTED, NOW * SECOND), Err(Fault::Wrong(_))),
                    "{alg}"
                );
            }
        }
    }
}
