//! Sentences that server and agent say in English, in the language of whoever reads a page.
//!
//! Use cases, plans and agents speak English, which logs, API and command line show. Pages find the sentence in
//! `templates/sentences/LANGUAGE.yaml`: English on the left, the other language on the right, `{name}` for what is different each time,
//! and `{>name}` for what is a sentence itself. `{state>name}` is a word of a kind: `state failed` on the left says what `failed` is there,
//! since a client or an account may be called like it. Invariant: a sentence that is not there is shown as it was said; nothing is left out.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

/// Sentences hold sentences no deeper than this.
const DEPTH: usize = 5;

/// The sentences of one language.
#[derive(Debug, Default)]
pub(super) struct Sentences(Vec<(Vec<Part>, Vec<Part>)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(String),
    /// `kind` is empty for a sentence, and absent for what is shown as it is.
    Value {
        name: String,
        kind: Option<String>,
    },
}

impl Sentences {
    /// Reads the file of a language.
    ///
    /// # Errors
    /// It is not well formed, or the two sides of an entry have other values.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let entries: BTreeMap<String, String> =
            serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        let mut sentences = Vec::new();
        for (english, other) in entries {
            let (from, to) = (parts(&english), parts(&other));
            let has = |name: &str| {
                from.iter().any(|part| matches!(part, Part::Value { name: known, .. } if known == name))
            };
            if let Some(Part::Value { name, .. }) =
                to.iter().find(|part| matches!(part, Part::Value { name, .. } if !has(name)))
            {
                return Err(format!("`{other}` names `{name}`, which `{english}` has not"));
            }
            sentences.push((from, to));
        }
        // What says most is meant: `job {id}: {why}` also fits where something longer fits.
        sentences.sort_by_key(|(from, _)| std::cmp::Reverse(fixed(from)));
        Ok(Self(sentences))
    }

    /// A sentence in this language, or as it is.
    pub(super) fn say<'a>(&self, english: &'a str) -> Cow<'a, str> {
        self.say_at(english, 0)
    }

    fn say_at<'a>(&self, english: &'a str, depth: usize) -> Cow<'a, str> {
        if depth == DEPTH || english.is_empty() {
            return Cow::Borrowed(english);
        }
        let found = self.0.iter().find_map(|(from, to)| {
            let mut values = HashMap::new();
            fits(from, english, &mut values).then_some((to, values))
        });
        let Some((to, values)) = found else { return Cow::Borrowed(english) };
        let mut said = String::new();
        for part in to {
            match part {
                Part::Fixed(text) => said.push_str(text),
                Part::Value { name, kind } => {
                    let value = values.get(name.as_str()).copied().unwrap_or_default();
                    match kind.as_deref() {
                        None => said.push_str(value),
                        Some("") => said.push_str(&self.say_at(value, depth + 1)),
                        Some(kind) => {
                            let word = format!("{kind} {value}");
                            let known = self.say_at(&word, depth + 1);
                            said.push_str(if known == word { value } else { &known });
                        }
                    }
                }
            }
        }
        Cow::Owned(said)
    }
}

fn fixed(parts: &[Part]) -> usize {
    parts.iter().map(|part| if let Part::Fixed(text) = part { text.len() } else { 0 }).sum()
}

fn parts(sentence: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = sentence;
    while let Some((before, (value, after))) =
        rest.split_once('{').and_then(|(before, open)| Some((before, open.split_once('}')?)))
    {
        if !before.is_empty() {
            parts.push(Part::Fixed(before.to_owned()));
        }
        let (kind, name) = match value.split_once('>') {
            Some((kind, name)) => (Some(kind.to_owned()), name),
            None => (None, value),
        };
        parts.push(Part::Value { name: name.to_owned(), kind });
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Fixed(rest.to_owned()));
    }
    parts
}

/// Whether the parts make up the text; a value is as short as it can be, and never empty.
fn fits<'a>(parts: &'a [Part], text: &'a str, values: &mut HashMap<&'a str, &'a str>) -> bool {
    match parts {
        [] => text.is_empty(),
        [Part::Fixed(fixed), rest @ ..] => {
            text.strip_prefix(fixed.as_str()).is_some_and(|text| fits(rest, text, values))
        }
        [Part::Value { name, .. }] => {
            values.insert(name, text);
            !text.is_empty()
        }
        [Part::Value { name, .. }, rest @ ..] => {
            let ends = text.char_indices().map(|(at, _)| at).skip(1);
            for end in ends {
                if fits(rest, &text[end..], values) {
                    values.insert(name, &text[..end]);
                    return true;
                }
            }
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn german(entries: &[(&str, &str)]) -> Sentences {
        let entries: BTreeMap<_, _> = entries.iter().copied().collect();
        Sentences::read(&serde_yaml::to_string(&entries).unwrap()).unwrap()
    }

    #[test]
    fn a_sentence_is_known_by_what_is_fixed_in_it() {
        let german = german(&[
            ("stands in line {line} already", "steht schon in Zeile {line}"),
            ("names no machine", "nennt keinen Rechner"),
            ("client {name} is {state}: it was never installed", "{name} war noch nie installiert"),
        ]);
        assert_eq!(german.say("stands in line 7 already"), "steht schon in Zeile 7");
        assert_eq!(german.say("names no machine"), "nennt keinen Rechner");
        assert_eq!(
            german.say("client lab-01 is registered: it was never installed"),
            "lab-01 war noch nie installiert"
        );
        for unknown in ["names no machine!", "stands in line  already at all", "", "client"] {
            assert_eq!(german.say(unknown), unknown);
        }
    }

    #[test]
    fn a_sentence_inside_of_a_sentence_is_said_too() {
        let german = german(&[
            ("step {step}: {why}", "Schritt {step}: {>why}"),
            ("the script ended with {status}: {last}", "das Skript endete mit {>status}: {last}"),
            ("status {code}", "Status {code}"),
        ]);
        assert_eq!(
            german.say("step apt: the script ended with status 100: E: no names no"),
            "Schritt apt: das Skript endete mit Status 100: E: no names no"
        );
        assert_eq!(german.say("step apt: boom"), "Schritt apt: boom");
    }

    #[test]
    fn a_word_is_said_only_where_its_kind_is_meant() {
        let german = german(&[
            ("job {id} is {state>state}", "Job {id} ist {state>state}"),
            ("state failed", "fehlgeschlagen"),
        ]);
        assert_eq!(german.say("job 7 is failed"), "Job 7 ist fehlgeschlagen");
        assert_eq!(german.say("job 7 is odd"), "Job 7 ist odd");
        assert_eq!(german.say("failed"), "failed");
    }

    #[test]
    fn of_two_that_fit_the_one_that_says_more_is_meant() {
        let german =
            german(&[("{what} exists", "{what} gibt es"), ("the disk {what} exists", "Platte {what}")]);
        assert_eq!(german.say("the disk sda exists"), "Platte sda");
        assert_eq!(german.say("ann exists"), "ann gibt es");
    }

    #[test]
    fn a_value_that_the_english_sentence_has_not_is_refused() {
        let error = Sentences::read("'a {b}': 'c {d}'").unwrap_err();
        assert!(error.contains("`d`"), "{error}");
    }
}
