//! Texts and templates against each other: nothing is missing in a language, nothing is there for nobody.

use std::collections::{BTreeMap, BTreeSet};

use regex::Regex;

use super::*;

fn share() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, endings: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, endings));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            found.push((path.display().to_string(), fs_err::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

/// Every text of a language with the names of its values.
fn texts_of(language: &str) -> BTreeMap<String, BTreeSet<String>> {
    let key = Regex::new(r"^([a-z][a-zA-Z0-9_-]*) *=").unwrap();
    let value = Regex::new(r"\$([a-z_]+)").unwrap();
    let mut texts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, content) in files(&share().join("templates/locales").join(language), &[".ftl"]) {
        let mut current = String::new();
        for line in content.lines() {
            if let Some(found) = key.captures(line) {
                found[1].clone_into(&mut current);
                assert!(!texts.contains_key(&current), "{file}: the text `{current}` is there twice");
                texts.insert(current.clone(), BTreeSet::new());
            }
            if !line.starts_with('#')
                && let Some(values) = texts.get_mut(&current)
            {
                values.extend(value.captures_iter(line).map(|found| found[1].to_owned()));
            }
        }
    }
    texts
}

/// A use of a text: its key (or how its key begins), and the names of the values that it is given.
struct Use {
    file: String,
    key: String,
    is_beginning: bool,
    has_other_words: bool,
    values: BTreeSet<String>,
}

fn uses() -> Vec<Use> {
    let call = Regex::new(r#"\bt\(\s*key\s*=\s*"([a-zA-Z0-9_-]*)"(\s*~)?([^)]*)\)"#).unwrap();
    let value = Regex::new(r"\b([a-z_]+)\s*=").unwrap();
    let templates = files(&share().join("templates"), &[".html", ".txt"]);
    let used = |(file, content): &(String, String)| {
        let found = call.captures_iter(content).map(|found| {
            let values: BTreeSet<_> =
                value.captures_iter(&found[3]).map(|found| found[1].to_owned()).collect();
            Use {
                file: file.clone(),
                key: found[1].to_owned(),
                is_beginning: found.get(2).is_some(),
                has_other_words: values.contains("or"),
                values,
            }
        });
        found.collect::<Vec<_>>()
    };
    templates.iter().flat_map(used).collect()
}

#[test]
fn every_language_has_the_same_texts_with_the_same_values() {
    let first = texts_of(LANGUAGES[0]);
    for language in LANGUAGES {
        let other = texts_of(language);
        let missing: Vec<_> = first.keys().filter(|key| !other.contains_key(*key)).collect();
        let more: Vec<_> = other.keys().filter(|key| !first.contains_key(*key)).collect();
        assert!(
            missing.is_empty() && more.is_empty(),
            "{language} lacks {missing:?}, and only it has {more:?}"
        );
        for (key, values) in &other {
            assert_eq!(Some(values), first.get(key), "{language}: the values of `{key}`");
        }
    }
}

#[test]
fn every_text_that_a_template_names_is_there_and_is_given_its_values() {
    let texts = texts_of(LANGUAGES[0]);
    let mut wrong = Vec::new();
    for used in uses() {
        let Use { file, key, .. } = &used;
        if used.is_beginning {
            if !used.has_other_words && !texts.keys().any(|text| text.starts_with(key.as_str())) {
                wrong.push(format!("{file}: no text begins with `{key}`"));
            }
            continue;
        }
        match texts.get(key) {
            None if used.has_other_words => {}
            None => wrong.push(format!("{file}: there is no text `{key}`")),
            Some(values) => {
                let missing: Vec<_> = values.difference(&used.values).collect();
                if !missing.is_empty() {
                    wrong.push(format!("{file}: `{key}` is not given {missing:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_text_is_there_for_nobody() {
    let uses = uses();
    let word = Regex::new(r#""([a-z][a-zA-Z0-9_-]*)""#).unwrap();
    let beginning = Regex::new(r#""([a-z][a-z-]*-)(?:\{[^"]*)?""#).unwrap();
    let mut named: BTreeSet<String> =
        uses.iter().filter(|used| !used.is_beginning).map(|used| used.key.clone()).collect();
    let mut beginnings: BTreeSet<String> =
        uses.iter().filter(|used| used.is_beginning).map(|used| used.key.clone()).collect();
    // Mails are written from these texts, too.
    let sources = files(&share().join("server/src"), &[".rs"]).into_iter();
    let templates = files(&share().join("templates"), &[".html", ".txt"]).into_iter();
    for (_, content) in sources.chain(templates) {
        named.extend(word.captures_iter(&content).map(|found| found[1].to_owned()));
        beginnings.extend(beginning.captures_iter(&content).map(|found| found[1].to_owned()));
    }
    let unused: Vec<_> = texts_of(LANGUAGES[0])
        .into_keys()
        .filter(|key| !named.contains(key) && !beginnings.iter().any(|begin| key.starts_with(begin.as_str())))
        .collect();
    assert!(unused.is_empty(), "no page uses {unused:?}");
}

#[test]
fn every_kind_of_event_has_words() {
    let added = Regex::new(
        r#"(?:events::add\(\s*(?:&mut )?\w+|noted\(\s*(?:&?ctx, )?(?:&mut )?\w+),\s*"([a-z]+\.[a-z.-]+)""#,
    )
    .unwrap();
    let texts = texts_of(LANGUAGES[0]);
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (file, content) in files(&share().join("server/src"), &[".rs"]) {
        for found in added.captures_iter(&content) {
            seen += 1;
            let key = format!("event-{}", found[1].replace('.', "-"));
            if !texts.contains_key(&key) {
                wrong.push(format!("{file}: there is no text `{key}`"));
            }
        }
    }
    assert!(seen > 20, "only {seen} kinds were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_word_of_the_domain_has_its_text() {
    use crate::domain::{client::Stage, job::JobState, people::Role};
    let texts = texts_of(LANGUAGES[0]);
    let stages = [Stage::Registered, Stage::Discovered, Stage::Installing, Stage::Installed, Stage::Retired];
    let states = ["held", "queued", "running", "succeeded", "failed", "cancelled", "expired"]
        .map(|word| word.parse::<JobState>().unwrap());
    let roles = [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin];
    let words = stages.iter().map(|stage| format!("stage-{}", stage.as_str()));
    let words = words.chain(states.iter().map(|state| format!("job-{}", state.as_str())));
    for key in words.chain(roles.iter().map(|role| format!("role-{}", role.as_str()))) {
        assert!(texts.contains_key(&key), "there is no text `{key}`");
    }
}

#[test]
fn every_sentence_that_has_a_translation_is_still_said() {
    // As the compiler joins lines of a text that end with a backslash.
    let joined = Regex::new(r"\\\n\s*").unwrap();
    let said: String = ["server/src", "agent/src", "wire/src"]
        .iter()
        .flat_map(|folder| files(&share().join(folder), &[".rs"]))
        .map(|(_, content)| joined.replace_all(&content, "").replace("\\\"", "\""))
        .collect();
    let value = Regex::new(r"\{[^}]*\}").unwrap();
    let mut wrong = Vec::new();
    for language in LANGUAGES {
        let text =
            fs_err::read_to_string(share().join(format!("templates/sentences/{language}.yaml"))).unwrap();
        let entries: BTreeMap<String, String> = serde_yaml::from_str(&text).unwrap();
        // Words of a kind, such as `state failed`, are not sentences.
        let is_word = |english: &&String| {
            ["state ", "role ", "event ", "decision ", "how "].iter().any(|kind| english.starts_with(kind))
        };
        for english in entries.keys().filter(|english| !is_word(english)) {
            let gone = value.split(english).find(|part| !said.contains(part.trim()));
            wrong.extend(gone.map(|part| format!("{language}: nobody says `{part}` (of `{english}`)")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_agents_and_use_cases_say_is_read_in_german() {
    let pages = Pages::load(&share()).unwrap();
    let german = |english| pages.say("de", english).into_owned();
    assert_eq!(
        german("step install: the script ended with status 100: E: Unable to locate package nope"),
        "Schritt install: das Skript endete mit Status 100: E: Unable to locate package nope"
    );
    assert_eq!(
        german("needs job 12 (storage), which was cancelled"),
        "braucht Job 12 (storage): abgebrochen"
    );
    assert_eq!(german("client lab-99 does not exist"), "Client lab-99 gibt es nicht");
    assert_eq!(
        german("north: removing the machine: gone; nothing: it is tried again by itself"),
        "north: Entfernen der Maschine: gone; nichts: Es wird von selbst wieder versucht"
    );
    assert_eq!(german("what nobody has translated"), "what nobody has translated");
    assert_eq!(pages.say("en", "client lab-99 does not exist"), "client lab-99 does not exist");
}

#[test]
fn what_is_to_be_typed_is_marked_and_nothing_else_gets_through() {
    let mut tera = Tera::default();
    tera.register_filter("code", code);
    tera.add_raw_template("one.html", "{{ text | code }}").unwrap();
    let shown = |text: &str| {
        let mut context = Context::new();
        context.insert("text", text);
        tera.render("one.html", &context)
    };
    assert_eq!(
        shown("run `lotse token <x>` & wait").unwrap(),
        "run <code>lotse token &lt;x&gt;</code> &amp; wait"
    );
    assert_eq!(shown("<b>`one").unwrap(), "&lt;b&gt;`one");
}

#[test]
fn all_templates_can_be_read_and_a_missing_text_is_an_error() {
    let pages = Pages::load(&share()).unwrap();
    let error = pages.render("xx", "pages/login.html", &()).unwrap_err().to_string();
    assert!(error.contains("no language `xx`"), "{error}");
    // What a template names and nobody gives is an error, not a gap.
    assert!(pages.render("en", "pages/error.html", &serde_json::json!({})).is_err());
}
