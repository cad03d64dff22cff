//! One entry of a plan. Adding a kind: a variant here, a folder in `agent/src/steps/`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    enrol::BlobRef,
    facts::Firmware,
    package_work::PackageWork,
    storage::{DiskExpectation, MountEntry, StorageWork},
    vm::VmWork,
};

/// One entry of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// Unique in its plan, stable between renderings; such as `10-install`.
    pub id: String,
    /// What a person reads, in English and German.
    pub title: BTreeMap<String, String>,
    /// The step is stopped and has failed after this long.
    pub timeout_s: u32,
    /// What is done.
    #[serde(flatten)]
    pub kind: StepKind,
}

/// In which file tree a step works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// In the running system.
    #[default]
    Running,
    /// In the system being installed, mounted at `/target`.
    Target,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum StepKind {
    /// Runs shell text that the server has rendered, with `/bin/sh -eu`, its output line by line in the report.
    Script {
        /// The shell text.
        text: String,
        /// Where it runs; in the target by chroot(2).
        #[serde(default)]
        root: Root,
        /// Secrets that the agent fetches when the step starts; variable name to reference. They are environment variables of the script, nothing else.
        #[serde(default)]
        secrets: BTreeMap<String, String>,
        /// Other environment variables.
        #[serde(default)]
        environment: BTreeMap<String, String>,
    },
    /// Writes files atomically (temporary file, fsync, rename).
    WriteFile {
        /// The files, in order.
        files: Vec<FileContent>,
        /// Where they are written.
        #[serde(default)]
        root: Root,
    },
    /// Writes partition tables and file systems.
    Storage(StorageWork),
    /// Mounts what the storage step made below `/target`; what is mounted already stays.
    Mount {
        /// In mounting order.
        mounts: Vec<MountEntry>,
    },
    /// Unpacks a base-system archive (tar, zstd) into the target while its hash is checked.
    Unpack {
        /// The archive.
        blob: BlobRef,
    },
    /// Builds the base system from packages instead of an archive.
    Debootstrap {
        /// Release code name, such as `bookworm`.
        suite: String,
        /// Base URL of the mirror as the client reaches it.
        mirror_url: String,
        /// Debian architecture.
        architecture: String,
        /// Keyring file in the tool set that the release must be signed with.
        keyring: String,
        /// Packages beyond the minimal system.
        packages: Vec<String>,
    },
    /// Makes the target bootable from its own disk.
    BootLoader {
        /// Which firmware has to find it.
        firmware: Firmware,
        /// The disks that get a boot sector (BIOS) .
        disks: Vec<DiskExpectation>,
        /// Kernel packages that must be there; installed from the target's sources when they are not.
        kernel_packages: Vec<String>,
        /// Boot-loader packages that must be there.
        packages: Vec<String>,
        /// Words added to the kernel command line.
        kernel_command_line: String,
    },
    /// Installs this agent into the target: package, configuration, identity.
    InstallAgent {
        /// The agent's Debian package.
        package: BlobRef,
    },
    /// Replaces the running agent by another one, which has to prove itself; else the old one comes back.
    UpgradeAgent {
        /// The new agent's Debian package.
        package: BlobRef,
        /// Its version; empty when the server does not know it.
        #[serde(default)]
        version: String,
        /// So long may the new agent take to take up its attempt again.
        limit_s: u32,
        /// It is installed although the agent has this version already.
        #[serde(default)]
        reinstall: bool,
    },
    /// Installs, removes or upgrades packages with the system's own package manager.
    Packages(PackageWork),
    /// Sends packages that are installed to the server.
    SendPackages {
        /// Their names.
        packages: Vec<String>,
    },
    /// Measures the machine and sends its facts.
    Facts {},
    /// Reads how the installed system is set up, and sends it; changes nothing.
    Survey {},
    /// Ends the attempt with success and restarts the machine.
    Reboot {},
    /// Ends the attempt with success and switches the machine off.
    Shutdown {},
    /// Opens an SSH server for the given keys and stays until the job is released or cancelled.
    Rescue {
        /// Lines for root's `authorized_keys`.
        authorized_keys: Vec<String>,
    },
    /// Makes a disk unreadable.
    WipeDisk {
        /// The disk, asked again at the moment of writing.
        disk: DiskExpectation,
        /// How thoroughly.
        method: WipeMethod,
    },
    /// Makes, switches or removes a virtual machine on this host.
    Vm {
        /// What is done.
        work: VmWork,
    },
    /// A step of a newer version: refused, and the attempt fails with a reason that says so.
    #[serde(other)]
    Unknown,
}

/// How a disk is wiped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WipeMethod {
    /// Signatures and partition tables only; quick, the content can still be read with tools.
    Signatures,
    /// Discards every block, for disks that support it.
    Discard,
    /// Overwrites every block with zeros.
    Zero,
    /// A method of a newer version: refused.
    #[serde(other)]
    Unknown,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileContent {
    /// Absolute path in the step's root.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Permission bits, such as 0o644.
    pub mode: u32,
    /// Owner's name in the step's root.
    #[serde(default = "root_user")]
    pub owner: String,
    /// Group's name in the step's root.
    #[serde(default = "root_user")]
    pub group: String,
}

fn root_user() -> String {
    "root".to_owned()
}
