//! Settings: what counts now, and changing it. What only the configuration decides is shown, not changed.

use serde_json::{Value, json};
use wire::problem::FieldProblem;

use super::{Error, tag};
use crate::{
    context::Ctx,
    db::{Tx, audit, events, settings},
    domain::settings::{Decided, Kind, SETTINGS, Setting, Settings, find},
};

/// A setting as people see it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct SettingView {
    /// Its name.
    pub name: String,
    /// `number`, `text`, `choice` or `choices`.
    pub kind: String,
    /// What counts now.
    #[schema(value_type = serde_json::Value)]
    pub value: Value,
    /// What counts when nobody has set anything.
    #[schema(value_type = serde_json::Value)]
    pub default: Value,
    /// The words that are possible.
    pub words: Vec<String>,
    /// The least number.
    pub least: Option<i64>,
    /// The greatest number, or most characters.
    pub most: Option<i64>,
    /// When it was set; absent when the default counts.
    pub changed_at: Option<i64>,
    /// By whom.
    pub changed_by: Option<String>,
}

/// Settings, and what the configuration has decided.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct AllSettings {
    /// What can be set.
    pub settings: Vec<SettingView>,
    /// What only flags, environment and configuration file decide, each with its source.
    pub configuration: Vec<Decided>,
}

/// What counts now.
///
/// # Errors
/// The database refuses.
pub async fn current(tx: &mut Tx) -> Result<Settings, Error> {
    Ok(Settings::new(settings::list(tx).await?.into_iter().map(|kept| (kept.name, kept.value))))
}

/// All settings, and the configuration.
///
/// # Errors
/// The database refuses.
pub async fn all(ctx: &Ctx) -> Result<AllSettings, Error> {
    let mut tx = ctx.db.read().await?;
    let kept = settings::list(&mut tx).await?;
    let current = current(&mut tx).await?;
    let view = |setting: &Setting| {
        let kept = kept.iter().find(|kept| kept.name == setting.name);
        let (kind, words, least, most) = match setting.kind {
            Kind::Number { least, most } => ("number", &[][..], Some(least), Some(most)),
            Kind::Text { longest } => ("text", &[][..], None, i64::try_from(longest).ok()),
            Kind::Choice(words) => ("choice", words, None, None),
            Kind::Choices(words) => ("choices", words, None, None),
        };
        SettingView {
            name: setting.name.to_owned(),
            kind: kind.to_owned(),
            value: current.value(setting),
            default: setting.default_value(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            least,
            most,
            changed_at: kept.map(|kept| kept.changed_at),
            changed_by: kept.map(|kept| kept.changed_by.clone()),
        }
    };
    Ok(AllSettings {
        settings: SETTINGS.into_iter().map(view).collect(),
        configuration: ctx.config.decided.clone(),
    })
}

/// A new value; typed text is read as the setting's type asks for.
#[derive(Clone, Debug)]
pub enum NewValue {
    /// As JSON.
    Json(Value),
    /// As somebody typed it.
    Typed(String),
    /// The default.
    Default,
}

impl AllSettings {
    /// What is set: names and values.
    pub fn values(&self) -> Vec<(&str, &Value)> {
        self.settings.iter().map(|setting| (setting.name.as_str(), &setting.value)).collect()
    }
}

/// Sets one or several settings: all of them, or none when one does not fit, or when `expected` is not the tag of what is set now.
///
/// # Errors
/// There is no such setting, a value does not fit (each wrong one is named), or [`Error::Stale`].
pub async fn set(
    ctx: &Ctx,
    wanted: &[(String, NewValue)],
    expected: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    let mut checked = Vec::new();
    let mut wrong = Vec::new();
    for (name, value) in wanted {
        let Some(setting) = find(name) else {
            return Err(Error::not_found(format!("setting {name}")));
        };
        let value = match value {
            NewValue::Json(value) => setting.check(value),
            NewValue::Typed(text) => setting.read(text),
            NewValue::Default => Ok(setting.default_value()),
        };
        match value {
            Ok(value) => checked.push((setting, value)),
            Err(message) => wrong.push(FieldProblem { field: name.clone(), message }),
        }
    }
    if !wrong.is_empty() {
        return Err(Error::fields("settings do not fit; nothing was changed", wrong));
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let before = current(&mut tx).await?;
    let values: Vec<_> = SETTINGS.into_iter().map(|setting| (setting.name, before.value(setting))).collect();
    tag::check("the settings", &values, expected)?;
    let mut changed = false;
    for (setting, value) in checked {
        let was = before.value(setting);
        if was == value {
            continue;
        }
        changed = true;
        if value == setting.default_value() {
            settings::unset(&mut tx, setting.name).await?;
        } else {
            settings::set(&mut tx, setting.name, &value, actor, now).await?;
        }
        let object = format!("setting {}", setting.name);
        let (was, is) = (json!({ "value": was }), json!({ "value": value }));
        audit::note(&mut tx, "setting.change", &object, &was, &is).await?;
        events::add(&mut tx, "setting.changed", None, None, actor, setting.name, now).await?;
    }
    if !changed {
        return Ok(());
    }
    tx.commit().await?;
    ctx.presence.events_came();
    super::cache::apply_settings(ctx).await
}
