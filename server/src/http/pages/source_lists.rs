//! Source lists: where clients take their packages from, who gets which, and whether their archives are what they say.

use axum::{
    Form, Router,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error, groups, package_search,
        source_lists::{self, ListOrigin, ListUsers, Receiver, SourceCheck, SourceList},
        tag,
    },
    context::Ctx,
    domain::{
        people::Role,
        reach::Sees,
        source_list::{ListWish, PackageSource},
    },
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/source-lists", get(list))
        .route("/new-source-list", get(new).post(create))
        .route("/source-lists/{name}", get(show).post(save))
        .route("/source-lists/{name}/delete", post(delete))
        .route("/source-lists/{name}/give", post(give))
        .route("/source-lists/{name}/refresh", post(refresh))
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    lists: Vec<ListRow>,
    may_change: bool,
}

#[derive(Serialize)]
struct ListRow {
    name: String,
    description: String,
    distribution: String,
    release: String,
    origin: &'static str,
    archives: Vec<String>,
    changed: Option<Moment>,
}

fn origin(origin: ListOrigin) -> &'static str {
    match origin {
        ListOrigin::Own => "own",
        ListOrigin::Distribution => "distribution",
        ListOrigin::Repository => "repository",
    }
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let now = ctx.now();
    let row = |list: SourceList| {
        let mut archives: Vec<String> =
            list.wish.sources.iter().flat_map(|source| source.uris.clone()).collect();
        archives.dedup();
        ListRow {
            name: list.name,
            description: list.wish.description,
            distribution: list.wish.distribution.unwrap_or_default(),
            release: list.release,
            origin: origin(list.origin),
            archives,
            changed: list.changed_at.map(|at| Moment::new(at, now, visitor.language)),
        }
    };
    let lists = source_lists::list(&ctx, &mut tx).await?.into_iter().map(row).collect();
    let view = ListView { page: visitor.frame("/source-lists"), lists, may_change: visitor.may(Role::Admin) };
    page(&ctx, &visitor, "pages/source-lists.html", &view)
}

/// What somebody types.
#[derive(Clone, Debug, Default, Serialize)]
struct ListForm {
    name: String,
    description: String,
    distribution: String,
    architecture: String,
    sources: Vec<SourceForm>,
    expected: String,
    then: String,
}

#[derive(Clone, Debug, Default, Serialize)]
struct SourceForm {
    source_packages: bool,
    uris: String,
    suites: String,
    components: String,
    key: String,
    enabled: bool,
    cached: bool,
}

impl ListForm {
    fn of(list: &SourceList) -> Self {
        let source = |source: &PackageSource| SourceForm {
            source_packages: source.types.iter().any(|kind| kind == "deb-src"),
            uris: source.uris.join(" "),
            suites: source.suites.join(" "),
            components: source.components.join(" "),
            key: source.key.clone(),
            enabled: source.enabled,
            cached: source.cached,
        };
        Self {
            name: list.name.clone(),
            description: list.wish.description.clone(),
            distribution: list.wish.distribution.clone().unwrap_or_default(),
            architecture: list.wish.architecture.clone(),
            sources: list.wish.sources.iter().map(source).collect(),
            expected: tag::of(&list.wish),
            then: String::new(),
        }
    }

    /// Reads a form; a field of the third source is `uris.2`.
    fn read(body: &[u8]) -> Self {
        let mut form = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let value = value.into_owned();
            match name.as_ref() {
                "name" => form.name = value.trim().to_owned(),
                "description" => form.description = value.trim().to_owned(),
                "distribution" => form.distribution = value,
                "architecture" => form.architecture = value.trim().to_owned(),
                "expected" => form.expected = value,
                "then" => form.then = value,
                other => {
                    let Some((field, Ok(at))) =
                        other.split_once('.').map(|(field, at)| (field, at.parse::<usize>()))
                    else {
                        continue;
                    };
                    if at >= MOST_SOURCES {
                        continue;
                    }
                    while form.sources.len() <= at {
                        form.sources.push(SourceForm::default());
                    }
                    let Some(source) = form.sources.get_mut(at) else { continue };
                    match field {
                        "uris" => source.uris = value,
                        "suites" => source.suites = value,
                        "components" => source.components = value,
                        "key" => source.key = value.replace('\r', ""),
                        "source_packages" => source.source_packages = true,
                        "enabled" => source.enabled = true,
                        "cached" => source.cached = true,
                        _ => {}
                    }
                }
            }
        }
        form.sources.retain(|source| !source.uris.trim().is_empty() || !source.suites.trim().is_empty());
        form
    }

    fn wish(&self) -> ListWish {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let source = |source: &SourceForm| PackageSource {
            types: if source.source_packages { words("deb deb-src") } else { words("deb") },
            uris: words(&source.uris),
            suites: words(&source.suites),
            components: words(&source.components),
            key: source.key.trim().to_owned(),
            enabled: source.enabled,
            cached: source.cached,
        };
        ListWish {
            description: self.description.clone(),
            distribution: Some(self.distribution.clone()).filter(|name| !name.is_empty()),
            architecture: self.architecture.clone(),
            sources: self.sources.iter().map(source).collect(),
        }
    }
}

/// Most sources of a form.
const MOST_SOURCES: usize = 31;

#[derive(Serialize)]
struct EditView {
    page: Frame,
    form: ListForm,
    /// Empty: it does not exist yet.
    origin: &'static str,
    distributions: Vec<String>,
    checks: Vec<CheckView>,
    problem: Option<Problem>,
    users: ListUsers,
    groups: Vec<String>,
    given: bool,
    may_change: bool,
    may_give: bool,
}

#[derive(Serialize)]
struct CheckView {
    uri: String,
    suite: String,
    dated: Option<Moment>,
    problem: String,
}

struct Shown {
    form: ListForm,
    checks: Vec<SourceCheck>,
    problem: Option<Problem>,
    given: bool,
}

impl Shown {
    fn form(form: ListForm) -> Self {
        Self { form, checks: Vec::new(), problem: None, given: false }
    }
}

async fn edit(
    ctx: &Ctx,
    visitor: &Visitor,
    known: Option<&SourceList>,
    shown: Shown,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let users = match known {
        Some(list) => source_lists::users(&mut tx, &list.name).await?,
        None => ListUsers::default(),
    };
    let all = groups::list(ctx, &mut tx, &Sees::Everything).await?;
    let groups =
        all.into_iter().map(|group| group.name).filter(|name| !users.groups.contains(name)).collect();
    drop(tx);
    let now = ctx.now();
    let check = |check: SourceCheck| CheckView {
        uri: check.uri,
        suite: check.suite,
        dated: check.dated_at.map(|at| Moment::new(at, now, visitor.language)),
        problem: check.problem.unwrap_or_default(),
    };
    let mut form = shown.form;
    let may_change = visitor.may(Role::Admin);
    if may_change && form.sources.len() < MOST_SOURCES - 1 {
        // One more to fill in.
        form.sources.push(SourceForm { enabled: true, ..SourceForm::default() });
    }
    let view = EditView {
        page: visitor.frame("/source-lists"),
        origin: known.map_or("", |list| origin(list.origin)),
        distributions: ctx.catalog.distributions().map(|(name, _)| name.to_owned()).collect(),
        checks: shown.checks.into_iter().map(check).collect(),
        problem: shown.problem,
        form,
        users,
        groups,
        given: shown.given,
        may_change,
        may_give: visitor.may(Role::Operator),
    };
    page(ctx, visitor, "pages/source-list.html", &view)
}

async fn found(ctx: &Ctx, name: &str) -> Result<SourceList, Error> {
    let mut tx = ctx.db.read().await?;
    source_lists::get(ctx, &mut tx, name).await
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let list = found(&ctx, &name).await?;
    edit(&ctx, &visitor, Some(&list), Shown::form(ListForm::of(&list))).await
}

async fn new(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    edit(&ctx, &visitor, None, Shown::form(ListForm::default())).await
}

async fn create(State(ctx): State<Ctx>, visitor: Visitor, body: Bytes) -> Result<Response, Rejection> {
    let form = ListForm::read(&body);
    if form.then != "check" && found(&ctx, &form.name).await.is_ok() {
        let error = Error::conflict(
            format!("source list {} exists already", form.name),
            "change it, or choose another name",
        );
        let shown = Shown { problem: Some(problem::shown(error)), ..Shown::form(form) };
        return Ok(edit(&ctx, &visitor, None, shown).await?.into_response());
    }
    kept(&ctx, &visitor, None, form).await
}

async fn save(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    body: Bytes,
) -> Result<Response, Rejection> {
    let list = found(&ctx, &name).await?;
    let form = ListForm { name, ..ListForm::read(&body) };
    kept(&ctx, &visitor, Some(&list), form).await
}

/// Checks what was typed, and keeps it when that is wanted.
async fn kept(
    ctx: &Ctx,
    visitor: &Visitor,
    known: Option<&SourceList>,
    form: ListForm,
) -> Result<Response, Rejection> {
    let wish = form.wish();
    let done = if form.then == "check" {
        source_lists::check(ctx, &wish).await
    } else {
        let expected = known.map(|_| form.expected.as_str());
        source_lists::set(ctx, &form.name, &wish, expected, visitor.name()).await.map(|()| Vec::new())
    };
    let (checks, problem) = match done {
        Ok(_) if form.then != "check" => {
            return Ok(Redirect::to(&format!("/source-lists/{}", form.name)).into_response());
        }
        Ok(checks) => (checks, None),
        Err(error) => (Vec::new(), Some(problem::mendable(error)?)),
    };
    let shown = Shown { checks, problem, ..Shown::form(form) };
    Ok(edit(ctx, visitor, known, shown).await?.into_response())
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    source_lists::delete(&ctx, &name, visitor.name()).await?;
    Ok(Redirect::to("/source-lists"))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GiveForm {
    group: String,
    client: String,
    take: String,
}

async fn give(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<GiveForm>,
) -> Result<Response, Rejection> {
    let (group, client) = (form.group.trim(), form.client.trim());
    let to = if group.is_empty() { Receiver::Client(client) } else { Receiver::Group(group) };
    let given = form.take.is_empty();
    match source_lists::give(&ctx, &name, to, given, visitor.name()).await {
        Ok(()) => {
            let list = found(&ctx, &name).await?;
            let shown = Shown { given: true, ..Shown::form(ListForm::of(&list)) };
            Ok(edit(&ctx, &visitor, Some(&list), shown).await?.into_response())
        }
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            let list = found(&ctx, &name).await?;
            let shown = Shown { problem, ..Shown::form(ListForm::of(&list)) };
            Ok(edit(&ctx, &visitor, Some(&list), shown).await?.into_response())
        }
    }
}

async fn refresh(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Redirect, Rejection> {
    visitor.actor()?;
    package_search::ask_again(&ctx, &name).await?;
    Ok(Redirect::to(&format!("/packages?list={name}")))
}
