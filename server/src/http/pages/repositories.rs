//! Own repositories: upload packages, look at them in testing, let production have them, and go back.

mod building;

use std::time::Duration;

use axum::{
    Form, Router,
    extract::{
        DefaultBodyLimit, Multipart, Path, State,
        multipart::{Field, MultipartError},
    },
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use tokio_stream::StreamExt;
use wire::problem::Problem;

use self::building::BuildForm;
use super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error,
        repositories::{self, NewRepository, OwnRepository, RepositoryPackage, RollBack, SuiteState, Taking},
    },
    context::Ctx,
    domain::{layout::size::human, people::Role, repository::Suite},
};

/// All files of an upload together.
const LARGEST_UPLOAD: usize = 4 << 30;
/// A sender that is silent for so long has gone.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

pub(super) fn router() -> Router<Ctx> {
    let upload = post(upload).layer(DefaultBodyLimit::max(LARGEST_UPLOAD));
    let build = post(building::build).layer(DefaultBodyLimit::max(LARGEST_UPLOAD));
    Router::new()
        .route("/repositories", get(list).post(create))
        .route("/repositories/{name}", get(show))
        .route("/repositories/{name}/upload", upload)
        .route("/repositories/{name}/build", build)
        .route("/repositories/{name}/take", post(take_of_client))
        .route("/repositories/{name}/promote", post(promote))
        .route("/repositories/{name}/roll-back", post(roll_back))
        .route("/repositories/{name}/packages/{id}/remove", post(remove))
        .route("/repositories/{name}/delete", post(delete))
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    repositories: Vec<OwnRepository>,
    form: NewForm,
    problem: Option<Problem>,
    may_make: bool,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct NewForm {
    name: String,
    description: String,
    keep: String,
}

async fn list(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    listed(&ctx, &visitor, NewForm { keep: "3".to_owned(), ..NewForm::default() }, None).await
}

async fn listed(
    ctx: &Ctx,
    visitor: &Visitor,
    form: NewForm,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let repositories = repositories::list(&mut tx).await?;
    let may_make = visitor.may(Role::Admin);
    let view = ListView { page: visitor.frame("/repositories"), repositories, form, problem, may_make };
    page(ctx, visitor, "pages/repositories.html", &view)
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<NewForm>,
) -> Result<Response, Rejection> {
    let wish = NewRepository {
        name: form.name.trim().to_owned(),
        description: form.description.trim().to_owned(),
        keep: form.keep.trim().parse().unwrap_or(0),
    };
    match repositories::create(&ctx, &wish, visitor.name()).await {
        Ok(()) => Ok(Redirect::to(&format!("/repositories/{}", wish.name)).into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(listed(&ctx, &visitor, form, problem).await?.into_response())
        }
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    repository: OwnRepository,
    testing_list: String,
    packages: Vec<PackageRow>,
    states: Vec<StateRow>,
    fingerprint: String,
    /// What somebody has typed for a package of files.
    build: BuildForm,
    problem: Option<Problem>,
    may_operate: bool,
    may_delete: bool,
}

#[derive(Serialize)]
struct PackageRow {
    id: i64,
    name: String,
    version: String,
    architecture: String,
    description: String,
    size: String,
    uploaded: Moment,
    by: String,
    testing: bool,
    production: bool,
}

#[derive(Serialize)]
struct StateRow {
    suite: &'static str,
    number: i64,
    packages: usize,
    added: String,
    removed: String,
    why: String,
    made: Moment,
    by: String,
    /// It is what clients get.
    current: bool,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    shown(&ctx, &visitor, &name, BuildForm::default(), None).await
}

async fn shown(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    build: BuildForm,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let mut tx = ctx.db.read().await?;
    let repository = repositories::show(&mut tx, name).await?;
    let packages = repositories::packages(&mut tx, name).await?;
    let states = repositories::states(&mut tx, name).await?;
    drop(tx);
    let row = |package: RepositoryPackage| PackageRow {
        id: package.id,
        testing: package.suites.contains(&Suite::Testing),
        production: package.suites.contains(&Suite::Production),
        size: human(u64::try_from(package.size_bytes).unwrap_or(0)),
        uploaded: moment(package.uploaded_at),
        name: package.name,
        version: package.version,
        architecture: package.architecture,
        description: package.description,
        by: package.uploaded_by,
    };
    let newest = |suite| states.iter().filter(|state| state.suite == suite).map(|state| state.number).max();
    let current = Suite::ALL.map(|suite| (suite, newest(suite)));
    let state = |state: &SuiteState| StateRow {
        suite: state.suite.as_str(),
        number: state.number,
        packages: state.packages,
        added: state.added.join(", "),
        removed: state.removed.join(", "),
        why: state.why.clone(),
        made: moment(state.made_at),
        by: state.made_by.clone(),
        current: current.contains(&(state.suite, Some(state.number))),
    };
    let view = View {
        page: visitor.frame("/repositories"),
        testing_list: Suite::Testing.list_name(name),
        packages: packages.into_iter().map(row).collect(),
        states: states.iter().map(state).collect(),
        fingerprint: repositories::key(ctx).await?.fingerprint,
        repository,
        build,
        problem,
        may_operate: visitor.may(Role::Operator),
        may_delete: visitor.may(Role::Admin),
    };
    page(ctx, visitor, "pages/repository.html", &view)
}

/// Back to the page, or the page with what stands against it.
async fn done(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    done: Result<(), Error>,
) -> Result<Response, Rejection> {
    match done {
        Ok(()) => Ok(Redirect::to(&format!("/repositories/{name}")).into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(shown(ctx, visitor, name, BuildForm::default(), problem).await?.into_response())
        }
    }
}

async fn upload(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    parts: Multipart,
) -> Result<Response, Rejection> {
    let uploaded = take(&ctx, &visitor, &name, parts).await;
    done(&ctx, &visitor, &name, uploaded).await
}

fn unreadable(error: MultipartError) -> Error {
    Error::invalid(format!("the form cannot be read: {error}"), "send it again")
}

/// A file of a form, as long as it comes.
fn sent(
    part: Field<'_>,
) -> impl futures_util::Stream<Item = Result<bytes::Bytes, Box<dyn std::error::Error + Send + Sync>>> {
    let content = part.map_err(|error| Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
    content.timeout(LONGEST_PAUSE).map(|chunk| match chunk {
        Ok(chunk) => chunk,
        Err(elapsed) => Err(Box::new(elapsed).into()),
    })
}

async fn take(ctx: &Ctx, visitor: &Visitor, name: &str, mut parts: Multipart) -> Result<(), Error> {
    let mut taken = 0;
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        if part.file_name().is_none_or(str::is_empty) {
            continue;
        }
        let file = part.file_name().unwrap_or_default().to_owned();
        let content = std::pin::pin!(sent(part));
        repositories::upload(ctx, name, content, visitor.name()).await.map_err(|error| match error {
            Error::Invalid { title, fields, remedy } => {
                Error::Invalid { title: format!("{file}: {title}"), fields, remedy }
            }
            other => other,
        })?;
        taken += 1;
    }
    if taken == 0 {
        return Err(Error::invalid("no file was chosen", "choose .deb files"));
    }
    Ok(())
}

#[derive(Deserialize)]
struct TakeForm {
    client: String,
    packages: String,
}

async fn take_of_client(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<TakeForm>,
) -> Result<Response, Rejection> {
    let packages = form.packages.split([' ', ',', '\n', '\r']).filter(|word| !word.is_empty());
    let wish =
        Taking { client: form.client.trim().to_owned(), packages: packages.map(str::to_owned).collect() };
    match repositories::take(&ctx, &name, &wish, visitor.name()).await {
        Ok(job) => Ok(Redirect::to(&format!("/jobs/{job}")).into_response()),
        Err(error) => done(&ctx, &visitor, &name, Err(error)).await,
    }
}

async fn promote(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    let promoted = repositories::promote(&ctx, &name, visitor.name()).await;
    done(&ctx, &visitor, &name, promoted).await
}

async fn roll_back(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(wish): Form<RollBack>,
) -> Result<Response, Rejection> {
    let rolled = repositories::roll_back(&ctx, &name, &wish, visitor.name()).await;
    done(&ctx, &visitor, &name, rolled).await
}

async fn remove(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, id)): Path<(String, i64)>,
) -> Result<Response, Rejection> {
    let removed = repositories::remove(&ctx, &name, id, visitor.name()).await;
    done(&ctx, &visitor, &name, removed).await
}

async fn delete(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Response, Rejection> {
    match repositories::delete(&ctx, &name, visitor.name()).await {
        Ok(()) => Ok(Redirect::to("/repositories").into_response()),
        error => done(&ctx, &visitor, &name, error).await,
    }
}
