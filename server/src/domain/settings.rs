//! What admins set while the server runs: every setting with its type, its bounds and its default. Pure.
//!
//! Titles and explanations stand in `templates/locales/*/audit.ftl`, those of the package cache in `cache.ftl`, under `setting-NAME`, with hyphens for dots; a test keeps them
//! complete. What only the configuration file decides is not here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

/// What a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Number {
        /// The least.
        least: i64,
        /// The most.
        most: i64,
    },
    /// A text of one line.
    Text {
        /// Most characters.
        longest: usize,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Any of these words.
    Choices(&'static [&'static str]),
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name; what stands before the dot is its area.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    number: i64,
    text: &'static str,
}

const fn number(name: &'static str, least: i64, most: i64, default: i64) -> Setting {
    Setting { name, kind: Kind::Number { least, most }, number: default, text: "" }
}

const fn text(name: &'static str, longest: usize) -> Setting {
    Setting { name, kind: Kind::Text { longest }, number: 0, text: "" }
}

/// Which actions need a second person: the words of [`super::approval::Risk`].
pub static APPROVAL_ACTIONS: Setting =
    Setting { name: "approval.actions", kind: Kind::Choices(&super::approval::RISKS), number: 0, text: "" };
/// An action for more clients than this is a mass action.
pub static APPROVAL_MASS_ABOVE: Setting = number("approval.mass-above", 1, 100_000, 50);
/// A request that nobody has approved expires after so many hours.
pub static APPROVAL_HOURS: Setting = number("approval.valid-hours", 1, 720, 72);
/// A session ends after so many hours without use.
pub static SESSION_IDLE_HOURS: Setting = number("session.idle-hours", 1, 720, 12);
/// A session ends after so many days in any case.
pub static SESSION_DAYS: Setting = number("session.valid-days", 1, 90, 7);
/// Host name of the mail server; empty: no mail is sent.
pub static MAIL_SERVER: Setting = text("mail.server", 253);
/// Its port.
pub static MAIL_PORT: Setting = number("mail.port", 1, 65535, 587);
/// How the connection to it is secured.
pub static MAIL_SECURITY: Setting = Setting {
    name: "mail.security",
    kind: Kind::Choice(&["starttls", "tls", "none"]),
    number: 0,
    text: "starttls",
};
/// The name by which the server logs in there; empty: it does not. The password is in a file that the configuration names.
pub static MAIL_USER: Setting = text("mail.user", 253);
/// The sender's address.
pub static MAIL_FROM: Setting = text("mail.from", 253);
/// Versions of packages that no client may get: `name=version`, with blanks between them.
pub static PACKAGES_RETRACTED: Setting = text("packages.retracted", 4_000);
/// So many of the events that machines cause by themselves are kept.
pub static RETENTION_EVENTS: Setting = number("retention.events", 1_000, 100_000_000, 500_000);
/// So many lines of boot timelines are kept.
pub static RETENTION_BOOT_LINES: Setting = number("retention.boot-lines", 1_000, 100_000_000, 500_000);
/// What attempts printed is kept for so many days after their end.
pub static RETENTION_OUTPUT_DAYS: Setting = number("retention.output-days", 1, 3_650, 180);
/// Notices that were sent or given up are kept for so many days.
pub static RETENTION_NOTICE_DAYS: Setting = number("retention.notice-days", 1, 3_650, 30);

/// `on`: the package cache asks no mirror.
pub static CACHE_OFFLINE: Setting =
    Setting { name: "cache.offline", kind: Kind::Choice(&["off", "on"]), number: 0, text: "off" };
/// The package cache keeps so many GiB.
pub static CACHE_LIMIT_GIB: Setting = number("cache.limit-gib", 1, 1_000_000, 50);
/// Changes of the packages of clients are kept for so many days.
pub static RETENTION_PACKAGE_DAYS: Setting = number("retention.package-days", 1, 3_650, 365);

/// Versions that may not be installed, by package.
pub type Retracted = BTreeMap<String, Vec<String>>;

/// All settings, in the order in which they are shown.
pub static SETTINGS: [&Setting; 18] = [
    &APPROVAL_ACTIONS,
    &APPROVAL_MASS_ABOVE,
    &APPROVAL_HOURS,
    &SESSION_IDLE_HOURS,
    &SESSION_DAYS,
    &MAIL_SERVER,
    &MAIL_PORT,
    &MAIL_SECURITY,
    &MAIL_USER,
    &MAIL_FROM,
    &PACKAGES_RETRACTED,
    &RETENTION_EVENTS,
    &RETENTION_BOOT_LINES,
    &RETENTION_OUTPUT_DAYS,
    &RETENTION_NOTICE_DAYS,
    &CACHE_OFFLINE,
    &CACHE_LIMIT_GIB,
    &RETENTION_PACKAGE_DAYS,
];

/// A setting by its name.
pub fn find(name: &str) -> Option<&'static Setting> {
    SETTINGS.into_iter().find(|setting| setting.name == name)
}

fn name_and_version(word: &str) -> Option<(&str, &str)> {
    word.split_once('=')
        .filter(|(name, version)| !name.is_empty() && !version.is_empty() && !version.contains('='))
}

impl Setting {
    /// What counts when nobody has set anything.
    pub fn default_value(&self) -> Value {
        match self.kind {
            Kind::Number { .. } => json!(self.number),
            Kind::Text { .. } | Kind::Choice(_) => json!(self.text),
            Kind::Choices(_) => json!([]),
        }
    }

    /// The value as it is kept; checks type and bounds.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn check(&self, value: &Value) -> Result<Value, String> {
        match self.kind {
            Kind::Number { least, most } => match value.as_i64() {
                Some(number) if (least..=most).contains(&number) => Ok(json!(number)),
                _ => Err(format!("must be a whole number from {least} to {most}")),
            },
            Kind::Text { longest } => match value.as_str().map(str::trim) {
                Some(text) if text.chars().count() <= longest && !text.contains(char::is_control) => {
                    self.check_text(text).map(|()| json!(text))
                }
                _ => Err(format!("must be a text of one line, at most {longest} characters")),
            },
            Kind::Choice(words) => match value.as_str() {
                Some(word) if words.contains(&word) => Ok(json!(word)),
                _ => Err(format!("must be one of {}", words.join(", "))),
            },
            Kind::Choices(words) => {
                let wrong = || format!("must be a list of any of {}", words.join(", "));
                let given = value.as_array().ok_or_else(wrong)?;
                if given.iter().any(|word| !word.as_str().is_some_and(|word| words.contains(&word))) {
                    return Err(wrong());
                }
                // In the order of the words, each once.
                let has = |word: &&&str| given.iter().any(|given| given.as_str() == Some(word));
                Ok(json!(words.iter().filter(has).collect::<Vec<_>>()))
            }
        }
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        if self.name == MAIL_SERVER.name
            && !super::client::is_domain(&text.to_ascii_lowercase())
            && text.parse::<std::net::IpAddr>().is_err()
        {
            return Err("must be a host name or an address, without port".to_owned());
        }
        if self.name == MAIL_FROM.name && !super::notice::is_mail_address(text) {
            return Err("must be a mail address such as lotse@school.example".to_owned());
        }
        if self.name == PACKAGES_RETRACTED.name
            && let Some(word) = text.split_whitespace().find(|word| name_and_version(word).is_none())
        {
            return Err(format!("`{word}` is not like xz-utils=5.6.0-0.2"));
        }
        Ok(())
    }

    /// The value that a person has typed.
    ///
    /// # Errors
    /// As [`Setting::check`].
    pub fn read(&self, typed: &str) -> Result<Value, String> {
        let typed = typed.trim();
        let value = match self.kind {
            Kind::Number { .. } => typed.parse::<i64>().map_or_else(|_| json!(typed), |number| json!(number)),
            Kind::Text { .. } | Kind::Choice(_) => json!(typed),
            Kind::Choices(_) => {
                json!(typed.split([',', ' ']).filter(|word| !word.is_empty()).collect::<Vec<_>>())
            }
        };
        self.check(&value)
    }

    /// The value as people type it.
    pub fn shown(value: &Value) -> String {
        match value {
            Value::String(text) => text.clone(),
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            other => other.to_string(),
        }
    }
}

/// What counts now.
#[derive(Clone, Debug, Default)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// From what is kept; a value that this version does not take any more counts as not set.
    pub fn new(kept: impl IntoIterator<Item = (String, Value)>) -> Self {
        let fits =
            |(name, value): &(String, Value)| find(name).is_some_and(|setting| setting.check(value).is_ok());
        Self(kept.into_iter().filter(fits).collect())
    }

    /// The value of a setting.
    pub fn value(&self, setting: &Setting) -> Value {
        self.0.get(setting.name).cloned().unwrap_or_else(|| setting.default_value())
    }

    /// The value of a setting that is a number.
    pub fn number(&self, setting: &Setting) -> i64 {
        self.value(setting).as_i64().unwrap_or(setting.number)
    }

    /// The value of a setting that is a text or a choice.
    pub fn text(&self, setting: &Setting) -> String {
        self.value(setting).as_str().unwrap_or(setting.text).to_owned()
    }

    /// [`PACKAGES_RETRACTED`], by package.
    pub fn retracted(&self) -> Retracted {
        let mut retracted = Retracted::new();
        for (name, version) in self.text(&PACKAGES_RETRACTED).split_whitespace().filter_map(name_and_version)
        {
            retracted.entry(name.to_owned()).or_default().push(version.to_owned());
        }
        retracted
    }

    /// Whether a list of words has a word.
    pub fn has(&self, setting: &Setting, word: &str) -> bool {
        self.value(setting).as_array().is_some_and(|words| words.iter().any(|known| known == word))
    }
}

/// What only the configuration decides, as it counts since the server was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decided {
    /// Its name in the configuration file.
    pub name: String,
    /// Its value, without passwords.
    pub value: String,
    /// Where it comes from.
    pub source: DecidedBy,
}

/// Where a value of the configuration comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// A flag of `lotse serve`.
    Flag,
    /// An environment variable.
    Environment,
    /// The configuration file.
    File,
    /// Nobody has said anything.
    Default,
}

impl DecidedBy {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_read_as_it_is_shown() {
        for setting in SETTINGS {
            let default = setting.default_value();
            assert_eq!(setting.check(&default), Ok(default.clone()), "{}", setting.name);
            assert_eq!(setting.read(&Setting::shown(&default)), Ok(default), "{}", setting.name);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        for (setting, wrong, says) in [
            (&SESSION_DAYS, "0", "from 1 to 90"),
            (&SESSION_DAYS, "seven", "whole number"),
            (&MAIL_SECURITY, "ssl", "one of starttls"),
            (&APPROVAL_ACTIONS, "retire,everything", "any of"),
            (&MAIL_SERVER, "mail.example:25", "without port"),
            (&MAIL_FROM, "nobody", "lotse@school.example"),
            (&MAIL_USER, "a\nb", "one line"),
        ] {
            let error = setting.read(wrong).unwrap_err();
            assert!(error.contains(says), "{}: {error}", setting.name);
        }
    }

    #[test]
    fn every_setting_and_every_word_of_it_is_explained_in_every_language() {
        for texts in [
            concat!(
                include_str!("../../../templates/locales/en/audit.ftl"),
                include_str!("../../../templates/locales/en/cache.ftl")
            ),
            concat!(
                include_str!("../../../templates/locales/de/audit.ftl"),
                include_str!("../../../templates/locales/de/cache.ftl")
            ),
        ] {
            let is_there = |key: &str| texts.contains(&format!("\n{key} = "));
            for setting in SETTINGS {
                let key = format!("setting-{}", setting.name.replace('.', "-"));
                assert!(is_there(&key) && is_there(&format!("{key}-more")), "{key}");
                let area = setting.name.split('.').next().unwrap();
                assert!(is_there(&format!("settings-{area}")), "{area}");
                if let Kind::Choice(words) | Kind::Choices(words) = setting.kind {
                    assert!(words.iter().all(|word| is_there(&format!("word-{word}"))), "{words:?}");
                }
            }
        }
    }

    #[test]
    fn words_are_kept_once_and_in_order() {
        assert_eq!(APPROVAL_ACTIONS.read("retire wipe-disk,retire").unwrap(), json!(["wipe-disk", "retire"]));
    }

    #[test]
    fn what_an_older_version_has_kept_counts_only_when_it_still_fits() {
        let kept = [("session.valid-days".to_owned(), json!(100_000)), ("gone".to_owned(), json!(1))];
        assert_eq!(Settings::new(kept).number(&SESSION_DAYS), 7);
    }
}
