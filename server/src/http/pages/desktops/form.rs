//! The form of a new desktop: shown first with what would be made and where, then made.

use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use wire::problem::FieldProblem;

use super::{Ctx, Frame, Moment, Page, Rejection, Visitor, desktops, job_title, page, providers, told};
use crate::{
    app::{
        Error,
        clients::NewClient,
        desktops::{DesktopPlan, NewDesktop},
        images, presets, selections,
    },
    db::providers::ProviderRecord,
    domain::{client::ClientConfig, desktop::standard, provider::Pool},
    http::{
        pages::machine_form::{FormView, MachineForm},
        problem,
    },
};

/// What somebody types beside what every client has.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Words {
    /// `pool NAME` or `provider NAME`.
    place: String,
    size: String,
    provider_network: String,
    selection: String,
}

impl Words {
    fn desktop(&self, machine: &MachineForm) -> Result<NewDesktop, Vec<FieldProblem>> {
        let said = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let client = NewClient {
            name: machine.name.trim().to_owned(),
            macs: Vec::new(),
            config: machine.config(&ClientConfig::default())?,
            groups: machine.groups(),
            passwords: machine.passwords(),
        };
        let (kind, name) = self.place.split_once(' ').unwrap_or_default();
        Ok(NewDesktop {
            client,
            provider: said(name).filter(|_| kind == "provider"),
            pool: said(name).filter(|_| kind == "pool"),
            size: said(&self.size).unwrap_or_else(standard),
            network: said(&self.provider_network),
            selection: said(&self.selection),
        })
    }
}

/// Where it can be made.
#[derive(Serialize)]
struct PlaceChoice {
    word: String,
    name: String,
    is_pool: bool,
}

/// Pools first: whoever names one does not wait for a single provider.
fn places(pools: Vec<Pool>, providers: &[ProviderRecord]) -> Vec<PlaceChoice> {
    let choice = |kind: &str, name: &str| PlaceChoice {
        word: format!("{kind} {name}"),
        name: name.to_owned(),
        is_pool: kind == "pool",
    };
    let pools = pools.into_iter().map(|pool| choice("pool", &pool.name));
    let usable = providers.iter().filter(|record| record.wish.enabled);
    pools.chain(usable.map(|record| choice("provider", &record.name))).collect()
}

/// What would be made, in words.
#[derive(Serialize)]
struct PlanView {
    jobs: Vec<String>,
    places: Vec<PlaceView>,
    /// It can be made somewhere.
    good: bool,
}

#[derive(Serialize)]
struct PlaceView {
    provider: String,
    zone: String,
    offering: String,
    disk: String,
    network: String,
    image: String,
    ports: String,
    rests_until: String,
    problems: Vec<String>,
}

impl PlanView {
    fn new(ctx: &Ctx, plan: DesktopPlan, language: &str) -> Self {
        let full = |at| Moment::new(at, ctx.now(), language).full().to_owned();
        let places: Vec<_> = plan
            .places
            .into_iter()
            .map(|place| PlaceView {
                ports: place.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
                rests_until: if place.rests_until > 0 { full(place.rests_until) } else { String::new() },
                problems: place.problems.iter().map(|problem| told(ctx, language, problem)).collect(),
                provider: place.provider,
                zone: place.zone,
                offering: place.offering,
                disk: place.disk,
                network: place.network,
                image: told(ctx, language, &place.image),
            })
            .collect();
        Self {
            jobs: plan.jobs.iter().map(|job_type| job_title(ctx, language, job_type)).collect(),
            good: places.iter().any(|place| place.problems.is_empty()),
            places,
        }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    fields: FormView,
    words: Words,
    places: Vec<PlaceChoice>,
    sizes: Vec<String>,
    selections: Vec<String>,
    /// This server has an image that machines of clouds can boot.
    has_image: bool,
    plan: Option<PlanView>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct With {
    preset: String,
}

pub(super) async fn new(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(with): Query<With>,
) -> Result<Page, Rejection> {
    let mut machine = MachineForm::fresh(visitor.language);
    if !with.preset.is_empty() {
        let mut tx = ctx.db.read().await?;
        let preset = presets::get(&mut tx, &with.preset).await?;
        machine = MachineForm {
            group: preset.groups.join(" "),
            preset: preset.name,
            ..MachineForm::of(&preset.config)
        };
    }
    // Whoever orders a desktop wants one, and is not before it.
    if machine.desktop_environment == "none" {
        "mate".clone_into(&mut machine.desktop_environment);
    }
    if machine.desktop_remote == "none" {
        "x2go".clone_into(&mut machine.desktop_remote);
    }
    let words = Words { size: standard(), ..Words::default() };
    show(&ctx, &visitor, machine, words, None, None).await
}

async fn show(
    ctx: &Ctx,
    visitor: &Visitor,
    machine: MachineForm,
    words: Words,
    plan: Option<DesktopPlan>,
    error: Option<Error>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let known = providers::list(&mut tx).await?;
    let pools = providers::pools(&mut tx).await?;
    let selections =
        selections::list(&mut tx).await?.into_iter().map(|record| record.selection.name).collect();
    let has_image = images::boot_iso(ctx, &mut tx).await.is_ok();
    drop(tx);
    let (faults, problem) = error.map(problem::of_form).unwrap_or_default();
    // A password is typed once: what was shown first is made next.
    let password = machine.password.clone();
    let mut fields = FormView::new(ctx, visitor.language, machine, &faults, problem).await?;
    if plan.is_some() {
        fields.form.password = password;
    }
    let view = View {
        page: visitor.frame("/desktops"),
        fields,
        words,
        sizes: sizes(&known),
        places: places(pools, &known),
        selections,
        has_image,
        plan: plan.map(|plan| PlanView::new(ctx, plan, visitor.language)),
    };
    page(ctx, visitor, "pages/new-desktop.html", &view)
}

/// Sizes that any provider has, the one that is meant when nobody names one first.
fn sizes(providers: &[ProviderRecord]) -> Vec<String> {
    let mut sizes: Vec<_> = providers.iter().flat_map(|record| record.wish.sizes.keys().cloned()).collect();
    sizes.sort_by_key(|size| (*size != standard(), size.clone()));
    sizes.dedup();
    sizes
}

/// Shows what would be made; with `then` = `make` makes it.
pub(super) async fn make(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let unreadable = |error: serde_json::Error| Error::Internal(error.into());
    let typed: serde_json::Map<String, serde_json::Value> =
        pairs.into_iter().map(|(name, value)| (name, value.into())).collect();
    let typed = serde_json::Value::Object(typed);
    let machine = MachineForm::deserialize(&typed).map_err(unreadable)?;
    let words = Words::deserialize(&typed).map_err(unreadable)?;
    let (then, actor) = (machine.then.clone(), visitor.name());
    let result = match words.desktop(&machine) {
        Err(faults) => Err(Error::fields("", faults)),
        Ok(new) if then == "make" => desktops::create(&ctx, &new, actor).await.map(|_| None),
        Ok(new) => desktops::plan(&ctx, &new, actor).await.map(Some),
    };
    match result {
        Ok(None) => Ok(Redirect::to(&format!("/desktops/{}", machine.name.trim())).into_response()),
        Ok(plan) => Ok(show(&ctx, &visitor, machine, words, plan, None).await?.into_response()),
        Err(error @ (Error::Invalid { .. } | Error::Conflict { .. } | Error::NotFound { .. })) => {
            Ok(show(&ctx, &visitor, machine, words, None, Some(error)).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}
