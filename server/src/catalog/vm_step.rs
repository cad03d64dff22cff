//! What a declared step does with virtual machines, and which parameters it reads.

use serde::Deserialize;

/// What a step does with virtual machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmStep {
    /// Makes a host, by the parameters `bridge` and `address`.
    Prepare,
    /// Makes a machine, by the parameters of a [`wire::vm::NewMachine`].
    Create,
    /// Switches the machine in parameter `name`, by parameter `order`.
    Power,
    /// Its snapshot in parameter `snapshot`, by parameter `order`.
    Snapshot,
    /// Empties its drives.
    Eject,
    /// Removes it.
    Delete,
}

impl VmStep {
    /// Its word in the declaration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Create => "create",
            Self::Power => "power",
            Self::Snapshot => "snapshot",
            Self::Eject => "eject",
            Self::Delete => "delete",
        }
    }

    /// The parameters that it cannot do without.
    pub(super) fn params(self) -> &'static [&'static str] {
        match self {
            Self::Prepare => &["bridge", "address"],
            Self::Create => {
                &["name", "title", "processors", "memory_mib", "disk_gib", "boot", "mac", "user_data"]
            }
            Self::Power => &["name", "order"],
            Self::Snapshot => &["name", "snapshot", "order"],
            Self::Eject | Self::Delete => &["name"],
        }
    }
}
