//! A desktop as people look at it: its record, its way in stages, and how to connect.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{super::Error, DesktopRecord, get};
use crate::{
    catalog::Catalog,
    context::Ctx,
    db::{Tx, boot, clients, jobs, provider_images},
    domain::{
        boot::expect_next,
        client::{Client, DesktopEnvironment, RemoteAccess},
        desktop::{DesktopState, ProviderTrial},
        desktop_stage::{DesktopStage, Way, stages},
        job::Job,
        provider_image::ProviderImage,
    },
    planner,
    vm::Place,
};

/// Contacts of a machine that are looked at.
const CONTACTS: i64 = 200;

/// A desktop with everything that there is to say about it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DesktopView {
    /// The desktop, what was tried and what was made.
    #[serde(flatten)]
    pub record: DesktopRecord,
    /// Its way, from the order to the first login.
    pub stages: Vec<DesktopStage>,
    /// How its users come to it; empty while nobody can.
    pub connections: Vec<Connection>,
}

/// A way to a desktop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Connection {
    /// `x2go`, `rdp` or `ssh`.
    pub by: String,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The session type in the words of the `X2Go` client, or the program of a custom desktop; empty elsewhere.
    pub session: String,
    /// Who logs in; empty when nobody is named.
    pub user: String,
}

/// A desktop by name, as [`get`].
///
/// # Errors
/// [`Error::NotFound`]
pub async fn view(ctx: &Ctx, tx: &mut Tx, name: &str) -> Result<DesktopView, Error> {
    let record = get(tx, name).await?;
    let desktop = &record.desktop;
    let client = match desktop.client {
        Some(client) => clients::find(tx, client).await?,
        None => None,
    };
    let (mut chain, mut contacts) = (Vec::new(), Vec::new());
    if let Some(client) = &client {
        chain = chain_of(client, jobs::since(tx, client.id, desktop.wanted_at).await?);
        contacts = boot::of_client(tx, client.id, CONTACTS).await?;
    }
    let expected = expect_next(contacts.last(), client.as_ref().and_then(|client| client.realm), ctx.now());
    let first = record.trials.partition_point(|trial| trial.round < desktop.first_round);
    let trials = &record.trials[first..];
    let image = match trials.last() {
        Some(trial) => image_of(tx, trial).await?,
        None => None,
    };
    let way = Way {
        desktop,
        trials,
        image: image.as_ref(),
        contacts: &contacts,
        expected: expected.as_ref(),
        chain: &chain,
        now: ctx.now(),
    };
    let stages = stages(&way);
    let connections = match &client {
        Some(client) if desktop.state == DesktopState::Ready => connections(&ctx.catalog, client, &record),
        _ => Vec::new(),
    };
    Ok(DesktopView { record, stages, connections })
}

/// The boot image that a machine is made from, or waits for, where Lotse keeps one at its provider.
async fn image_of(tx: &mut Tx, trial: &ProviderTrial) -> Result<Option<ProviderImage>, Error> {
    let mut all = provider_images::of(tx, trial.provider_id).await?;
    let place = trial.place.as_deref().and_then(|place| serde_json::from_str::<Place>(place).ok());
    Ok(match place {
        Some(place) => all.into_iter().find(|image| image.remote.as_deref() == Some(place.iso.as_str())),
        None if all.is_empty() => None,
        None => Some(all.swap_remove(0)),
    })
}

/// The newest job of each kind of a client's installation, in the order in which they run.
fn chain_of(client: &Client, jobs: Vec<Job>) -> Vec<Job> {
    let kinds = planner::installation(client);
    let mut chain: Vec<_> = kinds
        .iter()
        .filter_map(|kind| jobs.iter().rev().find(|job| job.job_type == kind.job_type).cloned())
        .collect();
    // Each selection is a kind of its own; only those that wait for the installation belong to it.
    let last = chain.last().map(|job| job.id);
    let selected = |job: &&Job| {
        job.job_type == "package-selection" && last.is_some_and(|last| job.needs.contains(&last))
    };
    chain.extend(jobs.iter().filter(selected).cloned());
    chain
}

fn connections(catalog: &Catalog, client: &Client, record: &DesktopRecord) -> Vec<Connection> {
    let wanted = client.config.desktop.unwrap_or_default();
    let user = client.config.users.first().map(|user| user.name.clone()).unwrap_or_default();
    let session = match wanted.environment {
        DesktopEnvironment::None => "single application".to_owned(),
        environment => {
            let known = catalog.distribution(&client.config.distribution);
            let known = known.and_then(|known| known.desktops.get(environment.as_str()));
            known.map_or_else(String::new, |known| {
                if known.x2go.is_empty() { known.session.clone() } else { known.x2go.clone() }
            })
        }
    };
    let ways = match wanted.remote {
        RemoteAccess::X2go => [Some(("x2go", 22, session)), None],
        RemoteAccess::Xrdp => [Some(("rdp", 3389, String::new())), Some(("ssh", 22, String::new()))],
        RemoteAccess::None => [None, Some(("ssh", 22, String::new()))],
    };
    let ways = ways.into_iter().flatten();
    ways.filter_map(|(by, port, session)| {
        let (host, port) = address(record, port)?;
        Some(Connection { by: by.to_owned(), host, port, session, user: user.clone() })
    })
    .collect()
}

/// Where a port of the desktop is reached.
fn address(record: &DesktopRecord, port: u16) -> Option<(String, u16)> {
    let reached = record.reached.iter().find(|reached| reached.port == i64::from(port))?;
    let (host, outside) = reached.at.rsplit_once(':')?;
    Some((host.to_owned(), outside.parse().ok()?))
}
