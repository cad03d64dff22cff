//! The form that makes a package of files: its words come before the file, as a browser sends them.

use axum::{
    extract::{Multipart, Path, State},
    response::{IntoResponse, Redirect, Response},
};
use serde::Serialize;

use super::{
    super::{super::problem, Rejection, frame::Visitor},
    sent, shown, unreadable,
};
use crate::{
    app::{Error, repositories},
    context::Ctx,
    domain::package_build::PackageBuild,
};

/// What somebody types.
#[derive(Clone, Serialize)]
pub(super) struct BuildForm {
    package: String,
    version: String,
    architecture: String,
    depends: String,
    description: String,
    maintainer: String,
    below: String,
    setuid: bool,
    /// Something was typed.
    open: bool,
}

impl Default for BuildForm {
    fn default() -> Self {
        let none = String::new;
        Self {
            package: none(),
            version: "1.0".to_owned(),
            architecture: "all".to_owned(),
            depends: none(),
            description: none(),
            maintainer: none(),
            below: none(),
            setuid: false,
            open: false,
        }
    }
}

impl BuildForm {
    fn set(&mut self, field: &str, text: &str) {
        let text = text.trim().replace('\r', "");
        match field {
            "package" => self.package = text,
            "version" => self.version = text,
            "architecture" => self.architecture = text,
            "depends" => self.depends = text,
            "description" => self.description = text,
            "maintainer" => self.maintainer = text,
            "below" => self.below = text,
            "setuid" => self.setuid = !text.is_empty(),
            _ => {}
        }
    }

    fn wanted(&self) -> PackageBuild {
        let Self { package, version, architecture, depends, description, maintainer, below, setuid, .. } =
            self.clone();
        PackageBuild { package, version, architecture, depends, description, maintainer, below, setuid }
    }
}

pub(super) async fn build(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    parts: Multipart,
) -> Result<Response, Rejection> {
    let mut form = BuildForm { open: true, ..BuildForm::default() };
    match take(&ctx, &visitor, &name, &mut form, parts).await {
        Ok(()) => Ok(Redirect::to(&format!("/repositories/{name}")).into_response()),
        Err(error) => {
            let problem = Some(problem::mendable(error)?);
            Ok(shown(&ctx, &visitor, &name, form, problem).await?.into_response())
        }
    }
}

async fn take(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    form: &mut BuildForm,
    mut parts: Multipart,
) -> Result<(), Error> {
    while let Some(part) = parts.next_field().await.map_err(unreadable)? {
        let field = part.name().unwrap_or_default().to_owned();
        if field != "files" {
            form.set(&field, &part.text().await.map_err(unreadable)?);
        } else if !part.file_name().is_none_or(str::is_empty) {
            let content = std::pin::pin!(sent(part));
            return repositories::build(ctx, name, &form.wanted(), content, visitor.name()).await.map(drop);
        }
    }
    Err(Error::invalid("no file was chosen", "choose an archive of files"))
}
