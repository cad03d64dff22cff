//! A graphical desktop for a client's users, before its screen or from afar. Which packages that takes is the distribution's matter.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The desktop that a client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DesktopChoice {
    /// What people see.
    pub environment: DesktopEnvironment,
    /// How they come to it.
    pub remote: RemoteAccess,
}

/// A desktop environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DesktopEnvironment {
    /// None: single programs, over the network only.
    #[default]
    None,
    /// MATE.
    Mate,
    /// Xfce.
    Xfce,
    /// KDE Plasma.
    Kde,
    /// GNOME.
    Gnome,
    /// Cinnamon.
    Cinnamon,
    /// `LXQt`.
    Lxqt,
}

/// How people use a desktop that is not before them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteAccess {
    /// Not at all: they sit before it.
    #[default]
    None,
    /// By `X2Go`, over SSH.
    X2go,
    /// By RDP.
    Xrdp,
}

impl DesktopEnvironment {
    const WORDS: [(Self, &str); 7] = [
        (Self::None, "none"),
        (Self::Mate, "mate"),
        (Self::Xfce, "xfce"),
        (Self::Kde, "kde"),
        (Self::Gnome, "gnome"),
        (Self::Cinnamon, "cinnamon"),
        (Self::Lxqt, "lxqt"),
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }

    /// The environment of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(environment, _)| *environment)
    }
}

impl RemoteAccess {
    /// The TCP port on which it listens.
    pub fn port(self) -> Option<u16> {
        match self {
            Self::None => None,
            Self::X2go => Some(22),
            Self::Xrdp => Some(3389),
        }
    }

    const WORDS: [(Self, &str); 3] = [(Self::None, "none"), (Self::X2go, "x2go"), (Self::Xrdp, "xrdp")];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        Self::WORDS.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }

    /// The way of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, known)| *known == word).map(|(remote, _)| *remote)
    }
}

impl DesktopChoice {
    /// There is something to set up.
    pub fn is_any(self) -> bool {
        self != Self::default()
    }
}
