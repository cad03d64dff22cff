//! Takes packages that are installed on a client into a repository: ordered here as a job, sent by its agent, and checked when they come.
//!
//! Invariant: an agent's package comes into a repository only by a running job that was ordered for that repository, and only under a name
//! that this job names.

use bytes::Bytes;
use futures_util::Stream;
use serde_json::json;
use utoipa::ToSchema;
use wire::{AttemptId, ClientId, JobId, problem::FieldProblem};

use super::{RepositoryPackage, get, receive};
use crate::{
    app::{
        Error, clients,
        jobs::{self, JobOrder},
    },
    context::Ctx,
    db::{attempts, audit, clients as client_rows, repositories},
    domain::{
        job::AttemptState,
        repository::{NAME, fits},
    },
};

/// The job script that sends packages.
pub const JOB_TYPE: &str = "package-take";
/// Most packages of one job.
const MOST: usize = 100;

/// Packages that are to be taken of a client.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Taking {
    /// The client's name.
    pub client: String,
    /// Names of packages that are installed there, 1 to 100.
    pub packages: Vec<String>,
}

/// Queues the job that takes packages of a client; they are in testing as they come.
///
/// # Errors
/// There is no such repository or client, or a name cannot be one.
pub async fn take(ctx: &Ctx, name: &str, wish: &Taking, actor: &str) -> Result<JobId, Error> {
    let wrong = wish.packages.iter().find(|package| !fits(NAME, package));
    if wrong.is_some() || !(1..=MOST).contains(&wish.packages.len()) {
        let message = match wrong {
            Some(package) => format!("`{package}` is no package's name"),
            None => format!("1 to {MOST} names"),
        };
        let problem = FieldProblem { field: "packages".to_owned(), message };
        return Err(Error::fields("the packages cannot be taken", vec![problem]));
    }
    let mut tx = ctx.db.write().await?;
    let repository = get(&mut tx, name).await?;
    let id = clients::get(&mut tx, &wish.client).await?.id;
    client_rows::lock(&mut tx, id).await?;
    let client = clients::get(&mut tx, &wish.client).await?;
    let order = JobOrder {
        job_type: JOB_TYPE.to_owned(),
        params: json!({ "packages": wish.packages }),
        ..JobOrder::default()
    };
    let checked = jobs::known_type(ctx, &order)?;
    let job = jobs::put(ctx, &mut tx, &client, &order, checked, actor).await?;
    repositories::add_taking(&mut tx, job, repository.id).await?;
    jobs::plan_if_possible(ctx, &mut tx, job, &client).await?;
    let after = json!({ "job": job, "client": client.name, "packages": wish.packages });
    audit::note(&mut tx, "repository.take", &format!("repository {name}"), &(), &after).await?;
    tx.commit().await?;
    ctx.presence.work_waits_for(id);
    ctx.presence.events_came();
    Ok(job)
}

/// Takes a package that an agent sends.
///
/// # Errors
/// The attempt is not running on this client, its job sends no such package, or what stands against an upload.
pub async fn taken<E>(
    ctx: &Ctx,
    client: ClientId,
    id: AttemptId,
    content: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> Result<RepositoryPackage, Error>
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut tx = ctx.db.read().await?;
    let attempt = attempts::find(&mut tx, id)
        .await?
        .filter(|attempt| attempt.client == client && attempt.state == AttemptState::Running)
        .ok_or_else(|| Error::Forbidden(format!("attempt {id} is not running on this client")))?;
    let job = jobs::get(&mut tx, attempt.job).await?;
    let name = repositories::taking(&mut tx, job.id).await?.ok_or_else(|| {
        Error::Forbidden(format!("job {} was not ordered by a repository: `lotse repository take`", job.id))
    })?;
    drop(tx);
    let named = job.params["packages"].as_array().cloned().unwrap_or_default();
    ctx.presence.still_there(client, ctx.now());
    receive(ctx, &name, content, &job.created_by, |control| {
        if named.iter().any(|wanted| wanted == &control.name) {
            return Ok(());
        }
        Err(Error::Forbidden(format!("job {} is not to send the package {}", job.id, control.name)))
    })
    .await
}
