//! Webhooks: a signed HTTPS request, as the Standard Webhooks specification (version 1.0.0) has it, so that receivers can use its libraries.
//!
//! `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature: v1,BASE64` come with the body; the signature is HMAC-SHA256 over
//! `ID.TIMESTAMP.BODY` with the bytes behind the secret's `whsec_`. A request never goes to this machine or its link unless the
//! configuration allows the address, wherever a name leads; redirections are not followed.

use std::{
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use reqwest::{
    Certificate, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use super::{Error, read};

/// A receiver that says nothing for so long is not there.
const PATIENCE: Duration = Duration::from_secs(15);
const PREFIX: &str = "whsec_";

/// A request.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// Where to.
    pub url: &'a str,
    /// Its own name; the same at every attempt.
    pub id: &'a str,
    /// When it is sent, seconds since the Unix epoch.
    pub timestamp: i64,
    /// What is told, as JSON.
    pub body: String,
    /// What signs it.
    pub secret: &'a str,
}

/// A new secret from random bytes.
pub fn secret(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", BASE64.encode(random))
}

/// The signature of a request.
pub fn signature(secret: &str, id: &str, timestamp: i64, body: &str) -> String {
    let text = secret.strip_prefix(PREFIX).unwrap_or(secret);
    let bytes = BASE64.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", BASE64.encode(tag.as_ref()))
}

/// Sends a request; any answer of 200 to 299 says that it has arrived.
///
/// # Errors
/// The address is one that is not called, the receiver cannot be trusted or reached, or answers something else.
pub async fn send(call: &Call<'_>, ca: Option<&Path>, allow: &[IpAddr]) -> Result<(), Error> {
    let url =
        Url::parse(call.url).map_err(|error| Error::Unset(format!("the URL of the webhook: {error}")))?;
    let place = url.origin().ascii_serialization();
    let refused = |reason: String| Error::Webhook { url: place.clone(), reason };
    if url.scheme() != "https" {
        return Err(refused("only https is called".to_owned()));
    }
    // A name is looked at when it is resolved; an address is not resolved.
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if let Ok(address) = host.parse::<IpAddr>()
        && !may_call(address, allow)
    {
        return Err(refused(OWN.to_owned()));
    }
    let mut client = reqwest::Client::builder()
        .dns_resolver(Arc::new(Careful { allow: allow.to_vec() }))
        .redirect(Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca {
        let pem = read(path).await?;
        let certificates = Certificate::from_pem_bundle(&pem)
            .map_err(|error| Error::Ca { path: path.to_owned(), reason: error.to_string() })?;
        client = client.tls_certs_merge(certificates);
    }
    let client = client.build().map_err(|error| refused(told(error)))?;
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("webhook-id", call.id)
        .header("webhook-timestamp", call.timestamp)
        .header("webhook-signature", signature(call.secret, call.id, call.timestamp, &call.body))
        .body(call.body.clone())
        .send()
        .await
        .map_err(|error| refused(told(error)))?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(refused(format!("the receiver answered {status}"))) }
}

fn told(error: reqwest::Error) -> String {
    format!("{:#}", anyhow::Error::from(error.without_url()))
}

const OWN: &str = "it leads to this machine or its link, where webhooks do not go; the configuration can allow it (webhook-allow)";

/// Whether an address may be called.
fn may_call(address: IpAddr, allow: &[IpAddr]) -> bool {
    let address = address.to_canonical();
    if allow.iter().any(|allowed| allowed.to_canonical() == address) {
        return true;
    }
    let own = match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                || v4.is_multicast()
                // "This network" (RFC 791, 3.2).
                || v4.octets()[0] == 0
        }
        IpAddr::V6(v6) => {
            let bytes = v6.octets();
            // What is translated (RFC 6052) or tunnelled (RFC 3056) to IPv4 leads there.
            let inner = match v6.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some([bytes[12], bytes[13], bytes[14], bytes[15]]),
                [0x2002, ..] => Some([bytes[2], bytes[3], bytes[4], bytes[5]]),
                [0, 0, 0, 0, 0, 0, ..] => Some([bytes[12], bytes[13], bytes[14], bytes[15]]),
                _ => None,
            };
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unicast_link_local()
                || inner.is_some_and(|inner| !may_call(IpAddr::from(inner), allow))
        }
    };
    !own
}

/// Resolves names, and gives only addresses that may be called.
struct Careful {
    allow: Vec<IpAddr>,
}

impl Resolve for Careful {
    fn resolve(&self, name: Name) -> Resolving {
        let (name, allow) = (name.as_str().to_owned(), self.allow.clone());
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let fine: Vec<SocketAddr> =
                found.into_iter().filter(|address| may_call(address.ip(), &allow)).collect();
            if fine.is_empty() {
                return Err(OWN.into());
            }
            let addresses: Addrs = Box::new(fine.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_specification() {
        // The example of the Standard Webhooks specification's reference libraries.
        let found = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            "{\"test\": 2432232314}",
        );
        assert_eq!(found, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn this_machine_and_its_link_are_not_called_in_whatever_form_they_are_written() {
        for own in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
        ] {
            assert!(!may_call(own.parse().unwrap(), &[]), "{own}");
        }
        for other in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "64:ff9b::c000:201"] {
            assert!(may_call(other.parse().unwrap(), &[]), "{other}");
        }
        let allow = ["127.0.0.1".parse().unwrap()];
        assert!(may_call("127.0.0.1".parse().unwrap(), &allow));
        assert!(may_call("::ffff:127.0.0.1".parse().unwrap(), &allow));
        assert!(!may_call("127.0.0.2".parse().unwrap(), &allow));
    }
}
