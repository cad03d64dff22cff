//! What the server says by key, in the language of whoever looks: why a job waits, what a type of job is called, what is wrong with a field.

use std::collections::BTreeMap;

use serde::Serialize;
use wire::{Sha256, problem::FieldProblem};

use super::moment::Moment;
use crate::{app::layouts::NamedLayout, context::Ctx, domain::job::Wait};

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
            Wait::Held(text) | Wait::Alarm(text) | Wait::Told(text) => view.text = told(ctx, language, text),
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

/// Who did something: a person by name, Lotse's own parts by what they are.
pub(super) fn actor_name(ctx: &Ctx, language: &str, actor: &str) -> String {
    let key = match actor {
        "queue" | "boot" | "rules" | "server" | "selections" => "by-lotse",
        agent if agent.strip_prefix("client ").is_some_and(|id| id.parse::<i64>().is_ok()) => "by-agent",
        _ => return actor.to_owned(),
    };
    ctx.pages.text(language, key, &[]).unwrap_or_else(|| actor.to_owned())
}

/// What else is known of an event.
pub(super) fn event_detail(ctx: &Ctx, language: &str, kind: &str, detail: String) -> String {
    match kind {
        // Which job it is, is said beside; the number of an attempt among all that were ever made says nothing to anybody.
        "job.queued" | "job.running" => String::new(),
        "client.boot" => {
            let word = format!("decision {detail}");
            let said = told(ctx, language, &word);
            if said == word { detail } else { said }
        }
        // The beginning of a fingerprint is enough to compare.
        "client.adopted" if detail.len() == 64 => format!("{}…", &detail[..16]),
        // Its name among many, and what it is for.
        "token.created" => detail.split_once(" (").map_or(detail.clone(), |(id, _)| id.to_owned()),
        _ => told(ctx, language, &detail),
    }
}

/// What a step of a job is called, when that says more than the job's own title.
pub(super) fn step_title(ctx: &Ctx, language: &str, job_type: &str, step: &str) -> String {
    let declared = ctx.catalog.job_type(job_type);
    let found = declared.as_ref().and_then(|declared| declared.steps.iter().find(|known| known.id == step));
    match found {
        Some(known) if known.title.is_empty() => String::new(),
        Some(known) => in_language(&known.title, language, step),
        // One of an own version, or of one that is gone.
        None => step.to_owned(),
    }
}

/// What a distribution is called; its name when the catalogue does not know it any more.
pub(super) fn distribution_title(ctx: &Ctx, language: &str, name: &str) -> String {
    let found = ctx.catalog.distributions().find(|(known, _)| *known == name);
    found.map_or_else(|| name.to_owned(), |(_, known)| in_language(&known.title, language, name))
}

/// What a layout is called, with its name.
pub(super) fn layout_title(language: &str, layout: &NamedLayout) -> String {
    #[derive(Default, serde::Deserialize)]
    #[serde(default)]
    struct Titled {
        title: BTreeMap<String, String>,
    }
    let titled: Titled = serde_yaml::from_str(&layout.yaml).unwrap_or_default();
    match in_language(&titled.title, language, "") {
        title if title.is_empty() => layout.name.clone(),
        title => format!("{title} ({})", layout.name),
    }
}

/// A fingerprint as machines show it on their screens: in groups of four, which people can compare.
pub(super) fn grouped(fingerprint: &Sha256) -> String {
    let signs = fingerprint.as_str().as_bytes();
    signs.chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// Pairs as a JSON object, for a script of the page.
pub(super) fn as_json(pairs: impl Iterator<Item = (String, String)>) -> String {
    serde_json::to_string(&pairs.collect::<BTreeMap<_, _>>()).unwrap_or_default()
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

/// A sentence of the server in the reader's language, when it is one of those that pages know; otherwise as it is.
pub(super) fn told(ctx: &Ctx, language: &str, english: &str) -> String {
    ctx.pages.say(language, english).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_shown_as_on_the_machines_screen() {
        let fingerprint: Sha256 = "ab12".repeat(16).parse().unwrap();
        let shown = grouped(&fingerprint);
        assert!(shown.starts_with("ab12 ab12 ") && shown.len() == 64 + 15, "{shown}");
    }
}
