//! A job script in the editor: its files, checked and kept as a new version.

use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;

use super::{
    super::{
        Rejection,
        frame::{Frame, Page, Visitor, page},
    },
    Which,
    look::{as_problem, marked},
};
use crate::{
    app::{Error, job_scripts},
    catalog::Files,
    context::Ctx,
};

/// What a new job script begins with: it can be used as it is.
const BEGINNING: [(&str, &str); 3] = [
    (
        "job.yaml",
        "title: { en: Say hello, de: Hallo sagen }\nrealm: system\npriority: 30\nparams:\n  name:\n    type: string\n    required: true\n    help: { en: Whom to greet, de: Wer gegrüßt wird }\nsteps:\n  - script: 10-hello.sh.tera\n    timeout: 1m\n",
    ),
    ("10-hello.sh.tera", "printf 'Hello %s\\n' {{ params.name }}\n"),
    ("samples/plain.yaml", "params: { name: Ann }\n"),
];

#[derive(Serialize)]
struct EditView {
    page: Frame,
    name: String,
    base: i64,
    comment: String,
    files: Vec<(String, String)>,
    problem: Option<wire::problem::Problem>,
    checked: bool,
    difference: Vec<(&'static str, String)>,
}

pub(super) async fn edit(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(which): Query<Which>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let number = which.version.or_else(|| ctx.catalog.own_version(&name)).unwrap_or(0);
    let base = job_scripts::versions(&mut tx, &name).await?.first().map_or(0, |version| version.number);
    let found = match job_scripts::files(&ctx, &mut tx, &name, number).await {
        Err(Error::NotFound { .. }) if number == 0 => {
            BEGINNING.map(|(path, text)| (path.to_owned(), text.to_owned())).into()
        }
        found => found?,
    };
    // What is expected of the brought versions belongs to Lotse's own tests.
    let files = found.into_iter().filter(|(path, _)| !path.starts_with("expected/")).collect();
    let view = EditView {
        page: visitor.frame("/job-scripts"),
        name,
        base,
        comment: String::new(),
        files,
        problem: None,
        checked: false,
        difference: Vec::new(),
    };
    page(&ctx, &visitor, "pages/job-script-edit.html", &view)
}

/// A form with any number of files: `path` and `content` in turn.
pub(super) async fn upload(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, Rejection> {
    let value = |wanted: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == wanted)
            .map(|(_, value)| value.trim().to_owned())
            .unwrap_or_default()
    };
    let (action, comment, base) =
        (value("action"), value("comment"), value("base").parse::<i64>().unwrap_or(0));
    let mut files: Vec<(String, String)> = Vec::new();
    for (key, value) in &pairs {
        match key.as_str() {
            "path" => files.push((value.trim().to_owned(), String::new())),
            "content" => {
                if let Some((_, content)) = files.last_mut() {
                    *content = value.replace("\r\n", "\n");
                }
            }
            _ => {}
        }
    }
    // A file without a name is the empty place for a new one, or one that was taken out.
    files.retain(|(path, _)| !path.is_empty());
    let own: Files = files.iter().cloned().collect();
    let outcome = if action == "keep" {
        match job_scripts::upload(&ctx, &name, &own, &comment, Some(base), None, visitor.name()).await {
            Ok(_) => return Ok(Redirect::to(&format!("/job-scripts/{name}")).into_response()),
            Err(error) => Err(error),
        }
    } else {
        job_scripts::check(&ctx, &name, &own).map(drop)
    };
    let problem = match outcome {
        Ok(()) => None,
        Err(Error::Internal(error)) => return Err(Error::Internal(error).into()),
        Err(error) => Some(as_problem(error)),
    };
    let mut tx = ctx.db.read().await?;
    let used = ctx.catalog.own_version(&name).unwrap_or(0);
    let before = job_scripts::files(&ctx, &mut tx, &name, used).await.unwrap_or_default();
    let before = before.into_iter().filter(|(path, _)| !path.starts_with("expected/")).collect();
    let view = EditView {
        page: visitor.frame("/job-scripts"),
        difference: marked(&job_scripts::compare(&before, &own)),
        name,
        base,
        comment,
        files,
        checked: problem.is_none(),
        problem,
    };
    Ok(page(&ctx, &visitor, "pages/job-script-edit.html", &view)?.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    #[test]
    fn what_a_new_job_script_begins_with_can_be_used() {
        let share = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalog = Catalog::load(&share, None).unwrap_or_else(|error| panic!("{error}"));
        let files = BEGINNING.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        assert_eq!(catalog.read_own("hello", &files).unwrap().steps.len(), 1);
    }
}
