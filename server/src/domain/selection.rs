//! A selection of packages: a name for what is to be on a client and what is not, and how a client differs from it. Pure.
//!
//! Invariant: a selection does not want and refuse the same package.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{
    package_work::DebconfAnswer,
    packages::{Package, PackageKey},
    problem::FieldProblem,
};

use super::package_words::{is_debconf_answer, is_package};

/// What a selection holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SelectionContents)]
pub struct Contents {
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Lower first, where a client has several.
    #[serde(skip_serializing_if = "is_zero")]
    pub order: i64,
    /// Packages that are to be there, with `=version` if wanted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub install: Vec<String>,
    /// Packages that are not to be there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What goes, goes with its configuration.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub purge: bool,
    /// Answers to questions of packages: `package question type answer`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// A selection as a file: its name and what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Its name.
    pub name: String,
    /// What it holds.
    #[serde(flatten)]
    pub contents: Contents,
}

impl File {
    /// Every field of the file.
    pub const FIELDS: [&str; 7] = ["name", "description", "order", "install", "remove", "purge", "answers"];
}

/// Most packages of a selection, and most answers.
const MOST: usize = 2_000;
/// Longest description.
const LONGEST: usize = 500;

impl Contents {
    /// What is wrong with it, by field.
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut wrong = |field: &str, message: String| {
            problems.push(FieldProblem { field: field.to_owned(), message });
        };
        if self.description.len() > LONGEST || self.description.chars().any(char::is_control) {
            wrong("description", format!("must be one line of at most {LONGEST} bytes"));
        }
        if self.install.is_empty() && self.remove.is_empty() {
            wrong("install", "must name a package, or `remove` must".to_owned());
        }
        for (field, names) in
            [("install", &self.install), ("remove", &self.remove), ("answers", &self.answers)]
        {
            if names.len() > MOST {
                wrong(field, format!("must have at most {MOST} entries, this has {}", names.len()));
            }
        }
        for (field, names) in [("install", &self.install), ("remove", &self.remove)] {
            for name in names.iter().filter(|name| !is_package(name)) {
                wrong(field, format!("`{name}` is no package name, such as `hello` or `hello=2.10-3`"));
            }
            let mut seen = BTreeSet::new();
            for name in names.iter().filter(|name| !seen.insert(Wanted::parse(name).which())) {
                wrong(field, format!("`{name}` stands there twice"));
            }
        }
        for name in self.remove.iter().filter(|name| name.contains(['=', '/'])) {
            wrong("remove", format!("`{name}`: a removal has no version"));
        }
        let refused: BTreeSet<_> = self.remove.iter().map(|name| Wanted::parse(name).name).collect();
        for name in self.install.iter().filter(|name| refused.contains(&Wanted::parse(name).name)) {
            wrong("remove", format!("`{name}` is to be installed, too"));
        }
        for answer in self.answers.iter().filter(|answer| !is_debconf_answer(answer)) {
            let question = DebconfAnswer::parse(answer).map(|answer| answer.question);
            wrong(
                "answers",
                format!(
                    "`{}` must be `package question type answer`, and the answer of a password `secret:NAME`",
                    question.unwrap_or_else(|| answer.clone())
                ),
            );
        }
        problems
    }
}

/// A package as a selection names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Its architecture; empty: any.
    pub architecture: String,
    /// Its version; empty: any.
    pub version: String,
}

impl Wanted {
    /// Reads `name`, `name:architecture`, `name=version`, `name/suite` (the suite says nothing about what is installed).
    pub fn parse(text: &str) -> Self {
        let (rest, version) = text.split_once('=').unwrap_or((text, ""));
        let rest = rest.split('/').next().unwrap_or(rest);
        let (name, architecture) = rest.split_once(':').unwrap_or((rest, ""));
        let architecture = if architecture == "any" { "" } else { architecture };
        Self { name: name.to_owned(), architecture: architecture.to_owned(), version: version.to_owned() }
    }

    fn which(&self) -> (String, String) {
        (self.name.clone(), self.architecture.clone())
    }

    fn fits(&self, package: &Package) -> bool {
        let PackageKey { name, architecture, .. } = &package.key;
        *name == self.name && (self.architecture.is_empty() || *architecture == self.architecture)
    }
}

/// How a client differs from a selection in one package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DriftKind {
    /// It is to be there, and is not.
    Missing,
    /// It is there in another version.
    OtherVersion,
    /// It is held at a version that is not the wanted one, or not the newest.
    HeldBack,
    /// It is there, and is not to be.
    Unwanted,
}

/// A package in which a client differs from a selection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Drift {
    /// How.
    pub kind: DriftKind,
    /// The package as the selection names it.
    pub package: String,
    /// The version that is there, several separated by commas; empty: none.
    pub present: String,
}

/// In what a client with these packages differs from a selection, by kind and name.
pub fn drift(contents: &Contents, installed: &[Package]) -> Vec<Drift> {
    let mut by_name: BTreeMap<&str, Vec<&Package>> = BTreeMap::new();
    for package in installed {
        by_name.entry(&package.key.name).or_default().push(package);
    }
    let there = |wanted: &Wanted| -> Vec<&Package> {
        let named = by_name.get(wanted.name.as_str()).map(Vec::as_slice).unwrap_or_default();
        named.iter().copied().filter(|package| wanted.fits(package)).collect()
    };
    let shown = |found: &[&Package]| {
        found.iter().map(|package| package.key.version.as_str()).collect::<Vec<_>>().join(", ")
    };
    let mut all = Vec::new();
    let mut add = |kind, text: &str, found: &[&Package]| {
        all.push(Drift { kind, package: text.to_owned(), present: shown(found) });
    };
    for text in &contents.install {
        let wanted = Wanted::parse(text);
        let found = there(&wanted);
        let fits = |package: &&Package| wanted.version.is_empty() || package.key.version == wanted.version;
        if found.is_empty() {
            add(DriftKind::Missing, text, &found);
        } else if !found.iter().any(fits) {
            let is_held = found.iter().any(|package| package.held);
            add(if is_held { DriftKind::HeldBack } else { DriftKind::OtherVersion }, text, &found);
        } else if wanted.version.is_empty()
            && found.iter().any(|package| package.held && package.update.is_some())
        {
            add(DriftKind::HeldBack, text, &found);
        }
    }
    for text in &contents.remove {
        let found = there(&Wanted::parse(text));
        if !found.is_empty() {
            add(DriftKind::Unwanted, text, &found);
        }
    }
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use wire::packages::PackageUpdate;

    use super::*;

    fn package(name: &str, version: &str, held: bool, update: Option<&str>) -> Package {
        Package {
            key: PackageKey {
                name: name.to_owned(),
                architecture: "amd64".to_owned(),
                version: version.to_owned(),
            },
            automatic: false,
            held,
            size_bytes: 0,
            update: update.map(|version| PackageUpdate { version: version.to_owned(), security: false }),
        }
    }

    fn texts(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn a_client_drifts_by_what_lacks_what_is_too_much_and_what_is_held() {
        let contents = Contents {
            install: texts(&["vim", "nano", "hello=2", "htop=3", "mc", "gcc:i386", "less/stable"]),
            remove: texts(&["games", "cowsay"]),
            ..Contents::default()
        };
        let installed = [
            package("vim", "1", false, Some("2")),
            package("hello", "1", false, None),
            package("htop", "2", true, None),
            package("mc", "1", true, Some("2")),
            package("gcc", "1", false, None),
            package("less", "1", true, None),
            package("games", "7", false, None),
        ];
        let found: Vec<_> = drift(&contents, &installed)
            .into_iter()
            .map(|one| format!("{:?} {} {}", one.kind, one.package, one.present))
            .collect();
        let expected = [
            "Missing gcc:i386 ",
            "Missing nano ",
            "OtherVersion hello=2 1",
            "HeldBack htop=3 2",
            "HeldBack mc 1",
            "Unwanted games 7",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_contradicts_itself_or_names_no_package_is_refused_by_field() {
        let fields = |contents: &Contents| {
            contents.problems().into_iter().map(|problem| problem.field).collect::<Vec<_>>()
        };
        assert_eq!(fields(&Contents::default()), ["install"]);
        let wrong = Contents {
            install: texts(&["vim", "vim=1", "Not A Name", "nano"]),
            remove: texts(&["nano", "hello=1"]),
            answers: texts(&["postfix postfix/x password geheim"]),
            ..Contents::default()
        };
        assert_eq!(fields(&wrong), ["install", "install", "remove", "remove", "answers"]);
        assert!(!format!("{:?}", wrong.problems()).contains("geheim"), "a password is not repeated");
        let fine = Contents { install: texts(&["vim:i386", "vim:amd64"]), ..Contents::default() };
        assert_eq!(fields(&fine), [""; 0]);
    }

    #[test]
    fn a_file_comes_back_as_it_was_written() {
        let file = File {
            name: "office".to_owned(),
            contents: Contents {
                description: "Büro".to_owned(),
                order: 10,
                install: texts(&["vim=2:9"]),
                remove: texts(&["nano"]),
                purge: true,
                answers: texts(&["postfix postfix/mailname string a: b"]),
            },
        };
        let text = serde_yaml::to_string(&file).unwrap();
        assert_eq!(serde_yaml::from_str::<File>(&text).unwrap(), file);
    }
}
