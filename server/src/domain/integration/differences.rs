//! Where a machine differs from what Lotse would write to it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::survey::{FoundUser, Survey};

use super::{SeenSource, distribution_name, locale, network, person};
use crate::domain::client::ClientConfig;

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SurveyPart {
    /// The host name.
    Name,
    /// The DNS domain.
    Domain,
    /// The distribution.
    Distribution,
    /// The language.
    Locale,
    /// The keyboard.
    Keyboard,
    /// The time zone.
    Timezone,
    /// Time servers.
    Ntp,
    /// The proxy.
    Proxy,
    /// Network interfaces and name servers.
    Network,
    /// Accounts of people.
    Users,
    /// Public keys that may log in.
    Keys,
    /// Package sources.
    Sources,
}

/// Something that is otherwise on the machine than in its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SurveyDifference {
    /// What.
    pub part: SurveyPart,
    /// How it is on the machine; empty: it is not there.
    pub there: String,
    /// What the record has, so what an installation would write; empty: nothing.
    pub recorded: String,
}

/// Where the machine of client `name` differs from its record. What the machine says nothing about differs in nothing.
pub fn differences(
    name: &str,
    config: &ClientConfig,
    survey: &Survey,
    sources: &[SeenSource],
) -> Vec<SurveyDifference> {
    let mut found = Found(Vec::new());
    let keyboard = [survey.keyboard.as_str(), survey.keyboard_variant.as_str()];
    let proxy = if survey.proxy_secret { format!("{} (…@)", survey.proxy) } else { survey.proxy.clone() };
    found.word(SurveyPart::Name, &survey.hostname, name);
    found.word(SurveyPart::Domain, &survey.domain, &config.domain);
    found.word(SurveyPart::Distribution, &distribution_name(survey), &config.distribution);
    found.word(SurveyPart::Locale, &locale(&survey.locale), &config.locale);
    found.word(SurveyPart::Keyboard, keyboard.join(" ").trim_end(), &config.keyboard);
    found.word(SurveyPart::Timezone, &survey.timezone, &config.timezone);
    found.word(SurveyPart::Ntp, &survey.ntp.join(", "), &config.ntp.join(", "));
    found.word(SurveyPart::Proxy, &proxy, &config.proxy);
    found.network(config, survey);
    found.people(config, survey);
    for source in sources.iter().filter(|source| source.list.is_none() && source.found.enabled) {
        let found_source = &source.found;
        let parts = [&found_source.types, &found_source.uris, &found_source.suites, &found_source.components];
        let words: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
        found.add(SurveyPart::Sources, words.join(" "), String::new());
    }
    found.0
}

struct Found(Vec<SurveyDifference>);

impl Found {
    fn add(&mut self, part: SurveyPart, there: String, recorded: String) {
        self.0.push(SurveyDifference { part, there, recorded });
    }

    /// A value of which the machine says something.
    fn word(&mut self, part: SurveyPart, there: &str, recorded: &str) {
        if !there.is_empty() && there != recorded {
            self.add(part, there.to_owned(), recorded.to_owned());
        }
    }

    fn network(&mut self, config: &ClientConfig, survey: &Survey) {
        for there in &survey.interfaces {
            let as_recorded = network::interface(there);
            let recorded = config.network.interfaces.iter().find(|known| known.mac == there.mac);
            if as_recorded.is_none() || as_recorded.as_ref() != recorded {
                let recorded = recorded.map(network::line).unwrap_or_default();
                self.add(SurveyPart::Network, network::found_line(there), recorded);
            }
            // A record has one address of each kind.
            let kinds = there.fixed.iter().filter(|address| address.contains(':')).count();
            for address in there.fixed.iter().filter(|_| as_recorded.is_some()) {
                let same_kind = if address.contains(':') { kinds } else { there.fixed.len() - kinds };
                let is_recorded = recorded.is_some_and(|known| {
                    network::line(known).split_whitespace().any(|word| word == address.as_str())
                });
                if same_kind > 1 && !is_recorded {
                    self.add(SurveyPart::Network, format!("{} {address}", there.name), String::new());
                }
            }
        }
        for recorded in &config.network.interfaces {
            let is_there = survey.interfaces.iter().any(|there| there.mac == recorded.mac);
            if recorded.mac.is_some() && !is_there {
                self.add(SurveyPart::Network, String::new(), network::line(recorded));
            }
        }
    }

    fn people(&mut self, config: &ClientConfig, survey: &Survey) {
        for there in &survey.users {
            let recorded = config.users.iter().find(|known| known.name == there.name);
            if there.uid != 0 {
                let same = recorded.is_some_and(|known| known.sudo == person(there).sudo);
                if !same {
                    let recorded = recorded.map(|known| account(&known.name, known.sudo)).unwrap_or_default();
                    self.add(SurveyPart::Users, account(&there.name, person(there).sudo), recorded);
                }
            }
            let known = match recorded {
                Some(user) => user.ssh_keys.len(),
                None if there.uid == 0 => config.root_ssh_keys.len(),
                None => 0,
            };
            if there.key_fingerprints.len() != known {
                self.add(
                    SurveyPart::Keys,
                    keys(there),
                    if known == 0 { String::new() } else { known.to_string() },
                );
            }
        }
        for recorded in &config.users {
            if !survey.users.iter().any(|there| there.name == recorded.name) {
                self.add(SurveyPart::Users, String::new(), account(&recorded.name, recorded.sudo));
            }
        }
    }
}

fn account(name: &str, sudo: bool) -> String {
    if sudo { format!("{name} (sudo)") } else { name.to_owned() }
}

fn keys(user: &FoundUser) -> String {
    format!("{}: {}", user.name, user.key_fingerprints.join(", "))
}
