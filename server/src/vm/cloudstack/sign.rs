//! Signatures of requests, version 3, as the management server computes them itself (`ApiServer.verifyRequest`): parameters sorted by name
//! and byte, values encoded as Java's `URLEncoder` does but with `%20` for a blank, everything in small letters, HMAC-SHA1, base64.

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// A value as it is signed: `A-Z a-z 0-9 . - * _` stay, every other byte is `%XX`.
fn encoded(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b".-*_".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The signature of a request; none of the parameters is the signature itself.
pub(super) fn signature(secret: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<_> = params.iter().collect();
    sorted.sort_by(|one, other| one.0.as_bytes().cmp(other.0.as_bytes()));
    let pairs: Vec<_> = sorted.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    BASE64.encode(hmac::sign(&key, pairs.join("&").to_lowercase().as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_servers_own_algorithm() {
        // Computed by two programs that follow the server's source, for the secret `SECRET`.
        let cases: [(&[(&str, &str)], &str); 4] = [
            (
                &[("response", "json"), ("command", "listZones"), ("apiKey", "AK")],
                "WBaz2gb5CsPi3MPoCy2F/zVweJI=",
            ),
            (
                &[
                    ("apiKey", "AK"),
                    ("command", "registerIso"),
                    ("displaytext", "m23 boot ISO"),
                    ("name", "a/b"),
                    ("response", "json"),
                    ("url", "http://x/y?z=1&b=2"),
                ],
                "vD/TN9k43J1McYxTGGSblftcM+U=",
            ),
            (
                &[
                    ("apiKey", "AK"),
                    ("command", "deployVirtualMachine"),
                    ("userdata", "bTIzc2VydmVyPTEuMi4zLjQ=+/"),
                ],
                "4ndzLbK9+WE6bLaJjsHcFjwlBeo=",
            ),
            (
                &[("apiKey", "AK"), ("command", "x"), ("details[0].cpuNumber", "2")],
                "ndVDBuqiApp6r5kWL84HbAk/D5A=",
            ),
        ];
        for (params, expected) in cases {
            let params: Vec<_> =
                params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(signature("SECRET", &params), expected, "{params:?}");
        }
    }

    #[test]
    fn what_java_encodes_is_encoded_and_what_it_leaves_is_left() {
        assert_eq!(encoded("aZ0.-*_"), "aZ0.-*_");
        assert_eq!(encoded("a b~[/]+ä"), "a%20b%7E%5B%2F%5D%2B%C3%A4");
    }
}
