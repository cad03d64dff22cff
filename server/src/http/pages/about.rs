//! About the server: versions, and how every part of it is, with what to do about each that is not well.

use axum::{Router, extract::State, routing::get};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
};
use crate::{
    app::health::{self, Health},
    context::Ctx,
    domain::{health::Condition, people::Role},
};

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/about", get(show))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    health: Health,
    parts: Vec<PartView>,
    details: bool,
    ca: String,
    https: String,
}

#[derive(Serialize)]
struct PartView {
    /// Key of its name: what stands before the blank, such as `mirror` of `mirror debian`.
    kind: String,
    name: String,
    condition: &'static str,
    chip: &'static str,
    finding: String,
    values: std::collections::BTreeMap<String, String>,
    said: String,
    remedy: String,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let details = visitor.who.as_ref().is_some_and(|who| who.actor.role == Role::Admin);
    let found = health::look(&ctx).await?;
    let found = if details { found } else { found.without_details() };
    let parts = found.parts.iter().map(|part| {
        let (kind, name) = match part.name.split_once(' ') {
            Some(("mirror", name)) => ("mirror".to_owned(), name.to_owned()),
            _ => (part.name.replace(' ', "-"), String::new()),
        };
        let (condition, chip) = match part.condition {
            Condition::Good => ("good", "good"),
            Condition::Unknown => ("unknown", ""),
            Condition::Warning => ("warning", "warn"),
            Condition::Bad => ("bad", "bad"),
        };
        PartView {
            kind,
            name,
            condition,
            chip,
            finding: part.finding.clone(),
            values: part.values.clone(),
            said: part.said.clone(),
            remedy: part.remedy.clone(),
        }
    });
    let view = View {
        page: visitor.frame("/about"),
        parts: parts.collect(),
        health: found,
        details,
        ca: ctx.addresses.ca.clone(),
        https: ctx.addresses.https.clone(),
    };
    page(&ctx, &visitor, "pages/about.html", &view)
}
