//! Golden files: `golden/TYPE/NUMBER.json` holds what was once released (of an enum: a list of its values), and must go on being understood.
//!
//! A change of a type adds a file with the next number; a released file is never changed. A type or a variant without a file fails here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use wire::{
    console, enrol, event, facts, package_work, packages, plan, poll, problem, step, storage, survey, trust,
    user_data, vm,
};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// `WriteFile` as `write-file`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (at, sign) in name.char_indices() {
        if sign.is_uppercase() && at > 0 {
            text.push('-');
        }
        text.extend(sign.to_lowercase());
    }
    text
}

/// The golden files of a type, oldest first.
fn files(directory: &Path) -> Vec<(String, Value)> {
    let mut numbers: Vec<u32> = std::fs::read_dir(directory)
        .map(|entries| {
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.map(|name| name.strip_suffix(".json").unwrap().parse().unwrap()).collect()
        })
        .unwrap_or_default();
    numbers.sort_unstable();
    let read = |number: u32| {
        let path = directory.join(format!("{number}.json"));
        let text = std::fs::read_to_string(&path).unwrap();
        (path.display().to_string(), serde_json::from_str(&text).unwrap())
    };
    numbers.into_iter().map(read).collect()
}

/// Everything that is in `old` is the same in `new`; `new` may have more fields.
fn lost(old: &Value, new: &Value, at: &str) -> Option<String> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            old.iter().find_map(|(name, value)| match new.get(name) {
                Some(new) => lost(value, new, &format!("{at}.{name}")),
                None => Some(format!("{at}.{name} is gone")),
            })
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .find_map(|(index, (old, new))| lost(old, new, &format!("{at}[{index}]"))),
        _ if old == new => None,
        _ => Some(format!("{at} was {old} and is {new}")),
    }
}

fn understood<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(path: &str, value: &Value) {
    let read: T = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{path}: {error}"));
    let written = serde_json::to_value(&read).unwrap();
    assert_eq!(lost(value, &written, ""), None, "{path} comes out with less than went in");
    let again: T = serde_json::from_value(written).unwrap();
    assert_eq!(again, read, "{path} comes out as something else");
}

/// Checks the golden files of these types, and gives their names.
macro_rules! check {
    ($names:ident, $as:ident, $($module:ident::$type:ident),* $(,)?) => {
        $(
            let name = stringify!($type);
            for (path, value) in files(&root().join("golden").join(kebab(name))) {
                check!($as, &path, &value, $module::$type);
                $names.insert(name.to_owned());
            }
        )*
    };
    (structs, $path:expr, $value:expr, $type:ty) => { understood::<$type>($path, $value) };
    (enums, $path:expr, $value:expr, $type:ty) => { understood::<Vec<$type>>($path, $value) };
}

/// Its tag (empty for mere words), and its variants.
type Enumeration = (String, Vec<String>);

/// What is declared in the package: of each type its name, and of an enum its tag and variants.
fn declared() -> Vec<(String, Option<Enumeration>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let mut attributes = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if line.starts_with("#[") {
                attributes.push_str(line);
                continue;
            }
            let word = |prefix: &str| {
                let rest = line.strip_prefix(prefix)?;
                Some(rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap().to_owned())
            };
            if attributes.contains("Deserialize")
                || word("pub struct ")
                    .is_some_and(|name| text.contains(&format!("Deserialize<'de> for {name} ")))
            {
                if let Some(name) = word("pub struct ") {
                    found.push((name, None));
                } else if let Some(name) = word("pub enum ") {
                    let tag = attributes.split("tag = \"").nth(1).and_then(|rest| rest.split('"').next());
                    let body = lines.by_ref().take_while(|line| *line != "}");
                    let variants = body.filter_map(|line| {
                        let rest =
                            line.strip_prefix("    ").filter(|rest| rest.starts_with(char::is_uppercase))?;
                        Some(kebab(rest.split(|sign: char| !sign.is_alphanumeric()).next().unwrap()))
                    });
                    found.push((name, Some((tag.unwrap_or_default().to_owned(), variants.collect()))));
                }
            }
            attributes.clear();
        }
    }
    found
}

fn golden_structs() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    check!(
        names,
        structs,
        wire::AttemptId,
        wire::ClientId,
        wire::GroupId,
        wire::JobId,
        wire::Mac,
        wire::Sha256,
        console::ConsoleRefusal,
        console::ConsolesRequest,
        console::ConsolesResponse,
        console::SerialPiece,
        console::SerialPlace,
        console::SerialResponse,
        console::WantedConsole,
        enrol::BlobRef,
        enrol::EnrolRequest,
        enrol::Identity,
        enrol::RenewRequest,
        event::Event,
        event::ReportRequest,
        event::ReportResponse,
        facts::Cpu,
        facts::Disk,
        facts::DiskPartition,
        facts::Dmi,
        facts::Facts,
        facts::MountedFileSystem,
        facts::Nic,
        facts::OperatingSystem,
        package_work::DebconfAnswer,
        package_work::TransactionChange,
        package_work::PackageWork,
        package_work::Transaction,
        packages::Condition,
        packages::Package,
        packages::PackageKey,
        packages::PackageUpdate,
        packages::Pin,
        packages::PackagesRequest,
        plan::Plan,
        plan::SignedPlan,
        poll::Lease,
        poll::PollRequest,
        poll::PollResponse,
        problem::FieldProblem,
        problem::Problem,
        step::FileContent,
        step::Step,
        storage::DiskExpectation,
        storage::MountEntry,
        storage::Partition,
        storage::StorageWork,
        survey::FoundInterface,
        survey::FoundSource,
        survey::FoundUser,
        survey::Survey,
        trust::Trust,
        user_data::UserData,
        vm::HostedMachine,
        vm::NewMachine,
        vm::VmHost,
    );
    names
}

fn golden_enums() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    check!(
        names,
        enums,
        enrol::EnrolResponse,
        enrol::Realm,
        event::EventKind,
        event::Outcome,
        event::Stream,
        event::Verdict,
        facts::Firmware,
        package_work::ChangeKind,
        package_work::Conffiles,
        package_work::PackageAction,
        packages::PackageFamily,
        packages::PackagesResponse,
        poll::Order,
        step::Root,
        step::StepKind,
        step::WipeMethod,
        storage::FileSystem,
        storage::PartitionPurpose,
        storage::StorageAction,
        storage::TableFormat,
        storage::Volume,
        survey::AddressMethod,
        vm::SnapshotOrder,
        vm::VmBoot,
        vm::VmNetwork,
        vm::VmPower,
        vm::VmWork,
    );
    names
}

#[test]
fn every_released_message_is_understood_and_every_type_has_one() {
    let names = &golden_structs() | &golden_enums();
    let declared = declared();
    assert!(declared.len() > 40, "the types were not found: {declared:?}");
    for (name, _) in &declared {
        assert!(
            names.contains(name),
            "{name} has no file in golden/{}, or is missing in this test",
            kebab(name)
        );
    }
    for entry in std::fs::read_dir(root().join("golden")).unwrap() {
        let directory = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.iter().any(|name| kebab(name) == directory), "golden/{directory} belongs to no type");
    }
}

#[test]
fn every_variant_of_an_enum_stands_in_a_golden_file() {
    for (name, tag_and_variants) in declared() {
        let Some((tag, variants)) = tag_and_variants else { continue };
        let mut seen = BTreeSet::new();
        for (_, values) in files(&root().join("golden").join(kebab(&name))) {
            for value in values.as_array().unwrap() {
                let word = if tag.is_empty() { value } else { &value[&tag] };
                seen.insert(word.as_str().unwrap().to_owned());
            }
        }
        let missing: Vec<_> =
            variants.iter().filter(|variant| *variant != "unknown" && !seen.contains(*variant)).collect();
        assert!(
            missing.is_empty(),
            "{name}: {missing:?} are in no golden file; add one with the next number"
        );
    }
}

/// A value that a newer version may send.
fn newer<T: DeserializeOwned + PartialEq + std::fmt::Debug>(tag: &str, unknown: &T) {
    let value = match tag {
        "" => json!("what-comes-later"),
        tag => json!({ tag: "what-comes-later", "more": [1, { "a": null }] }),
    };
    assert_eq!(serde_json::from_value::<T>(value).unwrap(), *unknown);
}

#[test]
fn what_a_newer_version_says_is_unknown_and_no_error() {
    newer("", &enrol::Realm::Unknown);
    newer("status", &enrol::EnrolResponse::Unknown);
    newer("event", &event::EventKind::Unknown);
    newer("", &event::Stream::Unknown);
    newer("outcome", &event::Outcome::Unknown);
    newer("verdict", &event::Verdict::Unknown);
    newer("", &facts::Firmware::Unknown);
    newer("", &packages::PackageFamily::Unknown);
    newer("answer", &packages::PackagesResponse::Unknown);
    newer("do", &poll::Order::Unknown);
    newer("", &package_work::PackageAction::Unknown);
    newer("", &package_work::Conffiles::Unknown);
    newer("", &package_work::ChangeKind::Unknown);
    newer("kind", &step::StepKind::Unknown);
    newer("", &step::WipeMethod::Unknown);
    newer("on", &storage::Volume::Unknown);
    newer("action", &storage::StorageAction::Unknown);
    newer("", &survey::AddressMethod::Unknown);
    newer("", &vm::SnapshotOrder::Unknown);
    newer("from", &vm::VmBoot::Unknown);
    newer("how", &vm::VmNetwork::Unknown);
    newer("", &vm::VmPower::Unknown);
    newer("do", &vm::VmWork::Unknown);
    // One that is missing above would go untested.
    let with_unknown = declared()
        .into_iter()
        .filter(|(_, enumeration)| {
            enumeration.as_ref().is_some_and(|(_, variants)| variants.contains(&"unknown".to_owned()))
        })
        .count();
    assert_eq!(with_unknown, 23);
}

#[test]
fn fields_that_a_newer_version_adds_are_skipped() {
    fn skipped<T: DeserializeOwned>(name: &str) {
        for (path, mut value) in files(&root().join("golden").join(name)) {
            value.as_object_mut().unwrap().insert("from_a_newer_version".to_owned(), json!({ "a": [1] }));
            let read = serde_json::from_value::<T>(value);
            assert!(read.is_ok(), "{path}: {:?}", read.err());
        }
    }
    skipped::<enrol::EnrolRequest>("enrol-request");
    skipped::<enrol::Identity>("identity");
    skipped::<event::ReportRequest>("report-request");
    skipped::<event::ReportResponse>("report-response");
    skipped::<facts::Facts>("facts");
    skipped::<plan::Plan>("plan");
    skipped::<poll::Lease>("lease");
    skipped::<poll::PollRequest>("poll-request");
    skipped::<poll::PollResponse>("poll-response");
    skipped::<problem::Problem>("problem");
    skipped::<trust::Trust>("trust");
}
