//! A system that was there before Lotse: what of its survey goes into the client's record, and where the two differ. Pure.
//!
//! Invariant: what a record cannot hold stays out of it ([`taken_over`] gives only configurations that are in order), and is a
//! [`SurveyDifference`] instead; nothing here is ever written to the machine.

mod differences;
mod network;
mod sources;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::survey::{FoundUser, Survey};

pub use self::{
    differences::{SurveyDifference, SurveyPart, differences},
    sources::{KnownList, SeenSource, seen},
};
use super::client::{ClientConfig, User};

/// Groups whose members may become root.
const ADMINS: [&str; 3] = ["sudo", "wheel", "admin"];

/// Who has installed a client's system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SystemOrigin {
    /// Lotse, or nobody yet.
    #[default]
    Lotse,
    /// Somebody else; it was taken over.
    Integrated,
}

/// The name that a distribution would have here, such as `debian-12`.
pub fn distribution_name(survey: &Survey) -> String {
    format!("{}-{}", survey.os.id, survey.os.version)
}

/// The record with what the survey says, as far as a record can hold it. `is_known` says which distributions there are.
pub fn taken_over(config: &ClientConfig, survey: &Survey, is_known: impl Fn(&str) -> bool) -> ClientConfig {
    let mut taken = config.clone();
    // What does not fit leaves everything as it was.
    let mut keep = |change: &dyn Fn(&mut ClientConfig)| {
        let mut trial = taken.clone();
        change(&mut trial);
        if trial.check().is_empty() {
            taken = trial;
        }
    };
    let distribution = distribution_name(survey);
    if is_known(&distribution) {
        keep(&|config| config.distribution.clone_from(&distribution));
    }
    for (value, set) in [
        (&survey.domain, (|config, value| config.domain = value) as fn(&mut ClientConfig, String)),
        (&survey.timezone, |config, value| config.timezone = value),
        (&survey.keyboard, |config, value| config.keyboard = value),
        (&survey.proxy, |config, value| config.proxy = value),
    ] {
        if !value.is_empty() {
            keep(&|config| set(config, value.clone()));
        }
    }
    keep(&|config| config.locale = locale(&survey.locale));
    for server in &survey.ntp {
        keep(&|config| config.ntp.push(server.clone()));
    }
    for server in survey.nameservers.iter().filter_map(|server| server.parse().ok()) {
        keep(&|config| config.network.nameservers.push(server));
    }
    for interface in survey.interfaces.iter().filter_map(network::interface) {
        keep(&|config| config.network.interfaces.push(interface.clone()));
    }
    for user in survey.users.iter().filter(|user| user.uid != 0) {
        keep(&|config| config.users.push(person(user)));
    }
    taken
}

/// `de_DE.utf8` and `de_DE.UTF-8` are the same (setlocale(3)).
fn locale(text: &str) -> String {
    match text.split_once('.') {
        Some((name, charset)) if charset.eq_ignore_ascii_case("utf8") => format!("{name}.UTF-8"),
        _ => text.to_owned(),
    }
}

/// An account without its password and its keys, of which the survey knows only fingerprints.
fn person(found: &FoundUser) -> User {
    User {
        name: found.name.clone(),
        full_name: found.full_name.clone(),
        sudo: found.groups.iter().any(|group| ADMINS.contains(&group.as_str())),
        ..User::default()
    }
}

#[cfg(test)]
mod tests;
