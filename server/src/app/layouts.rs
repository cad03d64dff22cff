//! Storage layouts: those that Lotse brings, and those that admins made, which win.

use super::{Error, clients};
use crate::{
    blobs,
    context::Ctx,
    db::{Tx, events, layouts},
    domain::{client::is_name, layout::Layout},
    planner::{self, storage::DiskPreview},
};

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

impl NamedLayout {
    /// Changes with the text.
    pub fn tag(&self) -> String {
        blobs::hash(self.yaml.as_bytes()).as_str()[..16].to_owned()
    }
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
    layouts::set(&mut tx, name, yaml, ctx.now()).await?;
    noted(ctx, tx, "layout.changed", name, actor).await
}

/// Removes an own layout; one of the same name that Lotse brings counts again.
///
/// # Errors
/// There is no such own layout.
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
    if !layouts::delete(&mut tx, name).await? {
        return Err(Error::not_found(format!("own layout {name}")));
    }
    noted(ctx, tx, "layout.deleted", name, actor).await
}

/// Refuses when a layout has not the expected tag, whoever has changed or removed it.
async fn unchanged(ctx: &Ctx, tx: &mut Tx, name: &str, expected: Option<&str>) -> Result<(), Error> {
    let Some(expected) = expected else { return Ok(()) };
    match get(ctx, tx, name).await {
        Ok(found) if found.tag() == expected => Ok(()),
        Ok(_) | Err(Error::NotFound { .. }) => Err(Error::Stale { what: format!("layout {name}") }),
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
    let own = layouts::find(&mut tx, &client.config.layout).await?;
    let text = own.as_deref().or_else(|| ctx.catalog.layout(&client.config.layout));
    let work = planner::storage_work(&client, text, client.facts.as_ref(), Some("preview"))?;
    Ok(client.facts.as_ref().map(|facts| planner::storage::preview(&work, facts)).unwrap_or_default())
}
