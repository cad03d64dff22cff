//! Packages of clients: what agents tell of them is kept with its history, shown, and compared.
//!
//! Invariant: what is kept has the hash that the agent has given; when it has not, nothing is changed and the agent is asked for the whole.

use wire::{
    ClientId, JobId,
    packages::{
        LONGEST_WORD, MOST_PACKAGES, MOST_SERVICES, Package, PackageKey, PackagesRequest, PackagesResponse,
    },
};

use super::{Error, clients as client_cases, settings};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, attempts, clients, packages},
    domain::{
        inventory::{self, Inventory, PackageChange, PackageDifference, State},
        report::{Cell, Kind, Report, columns},
        settings::RETENTION_PACKAGE_DAYS,
    },
};

const DAY: i64 = 86_400 * SECOND;
/// Longest sentence of a condition, in bytes.
const LONGEST_WHY: usize = 4000;
/// Changes that are forgotten in one transaction.
const PORTION: i64 = 5000;

fn check(request: &PackagesRequest) -> Result<(), Error> {
    let wrong = |title: &str| {
        Err(Error::invalid(title, "the agent and this server do not fit together: upgrade both"))
    };
    if request.set.len() > MOST_PACKAGES || request.gone.len() > MOST_PACKAGES {
        return wrong("the agent tells of too many packages");
    }
    if !request.set.iter().all(Package::is_plain) {
        return wrong("the agent tells of a package whose name, architecture or version is none");
    }
    let condition = &request.condition;
    let long = |text: &String, most: usize| text.len() > most;
    if condition.services.len() > MOST_SERVICES
        || condition.services.iter().any(|service| long(service, LONGEST_WORD))
        || long(&condition.reboot_why, LONGEST_WHY)
        || long(&condition.updates_unknown, LONGEST_WHY)
    {
        return wrong("the agent says too much about the condition of its system");
    }
    Ok(())
}

fn hash(packages: &[Package]) -> String {
    let mut text = String::new();
    for package in packages {
        text.push_str(&package.line());
        text.push('\n');
    }
    crate::blobs::hash(text.as_bytes()).to_string()
}

/// The state that a message leads to.
fn applied(known: &[Package], request: &PackagesRequest) -> Vec<Package> {
    let mut state: std::collections::BTreeMap<&PackageKey, &Package> = match request.base {
        Some(_) => known.iter().map(|package| (&package.key, package)).collect(),
        None => std::collections::BTreeMap::new(),
    };
    for key in &request.gone {
        state.remove(key);
    }
    state.extend(request.set.iter().map(|package| (&package.key, package)));
    state.into_values().cloned().collect()
}

/// Takes what an agent tells of its packages. Telling the same again changes nothing.
///
/// # Errors
/// What it tells is too much or is not what it says, or the database refuses.
pub async fn receive(
    ctx: &Ctx,
    client: ClientId,
    request: &PackagesRequest,
) -> Result<PackagesResponse, Error> {
    check(request)?;
    let now = ctx.now();
    let (stored, known, job) = {
        let mut tx = ctx.db.read().await?;
        let stored = packages::inventory(&mut tx, client).await?;
        let known = packages::installed(&mut tx, client).await?;
        (stored, known, job(&mut tx, client, request).await?)
    };
    let sha256 = request.sha256.to_string();
    let stored_hash = stored.as_ref().map(|(hash, _)| hash.clone());
    let same = stored_hash.as_ref() == Some(&sha256);
    if same && stored.as_ref().is_some_and(|(_, inventory)| inventory.condition == request.condition) {
        return Ok(PackagesResponse::Kept);
    }
    let is_base = |base: &wire::Sha256| stored_hash.as_deref() == Some(base.as_str());
    if !same && request.base.as_ref().is_some_and(|base| !is_base(base)) {
        return Ok(PackagesResponse::SendWhole);
    }
    let new = if same { known.clone() } else { applied(&known, request) };
    if hash(&new) != sha256 {
        if request.base.is_some() {
            return Ok(PackagesResponse::SendWhole);
        }
        return Err(Error::invalid(
            "the packages have another hash than the agent says",
            "the agent and this server do not fit together: upgrade both",
        ));
    }
    let mut tx = ctx.db.write().await?;
    packages::make_known(&mut tx, new.iter().filter(|one| !is_there(&known, one)).map(|one| &one.key))
        .await?;
    tx.commit().await?;
    let mut tx = ctx.db.write().await?;
    clients::lock(&mut tx, client).await?;
    let again = packages::inventory(&mut tx, client).await?.map(|(hash, _)| hash);
    if again != stored_hash {
        // Another message of the same agent was faster: it told the same, or this one begins from a state that is over.
        return Ok(if again == Some(sha256) { PackagesResponse::Kept } else { PackagesResponse::SendWhole });
    }
    packages::store(&mut tx, client, &known, &new).await?;
    // What a system has when it is first told of has not come just now.
    if stored.is_some() {
        let changes = inventory::changes(&known, &new);
        packages::add_changes(&mut tx, client, &changes, job, now).await?;
    }
    let count = |list: &dyn Fn(&Package) -> bool| {
        let counted = new.iter().filter(|package| list(package)).count();
        i64::try_from(counted).unwrap_or(i64::MAX)
    };
    let is_known = request.condition.updates_unknown.is_empty();
    let inventory = Inventory {
        family: request.family,
        collected_at: request.collected_at,
        received_at: now,
        first_at: stored.as_ref().map_or(now, |(_, inventory)| inventory.first_at),
        packages: count(&|_| true),
        updates: is_known.then(|| count(&|package| package.update.is_some())),
        security_updates: is_known
            .then(|| count(&|package| package.update.as_ref().is_some_and(|update| update.security))),
        condition: request.condition.clone(),
    };
    packages::set_inventory(&mut tx, client, &sha256, &inventory).await?;
    tx.commit().await?;
    Ok(PackagesResponse::Kept)
}

fn is_there(known: &[Package], package: &Package) -> bool {
    known.binary_search_by(|other| other.key.cmp(&package.key)).is_ok()
}

/// The job of the attempt that the agent names, when it is one of its own.
async fn job(tx: &mut Tx, client: ClientId, request: &PackagesRequest) -> Result<Option<JobId>, Error> {
    let Some(attempt) = request.attempt else { return Ok(None) };
    let attempt = attempts::find(tx, attempt).await?;
    Ok(attempt.filter(|attempt| attempt.client == client).map(|attempt| attempt.job))
}

/// Which packages of a client somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct PackageWish {
    /// A part of the name.
    pub name: String,
    /// Only some.
    pub only: Only,
}

/// Only some packages.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = OnlyPackages)]
pub enum Only {
    /// All of them.
    #[default]
    All,
    /// Those that could be newer.
    Updates,
    /// Those with a security update.
    Security,
    /// Those that are to stay as they are.
    Held,
    /// Those that somebody wanted.
    Manual,
    /// Those that came with others.
    Automatic,
}

impl Only {
    fn fits(self, package: &Package) -> bool {
        match self {
            Self::All => true,
            Self::Updates => package.update.is_some(),
            Self::Security => package.update.as_ref().is_some_and(|update| update.security),
            Self::Held => package.held,
            Self::Manual => !package.automatic,
            Self::Automatic => package.automatic,
        }
    }
}

/// The packages of a client.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct ClientPackages {
    /// What is known as a whole; absent: its agent has not told of any yet.
    pub inventory: Option<Inventory>,
    /// Those that were asked for, by name.
    pub packages: Vec<Package>,
}

/// The packages of a client.
///
/// # Errors
/// There is no such client.
pub async fn of_client(tx: &mut Tx, name: &str, wish: &PackageWish) -> Result<ClientPackages, Error> {
    let client = client_cases::get(tx, name).await?.id;
    let inventory = packages::inventory(tx, client).await?.map(|(_, inventory)| inventory);
    let part = wish.name.trim().to_lowercase();
    let mut found = packages::installed(tx, client).await?;
    found.retain(|package| wish.only.fits(package) && package.key.name.contains(&part));
    Ok(ClientPackages { inventory, packages: found })
}

/// What has changed on a client, the newest first.
///
/// # Errors
/// There is no such client.
pub async fn history(
    tx: &mut Tx,
    name: &str,
    part: &str,
    before: i64,
    limit: i64,
) -> Result<Vec<PackageChange>, Error> {
    let client = client_cases::get(tx, name).await?.id;
    Ok(packages::changes(tx, client, before, i64::MIN, part, limit).await?)
}

/// What stands on the right of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Against {
    /// Another client as it is now.
    Client(String),
    /// The same client as it was at a time.
    Time(i64),
}

/// How two systems differ.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct Comparison {
    /// The client on the left, as it is now.
    pub left: String,
    /// The client on the right.
    pub right: String,
    /// When the right one was so; absent: now.
    pub right_at: Option<i64>,
    /// How many packages are alike.
    pub alike: i64,
    /// Packages that are not alike, by name.
    pub differences: Vec<PackageDifference>,
}

/// Compares a client with another one, or with itself at a time.
///
/// # Errors
/// There is no such client, its agent has not told of its packages, or they are not known of that time.
pub async fn compare(tx: &mut Tx, name: &str, against: &Against) -> Result<Comparison, Error> {
    let (left, _) = known(tx, name).await?;
    let (right, right_name, right_at) = match against {
        Against::Client(other) => (known(tx, other).await?.0, other.clone(), None),
        Against::Time(at) => (at_time(tx, name, *at).await?, name.to_owned(), Some(*at)),
    };
    let differences = inventory::compare(&left, &right);
    let alike = left.iter().filter(|(which, versions)| right.get(*which) == Some(*versions)).count();
    let alike = i64::try_from(alike).unwrap_or(i64::MAX);
    Ok(Comparison { left: name.to_owned(), right: right_name, right_at, alike, differences })
}

/// The present state of a client, and what is known of it as a whole.
async fn known(tx: &mut Tx, name: &str) -> Result<(State, Inventory), Error> {
    let client = client_cases::get(tx, name).await?.id;
    let Some((_, inventory)) = packages::inventory(tx, client).await? else {
        return Err(Error::conflict(
            format!("the packages of client {name} are not known"),
            "its agent tells of them when the system runs; an old agent has to be upgraded first",
        ));
    };
    let installed = packages::installed(tx, client).await?;
    Ok((inventory::state(installed.iter().map(|package| &package.key)), inventory))
}

/// A client as it was: what has changed since is taken back, the newest first.
async fn at_time(tx: &mut Tx, name: &str, at: i64) -> Result<State, Error> {
    let client = client_cases::get(tx, name).await?.id;
    let (mut state, inventory) = known(tx, name).await?;
    if at < inventory.first_at {
        let since = crate::clock::rfc3339(inventory.first_at);
        return Err(Error::invalid(
            format!("what client {name} had at that time is not known"),
            format!("its history begins at {since}"),
        ));
    }
    for change in packages::changes(tx, client, i64::MAX, at.saturating_add(1), "", i64::MAX).await? {
        inventory::undo(&mut state, &change);
    }
    Ok(state)
}

/// Forgets changes of packages that are older than is set.
///
/// # Errors
/// The database refuses.
pub async fn prune(ctx: &Ctx) -> Result<(), Error> {
    loop {
        let mut tx = ctx.db.write().await?;
        let days = settings::current(&mut tx).await?.number(&RETENTION_PACKAGE_DAYS);
        let forgotten = packages::prune_changes(&mut tx, ctx.now() - days * DAY, PORTION).await?;
        tx.commit().await?;
        if forgotten == 0 {
            return Ok(());
        }
    }
}

fn word(is_so: bool, word: &str) -> Cell {
    if is_so { word.into() } else { Cell::Nothing }
}

/// The packages of a client as a table, for files.
pub fn table(name: &str, found: &ClientPackages, now: i64) -> Report {
    let head = [
        ("package", Kind::Text),
        ("architecture", Kind::Text),
        ("version", Kind::Text),
        ("size", Kind::Bytes),
        ("marks", Kind::Text),
        ("held", Kind::Text),
        ("update", Kind::Text),
        ("security", Kind::Text),
    ];
    let row = |package: &Package| {
        let update = package.update.as_ref();
        vec![
            package.key.name.as_str().into(),
            package.key.architecture.as_str().into(),
            package.key.version.as_str().into(),
            package.size_bytes.into(),
            if package.automatic { "automatic" } else { "manual" }.into(),
            word(package.held, "held"),
            update.map(|update| update.version.as_str()).unwrap_or_default().into(),
            word(update.is_some_and(|update| update.security), "security"),
        ]
    };
    as_table(format!("packages-{name}"), &head, found.packages.iter().map(row).collect(), now)
}

/// A comparison as a table, for files.
pub fn comparison_table(comparison: &Comparison, now: i64) -> Report {
    let right = match comparison.right_at {
        Some(at) => format!("{} {}", comparison.right, crate::clock::rfc3339(at)),
        None => comparison.right.clone(),
    };
    let head = [
        ("package", Kind::Text),
        ("architecture", Kind::Text),
        (comparison.left.as_str(), Kind::Text),
        (right.as_str(), Kind::Text),
        ("difference", Kind::Text),
    ];
    let row = |one: &PackageDifference| {
        [&one.name, &one.architecture, &one.left, &one.right, &one.kind]
            .map(|text| text.as_str().into())
            .to_vec()
    };
    let name = format!("compare-{}-{}", comparison.left, comparison.right);
    as_table(name, &head, comparison.differences.iter().map(row).collect(), now)
}

fn as_table(name: String, head: &[(&str, Kind)], rows: Vec<Vec<Cell>>, now: i64) -> Report {
    Report {
        name,
        group: None,
        made_at: now,
        columns: columns(head),
        rows,
        notes: Vec::new(),
        days: Vec::new(),
    }
}
