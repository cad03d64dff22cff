//! This server's boot ISO at a provider: asked for, fetched by the provider, used, replaced by a newer one.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Sha256;

use super::job::UnknownWord;

/// Where an image is in its life there. Each state is written before what follows from it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageState {
    /// It is about to be asked for, or was: only the provider knows.
    Intended,
    /// The provider fetches it.
    Loading,
    /// Machines can boot it.
    Ready,
    /// The provider did not get it.
    Failed,
    /// The provider was asked to remove it.
    Leaving,
}

const WORDS: [(ImageState, &str); 5] = [
    (ImageState::Intended, "intended"),
    (ImageState::Loading, "loading"),
    (ImageState::Ready, "ready"),
    (ImageState::Failed, "failed"),
    (ImageState::Leaving, "leaving"),
];

impl ImageState {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for ImageState {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = WORDS.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
        found.ok_or_else(|| UnknownWord { word: word.to_owned(), what: "state of an image" })
    }
}

/// A boot ISO of this server at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderImage {
    /// Its number.
    #[serde(skip)]
    pub id: i64,
    /// The provider's number.
    #[serde(skip)]
    pub provider_id: i64,
    /// SHA-256 of its content.
    pub sha256: Sha256,
    /// Its name there.
    pub name: String,
    /// Its id there, once that is known.
    pub remote: Option<String>,
    /// Where it is in its life.
    pub state: ImageState,
    /// How far the provider is in its own words, or why it did not get it.
    pub said: String,
    /// How much of it the provider has, when it says so.
    pub percent: Option<i64>,
    /// How often it was looked for in vain since it was asked for.
    #[serde(skip)]
    pub looks: i64,
    /// When it was asked for.
    pub registered_at: i64,
    /// When its state last changed.
    pub changed_at: i64,
}

/// What stands before the mark of an image's name.
const MARK: &str = "lotse-boot-";

/// The name under which an image is asked for: what it holds, and what tells this very request from all others.
pub fn image_name(sha256: &Sha256, random: [u8; 4]) -> String {
    format!("{MARK}{}-{}", &sha256.as_str()[..12], hex::encode(random))
}
