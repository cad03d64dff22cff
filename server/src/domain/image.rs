//! An image: files built once and stored by hash, such as the installer or a base system.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Sha256, enrol::BlobRef};

/// Name of the installer image; its parts are `vmlinuz`, `initramfs`, `tools`.
pub const INSTALLER: &str = "installer";
/// Name of the boot loaders' image; its parts are the files that firmware fetches by TFTP.
pub const LOADERS: &str = "loaders";
/// Name of the agent's image; its part is `package`.
pub const AGENT: &str = "agent";

/// Name of the boot ISO, which knows no server: the machine finds its own by user-data, or asks on its screen.
pub const ISO: &str = "iso";

/// The part of the boot ISO that is the whole of it.
pub const FILE: &str = "file";

/// The part of the agent's image that is its Debian package.
pub const PACKAGE: &str = "package";

/// An image that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Its number; the newest of a name is used.
    pub id: i64,
    /// `installer`, `agent`, `debian-12/virtual` …
    pub name: String,
    /// Hash of everything it was made from: the same recipe needs no new build.
    pub recipe: Sha256,
    /// Its files.
    pub parts: BTreeMap<String, BlobRef>,
    /// When it was built.
    pub built_at: i64,
    /// Version of what it holds; empty where nobody knows one.
    #[serde(default)]
    pub version: String,
}
