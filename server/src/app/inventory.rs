//! Packages of clients, kept with their history: shown, compared, forgotten. How they come in is in [`receiving`].

mod receiving;

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{ClientId, packages::Package};

use super::{Error, clients as client_cases, settings};
use crate::{
    clock::SECOND,
    context::Ctx,
    db::{Tx, packages},
    domain::{
        inventory::{self, Inventory, PackageChange, PackageDifference, State},
        job::UnknownWord,
        report::{Cell, Kind, Report, columns},
        settings::RETENTION_PACKAGE_DAYS,
    },
};

pub use receiving::receive;

const DAY: i64 = 86_400 * SECOND;
/// Changes that are forgotten in one transaction.
const PORTION: i64 = 5000;

/// Which packages of a client somebody wants to see.
#[derive(Clone, Debug, Default)]
pub struct PackageWish {
    /// A part of the name.
    pub name: String,
    /// Only some.
    pub only: Only,
}

/// Only some packages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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

impl FromStr for Only {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|only| only.as_str() == word);
        found.ok_or_else(|| UnknownWord { word: word.to_owned(), what: "kind of packages" })
    }
}

impl Only {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::All, Self::Updates, Self::Security, Self::Held, Self::Manual, Self::Automatic];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Updates => "updates",
            Self::Security => "security",
            Self::Held => "held",
            Self::Manual => "manual",
            Self::Automatic => "automatic",
        }
    }

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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientPackages {
    /// What is known as a whole; absent: its agent has not told of any yet.
    pub inventory: Option<Inventory>,
    /// Those that were asked for, by name.
    pub packages: Vec<Package>,
}

/// What is known about the packages of a client as a whole.
///
/// # Errors
/// The database refuses.
pub async fn summary(tx: &mut Tx, client: ClientId) -> Result<Option<Inventory>, Error> {
    Ok(packages::inventory(tx, client).await?.map(|(_, inventory)| inventory))
}

/// The packages of a client.
///
/// # Errors
/// There is no such client.
pub async fn of_client(tx: &mut Tx, name: &str, wish: &PackageWish) -> Result<ClientPackages, Error> {
    let client = client_cases::get(tx, name).await?.id;
    let inventory = summary(tx, client).await?;
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
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
