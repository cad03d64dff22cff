//! Storage layouts: those that Lotse brings, and those that admins made, which win.

use serde_json::json;
use wire::facts::Firmware;

use super::{Error, clients, tag};
use crate::{
    context::Ctx,
    db::{Tx, audit, events, layouts},
    domain::{
        client::{Client, is_name},
        layout::{Layout, LayoutProblem, line_of},
    },
    planner::{
        self,
        storage::{self, DiskPreview, Purposes},
    },
};

/// Clients that are named when a layout is in use; more are only counted.
const NAMED_USERS: i64 = 5;

/// A layout with its text.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct NamedLayout {
    /// Its name.
    pub name: String,
    /// Its YAML text.
    pub yaml: String,
    /// An admin made it; otherwise Lotse brings it.
    pub own: bool,
}

/// What stands against a text that is to be a layout, and what it would do.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct LayoutCheck {
    /// The text; written anew when a picture was given.
    pub yaml: String,
    /// The layout as the picture shows it; absent when the text cannot be understood.
    #[schema(value_type = Option<Object>)]
    pub layout: Option<Layout>,
    /// Everything that stands against it, each with its line.
    pub problems: Vec<LayoutProblem>,
    /// What it would do to each disk; empty when something stands against it.
    pub disks: Vec<DiskPreview>,
    /// Whose disks these are; absent when they are an example's.
    pub client: Option<String>,
}

/// A text, or a picture of a layout that becomes one.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Draft {
    /// YAML text.
    Yaml(String),
    /// The layout's parts, as [`LayoutCheck::layout`] gives them.
    Layout(Box<Layout>),
}

/// All layouts by name.
///
/// # Errors
/// The database refuses.
pub async fn list(ctx: &Ctx, tx: &mut Tx) -> Result<Vec<NamedLayout>, Error> {
    let own = layouts::list(tx).await?;
    let brought = ctx
        .catalog
        .layouts()
        .filter(|(name, _)| !own.iter().any(|(other, _)| other == name))
        .map(|(name, yaml)| NamedLayout { name: name.to_owned(), yaml: yaml.to_owned(), own: false });
    let mut all: Vec<_> = brought.collect();
    all.extend(own.iter().map(|(name, yaml)| NamedLayout {
        name: name.clone(),
        yaml: yaml.clone(),
        own: true,
    }));
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

/// Keeps a layout.
///
/// # Errors
/// The text is no layout; each problem names its line.
pub async fn set(ctx: &Ctx, name: &str, yaml: &str, actor: &str) -> Result<(), Error> {
    set_if(ctx, name, yaml, None, actor).await
}

/// Keeps a layout, with `expected` only when its text still has that tag.
///
/// # Errors
/// As [`set`], and [`Error::Stale`] when somebody else has changed it.
pub async fn set_if(
    ctx: &Ctx,
    name: &str,
    yaml: &str,
    expected: Option<&str>,
    actor: &str,
) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::invalid(
            format!("`{name}` cannot be a layout's name"),
            "use small letters, digits and hyphens",
        ));
    }
    Layout::parse(yaml).map_err(|problems| Error::Invalid {
        title: format!("the layout `{name}` is not kept, since it cannot be understood"),
        fields: super::error::layout_fields(name, &problems),
        remedy: "mend these lines; docs/layouts.md describes the format".to_owned(),
    })?;
    let mut tx = ctx.db.write().await?;
    unchanged(ctx, &mut tx, name, expected).await?;
    let before = layouts::find(&mut tx, name).await?.map(|yaml| json!({ "yaml": yaml }));
    layouts::set(&mut tx, name, yaml, ctx.now()).await?;
    let after = json!({ "yaml": yaml });
    audit::note(&mut tx, "layout.change", &format!("layout {name}"), &before, &after).await?;
    noted(ctx, tx, "layout.changed", name, actor).await
}

/// Removes an own layout; one of the same name that Lotse brings counts again.
///
/// # Errors
/// There is no such own layout, or clients use it and none of the name would be left.
pub async fn delete(ctx: &Ctx, name: &str, actor: &str) -> Result<(), Error> {
    delete_if(ctx, name, None, actor).await
}

/// Removes an own layout, with `expected` only when its text still has that tag.
///
/// # Errors
/// As [`delete`], and [`Error::Stale`] when somebody else has changed it.
pub async fn delete_if(ctx: &Ctx, name: &str, expected: Option<&str>, actor: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    unchanged(ctx, &mut tx, name, expected).await?;
    let (count, names) = used_by(&mut tx, name).await?;
    if count > 0 && ctx.catalog.layout(name).is_none() && layouts::find(&mut tx, name).await?.is_some() {
        let more = if count > NAMED_USERS { " and more" } else { "" };
        return Err(Error::conflict(
            format!("the layout {name} is in use by {count} clients: {}{more}", names.join(", ")),
            "give these clients another layout first",
        ));
    }
    let before = layouts::find(&mut tx, name).await?.map(|yaml| json!({ "yaml": yaml }));
    if !layouts::delete(&mut tx, name).await? {
        return Err(Error::not_found(format!("own layout {name}")));
    }
    audit::note(&mut tx, "layout.delete", &format!("layout {name}"), &before, &()).await?;
    noted(ctx, tx, "layout.deleted", name, actor).await
}

/// Refuses when a layout has not the expected tag, whoever has changed or removed it.
async fn unchanged(ctx: &Ctx, tx: &mut Tx, name: &str, expected: Option<&str>) -> Result<(), Error> {
    let Some(expected) = expected else { return Ok(()) };
    match get(ctx, tx, name).await {
        Ok(found) => tag::check(&format!("layout {name}"), &found, Some(expected)),
        Err(Error::NotFound { .. }) => Err(Error::Stale { what: format!("layout {name}") }),
        Err(error) => Err(error),
    }
}

async fn noted(ctx: &Ctx, mut tx: Tx, kind: &str, name: &str, actor: &str) -> Result<(), Error> {
    events::add(&mut tx, kind, None, None, actor, name, ctx.now()).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

/// A layout that must exist, by name: an own one, else one that Lotse brings.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<NamedLayout, Error> {
    let named = |yaml, own| NamedLayout { name: name.to_owned(), yaml, own };
    match (layouts::find(tx, name).await?, ctx.catalog.layout(name)) {
        (Some(yaml), _) => Ok(named(yaml, true)),
        (None, Some(yaml)) => Ok(named(yaml.to_owned(), false)),
        (None, None) => Err(Error::not_found(format!("layout {name}"))),
    }
}

/// How many clients use a layout, and the names of the first of them.
///
/// # Errors
/// The database refuses.
pub async fn used_by(tx: &mut Tx, name: &str) -> Result<(i64, Vec<String>), Error> {
    Ok(layouts::used_by(tx, name, NAMED_USERS).await?)
}

/// How many clients use each layout.
///
/// # Errors
/// The database refuses.
pub async fn users(tx: &mut Tx, all: &[NamedLayout]) -> Result<Vec<i64>, Error> {
    let mut counts = Vec::with_capacity(all.len());
    for layout in all {
        counts.push(layouts::used_by(tx, &layout.name, 0).await?.0);
    }
    Ok(counts)
}

/// Checks a draft against the disks of a client, or of an example machine. Nothing is stored.
///
/// # Errors
/// There is no such client. What stands against the layout is part of the answer.
pub async fn check(ctx: &Ctx, draft: Draft, client: Option<&str>) -> Result<LayoutCheck, Error> {
    let facts = match client {
        Some(name) => {
            let mut tx = ctx.db.read().await?;
            Some(clients::get(&mut tx, name).await?.facts.ok_or_else(|| {
                Error::conflict(
                    format!("nothing is known of the disks of client {name}"),
                    "boot the machine over the network first, or choose another client",
                )
            })?)
        }
        None => None,
    };
    let yaml = match draft {
        Draft::Yaml(yaml) => yaml,
        Draft::Layout(layout) => layout.to_yaml(),
    };
    let answer = |layout, problems, disks| LayoutCheck {
        yaml: yaml.clone(),
        layout,
        problems,
        disks,
        client: client.map(str::to_owned),
    };
    let layout = match Layout::parse(&yaml) {
        Ok(layout) => layout,
        // What contradicts itself can still be drawn, and mended in the picture.
        Err(problems) => {
            return Ok(answer(Layout::sketch(&yaml), problems, Vec::new()));
        }
    };
    let purposes = Purposes { client: "check", job: Some("check") };
    // An example starts the way that the layout is made for.
    let example = || {
        [Firmware::Uefi, Firmware::Bios]
            .into_iter()
            .filter_map(|firmware| storage::example_machine(&layout, firmware))
            .min_by_key(|facts| storage::plan(&layout, facts, purposes).is_err())
    };
    let Some(facts) = facts.or_else(example) else {
        let message = "it keeps partitions, so it can only be drawn for a client that has them: choose one";
        let problem = LayoutProblem { line: 0, place: String::new(), message: message.to_owned() };
        return Ok(answer(Some(layout), vec![problem], Vec::new()));
    };
    match storage::plan(&layout, &facts, purposes) {
        Ok(work) => Ok(answer(Some(layout), Vec::new(), storage::preview(&work, &facts))),
        Err(mut problems) => {
            for problem in problems.iter_mut().filter(|problem| problem.line == 0) {
                problem.line = line_of(&yaml, &problem.place);
            }
            Ok(answer(Some(layout), problems, Vec::new()))
        }
    }
}

/// What the layout of a client would do to its disks.
///
/// # Errors
/// What stands against it.
pub async fn preview(ctx: &Ctx, client: &str, layout: Option<&str>) -> Result<Vec<DiskPreview>, Error> {
    let mut tx = ctx.db.read().await?;
    let mut client = clients::get(&mut tx, client).await?;
    if let Some(layout) = layout {
        layout.clone_into(&mut client.config.layout);
    }
    preview_of(ctx, &mut tx, &client).await
}

/// What the layout of a client would do to its disks, as part of something larger.
pub(super) async fn preview_of(ctx: &Ctx, tx: &mut Tx, client: &Client) -> Result<Vec<DiskPreview>, Error> {
    let own = layouts::find(tx, &client.config.layout).await?;
    let text = own.as_deref().or_else(|| ctx.catalog.layout(&client.config.layout));
    let work = planner::storage_work(client, text, client.facts.as_ref(), Some("preview"))?;
    Ok(client.facts.as_ref().map(|facts| planner::storage::preview(&work, facts)).unwrap_or_default())
}
