//! Whether somebody's roles go as far as what they ask for. Requests that name one thing are checked before they are carried out
//! (`http::access`); a use case that names several asks here for each.
//!
//! What is out of somebody's sight does not exist for them: a client of which they have no role is not found.

use wire::{GroupId, JobId, Mac};

use super::Error;
use crate::{
    db::{Tx, groups, reach},
    domain::{
        people::Role,
        reach::{Reach, Sees},
    },
};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About<'a> {
    /// A client, by name.
    Client(&'a str),
    /// The client of a job.
    Job(i64),
    /// The client of an attempt.
    Attempt(i64),
    /// The client that has a hardware address.
    Mac(Mac),
    /// A group, by name.
    Group(&'a str),
}

impl About<'_> {
    fn what(self) -> String {
        match self {
            Self::Client(name) => format!("client {name}"),
            Self::Job(id) => format!("job {id}"),
            Self::Attempt(id) => format!("attempt {id}"),
            Self::Mac(mac) => format!("client with the address {mac}"),
            Self::Group(name) => format!("group {name}"),
        }
    }
}

/// Refuses who has less than a role there.
///
/// # Errors
/// [`Error::Forbidden`], or [`Error::NotFound`] where they have no role at all.
pub async fn require(tx: &mut Tx, reach: &Reach, about: About<'_>, needed: Role) -> Result<(), Error> {
    if reach.everywhere >= Some(needed) {
        return Ok(());
    }
    let found = match about {
        About::Client(name) => reach::client_by_name(tx, name).await?,
        About::Job(id) => reach::client_of_job(tx, id).await?,
        About::Attempt(id) => reach::client_of_attempt(tx, id).await?,
        About::Mac(mac) => reach::client_by_mac(tx, mac).await?,
        About::Group(name) => {
            // The members of a group that is a search are whatever it finds: no role for the group reaches them.
            let group = groups::get(tx, name).await?.filter(|group| group.query.is_none());
            return enough(reach, group.map(|group| group.id).as_slice(), about, needed);
        }
    };
    enough(reach, found.map(|(_, groups)| groups).unwrap_or_default().as_slice(), about, needed)
}

fn enough(reach: &Reach, groups: &[GroupId], about: About<'_>, needed: Role) -> Result<(), Error> {
    match reach.on(groups) {
        Some(role) if role >= needed => Ok(()),
        Some(role) => Err(less(role, needed, &about.what())),
        // Somebody who could do it nowhere learns that; the others learn nothing about what they do not see.
        None if reach.greatest().is_none_or(|role| role < needed) => Err(nowhere(reach, needed)),
        None => Err(Error::not_found(about.what())),
    }
}

/// Refuses a group that is out of somebody's sight.
///
/// # Errors
/// [`Error::NotFound`]
pub async fn require_seen_group(tx: &mut Tx, sees: &Sees, name: &str) -> Result<(), Error> {
    let Sees::Groups(seen) = sees else { return Ok(()) };
    match groups::find(tx, name).await? {
        Some(group) if seen.contains(&group) => Ok(()),
        _ => Err(Error::not_found(About::Group(name).what())),
    }
}

/// What somebody is told who has a role that is not enough.
fn less(have: Role, needed: Role, place: &str) -> Error {
    let (have, needed) = (have.as_str(), needed.as_str());
    Error::Forbidden(format!("this needs the role {needed} for {place}; you have {have}"))
}

/// What somebody is told whose roles are enough nowhere.
pub fn nowhere(reach: &Reach, needed: Role) -> Error {
    let needed = needed.as_str();
    match (reach.everywhere, reach.greatest()) {
        (Some(have), _) => {
            Error::Forbidden(format!("this needs the role {needed}; you have {}", have.as_str()))
        }
        (None, Some(have)) => Error::Forbidden(format!(
            "this needs the role {needed} for everything; you have {} for single groups",
            have.as_str()
        )),
        (None, None) => Error::Forbidden(
            "this account has no role; ask an admin to give it one: `lotse account change NAME --role ROLE`"
                .to_owned(),
        ),
    }
}

/// Refuses to change which groups a client belongs to, unless every group that it enters or leaves is one in which somebody has the role.
/// Membership gives rights to others, and making a group is for those whose role counts everywhere.
///
/// # Errors
/// As [`require`].
pub async fn require_groups(
    tx: &mut Tx,
    reach: &Reach,
    client: &str,
    wanted: &[String],
    needed: Role,
) -> Result<(), Error> {
    if reach.everywhere >= Some(needed) {
        return Ok(());
    }
    let present = reach::client_by_name(tx, client).await?.map(|(_, groups)| groups).unwrap_or_default();
    let mut kept = Vec::new();
    for name in wanted {
        match groups::find(tx, name).await? {
            Some(group) if present.contains(&group) => kept.push(group),
            _ => require(tx, reach, About::Group(name), needed).await?,
        }
    }
    match present.iter().find(|group| !kept.contains(group) && reach.groups.get(group) < Some(&needed)) {
        Some(_) => Err(Error::Forbidden(format!(
            "client {client} belongs to groups out of which you cannot take it; name all of its groups"
        ))),
        None => Ok(()),
    }
}

/// Refuses to make a job wait for jobs of clients that somebody does not see.
///
/// # Errors
/// As [`require`].
pub async fn require_jobs(tx: &mut Tx, reach: &Reach, jobs: &[JobId]) -> Result<(), Error> {
    for job in jobs {
        require(tx, reach, About::Job(job.0), Role::Viewer).await?;
    }
    Ok(())
}
