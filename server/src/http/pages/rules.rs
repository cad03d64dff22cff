//! Rules for machines that announce themselves.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::FieldProblem;

use super::{
    Rejection,
    client::hardware::{PreviewView, preview_view},
    frame::{Frame, Page, Visitor, page},
    words,
};
use crate::{
    app::{
        Error, layouts, presets,
        rules::{self, RuleHit},
    },
    context::Ctx,
    domain::{people::Role, rule::Rule},
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/rules", get(list).post(set)).route("/rules/{name}/delete", post(delete))
}

/// What somebody types.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct RuleForm {
    name: String,
    position: String,
    serial: String,
    mac: String,
    subnet: String,
    model: String,
    names: String,
    groups: String,
    preset: String,
    distribution: String,
    layout: String,
    install: String,
    wipe: String,
}

impl RuleForm {
    fn of(rule: &Rule) -> Self {
        let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
        Self {
            name: rule.name.clone(),
            position: rule.position.to_string(),
            serial: rule.serial.clone(),
            mac: rule.mac.clone(),
            subnet: rule.subnet.clone(),
            model: rule.model.clone(),
            names: rule.names.clone(),
            groups: rule.groups.join(" "),
            preset: rule.preset.clone(),
            distribution: rule.distribution.clone(),
            layout: rule.layout.clone(),
            install: yes(rule.install),
            wipe: yes(rule.wipe),
        }
    }

    fn rule(&self) -> Rule {
        let text = |text: &String| text.trim().to_owned();
        Rule {
            name: text(&self.name),
            position: self.position.trim().parse().unwrap_or(10),
            serial: text(&self.serial),
            mac: text(&self.mac),
            subnet: text(&self.subnet),
            model: text(&self.model),
            names: text(&self.names),
            groups: self.groups.split_whitespace().map(str::to_owned).collect(),
            preset: text(&self.preset),
            distribution: text(&self.distribution),
            layout: text(&self.layout),
            install: !self.install.is_empty(),
            wipe: !self.wipe.is_empty(),
        }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    rules: Vec<Rule>,
    form: RuleForm,
    faults: BTreeMap<String, String>,
    problem: Option<String>,
    presets: Vec<String>,
    distributions: Vec<String>,
    layouts: Vec<String>,
    hits: Vec<HitView>,
    may_operate: bool,
}

/// What the rules would do with a machine that waits.
#[derive(Serialize)]
struct HitView {
    machine: String,
    rule: String,
    name: String,
    install: bool,
    held_back: String,
    disks: Vec<PreviewView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Edited {
    edit: String,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(edited): Query<Edited>,
) -> Result<Page, Rejection> {
    let form = if edited.edit.is_empty() {
        RuleForm { names: "pc-{001..}".to_owned(), position: "10".to_owned(), ..RuleForm::default() }
    } else {
        let mut tx = ctx.db.read().await?;
        RuleForm::of(&rules::get(&mut tx, &edited.edit).await?)
    };
    show(&ctx, &visitor, form, &[], None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    form: RuleForm,
    faults: &[FieldProblem],
    problem: Option<String>,
) -> Result<Page, Rejection> {
    let may_operate = visitor.actor()?.role >= Role::Operator;
    let mut tx = ctx.db.read().await?;
    let rules = rules::list(&mut tx).await?;
    let presets = presets::list(&mut tx).await?.into_iter().map(|preset| preset.name).collect();
    let layouts = layouts::list(ctx, &mut tx).await?.into_iter().map(|layout| layout.name).collect();
    drop(tx);
    let hits = if may_operate && !rules.is_empty() {
        rules::follow_all(ctx, true, visitor.name()).await?
    } else {
        Vec::new()
    };
    let hit = |hit: RuleHit| HitView {
        machine: hit.machine,
        rule: hit.rule,
        name: hit.name,
        install: hit.install,
        held_back: hit.held_back,
        disks: hit.disks.into_iter().map(preview_view).collect(),
    };
    let field_of = |field: &str| format!("rule_{}", field.split(['[', '.']).next().unwrap_or_default());
    let view = View {
        page: visitor.frame("/discovered"),
        rules,
        form,
        faults: words::faults(ctx, visitor.language, field_of, faults),
        problem,
        presets,
        distributions: ctx.catalog.distributions().map(|(name, _)| name.to_owned()).collect(),
        layouts,
        hits: hits.into_iter().map(hit).collect(),
        may_operate,
    };
    page(ctx, visitor, "pages/rules.html", &view)
}

async fn set(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<RuleForm>,
) -> Result<Response, Rejection> {
    match rules::set(&ctx, &form.rule(), None, visitor.name()).await {
        Ok(()) => Ok(Redirect::to("/rules").into_response()),
        Err(Error::Invalid { title, fields, .. }) => {
            let problem = fields.is_empty().then_some(title);
            Ok(show(&ctx, &visitor, form, &fields, problem).await?.into_response())
        }
        Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) => {
            let problem = Some(error.to_string());
            Ok(show(&ctx, &visitor, form, &[], problem).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    rules::delete(&ctx, &name, None, visitor.name()).await?;
    Ok(Redirect::to("/rules"))
}
