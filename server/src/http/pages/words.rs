//! What the server says by key, in the language of whoever looks: why a job waits, what a type of job is called, what is wrong with a field.

use std::collections::BTreeMap;

use serde::Serialize;
use wire::problem::FieldProblem;

use super::moment::Moment;
use crate::{context::Ctx, domain::job::Wait};

/// Why a job waits; the text is `waits-KEY`.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct WaitView {
    key: &'static str,
    job: i64,
    job_type: String,
    state: &'static str,
    text: String,
    at: String,
}

impl WaitView {
    pub(super) fn new(ctx: &Ctx, wait: &Wait, language: &str) -> Self {
        let mut view = Self { key: wait.key(), ..Self::default() };
        match wait {
            Wait::Held(text) | Wait::Alarm(text) | Wait::Told(text) => view.text.clone_from(text),
            Wait::Needs(id, job_type, state) => {
                (view.job, view.state) = (id.0, state.as_str());
                view.job_type = job_title(ctx, language, job_type);
            }
            Wait::Running(id, job_type) | Wait::Before(id, job_type) => {
                view.job = id.0;
                view.job_type = job_title(ctx, language, job_type);
            }
            Wait::Until(at) | Wait::Offline(at) => {
                view.at = Moment::new(*at, ctx.now(), language).full().to_owned();
            }
            Wait::NeverSeen | Wait::Installer | Wait::System | Wait::NextPoll => {}
        }
        view
    }
}

/// What a type of job is called; its name when the catalogue does not know it any more.
pub(super) fn job_title(ctx: &Ctx, language: &str, job_type: &str) -> String {
    let declared = ctx.catalog.job_type(job_type);
    declared.map_or_else(|| job_type.to_owned(), |declared| in_language(&declared.title, language, job_type))
}

/// A text by language; English when that one is missing.
pub(super) fn in_language(texts: &BTreeMap<String, String>, language: &str, otherwise: &str) -> String {
    texts.get(language).or_else(|| texts.get("en")).cloned().unwrap_or_else(|| otherwise.to_owned())
}

/// What is wrong with the fields of a form: by field, in the reader's language where there is a text `fault-FIELD`.
pub(super) fn faults(
    ctx: &Ctx,
    language: &str,
    field_of: impl Fn(&str) -> String,
    problems: &[FieldProblem],
) -> BTreeMap<String, String> {
    let mut faults = BTreeMap::new();
    for problem in problems {
        let field = field_of(&problem.field);
        let key = format!("fault-{}", field.replace('_', "-"));
        let text =
            ctx.pages.text(language, &key, &[]).unwrap_or_else(|| told(ctx, language, &problem.message));
        faults.entry(field).or_insert(text);
    }
    faults
}

/// What the server says in English, and the text that says it in other languages: what stands before and after `{}` is fixed.
const TOLD: &[(&str, &str)] = &[
    ("stands in line {} already", "told-line-twice"),
    ("is missing; give one, or a pattern for all", "told-name-missing"),
    ("is needed to know the machine again when it boots", "told-mac-needed"),
    (
        "no machine with this serial number has announced itself; give its hardware address",
        "told-serial-unknown",
    ),
    ("`{}` is no hardware address, such as 52:54:00:12:34:56", "told-no-mac"),
    ("belongs to client {}", "told-address-owned"),
    ("must be an address with the length of its network, such as 10.0.0.5/24", "told-address"),
    ("must be an address, such as 10.0.0.1", "told-gateway"),
    ("is of no user: give the user, too", "told-password-without-user"),
    ("must have 8 to 512 bytes", "told-password-length"),
    ("must be a host name: small letters, digits and hyphens, at most 63, no dot", "told-name"),
    ("must be inside the interface's own network", "told-gateway-outside"),
    ("there is a client {} already", "told-name-taken"),
    ("{} would be destroyed, which is not allowed", "told-not-allowed"),
    ("names no machine", "told-sheet-empty"),
    ("say first that these machines are yours", "told-not-trusted"),
    ("the column `{}", "told-column"),
    ("`{}` has no free one left", "told-used-up"),
    ("`{}` is no pattern for names; write for example pc-{001..}, lab-{serial} or lab-{mac}", "told-pattern"),
    ("`{}` is no range of addresses; write for example 10.0.0.10-10.0.0.99/24", "told-range"),
    ("is not known; `lotse distribution list` shows what is", "told-distribution"),
    ("is not known; `lotse layout list` shows what is", "told-layout"),
    ("must be a login name of small letters, digits, - and _, other than root", "told-login"),
    ("client {} is retired", "told-retired"),
    ("no image {} has been built", "told-no-image"),
];

/// A sentence of the server in the reader's language, when it is one of those that people meet in forms; otherwise as it is.
pub(super) fn told(ctx: &Ctx, language: &str, english: &str) -> String {
    let found = TOLD.iter().find_map(|(sentence, key)| Some((between(sentence, english)?, *key)));
    found
        .and_then(|(value, key)| ctx.pages.text(language, key, &[("value", value)]))
        .unwrap_or_else(|| english.to_owned())
}

/// What stands in the place of the first `{}`.
fn between<'a>(sentence: &str, text: &'a str) -> Option<&'a str> {
    match sentence.split_once("{}") {
        Some((before, after)) => text.strip_prefix(before)?.strip_suffix(after),
        None => (sentence == text).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_known_by_what_is_fixed_in_it() {
        assert_eq!(between("stands in line {} already", "stands in line 7 already"), Some("7"));
        assert_eq!(between("names no machine", "names no machine"), Some(""));
        assert_eq!(between("belongs to client {}", "is used twice"), None);
    }
}
