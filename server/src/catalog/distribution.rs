//! A target operating system, as data.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::facts::{Facts, Firmware};

use super::{Fault, yaml};
use crate::domain::source_list::{ListWish, PackageSource};

/// A target operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// What a person reads, by language.
    pub title: BTreeMap<String, String>,
    /// Family of package tools: `apt`.
    pub family: String,
    /// Release code name, such as `bookworm`.
    pub suite: String,
    /// Architecture in the distribution's own words, such as `amd64`.
    pub architecture: String,
    /// Keyring file that the sources are signed with, on the client and in the tool set.
    pub keyring: String,
    /// Package sources.
    pub sources: Vec<Source>,
    /// Kernel packages: `metal` for real machines, `virtual` for virtual ones.
    pub kernel: BTreeMap<String, String>,
    /// Boot-loader packages: `bios` and `uefi`.
    pub boot_loader: BTreeMap<String, Vec<String>>,
    /// Packages of the base system beyond the minimal one.
    pub packages: Vec<String>,
    /// Desktop environments, by name.
    #[serde(default)]
    pub desktops: BTreeMap<String, DesktopPackages>,
    /// Packages by which a desktop is used from afar, by the way's name.
    #[serde(default)]
    pub remote_access: BTreeMap<String, Vec<String>>,
}

/// What a desktop environment takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DesktopPackages {
    /// Its packages; what they only recommend is not installed.
    pub packages: Vec<String>,
    /// The program that begins a session which is used from afar.
    pub session: String,
    /// What the `X2Go` client calls such a session; empty for a session of the program.
    #[serde(default)]
    pub x2go: String,
    /// The packages of the login screen for people before the machine.
    pub login_screen: Vec<String>,
}

/// A distribution and what it is called.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NamedDistribution {
    /// Its name, such as `debian-12`.
    pub name: String,
    /// The distribution.
    #[serde(flatten)]
    pub distribution: Distribution,
}

/// One line of sources.list(5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Name of the mirror in the server's pull-through.
    pub mirror: String,
    /// Suite, such as `bookworm-updates`.
    pub suite: String,
    /// Components, such as `main`.
    pub components: Vec<String>,
}

impl Distribution {
    pub(super) fn load(path: &Path) -> Result<Self, Vec<Fault>> {
        let distribution: Self = yaml(path)?;
        let mut faults = Vec::new();
        let mut need = |fine: bool, message: &str| {
            if !fine {
                faults.push(Fault { path: path.to_owned(), message: message.to_owned() });
            }
        };
        need(!distribution.sources.is_empty(), "`sources` must name at least one source");
        for variant in ["metal", "virtual"] {
            need(
                distribution.kernel.contains_key(variant),
                &format!("`kernel` must name a package for `{variant}`"),
            );
        }
        for firmware in ["bios", "uefi"] {
            need(
                distribution.boot_loader.contains_key(firmware),
                &format!("`boot_loader` must name packages for `{firmware}`"),
            );
        }
        need(distribution.family == "apt", "`family` must be `apt`; others are not known yet");
        if faults.is_empty() { Ok(distribution) } else { Err(faults) }
    }

    /// Its own source list, which every client of it has: `name` is the distribution's.
    pub fn source_list(&self, name: &str) -> ListWish {
        let source = |source: &Source| PackageSource {
            uris: vec![format!("mirror:{}", source.mirror)],
            suites: vec![source.suite.clone()],
            components: source.components.clone(),
            cached: true,
            ..PackageSource::default()
        };
        ListWish {
            description: String::new(),
            distribution: Some(name.to_owned()),
            architecture: self.architecture.clone(),
            sources: self.sources.iter().map(source).collect(),
        }
    }

    /// Which kernel and base image a machine gets: `virtual` or `metal`.
    pub fn variant(facts: &Facts) -> &'static str {
        if facts.virtualization.is_empty() { "metal" } else { "virtual" }
    }

    /// Boot-loader packages for a firmware.
    pub fn boot_loader_packages(&self, firmware: Firmware) -> &[String] {
        let name = match firmware {
            Firmware::Uefi => "uefi",
            Firmware::Bios | Firmware::Unknown => "bios",
        };
        self.boot_loader.get(name).map(Vec::as_slice).unwrap_or_default()
    }
}
