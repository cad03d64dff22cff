//! What a cloud gives to a machine as user-data, so that it finds this server and becomes its client. The text is [`wire::user_data`].

use serde_json::json;
use wire::user_data::UserData;

use super::{Error, clients as cases, helpdesk::check_may_enrol};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, audit, events,
        identities::{self, TokenUse},
    },
    domain::client::Client,
    identity::token::Token,
};

/// A machine has to be let in within this time: clouds queue, and copy images before they start one.
const WITHIN: i64 = 24 * 3600 * SECOND;

/// The user-data of a client. The only time that its token is shown.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ClientUserData {
    /// The text as the machine has to find it, neither encoded nor wrapped; less than 2 KiB.
    pub text: String,
    /// Its token is not accepted after this time.
    pub expires_at: i64,
}

/// Makes the user-data with which a machine becomes this client.
///
/// # Errors
/// There is no such client, it is retired or stopped by an alarm, or as [`make`].
pub async fn of_client(ctx: &Ctx, name: &str, actor: &str) -> Result<ClientUserData, Error> {
    let mut tx = ctx.db.write().await?;
    let client = cases::get(&mut tx, name).await?;
    check_may_enrol(&client)?;
    let made = make(ctx, &mut tx, &client, actor).await?;
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(made)
}

/// The same as a part of something larger, such as making the machine. A token of the client that nobody has used is good no more.
///
/// # Errors
/// This server's addresses cannot stand in user-data.
pub async fn make(ctx: &Ctx, tx: &mut Tx, client: &Client, actor: &str) -> Result<ClientUserData, Error> {
    let now = ctx.now();
    let token = Token::new();
    let text = text(ctx, &token)?;
    let expires_at = now + WITHIN;
    identities::create_token(tx, &token.hash(), client.id, None, TokenUse::UntilInstalled, expires_at, now)
        .await?;
    let (object, after) = (format!("client {}", client.name), json!({ "expires_at": expires_at }));
    audit::note(tx, "client.user-data", &object, &(), &after).await?;
    events::add(tx, "client.user-data", Some(client.id), None, actor, &client.name, now).await?;
    Ok(ClientUserData { text, expires_at })
}

fn text(ctx: &Ctx, token: &Token) -> Result<String, Error> {
    let addresses = &ctx.addresses;
    let ca = addresses.ca.parse().map_err(|error| Error::Internal(anyhow::Error::new(error)))?;
    let user_data = UserData {
        server: addresses.https.clone(),
        agents: addresses.agents.clone(),
        boot: addresses.boot.clone(),
        ca,
        token: Some(token.reveal().to_owned()),
    };
    user_data.render().map_err(|reason| {
        Error::conflict(
            format!("the user-data that this server's addresses make is {reason}"),
            "give the server a plain name of letters, digits, dots and hyphens: `lotse serve --host`",
        )
    })
}
