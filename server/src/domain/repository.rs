//! Own repositories: their suites, which packages a suite has, and what is kept. Pure.

use std::{collections::BTreeMap, str::FromStr};

use regex::Regex;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{job::UnknownWord, search::version};

/// A suite of an own repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// What was uploaded is there at once.
    Testing,
    /// What somebody has promoted.
    Production,
}

impl Suite {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Testing, Self::Production];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Testing => "testing",
            Self::Production => "production",
        }
    }

    /// The name of the source list that leads to this suite of a repository.
    pub fn list_name(self, repository: &str) -> String {
        match self {
            Self::Testing => format!("{repository}-testing"),
            Self::Production => repository.to_owned(),
        }
    }
}

impl FromStr for Suite {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.as_str() == word)
            .ok_or_else(|| UnknownWord { word: word.to_owned(), what: "suite" })
    }
}

/// How the name of a package looks (Debian Policy 5.6.7).
pub const NAME: &str = "^[a-z0-9][a-z0-9+.-]+$";
/// How a version looks (deb-version(7)).
pub const VERSION: &str = "^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$";
/// How an architecture looks.
pub const ARCHITECTURE: &str = "^[a-z0-9][a-z0-9-]*$";

/// Whether a text looks like a pattern wants it.
pub fn fits(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

/// What a package says of itself (deb-control(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture, or `all`.
    pub architecture: String,
    /// Its section; often empty.
    pub section: String,
    /// The first line of its description.
    pub description: String,
    /// Bytes on the disk.
    pub installed_bytes: i64,
    /// The whole paragraph, as it is.
    pub text: String,
}

impl Control {
    /// Reads the paragraph of a package.
    ///
    /// # Errors
    /// What is missing or cannot stand there.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim_end();
        if text.lines().any(|line| line.trim().is_empty()) {
            return Err("its control file has more than one paragraph".to_owned());
        }
        let mut fields: BTreeMap<String, String> = BTreeMap::new();
        for line in text.lines() {
            if line.starts_with([' ', '\t', '#']) {
                continue;
            }
            let (name, value) =
                line.split_once(':').ok_or_else(|| format!("its control file has the line `{line}`"))?;
            if fields.insert(name.to_ascii_lowercase(), value.trim().to_owned()).is_some() {
                return Err(format!("its control file has the field {name} twice"));
            }
        }
        for ours in ["filename", "size", "sha256", "md5sum", "sha1", "sha512"] {
            if fields.contains_key(ours) {
                return Err(format!(
                    "its control file has the field {ours}, which belongs to the repository"
                ));
            }
        }
        let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let fitting = |name: &str, pattern: &str| {
            let value = field(name);
            if fits(pattern, &value) {
                Ok(value)
            } else {
                Err(format!("its {name} `{value}` is missing or not allowed"))
            }
        };
        Ok(Self {
            name: fitting("package", NAME)?,
            version: fitting("version", VERSION)?,
            architecture: fitting("architecture", ARCHITECTURE)?,
            section: field("section"),
            description: field("description"),
            installed_bytes: field("installed-size").parse::<i64>().unwrap_or(0).saturating_mul(1024),
            text: text.to_owned(),
        })
    }
}

/// A package of a repository, as far as deciding needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its architecture.
    pub architecture: String,
}

/// What `testing` has after an upload: of every package and architecture the newest `keep` versions, and in any case what was just
/// uploaded, so that nobody's upload vanishes without a word.
pub fn with_newest(members: &[Member], keep: usize, uploaded: i64) -> Vec<i64> {
    let mut by_package: BTreeMap<(&str, &str), Vec<&Member>> = BTreeMap::new();
    for member in members {
        by_package.entry((&member.name, &member.architecture)).or_default().push(member);
    }
    let mut kept = Vec::new();
    for mut versions in by_package.into_values() {
        versions.sort_by_key(|member| std::cmp::Reverse(version::key(&member.version)));
        let newest = versions.iter().take(keep.max(1));
        let uploaded = versions.iter().skip(keep.max(1)).filter(|member| member.id == uploaded);
        kept.extend(newest.chain(uploaded).map(|member| member.id));
    }
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_says_what_it_is_and_nothing_that_belongs_to_the_repository() {
        let text = "Package: hello\nVersion: 1:2.10-3~x\nArchitecture: amd64\nInstalled-Size: 5\nDescription: says hello\n more\n .\n";
        let control = Control::parse(text).unwrap();
        assert_eq!((control.name.as_str(), control.version.as_str()), ("hello", "1:2.10-3~x"));
        assert_eq!((control.installed_bytes, control.description.as_str()), (5 * 1024, "says hello"));
        for wrong in [
            "Package: hello\nVersion: 1\n",
            "Package: ../x\nVersion: 1\nArchitecture: all\n",
            "Package: hello\nVersion: 1 2\nArchitecture: all\n",
            "Package: hello\nVersion: 1\nArchitecture: all\nFilename: pool/other.deb\n",
            "Package: hello\nVersion: 1\nVersion: 2\nArchitecture: all\n",
            "Package: hello\nVersion: 1\nArchitecture: all\n\nPackage: evil\n",
            "Package: hello\nVersion: 1\nArchitecture: all\nnonsense\n",
        ] {
            assert!(Control::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_newest_versions_stay_and_what_was_just_uploaded() {
        let member = |id, name: &str, version: &str| Member {
            id,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "amd64".to_owned(),
        };
        let members = [
            member(1, "a", "1.9"),
            member(2, "a", "1.10"),
            member(3, "a", "1.10~rc1"),
            member(4, "b", "1"),
            member(5, "a", "0.1"),
        ];
        assert_eq!(with_newest(&members, 2, 2), [2, 3, 4]);
        assert_eq!(with_newest(&members, 1, 5), [2, 4, 5]);
        assert_eq!(with_newest(&members, 0, 4), [2, 4]);
    }
}
