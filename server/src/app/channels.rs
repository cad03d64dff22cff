//! Channels: who is told of what happens; made, changed, tested.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::{Error, groups, notices, tag};
use crate::{
    context::Ctx,
    db::{Tx, audit, channels},
    delivery::webhook,
    domain::{
        client::is_name,
        notice::{Channel, ChannelWish, Notice, Posted, Way},
    },
    identity::token::random_bytes,
};

/// A channel to be made.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewChannel {
    /// Its name.
    pub name: String,
    /// What is wanted of it.
    #[serde(flatten)]
    pub wish: ChannelWish,
}

/// A channel with what signs its notices: the only time that it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ShownChannel {
    /// The channel.
    pub channel: Channel,
    /// The secret of a webhook, `whsec_` and base64; absent for mail.
    pub secret: Option<String>,
}

/// A channel that must exist, by name.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn get(tx: &mut Tx, name: &str) -> Result<Channel, Error> {
    channels::find(tx, name).await?.ok_or_else(|| Error::not_found(format!("channel {name}")))
}

/// All channels by name.
///
/// # Errors
/// The database refuses.
pub async fn list(tx: &mut Tx) -> Result<Vec<Channel>, Error> {
    Ok(channels::list(tx).await?)
}

async fn check(ctx: &Ctx, tx: &mut Tx, wish: &ChannelWish) -> Result<(), Error> {
    let wrong = wish.check();
    if !wrong.is_empty() {
        return Err(Error::fields("the channel cannot be used like this", wrong));
    }
    for group in &wish.groups {
        groups::get(ctx, tx, group).await?;
    }
    Ok(())
}

/// A channel as the audit keeps it: the path of a webhook's URL may hold a secret.
fn recorded(wish: &ChannelWish) -> Value {
    let mut value = json!(wish);
    if let Way::Webhook { url } = &wish.way {
        value["url"] = json!(notices::place_of(url));
        value["url_sha256"] = json!(crate::blobs::hash(url.as_bytes()));
    }
    value
}

fn new_secret(way: &Way) -> Option<String> {
    match way {
        Way::Mail { .. } => None,
        Way::Webhook { .. } => Some(webhook::secret(random_bytes::<32>())),
    }
}

/// Makes a channel; it is told of what happens from now on.
///
/// # Errors
/// Fields are wrong, or the name is taken.
pub async fn create(ctx: &Ctx, new: &NewChannel) -> Result<ShownChannel, Error> {
    if !is_name(&new.name) {
        return Err(Error::fields(
            format!("`{}` cannot be a channel's name", new.name),
            vec![wire::problem::FieldProblem {
                field: "name".to_owned(),
                message: "must have small letters, digits and hyphens".to_owned(),
            }],
        ));
    }
    let mut tx = ctx.db.write().await?;
    check(ctx, &mut tx, &new.wish).await?;
    if channels::find(&mut tx, &new.name).await?.is_some() {
        return Err(Error::conflict(
            format!("channel {} exists already", new.name),
            "change it, or choose another name",
        ));
    }
    let secret = new_secret(&new.wish.way);
    let text = secret.as_deref().unwrap_or_default();
    channels::create(&mut tx, &new.name, &new.wish, text, ctx.now()).await?;
    let object = format!("channel {}", new.name);
    audit::note(&mut tx, "channel.create", &object, &(), &recorded(&new.wish)).await?;
    let channel = get(&mut tx, &new.name).await?;
    tx.commit().await?;
    Ok(ShownChannel { channel, secret })
}

/// Changes what is wanted of a channel, with `expected` only when that is still what it was. How notices go out stays of its kind.
///
/// # Errors
/// There is no such channel, fields are wrong, or [`Error::Stale`].
pub async fn update(ctx: &Ctx, name: &str, wish: &ChannelWish, expected: Option<&str>) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let channel = get(&mut tx, name).await?;
    tag::check(&format!("channel {name}"), &channel.wish, expected)?;
    check(ctx, &mut tx, wish).await?;
    if channel.wish.way.as_str() != wish.way.as_str() {
        return Err(Error::conflict(
            format!("channel {name} is of the kind {}", channel.wish.way.as_str()),
            "make another channel, and delete this one",
        ));
    }
    channels::update(&mut tx, channel.id, wish).await?;
    let (before, after) = (recorded(&channel.wish), recorded(wish));
    audit::note(&mut tx, "channel.change", &format!("channel {name}"), &before, &after).await?;
    Ok(tx.commit().await?)
}

/// Removes a channel; what is on its way to it is not sent any more.
///
/// # Errors
/// There is no such channel.
pub async fn delete(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let channel = get(&mut tx, name).await?;
    channels::delete(&mut tx, channel.id).await?;
    let before = recorded(&channel.wish);
    audit::note(&mut tx, "channel.delete", &format!("channel {name}"), &before, &()).await?;
    Ok(tx.commit().await?)
}

/// Gives a webhook another secret; the old one counts no more.
///
/// # Errors
/// There is no such channel, or it has no secret.
pub async fn renew_secret(ctx: &Ctx, name: &str) -> Result<ShownChannel, Error> {
    let mut tx = ctx.db.write().await?;
    let channel = get(&mut tx, name).await?;
    let secret = new_secret(&channel.wish.way).ok_or_else(|| {
        Error::conflict(format!("channel {name} sends mail, which has no secret"), "nothing needs to be done")
    })?;
    channels::set_secret(&mut tx, channel.id, &secret).await?;
    let after = json!({ "secret_renewed": true });
    audit::note(&mut tx, "channel.new-secret", &format!("channel {name}"), &(), &after).await?;
    tx.commit().await?;
    Ok(ShownChannel { channel, secret: Some(secret) })
}

/// Sends a notice that only shows that the way works, at once, and waits for it.
///
/// # Errors
/// It did not arrive, with the reason.
pub async fn test(ctx: &Ctx, name: &str) -> Result<(), Error> {
    let channel = {
        let mut tx = ctx.db.read().await?;
        get(&mut tx, name).await?
    };
    let notice = Notice::test(notices::new_id(), name, ctx.now());
    let sent = notices::send(ctx, &channel, &notice).await;
    let result = match &sent {
        Ok(()) => "arrived".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let mut tx = ctx.db.write().await?;
    audit::note(&mut tx, "channel.test", &format!("channel {name}"), &(), &json!({ "result": result }))
        .await?;
    tx.commit().await?;
    sent.map_err(|error| Error::Unavailable {
        title: format!("the test notice of channel {name} did not arrive: {error:#}"),
        remedy: "look at the channel, at the mail settings, and at what the configuration says about notices"
            .to_owned(),
    })
}

/// The newest notices, of one channel or of all.
///
/// # Errors
/// There is no such channel.
pub async fn outbox(tx: &mut Tx, name: Option<&str>, limit: i64) -> Result<Vec<Posted>, Error> {
    let channel = match name {
        Some(name) => Some(get(tx, name).await?.id),
        None => None,
    };
    Ok(channels::outbox(tx, channel, limit).await?)
}

/// Sends a notice again that was given up.
///
/// # Errors
/// There is no such notice, or it is not given up.
pub async fn retry(ctx: &Ctx, id: i64) -> Result<(), Error> {
    let mut tx = ctx.db.write().await?;
    let found = channels::find_posted(&mut tx, id).await?;
    let found = found.ok_or_else(|| Error::not_found(format!("notice {id}")))?;
    if found.state != "given-up" {
        return Err(Error::conflict(
            format!("notice {id} is {}", found.state),
            "only one that was given up can be sent again",
        ));
    }
    channels::restart(&mut tx, id, ctx.now()).await?;
    let state = |state: &str| json!({ "state": state });
    let (before, after) = (state(&found.state), state("waiting"));
    audit::note(&mut tx, "notice.retry", &format!("notice {id}"), &before, &after).await?;
    Ok(tx.commit().await?)
}
