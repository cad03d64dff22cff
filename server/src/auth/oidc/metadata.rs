//! What a login service says about itself. Addresses that are not HTTPS are not read at all.

use reqwest::Url;
use serde::Deserialize;

/// An address of the service.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Address(pub(super) Url);

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let url = Url::parse(&text).map_err(|error| format!("the address {text}: {error}"))?;
        if url.scheme() == "https" { Ok(Self(url)) } else { Err(format!("the address {text} is not https")) }
    }
}

/// What the service says about itself (`OpenID` Connect Discovery 1.0, 3).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: Address,
    pub(super) token_endpoint: Address,
    pub(super) jwks_uri: Address,
    #[serde(default)]
    pub(super) userinfo_endpoint: Option<Address>,
    #[serde(default)]
    pub(super) end_session_endpoint: Option<Address>,
    #[serde(default)]
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207.
    #[serde(default)]
    pub(super) authorization_response_iss_parameter_supported: bool,
}
