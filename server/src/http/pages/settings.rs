//! Settings: what can be set while the server runs, and what only the configuration decides.

use std::collections::BTreeMap;

use axum::{
    Router,
    extract::{Query, RawForm, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error,
        settings::{self, NewValue, SettingView},
    },
    context::Ctx,
    domain::settings::{Kind, SETTINGS, Setting},
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/settings", get(show).post(change))
}

#[derive(Default, Deserialize)]
struct Saved {
    #[serde(default)]
    saved: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    areas: Vec<AreaView>,
    configuration: Vec<DecidedView>,
    saved: bool,
    problem: Option<String>,
}

#[derive(Serialize)]
struct AreaView {
    name: String,
    settings: Vec<FieldView>,
}

#[derive(Serialize)]
struct FieldView {
    name: String,
    key: String,
    kind: String,
    value: String,
    default: String,
    choices: Vec<ChoiceView>,
    least: Option<i64>,
    most: Option<i64>,
    changed: Option<Moment>,
    changed_by: String,
    fault: Option<String>,
}

#[derive(Serialize)]
struct ChoiceView {
    word: String,
    chosen: bool,
}

#[derive(Serialize)]
struct DecidedView {
    name: String,
    value: String,
    source: &'static str,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(saved): Query<Saved>,
) -> Result<Page, Rejection> {
    whole(&ctx, &visitor, !saved.saved.is_empty(), None, &BTreeMap::new(), &[]).await
}

async fn whole(
    ctx: &Ctx,
    visitor: &Visitor,
    saved: bool,
    problem: Option<String>,
    typed: &BTreeMap<String, String>,
    faults: &[wire::problem::FieldProblem],
) -> Result<Page, Rejection> {
    let all = settings::all(ctx).await?;
    let mut areas: Vec<AreaView> = Vec::new();
    for setting in all.settings {
        let area = setting.name.split('.').next().unwrap_or_default().to_owned();
        let field = field(setting, typed, faults, ctx.now(), visitor.language);
        match areas.last_mut().filter(|last| last.name == area) {
            Some(last) => last.settings.push(field),
            None => areas.push(AreaView { name: area, settings: vec![field] }),
        }
    }
    let configuration = all
        .configuration
        .into_iter()
        .map(|decided| DecidedView {
            name: decided.name,
            value: decided.value,
            source: decided.source.as_str(),
        })
        .collect();
    let view = View { page: visitor.frame("/settings"), areas, configuration, saved, problem };
    page(ctx, visitor, "pages/settings.html", &view)
}

fn field(
    setting: SettingView,
    typed: &BTreeMap<String, String>,
    faults: &[wire::problem::FieldProblem],
    now: i64,
    language: &str,
) -> FieldView {
    let value = typed.get(&setting.name).cloned().unwrap_or_else(|| Setting::shown(&setting.value));
    let chosen = |word: &String| value.split(',').any(|given| given == word);
    FieldView {
        key: setting.name.replace('.', "-"),
        choices: setting
            .words
            .iter()
            .map(|word| ChoiceView { word: word.clone(), chosen: chosen(word) })
            .collect(),
        default: Setting::shown(&setting.default),
        kind: setting.kind,
        least: setting.least,
        most: setting.most,
        changed: setting.changed_at.map(|at| Moment::new(at, now, language)),
        changed_by: setting.changed_by.unwrap_or_default(),
        fault: faults.iter().find(|fault| fault.field == setting.name).map(|fault| fault.message.clone()),
        name: setting.name,
        value,
    }
}

/// A list of words comes as one pair for each word, and not at all when there is none: the form as a whole says what is wanted.
fn typed(form: &[u8]) -> BTreeMap<String, String> {
    let mut typed: BTreeMap<String, String> = SETTINGS
        .iter()
        .filter(|setting| matches!(setting.kind, Kind::Choices(_)))
        .map(|setting| (setting.name.to_owned(), String::new()))
        .collect();
    let pairs: Vec<(String, String)> = serde_urlencoded(form);
    for (name, value) in pairs {
        match typed.get_mut(&name) {
            Some(words) if words.is_empty() => *words = value,
            Some(words) => {
                words.push(',');
                words.push_str(&value);
            }
            None => {
                typed.insert(name, value);
            }
        }
    }
    typed
}

fn serde_urlencoded(form: &[u8]) -> Vec<(String, String)> {
    reqwest::Url::parse(&format!("form:?{}", String::from_utf8_lossy(form)))
        .map(|url| url.query_pairs().into_owned().collect())
        .unwrap_or_default()
}

async fn change(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    RawForm(form): RawForm,
) -> Result<Response, Rejection> {
    let typed = typed(&form);
    let wanted: Vec<_> =
        typed.iter().map(|(name, value)| (name.clone(), NewValue::Typed(value.clone()))).collect();
    match settings::set(&ctx, &wanted, None, visitor.name()).await {
        Ok(()) => Ok(Redirect::to("/settings?saved=1").into_response()),
        Err(Error::Invalid { title, fields, .. }) => {
            Ok(whole(&ctx, &visitor, false, Some(title), &typed, &fields).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_ticked_are_not_wanted() {
        let none = typed(b"session.valid-days=7");
        assert_eq!(none["approval.actions"], "");
        let two = typed(b"approval.actions=retire&approval.actions=wipe-disk&mail.from=a%40b.example");
        assert_eq!(two["approval.actions"], "retire,wipe-disk");
        assert_eq!(two["mail.from"], "a@b.example");
    }
}
