//! The house rules that a program can check: the direction of dependencies, the doors, what every file begins with.

use std::path::{Path, PathBuf};

use harness::server::repository;

/// Longest source file that is not a test.
const LONGEST: usize = 600;

/// Every file of the repository that git knows or would take, by ending.
fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(directory: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs_err::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !name.starts_with('.') && name != "target" && name != "node_modules" {
                    walk(&path, ending, found);
                }
            } else if name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    let root = repository();
    for folder in ["wire", "server", "agent", "tests", "job-scripts", "pxe", "packaging", "docs"] {
        if root.join(folder).is_dir() {
            walk(&root.join(folder), ending, &mut found);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(repository()).unwrap_or(path).display().to_string()
}

fn is_test(path: &Path) -> bool {
    let text = shown(path);
    text.starts_with("tests/") || text.contains("/tests/") || text.ends_with("tests.rs")
}

/// What stands before the tests of a file.
fn code(path: &Path) -> String {
    let text = fs_err::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end].to_owned()
}

fn offenders(of: impl Fn(&Path, &str) -> Option<String>) -> Vec<String> {
    let paths = files(".rs");
    paths
        .iter()
        .filter_map(|path| of(path, &code(path)).map(|why| format!("{}: {why}", shown(path))))
        .collect()
}

#[test]
fn dependencies_run_in_one_direction() {
    // A layer may use those that are named, and its own.
    let layers: [(&str, &[&str]); 12] = [
        ("domain", &["clock"]),
        ("db", &["domain", "clock"]),
        ("catalog", &["domain", "clock"]),
        ("planner", &["domain", "catalog", "clock"]),
        ("queue", &["domain", "db", "clock", "app"]),
        ("delivery", &[]),
        ("vm", &["domain", "clock"]),
        ("archive", &["blobs", "clock", "domain"]),
        ("cache", &["blobs", "boot", "clock", "process"]),
        ("identity", &["domain", "clock", "blobs", "patience"]),
        ("auth", &["domain", "clock", "identity"]),
        (
            "app",
            &[
                "archive", "auth", "domain", "db", "clock", "blobs", "boot", "cache", "catalog", "consoles",
                "context", "identity", "planner", "presence", "queue", "pages", "delivery", "vm",
            ],
        ),
    ];
    let wrong = offenders(|path, text| {
        let place = shown(path);
        let inside = place.strip_prefix("server/src/")?;
        let layer = inside.split(['/', '.']).next()?;
        let (_, allowed) = layers.iter().find(|(name, _)| *name == layer)?;
        if place.ends_with("rendered.rs") || place.ends_with("documented.rs") {
            return None;
        }
        let used: Vec<String> = text
            .split("crate::")
            .skip(1)
            .flat_map(|rest| match rest.strip_prefix('{') {
                // The names directly inside the braces of a `use`.
                Some(list) => {
                    let mut depth = 0;
                    let mut names = vec![String::new()];
                    for character in list.chars() {
                        match character {
                            '{' => depth += 1,
                            '}' if depth == 0 => break,
                            '}' => depth -= 1,
                            ',' if depth == 0 => names.push(String::new()),
                            other if depth == 0 => names.last_mut().unwrap().push(other),
                            _ => {}
                        }
                    }
                    names
                        .iter()
                        .map(|name| name.trim().split("::").next().unwrap_or_default().to_owned())
                        .collect()
                }
                None => vec![rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()],
            })
            .collect();
        let bad: Vec<_> = used
            .into_iter()
            .filter(|name| !name.is_empty() && name != layer && !allowed.contains(&name.as_str()))
            .collect();
        (!bad.is_empty()).then(|| format!("must not use {}", bad.join(", ")))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_core_does_no_io() {
    let wrong = offenders(|path, text| {
        let place = shown(path);
        let pure = place.starts_with("server/src/domain/")
            || place.starts_with("server/src/planner/")
            || place.starts_with("wire/src/");
        let words = ["tokio::", "sqlx::", "axum::", "reqwest::", "std::fs", "fs_err::", "std::net::Tcp"];
        let found: Vec<_> = words.into_iter().filter(|word| pure && text.contains(word)).collect();
        let tests_of_scripts = place.ends_with("rendered.rs") || place.ends_with("documented.rs");
        (!found.is_empty() && !tests_of_scripts).then(|| format!("uses {}", found.join(", ")))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_outside_world_has_one_door() {
    let doors: [(&str, &[&str]); 5] = [
        ("ldap3::", &["server/src/auth/ldap/"]),
        ("sqlx::", &["server/src/db/"]),
        ("lettre::", &["server/src/delivery/"]),
        ("gpt::", &["agent/src/disk/"]),
        ("process::Command", &["server/src/process.rs", "agent/src/host/", "tests/"]),
    ];
    let wrong = offenders(|path, text| {
        let place = shown(path);
        if is_test(path)
            || place.ends_with("rendered.rs")
            || place.ends_with("documented.rs")
            || place.contains("/examples/")
        {
            return None;
        }
        let found = doors.iter().find(|(word, folders)| {
            text.contains(word) && !folders.iter().any(|folder| place.starts_with(folder))
        });
        found.map(|(word, folders)| format!("uses {word}, which belongs to {}", folders.join(", ")))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_and_fits_in_the_head() {
    let mut wrong = offenders(|path, text| {
        (!text.starts_with("//!") && !shown(path).ends_with("tests.rs"))
            .then(|| "does not begin with `//!`".to_owned())
    });
    wrong.extend(offenders(|path, text| {
        let lines = text.lines().count();
        (lines > LONGEST && !is_test(path)).then(|| format!("has {lines} lines: it has become two things"))
    }));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The API's description names types without their modules, so of two with one name it would describe only one.
#[test]
fn no_two_types_of_the_api_have_one_name() {
    let item = regex::Regex::new(r"(?:pub(?:\(\w+\))? )?(?:struct|enum) (\w+)").unwrap();
    let mut known = std::collections::BTreeMap::new();
    let mut wrong = Vec::new();
    for path in files(".rs").into_iter().filter(|path| !is_test(path)) {
        let text = code(&path);
        for derived in text.split("#[derive(").skip(1) {
            let (derives, rest) = derived.split_once(')').unwrap();
            let Some(found) = item.captures(rest).filter(|_| derives.contains("ToSchema")) else { continue };
            let attributes = &rest[..found.get(0).unwrap().start()];
            if !attributes.contains("schema(as")
                && let Some(other) = known.insert(found[1].to_owned(), shown(&path))
            {
                wrong.push(format!("{} is in {other} and in {}", &found[1], shown(&path)));
            }
        }
    }
    assert!(known.len() > 30 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_unfinished() {
    let words = [
        ["TO", "DO"].concat(),
        ["FIX", "ME"].concat(),
        ["#[ig", "nore"].concat(),
        ["unimple", "mented!("].concat(),
    ];
    let wrong = offenders(|_, text| {
        words.iter().find(|word| text.contains(*word)).map(|word| format!("says {word}"))
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_mirror_is_named() {
    let hosts = [
        ["debian", ".org"].concat(),
        ["crates", ".io"].concat(),
        ["pypi", ".org"].concat(),
        ["npmjs", ".org"].concat(),
    ];
    let mut wrong = Vec::new();
    for ending in [".rs", ".sh", ".yaml", ".tera", ".toml", ".md", ".json"] {
        for path in files(ending) {
            let text = fs_err::read_to_string(&path).unwrap_or_default();
            if let Some(host) = hosts.iter().find(|host| text.contains(*host)) {
                wrong.push(format!("{} names {host}", shown(&path)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_path_in_the_documents_exists() {
    let mut wrong = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let text = fs_err::read_to_string(repository().join(document)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if !link.starts_with("http") && !repository().join(link.split('#').next().unwrap()).exists() {
                wrong.push(format!("{document} links to {link}"));
            }
        }
    }
    let architecture = fs_err::read_to_string(repository().join("ARCHITECTURE.md")).unwrap();
    let folders = ["server/src/", "agent/src/", "tests/", "pxe/", "packaging/", "job-scripts/", "wire/"];
    for word in architecture.split('`').skip(1).step_by(2) {
        if folders.iter().any(|folder| word.starts_with(folder)) && !repository().join(word).exists() {
            wrong.push(format!("ARCHITECTURE.md names {word}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
