//! How a machine becomes known: `POST /agent/v1/enrol` (with or without a token) and `POST /agent/v1/renew`.
//!
//! Without a token a machine only announces itself and asks again until an admin has adopted it. The server never takes
//! subject, extensions or usage from the CSR; only its key and the proof that the agent holds it (RFC 2986).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{ClientId, Mac, Sha256, facts::Facts};

/// Where the agent runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Realm {
    /// In the RAM system that was booted over the network or from an ISO.
    Installer,
    /// On the installed system.
    System,
    /// A realm of a newer version.
    #[serde(other)]
    Unknown,
}

/// The request for an identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// The one-time token from the kernel command line, user-data or the enrol command; without one the machine waits for adoption.
    #[serde(default)]
    pub token: Option<String>,
    /// PKCS #10 request in PEM; its key stays with the agent.
    pub csr_pem: String,
    /// The address of the interface that booted, or of the first one with a link.
    pub mac: Mac,
    /// Fresh at every boot of the machine (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Where the agent runs.
    pub realm: Realm,
    /// The agent's version.
    pub agent_version: String,
    /// What the machine is made of.
    pub facts: Facts,
    /// Where the agent has looked for its server, a line for each place with what was there, as it looked; empty when the machine was told
    /// its server when it booted, and once the server has heard of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub looked: Vec<String>,
}

/// The answer to an [`EnrolRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum EnrolResponse {
    /// The agent has an identity now.
    Enrolled(Box<Identity>),
    /// Nobody has adopted the machine yet; ask again.
    Waiting {
        /// SHA-256 of the agent's public key (SPKI, DER); the machine shows it on its screen, the admin on the page.
        fingerprint: Sha256,
        /// Seconds until the next request makes sense.
        ask_again_s: u32,
        /// For the machine's screen.
        message: String,
    },
    /// An answer of a newer version.
    #[serde(other)]
    Unknown,
}

/// Everything an agent needs to work for a server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Who the agent is from now on.
    pub client: ClientId,
    /// The client's name, for messages.
    pub name: String,
    /// The certificate for the key of the CSR, in PEM.
    pub certificate_pem: String,
    /// Not valid after this time; renewed by the agent at two thirds of its life.
    pub expires_at: i64,
    /// The server's CA in PEM; its fingerprint is the one that the agent already trusts.
    pub ca_pem: String,
    /// Ed25519 public key (32 bytes, hexadecimal) that signs plans (RFC 8032).
    pub plan_key: String,
    /// Base URL of the listener for agents, without a slash at its end.
    pub agents_url: String,
    /// Base URL of the plain HTTP listener (blobs by hash, package pull-through).
    pub boot_url: String,
    /// The tool set for the installer realm.
    #[serde(default)]
    pub tools: Option<BlobRef>,
}

/// A stored file, named by its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BlobRef {
    /// Hash of the content.
    pub sha256: Sha256,
    /// Length of the content.
    pub size_bytes: u64,
}

/// `POST /agent/v1/renew`, over the current identity: a new key, a new certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewRequest {
    /// PKCS #10 request in PEM for the new key.
    pub csr_pem: String,
    /// The boot in which the key was made.
    pub boot_id: String,
    /// Where the agent runs.
    pub realm: Realm,
}
