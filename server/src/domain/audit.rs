//! The audit: who changed what, as a chain of hashes in which no entry can be changed, left out or moved unnoticed. Pure.
//!
//! The hash of an entry is SHA-256, in small hexadecimal digits, over the UTF-8 text of this JSON array, written without spaces:
//! `["lotse-audit-1", seq, at, actor, via, address, request_id, action, object, before, after, previous]`. `seq` and `at` are numbers;
//! `before` and `after` are `null` or strings that hold the JSON text exactly as it is stored; `previous` is the hash of the entry
//! before, and the empty string for the first one. Numbers begin with 1 and have no gap. Number and hash of the last entry, the head,
//! are signed by the server's key ([`head_text`]), so that cutting off the end needs that key, too.

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock;

/// What stands in the place of a secret.
const HIDDEN: &str = "•••";

/// One change that a person has made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// Its place in the chain, from 1 on.
    pub seq: i64,
    /// When, microseconds since the Unix epoch.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What let them in: `session`, `token 7`; `nobody` when nothing did.
    pub via: String,
    /// From where.
    pub address: String,
    /// The request's number, as in the server's log.
    pub request_id: String,
    /// What was done, such as `client.change`.
    pub action: String,
    /// With what, such as `client lab-01`.
    pub object: String,
    /// How it was: JSON text; absent when it was not there.
    pub before: Option<String>,
    /// How it is since: JSON text; absent when it is not there any more.
    pub after: Option<String>,
    /// Hash over all of it and the hash before.
    pub hash: String,
}

/// The hash that belongs to an entry after the hash of the one before.
pub fn chained(entry: &Entry, previous: &str) -> String {
    let parts = serde_json::json!([
        "lotse-audit-1",
        entry.seq,
        entry.at,
        entry.actor,
        entry.via,
        entry.address,
        entry.request_id,
        entry.action,
        entry.object,
        entry.before,
        entry.after,
        previous
    ]);
    hex::encode(digest(&SHA256, parts.to_string().as_bytes()))
}

/// What the server signs as the end of the chain.
pub fn head_text(seq: i64, hash: &str) -> String {
    format!("lotse audit head {seq} {hash}")
}

/// Walks along a chain.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    /// Number of the last good entry.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// Where a chain is broken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Break {
    /// The first entry that is not as it was written; also when it is missing.
    pub seq: i64,
    /// What is wrong.
    pub reason: String,
}

impl Walk {
    /// Goes on to the next entry.
    ///
    /// # Errors
    /// It is not the one that was written there.
    pub fn step(&mut self, entry: &Entry) -> Result<(), Break> {
        let expected = self.seq + 1;
        if entry.seq != expected {
            return Err(Break { seq: expected, reason: format!("entry {expected} is missing") });
        }
        if chained(entry, &self.hash) != entry.hash {
            let reason = format!(
                "the content of entry {expected} does not fit its hash and the entry before: one of them was changed or moved"
            );
            return Err(Break { seq: expected, reason });
        }
        self.seq = entry.seq;
        self.hash.clone_from(&entry.hash);
        Ok(())
    }
}

/// A value without its secrets: whatever stands under a name that means one. Use cases leave secrets out; this is for those that forget.
pub fn without_secrets(value: Value) -> Value {
    const NAMES: [&str; 8] = [
        "password",
        "passwords",
        "secret",
        "token",
        "private_key",
        "passphrase",
        "luks_key",
        "recovery_codes",
    ];
    match value {
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| {
                    let hidden = NAMES.contains(&name.to_ascii_lowercase().as_str())
                        && !matches!(value, Value::Null | Value::Bool(_) | Value::Number(_));
                    let value = if hidden { Value::from(HIDDEN) } else { without_secrets(value) };
                    (name, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(without_secrets).collect()),
        other => other,
    }
}

/// One place where before and after differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where, such as `config.users[0].name`.
    pub path: String,
    /// What was there; absent when nothing was.
    pub before: Option<String>,
    /// What is there; absent when nothing is.
    pub after: Option<String>,
}

/// Where two values differ, in the order of their paths.
pub fn differences(before: Option<&str>, after: Option<&str>) -> Vec<Difference> {
    let read = |text: Option<&str>| text.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let (mut was, mut is) = (Vec::new(), Vec::new());
    if let Some(value) = read(before) {
        leaves("", &value, &mut was);
    }
    if let Some(value) = read(after) {
        leaves("", &value, &mut is);
    }
    let mut paths: Vec<&String> = was.iter().chain(&is).map(|(path, _)| path).collect();
    paths.sort();
    paths.dedup();
    let at = |leaves: &[(String, String)], path: &str| {
        leaves.iter().find(|(other, _)| other == path).map(|(_, text)| text.clone())
    };
    paths
        .into_iter()
        .map(|path| Difference { path: path.clone(), before: at(&was, path), after: at(&is, path) })
        // What was not there and is empty now has not changed for anybody.
        .filter(|found| found.before.as_deref().unwrap_or("") != found.after.as_deref().unwrap_or(""))
        .collect()
}

fn leaves(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                leaves(&below(name), value, found);
            }
        }
        // A list of words is one thing; a list of records is many.
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (at, value) in items.iter().enumerate() {
                leaves(&format!("{path}[{at}]"), value, found);
            }
        }
        Value::Array(items) => {
            let words: Vec<_> = items.iter().map(text).collect();
            found.push((path.to_owned(), words.join(", ")));
        }
        Value::Null => {}
        Value::Number(number) if path.ends_with("_at") && number.is_i64() => {
            found.push((path.to_owned(), clock::rfc3339(number.as_i64().unwrap_or_default())));
        }
        other => found.push((path.to_owned(), text(other))),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn chain(length: i64) -> Vec<Entry> {
        let mut previous = String::new();
        (1..=length)
            .map(|seq| {
                let mut entry = Entry {
                    seq,
                    at: 1_800_000_000_000_000 + seq,
                    actor: "ann".to_owned(),
                    via: "session".to_owned(),
                    address: "192.0.2.1".to_owned(),
                    request_id: format!("r-{seq}"),
                    action: "client.change".to_owned(),
                    object: format!("client lab-{seq}"),
                    before: (seq % 2 == 0).then(|| format!("{{\"n\":{seq}}}")),
                    after: Some("{}".to_owned()),
                    hash: String::new(),
                };
                entry.hash = chained(&entry, &previous);
                previous.clone_from(&entry.hash);
                entry
            })
            .collect()
    }

    fn walk(entries: &[Entry]) -> Result<Walk, Break> {
        let mut walk = Walk::default();
        entries.iter().try_for_each(|entry| walk.step(entry))?;
        Ok(walk)
    }

    #[test]
    fn the_hash_of_an_entry_is_what_the_documentation_says() {
        let entry = chain(1).remove(0);
        let text = "[\"lotse-audit-1\",1,1800000000000001,\"ann\",\"session\",\"192.0.2.1\",\"r-1\",\"client.change\",\"client lab-1\",null,\"{}\",\"\"]";
        assert_eq!(entry.hash, hex::encode(digest(&SHA256, text.as_bytes())));
    }

    proptest! {
        #[test]
        fn no_entry_can_be_changed_left_out_or_moved_unnoticed(length in 2..12_i64, place in 0..12_usize, how in 0..9_usize) {
            let mut entries = chain(length);
            prop_assert_eq!(walk(&entries).unwrap().seq, length);
            let place = place % entries.len();
            let first_bad = i64::try_from(place).unwrap() + 1;
            match how {
                0 => entries[place].actor.push('x'),
                1 => entries[place].at += 1,
                2 => entries[place].before = Some("{\"n\":0}".to_owned()),
                3 => entries[place].after = None,
                4 => entries[place].object = "client other".to_owned(),
                5 => entries[place].hash = "0".repeat(64),
                6 => {
                    // The last one left out is found by the signed head, not by the walk.
                    if place + 1 == entries.len() {
                        return Ok(());
                    }
                    entries.remove(place);
                }
                7 => {
                    if place + 1 == entries.len() {
                        return Ok(());
                    }
                    entries.swap(place, place + 1);
                }
                _ => {
                    // Moved, and numbered as if it had always been there.
                    if place + 1 == entries.len() {
                        return Ok(());
                    }
                    let seq = entries[place].seq;
                    entries[place].seq += 1;
                    entries[place + 1].seq = seq;
                    entries.swap(place, place + 1);
                }
            }
            prop_assert_eq!(walk(&entries).unwrap_err().seq, first_bad);
        }
    }

    #[test]
    fn a_difference_names_what_changed_and_nothing_else() {
        let before = json!({ "name": "a", "config": { "layout": "x", "users": [{ "name": "ann" }] }, "ntp": ["1", "2"], "proxy": "" });
        let after =
            json!({ "name": "a", "config": { "layout": "y", "users": [] }, "ntp": ["1"], "seen_at": 0 });
        let found = differences(Some(&before.to_string()), Some(&after.to_string()));
        let side = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let shown: Vec<_> = found
            .iter()
            .map(|found| format!("{}: {} {}", found.path, side(&found.before), side(&found.after)))
            .collect();
        assert_eq!(
            shown,
            [
                "config.layout: x y",
                "config.users[0].name: ann -",
                "ntp: 1, 2 1",
                "seen_at: - 1970-01-01T00:00:00Z"
            ]
        );
    }

    #[test]
    fn whatever_is_called_a_secret_is_hidden() {
        let value = json!({ "user": { "password": "x", "has_password": true }, "list": [{ "Token": ["y"] }], "secret": null });
        let hidden = without_secrets(value).to_string();
        assert!(!hidden.contains("\"x\"") && !hidden.contains("\"y\""), "{hidden}");
        assert!(hidden.contains("\"has_password\":true") && hidden.contains("\"secret\":null"), "{hidden}");
    }
}
