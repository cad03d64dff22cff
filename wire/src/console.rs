//! Consoles of virtual machines on a host that runs an agent: their screens, and what they print on their serial line.
//!
//! `POST /agent/v1/consoles` waits for people who want to see a screen. For each of them the agent opens `POST /agent/v1/consoles/{link}`, whose
//! body carries what the screen says and whose answer carries what the person does, or says by `…/refusal` why it cannot. Over
//! `POST /agent/v1/serial` goes what machines print.

use serde::{Deserialize, Serialize};

/// "I host machines; does anybody want to see one?"
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolesRequest {
    /// Longest time that the server may keep the request waiting.
    pub wait_s: u32,
}

/// Who wants to see what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsolesResponse {
    /// Screens that somebody waits for; each is named once.
    pub wanted: Vec<WantedConsole>,
}

/// A screen that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedConsole {
    /// Where the server expects it; nothing else is known to the agent of whoever waits.
    pub link: String,
    /// Name of the machine.
    pub machine: String,
}

/// Why a screen cannot be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsoleRefusal {
    /// In words.
    pub reason: String,
}

/// A place in what a machine has printed: so many bytes into a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialPlace {
    /// Number of the file, by which a new one is told from the one before.
    pub file: u64,
    /// Bytes from its beginning.
    pub offset_bytes: u64,
}

/// What a machine has printed from a place on; empty to ask where the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialPiece {
    /// Name of the machine.
    pub machine: String,
    /// Where it begins.
    pub from: SerialPlace,
    /// How many bytes of the file it is.
    pub length_bytes: u64,
    /// Those bytes as text; what is no UTF-8 is replaced.
    pub text: String,
}

/// Where the server wants to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialResponse {
    /// The end of what it has; absent when it has nothing of this machine.
    #[serde(default)]
    pub known: Option<SerialPlace>,
}
