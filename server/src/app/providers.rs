//! Providers: registered, looked at, tested, changed, removed; pools of them; and the open connection to each.

mod host;
mod images;
mod opened;
mod pools;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;
use wire::problem::FieldProblem;

pub use self::{
    host::{HostChoice, QueuedHost, host_choices},
    images::{images_of, keep_images},
    opened::{OpenProviders, seal_purpose},
    pools::{delete_pool, pool, pools, set_pool},
};
pub(super) use self::{
    images::{BootImage, boot_image, keep as keep_image},
    opened::{OpenProvider, open},
};
use super::{Error, tag};
use crate::{
    context::Ctx,
    db::{
        Tx, audit, desktops,
        providers::{self, ProviderRecord},
    },
    domain::{
        client::is_name,
        desktop::FaultClass,
        provider::{ProviderKind, ProviderStanding, ProviderWish},
        provider_image::ProviderImage,
    },
    vm::{self, Offers, ProviderAnswer},
};

/// A provider to be registered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewProvider {
    /// Its name.
    pub name: String,
    /// What is wanted of it.
    pub wish: ProviderWish,
    /// The account's keys; they are never shown again. A client that hosts machines needs none.
    #[serde(default)]
    pub keys: ProviderKeys,
}

/// Keys of an account at a provider.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderKeys {
    /// The API key.
    pub api_key: String,
    /// The secret key.
    pub secret_key: String,
}

impl std::fmt::Debug for ProviderKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProviderKeys(…)")
    }
}

/// A change of a provider: the wish is whole, keys only when there are new ones.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderChange {
    /// What is wanted of it.
    pub wish: ProviderWish,
    /// New keys.
    #[serde(default)]
    pub keys: Option<ProviderKeys>,
}

/// What a test of a provider has shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderTest {
    /// Desktops of every size can be made there.
    pub good: bool,
    /// What it says about itself and the account.
    pub answer: Option<ProviderAnswer>,
    /// What is missing or wrong, each with what to do.
    pub problems: Vec<String>,
}

/// A provider that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<ProviderRecord, Error> {
    providers::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("provider {name}")))
}

/// All providers by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<ProviderRecord>, Error> {
    Ok(providers::list(tx).await?)
}

/// The provider whose machines a client hosts, if it hosts any.
///
/// # Errors
/// The database refuses.
pub(super) async fn hosted_by(tx: &mut Tx, client: &str) -> Result<Option<String>, Error> {
    let all = providers::list(tx).await?.into_iter();
    let mut hosts = all.filter(|known| known.wish.kind == ProviderKind::Kvm && known.wish.host == client);
    Ok(hosts.next().map(|known| known.name))
}

/// Refuses to do `what` to a client while a provider names it as its host: nobody would reach the machines on it any more.
///
/// # Errors
/// [`Error::Conflict`]
pub(super) async fn check_no_host(tx: &mut Tx, client: &str, what: &str) -> Result<(), Error> {
    match hosted_by(tx, client).await? {
        None => Ok(()),
        Some(provider) => Err(Error::conflict(
            format!("client {client} cannot be {what}: it hosts the machines of provider {provider}"),
            format!("delete the desktops there and the provider first: `lotse provider delete {provider}`"),
        )),
    }
}

/// How many desktops have something at each provider, by its number.
///
/// # Errors
/// The database refuses.
pub async fn loads(tx: &mut Tx) -> Result<BTreeMap<i64, i64>, Error> {
    Ok(desktops::at_providers(tx).await?.into_iter().collect())
}

fn checked_name(name: &str, what: &str) -> Result<(), Error> {
    if is_name(name) {
        return Ok(());
    }
    let message = "must have small letters, digits and hyphens".to_owned();
    let field = FieldProblem { field: "name".to_owned(), message };
    Err(Error::fields(format!("`{name}` cannot be the name of a {what}"), vec![field]))
}

fn check(wish: &ProviderWish, keys: Option<&ProviderKeys>) -> Result<(), Error> {
    let mut wrong = wish.check();
    if let Some(keys) = keys.filter(|_| wish.kind == ProviderKind::Cloudstack) {
        for (field, value) in [("api_key", &keys.api_key), ("secret_key", &keys.secret_key)] {
            if value.is_empty() || value.len() > 500 || value.contains(char::is_whitespace) {
                let message = "must be the key, without blanks".to_owned();
                wrong.push(FieldProblem { field: field.to_owned(), message });
            }
        }
    }
    if !wrong.is_empty() {
        return Err(Error::fields("the provider cannot be used like this", wrong));
    }
    vm::cloudstack::check(wish).map_err(|reason| {
        Error::invalid(format!("the provider's certificates cannot be used: {reason}"), "give them in PEM")
    })
}

fn sealed(ctx: &Ctx, name: &str, keys: &ProviderKeys) -> Result<String, Error> {
    let internal = |error: anyhow::Error| Error::Internal(error);
    let text = serde_json::to_string(keys).map_err(|error| internal(error.into()))?;
    ctx.authority.seal(&seal_purpose(name), &text).map_err(|error| internal(error.into()))
}

/// A provider as the audit keeps it: without keys, which no list and no entry has.
fn recorded(wish: &ProviderWish) -> Value {
    json!(wish)
}

/// Registers a provider. Whether it works shows a [`test()`].
///
/// # Errors
/// Fields are wrong, or the name is taken.
pub async fn create(ctx: &Ctx, new: &NewProvider) -> Result<ProviderRecord, Error> {
    checked_name(&new.name, "provider")?;
    check(&new.wish, Some(&new.keys))?;
    let keys = sealed(ctx, &new.name, &new.keys)?;
    let mut tx = ctx.db.write().await?;
    if providers::find(&mut tx, &new.name).await?.is_some() {
        return Err(Error::conflict(
            format!("provider {} exists already", new.name),
            "change it, or choose another name",
        ));
    }
    providers::create(&mut tx, &new.name, &new.wish, &keys, ctx.now()).await?;
    let object = format!("provider {}", new.name);
    audit::note(&mut tx, "provider.create", &object, &(), &recorded(&new.wish)).await?;
    let record = get(&mut tx, &new.name).await?;
    tx.commit().await?;
    Ok(record)
}

/// Changes a provider, with `expected` only when it is still what it was. What it failed with is forgotten, so it is tried at once.
///
/// # Errors
/// There is no such provider, fields are wrong, or [`Error::Stale`].
pub async fn update(
    ctx: &Ctx,
    name: &str,
    change: &ProviderChange,
    expected: Option<&str>,
) -> Result<(), Error> {
    check(&change.wish, change.keys.as_ref())?;
    let keys = change.keys.as_ref().map(|keys| sealed(ctx, name, keys)).transpose()?;
    let mut tx = ctx.db.write().await?;
    let record = get(&mut tx, name).await?;
    tag::check(&format!("provider {name}"), &record.wish, expected)?;
    providers::update(&mut tx, record.id, &change.wish, keys.as_deref()).await?;
    desktops::call_waiting(&mut tx, ctx.now()).await?;
    let before = json!({ "wish": recorded(&record.wish), "version": record.version });
    let after =
        json!({ "wish": recorded(&change.wish), "version": record.version + 1, "new_keys": keys.is_some() });
    audit::note(&mut tx, "provider.change", &format!("provider {name}"), &before, &after).await?;
    tx.commit().await?;
    ctx.presence.desktop_came();
    Ok(())
}

/// Removes a provider.
///
/// # Errors
/// There is no such provider, something of ours is there, or a pool names it.
pub async fn delete(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let record = {
        let mut tx = ctx.db.read().await?;
        let record = get(&mut tx, name).await?;
        check_unused(&mut tx, &record).await?;
        record
    };
    let left = images::clear(ctx, &record).await?;
    let mut tx = ctx.db.write().await?;
    check_unused(&mut tx, &record).await?;
    providers::delete(&mut tx, record.id).await?;
    let after = if left.is_empty() { Value::Null } else { json!({ "left_there": left }) };
    audit::note(&mut tx, "provider.delete", &format!("provider {name}"), &recorded(&record.wish), &after)
        .await?;
    Ok(tx.commit().await?)
}

/// Refuses while desktops or pools need a provider.
async fn check_unused(tx: &mut Tx, record: &ProviderRecord) -> Result<(), Error> {
    let name = &record.name;
    let there = providers::parts_there(tx, record.id).await?;
    if there > 0 {
        return Err(Error::conflict(
            format!("{there} parts of desktops are at provider {name}"),
            "delete those desktops first: `lotse desktop list`",
        ));
    }
    let pools = providers::pools(tx).await?;
    if let Some(pool) = pools.iter().find(|pool| pool.members.iter().any(|member| member.provider == *name)) {
        return Err(Error::conflict(
            format!("provider {name} belongs to the pool {}", pool.name),
            "take it out of the pool first",
        ));
    }
    Ok(())
}

/// What a provider offers just now.
///
/// # Errors
/// There is no such provider, or it does not answer.
pub async fn offers(ctx: &Ctx, name: &str) -> Result<Offers, Error> {
    let record = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    let provider = open(ctx, &record).await?;
    provider.provider.offers().await.map_err(|error| unavailable(name, &error))
}

/// An address at which somebody sees the screen of a machine at a provider.
///
/// # Errors
/// There is no such provider, or it gives none.
pub(super) async fn console(ctx: &Ctx, name: &str, machine: &str) -> Result<String, Error> {
    let record = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    let provider = open(ctx, &record).await?;
    provider.provider.console(machine).await.map_err(|error| unavailable(name, &error))
}

fn unavailable(name: &str, error: &vm::Error) -> Error {
    Error::Unavailable { title: format!("provider {name}: {error}"), remedy: error.remedy().to_owned() }
}

/// Tries what a desktop needs, without making anything: version, limits, what the account may not do, and whatever is named and not there.
///
/// # Errors
/// There is no such provider. That it does not work is no error: it is what the test has shown.
pub async fn test(ctx: &Ctx, name: &str) -> Result<ProviderTest, Error> {
    let record = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    let opened = open(ctx, &record).await?;
    let mut problems = Vec::new();
    let told = |error: &vm::Error| format!("{error}; {}", error.remedy());
    let answer = match opened.provider.about().await {
        Ok(answer) => {
            problems.extend(answer.refused.iter().map(|call| format!("the account may not use {call}")));
            let full =
                answer.limits.iter().filter(|limit| limit.limit.is_some_and(|most| limit.used >= most));
            problems.extend(full.map(|limit| format!("the account has used up its limit of {}", limit.of)));
            Some(answer)
        }
        Err(error) => {
            problems.push(told(&error));
            None
        }
    };
    if answer.is_some() {
        match opened.provider.offers().await {
            Ok(offers) => {
                for size in record.wish.sizes.keys() {
                    if let Err(missing) = vm::place(&record.wish, size, &offers) {
                        problems.extend(missing);
                    }
                }
                if record.wish.sizes.is_empty() {
                    problems.push("it has no size, so no desktop can be made there".to_owned());
                }
                if record.wish.iso.is_empty() {
                    problems.extend(image_problem(ctx, &record, opened.provider.keeps_images()).await?);
                }
            }
            Err(error) => problems.push(told(&error)),
        }
    }
    problems.dedup();
    let result = ProviderTest { good: problems.is_empty(), answer, problems };
    let mut tx = ctx.db.write().await?;
    if result.answer.is_some() {
        // It answers, so nothing speaks against trying it at once.
        providers::set_standing(&mut tx, record.id, &ProviderStanding::default()).await?;
        desktops::call_waiting(&mut tx, ctx.now()).await?;
    }
    let after = json!({ "good": result.good, "problems": result.problems });
    audit::note(&mut tx, "provider.test", &format!("provider {name}"), &(), &after).await?;
    tx.commit().await?;
    ctx.presence.desktop_came();
    Ok(result)
}

/// What is wrong with the image that Lotse keeps there. That it is on its way is nothing wrong.
async fn image_problem(ctx: &Ctx, record: &ProviderRecord, kept: bool) -> Result<Option<String>, Error> {
    if !kept {
        return Ok(Some("no ISO image is named".to_owned()));
    }
    let mut tx = ctx.db.read().await?;
    Ok(match boot_image(ctx, &mut tx, record.id).await? {
        BootImage::Missing(problem) => Some(problem),
        BootImage::Ready(_) | BootImage::Coming(_) => None,
    })
}

/// A provider, and what Lotse keeps there.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProviderView {
    /// The provider.
    #[serde(flatten)]
    pub record: ProviderRecord,
    /// Boot images of this server there, the newest first.
    pub images: Vec<ProviderImage>,
}

/// A provider as people look at it.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn view(tx: &mut Tx, name: &str) -> Result<ProviderView, Error> {
    let record = get(tx, name).await?;
    let images = images_of(tx, &record).await?;
    Ok(ProviderView { record, images })
}

/// An image that a provider shall fetch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IsoWish {
    /// Where it fetches it; it must be reachable from there.
    pub url: String,
    /// SHA-256 of its content, which the provider then checks.
    #[serde(default)]
    pub sha256: Option<wire::Sha256>,
}

/// Lets a provider fetch the boot image under the name that its desktops boot from. It can be used once the provider has it, which takes
/// minutes: a [`test()`] says so.
///
/// # Errors
/// There is no such provider, its zone is not there, it has an image of this name already, or does not answer.
pub async fn register_iso(ctx: &Ctx, name: &str, wish: &IsoWish) -> Result<(), Error> {
    let record = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    if !wish.url.starts_with("http://") && !wish.url.starts_with("https://") {
        let message = "must be an address such as http://lotse.example.org:8080/boot.iso".to_owned();
        let field = FieldProblem { field: "url".to_owned(), message };
        return Err(Error::fields("the image cannot be fetched like this", vec![field]));
    }
    let opened = open(ctx, &record).await?;
    let offers = opened.provider.offers().await.map_err(|error| unavailable(name, &error))?;
    let wanted = &record.wish;
    // Asked before, so that whoever got no answer and asks again does not get a second one.
    if offers.isos.iter().any(|iso| iso.name == wanted.iso || iso.id == wanted.iso) {
        return Err(Error::conflict(
            format!("provider {name} has an image {} already", wanted.iso),
            "change the provider's image to a name that is free: `lotse provider change --iso`",
        ));
    }
    let zone = offers.zones.iter().find(|zone| zone.name == wanted.zone || zone.id == wanted.zone);
    let Some(zone) = zone.filter(|_| !wanted.iso.is_empty()) else {
        return Err(Error::conflict(
            format!("provider {name} has no zone `{}`, or its image has no name", wanted.zone),
            "change the provider's zone and image",
        ));
    };
    let new = vm::NewIso {
        name: &wanted.iso,
        url: &wish.url,
        sha256: wish.sha256.as_ref().map(wire::Sha256::as_str),
        zone: &zone.id,
    };
    let id = opened.provider.register_iso(&new).await.map_err(|error| unavailable(name, &error))?;
    let mut tx = ctx.db.write().await?;
    let after = json!({ "iso": wanted.iso, "id": id, "url": wish.url });
    audit::note(&mut tx, "provider.register-iso", &format!("provider {name}"), &(), &after).await?;
    Ok(tx.commit().await?)
}

/// Notes how something at a provider has ended; `None` when it went well.
pub(super) async fn note(
    tx: &mut Tx,
    provider: i64,
    fault: Option<(FaultClass, &str)>,
    now: i64,
) -> Result<(), Error> {
    let Some(record) = providers::by_id(tx, provider).await? else { return Ok(()) };
    let standing = match fault {
        Some((class, problem)) => record.standing.after(class, problem, now),
        None => ProviderStanding::default(),
    };
    if standing != record.standing {
        providers::set_standing(tx, provider, &standing).await?;
    }
    Ok(())
}
