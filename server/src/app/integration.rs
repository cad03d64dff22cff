//! Machines that Lotse has not installed become clients as they are: an order gives a command with a one-time token and queues a look at
//! how the system is set up; what that brings goes into the record once, and nothing goes to the machine.

mod script;

use wire::{ClientId, JobId, survey::Survey};

use super::{
    Error, clients as cases,
    helpdesk::check_may_enrol,
    jobs::{self, JobOrder},
    passwords::Passwords,
    source_lists,
};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{
        Tx, audit, clients, events,
        identities::{self, TokenUse},
        images,
        integrations::{self, Integration},
        jobs as job_rows,
    },
    domain::{
        client::{Client, ClientConfig, Stage},
        image,
        integration::{self, KnownList, SeenSource, SurveyDifference},
    },
    identity::token::Token,
};

/// The job that looks at how a system is set up.
const SURVEY: &str = "survey";
/// The command must be used within this time.
const WITHIN: i64 = 3600 * SECOND;
/// A survey of a machine with a thousand sources has less bytes.
const LARGEST_SURVEY: usize = 512 << 10;

/// A machine to be taken over.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegrationOrder {
    /// The client that it becomes; registered when there is none.
    pub name: String,
    /// Names of groups for a new client; missing ones are made. What they would bring to it waits for somebody to accept it.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Over which SSH it is done, when it is.
    #[serde(default)]
    pub ssh: Option<SshPlace>,
}

/// A machine's SSH server, as somebody has accepted it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SshPlace {
    /// `USER@HOST:PORT`.
    pub address: String,
    /// `SHA256:…` as ssh-keygen(1) shows it.
    pub host_key: String,
    /// Somebody knows why it is another one than before.
    #[serde(default)]
    pub replaces: bool,
}

/// What takes a machine over. The only time that its token is shown.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct TakeOver {
    /// The client.
    pub name: String,
    /// To be pasted as a whole by root on the machine.
    pub command: String,
    /// The same as shell text, for a shell's standard input.
    pub script: String,
    /// Not accepted after this time.
    pub expires_at: i64,
    /// The job that then looks at how the system is set up.
    pub survey: JobId,
}

/// A client that was taken over, and how it is set up.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct IntegrationView {
    /// When that was last ordered.
    pub ordered_at: i64,
    /// By whom.
    pub ordered_by: String,
    /// `USER@HOST:PORT` when it was done over SSH, else empty.
    pub ssh_address: String,
    /// Its pinned host key, else empty.
    pub ssh_host_key: String,
    /// When its agent has told how it is set up; absent: not yet.
    pub surveyed_at: Option<i64>,
    /// When that went into the record; what came later did not.
    pub taken_over_at: Option<i64>,
    /// How it is set up.
    pub survey: Option<Survey>,
    /// Its package sources, and which source lists of this server they are.
    pub sources: Vec<SeenSource>,
    /// Where it differs from its record. Nothing of it is written to the machine.
    pub differences: Vec<SurveyDifference>,
}

/// Orders that a machine is taken over, and gives what does it. It replaces a token that nobody used.
///
/// # Errors
/// The client was installed by Lotse or waits for adoption, another host key is pinned, or the server has no package of the agent.
pub async fn begin(ctx: &Ctx, order: &IntegrationOrder, actor: &str) -> Result<TakeOver, Error> {
    let hashes = Passwords::default().hash().await?;
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    let package =
        images::find(&mut tx, image::AGENT).await?.and_then(|mut image| image.parts.remove(image::PACKAGE));
    let package = package.ok_or_else(|| {
        Error::conflict(
            "this server has no package of the agent yet",
            "make it known: `lotse image build agent`",
        )
    })?;
    if clients::find_by_name(&mut tx, &order.name).await?.is_none() {
        let new = cases::NewClient {
            name: order.name.clone(),
            macs: Vec::new(),
            config: ClientConfig::default(),
            groups: order.groups.clone(),
            passwords: Passwords::default(),
        };
        cases::create_in(ctx, &mut tx, &new, &hashes, actor).await?;
    }
    let client = cases::get(&mut tx, &order.name).await?;
    clients::lock(&mut tx, client.id).await?;
    let known = integrations::find(&mut tx, client.id).await?;
    check_may_be_taken_over(&client, known.as_ref())?;
    let pinned = known.map(|known| known.ssh_host_key).unwrap_or_default();
    check_host_key(order, &pinned)?;
    let place = order.ssh.as_ref().map_or(("", ""), |ssh| (&ssh.address, &ssh.host_key));
    integrations::order(&mut tx, client.id, place, actor, now).await?;
    let token = Token::new();
    let expires_at = now + WITHIN;
    identities::create_token(&mut tx, &token.hash(), client.id, None, TokenUse::Once, expires_at, now)
        .await?;
    let survey = survey_of(ctx, &mut tx, &client, actor).await?;
    let object = format!("client {}", client.name);
    audit::note(&mut tx, "client.integrate", &object, &(), order).await?;
    events::add(&mut tx, "client.integrate", Some(client.id), None, actor, place.0, now).await?;
    let script = script::render(&client.name, &ctx.addresses, &package.sha256, &token).map_err(|reason| {
        Error::Internal(anyhow::anyhow!("rendering what takes a machine over: {reason}"))
    })?;
    tx.commit().await?;
    ctx.presence.work_waits_for(client.id);
    ctx.presence.events_came();
    Ok(TakeOver { name: client.name, command: script::command(&script), script, expires_at, survey })
}

fn check_may_be_taken_over(client: &Client, known: Option<&Integration>) -> Result<(), Error> {
    check_may_enrol(client)?;
    let name = &client.name;
    match client.stage {
        Stage::Registered => Ok(()),
        Stage::Installed if known.is_some() => Ok(()),
        Stage::Installed => Err(Error::conflict(
            format!(
                "client {name} has a system that Lotse has installed, or that enrolled by itself: there is nothing to take over"
            ),
            format!("to let its agent in anew: `lotse client enrol-command {name}`"),
        )),
        Stage::Discovered => Err(Error::conflict(
            format!("client {name} runs the installer and waits for adoption"),
            format!(
                "take the machine over under a name of its own; this entry is gone after `lotse client forget {name}`"
            ),
        )),
        Stage::Installing => Err(Error::conflict(
            format!("client {name} is being installed"),
            format!("wait, or drop what waits for it: `lotse client reset {name}`"),
        )),
        // Refused above.
        Stage::Retired => Ok(()),
    }
}

/// Another host key than the pinned one is another machine, or somebody between.
fn check_host_key(order: &IntegrationOrder, pinned: &str) -> Result<(), Error> {
    let Some(ssh) = &order.ssh else { return Ok(()) };
    let is_key = ssh.host_key.strip_prefix("SHA256:").is_some_and(|hash| {
        hash.len() == 43 && hash.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/".contains(&b))
    });
    if !is_key || ssh.address.len() > 300 || ssh.address.contains(char::is_control) {
        return Err(Error::invalid(
            "the SSH server is not named as it has to be",
            "send USER@HOST:PORT and the host key as SHA256:… of 43 letters, as ssh-keygen(1) shows it",
        ));
    }
    if pinned.is_empty() || pinned == ssh.host_key || ssh.replaces {
        return Ok(());
    }
    Err(Error::conflict(
        format!(
            "the SSH server of {} has the host key {}, and {pinned} is pinned: it is another machine, was installed anew, or somebody is between",
            order.name, ssh.host_key
        ),
        format!("when you know why it has changed, say so: `--host-key {}`", ssh.host_key),
    ))
}

/// The look at the system that waits already, or a new one.
async fn survey_of(ctx: &Ctx, tx: &mut Tx, client: &Client, actor: &str) -> Result<JobId, Error> {
    let open = job_rows::open(tx, client.id).await?;
    if let Some(job) = open.iter().find(|job| job.job_type == SURVEY) {
        return Ok(job.id);
    }
    let order =
        JobOrder { job_type: SURVEY.to_owned(), params: serde_json::json!({}), ..JobOrder::default() };
    jobs::add(ctx, tx, client, &order, actor).await
}

/// Keeps how a client's system is set up; the first time, the client's record is made of it.
///
/// # Errors
/// The client was not taken over, or the survey is larger than any.
pub async fn receive(ctx: &Ctx, id: ClientId, survey: &Survey) -> Result<(), Error> {
    if serde_json::to_vec(survey).map_or(0, |text| text.len()) > LARGEST_SURVEY {
        return Err(Error::invalid(
            format!("the survey has more than {} KiB", LARGEST_SURVEY >> 10),
            "look for what makes it so large on the machine: `lotse-agent survey`",
        ));
    }
    let now = ctx.now();
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, id).await?;
    let mut client =
        clients::find(&mut tx, id).await?.ok_or_else(|| Error::not_found(format!("client {id}")))?;
    let known = integrations::find(&mut tx, id).await?.ok_or_else(|| not_taken_over(&client.name))?;
    integrations::set_survey(&mut tx, id, survey, now).await?;
    if known.taken_over_at.is_none() {
        let is_known = |name: &str| ctx.catalog.distribution(name).is_some();
        client.config = integration::taken_over(&client.config, survey, is_known);
        if !clients::update(&mut tx, &client).await? {
            return Err(Error::Stale { what: format!("client {}", client.name) });
        }
        integrations::set_taken_over(&mut tx, id, now).await?;
        let actor = format!("client {id}");
        events::add(&mut tx, "client.taken-over", Some(id), None, &actor, &survey.os.name, now).await?;
    }
    tx.commit().await?;
    ctx.presence.events_came();
    Ok(())
}

fn not_taken_over(name: &str) -> Error {
    Error::not_found(format!("a take-over of client {name}"))
}

/// How a client was taken over, and where it differs from its record.
///
/// # Errors
/// It was not taken over.
pub async fn of_client(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<IntegrationView, Error> {
    let client = cases::get(tx, name).await?;
    let Integration { ordered_at, ordered_by, ssh_address, ssh_host_key, survey, surveyed_at, taken_over_at } =
        integrations::find(tx, client.id).await?.ok_or_else(|| not_taken_over(name))?;
    let found = survey.as_ref().map(|survey| survey.sources.as_slice()).unwrap_or_default();
    let sources = integration::seen(found, &known_lists(ctx, tx, &client).await?);
    let differences = survey.as_ref().map_or_else(Vec::new, |survey| {
        integration::differences(&client.name, &client.config, survey, &sources)
    });
    Ok(IntegrationView {
        ordered_at,
        ordered_by,
        ssh_address,
        ssh_host_key,
        surveyed_at,
        taken_over_at,
        survey,
        sources,
        differences,
    })
}

/// All source lists for the client's distribution; its distribution's own comes first.
async fn known_lists(ctx: &Ctx, tx: &mut Tx, client: &Client) -> Result<Vec<KnownList>, Error> {
    let distribution = &client.config.distribution;
    let lists = source_lists::list(ctx, tx).await?.into_iter();
    let fitting =
        lists.filter(|list| list.wish.distribution.as_ref().is_none_or(|name| name == distribution));
    let mut known: Vec<KnownList> =
        fitting.map(|list| KnownList { name: list.name, sources: list.wish.sources }).collect();
    known.sort_by_key(|list| list.name != *distribution);
    Ok(known)
}

/// Whether a client's system was there before Lotse: what would change it by itself waits for somebody there.
///
/// # Errors
/// The database refuses.
pub(super) async fn is_integrated(tx: &mut Tx, client: ClientId) -> Result<bool, Error> {
    Ok(integrations::find(tx, client).await?.is_some())
}
