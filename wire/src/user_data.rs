//! The text by which a cloud tells a machine who its server is: user-data.
//!
//! The first line is [`FIRST_LINE`], then one `word=value` a line, with the words of the kernel command line without their `lotse.`.
//! Lines rather than YAML: nothing in it is nested, the installer's shell and the agent read it without a parser of their own, and what
//! a value may hold can be said in one sentence, so nothing in it reaches a shell or a kernel command line with a meaning.
//!
//! Invariant: whatever a virtual router, a captive portal or another tool's configuration answers is refused with a reason. Words that this
//! version does not know are skipped, so that a newer server and an older boot ISO live together.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use crate::Sha256;

/// What tells our user-data from everybody else's.
pub const FIRST_LINE: &str = "#lotse-v1";
/// Largest user-data in bytes: every cloud takes 2 KiB (`CloudStack`'s old limit; the others take more).
pub const LARGEST: usize = 2048;
/// Bytes of the longest value, so that all words together stay below [`LARGEST`].
const LONGEST_VALUE: usize = 400;
/// [`FIRST_LINE`] in base64: whoever encoded it before a tool that encodes, too, finds this.
const FIRST_LINE_IN_BASE64: &str = "I2xvdHNlLXYx";

/// Where a machine's server is and how it is let in.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData {
    /// Base URL for enrolment, such as `https://server:8443`.
    pub server: String,
    /// Base URL of the listener for agents; empty leaves it to the identity, which names it.
    pub agents: String,
    /// Base URL of the plain HTTP listener, such as `http://server:8080`.
    pub boot: String,
    /// SHA-256 of the CA certificate (DER).
    pub ca: Sha256,
    /// One-time token for enrolment; without one the machine waits for adoption.
    pub token: Option<String>,
}

impl fmt::Debug for UserData {
    /// Shows that there is a token, and not which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserData")
            .field("server", &self.server)
            .field("agents", &self.agents)
            .field("boot", &self.boot)
            .field("ca", &self.ca)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Why something is no user-data of ours. Completes "this is ...".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Nothing, or white space.
    #[error("empty")]
    Empty,
    /// More than [`LARGEST`].
    #[error("longer than the {LARGEST} bytes that user-data may have")]
    TooLong,
    /// Not UTF-8.
    #[error("no text")]
    NotText,
    /// HTML or XML.
    #[error("a web page: a portal or a proxy answers in the place of the cloud")]
    WebPage,
    /// Base64 of ours.
    #[error("our user-data in base64: it was encoded once more than it was decoded")]
    Encoded,
    /// Another tool's, or anything else.
    #[error("not for Lotse: it begins with `{0}`, not with `{FIRST_LINE}`")]
    Foreign(String),
    /// A line is no `word=value`.
    #[error("broken: line {0} is no `word=value`")]
    Line(usize),
    /// A word has two values.
    #[error("ambiguous: `{0}` is there twice")]
    Twice(&'static str),
    /// A word that is needed is not there.
    #[error("incomplete: `{0}` is missing")]
    Missing(&'static str),
    /// A value is not what its word needs.
    #[error("wrong: `{word}` must be {expected}")]
    Value {
        /// The word.
        word: &'static str,
        /// What its value has to be.
        expected: &'static str,
    },
}

impl UserData {
    /// The text, which [`Self::parse`] understands.
    ///
    /// # Errors
    /// A value cannot stand in it.
    pub fn render(&self) -> Result<String, Malformed> {
        let mut text = format!("{FIRST_LINE}\nserver={}\n", self.server);
        if !self.agents.is_empty() {
            text.push_str(&format!("agents={}\n", self.agents));
        }
        text.push_str(&format!("boot={}\nca={}\n", self.boot, self.ca));
        if let Some(token) = &self.token {
            text.push_str(&format!("token={token}\n"));
        }
        Self::parse(text.as_bytes())?;
        Ok(text)
    }

    /// Understands what a metadata service, a medium or a file holds.
    ///
    /// # Errors
    /// It is not our user-data, whole and well formed.
    pub fn parse(content: &[u8]) -> Result<Self, Malformed> {
        if content.len() > LARGEST {
            return Err(Malformed::TooLong);
        }
        let text = str::from_utf8(content).map_err(|_| Malformed::NotText)?;
        let mut lines = text.lines().map(str::trim_end).enumerate();
        let (_, first) = lines.next().unwrap_or_default();
        if first != FIRST_LINE {
            return Err(stranger(text));
        }
        let mut words = Words::default();
        for (at, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (word, value) = line.split_once('=').ok_or(Malformed::Line(at + 1))?;
            if word.is_empty() || !word.bytes().all(|sign| sign.is_ascii_lowercase() || sign == b'-') {
                return Err(Malformed::Line(at + 1));
            }
            words.set(word, value)?;
        }
        words.complete()
    }
}

/// What begins with something else than [`FIRST_LINE`].
fn stranger(text: &str) -> Malformed {
    let text = text.trim_start();
    if text.is_empty() {
        Malformed::Empty
    } else if text.starts_with('<') {
        Malformed::WebPage
    } else if text.starts_with(FIRST_LINE_IN_BASE64) {
        Malformed::Encoded
    } else {
        let first = text.lines().next().unwrap_or_default();
        Malformed::Foreign(first.chars().filter(|sign| !sign.is_control()).take(40).collect())
    }
}

/// The words as far as they are read.
#[derive(Default)]
struct Words<'a>([Option<&'a str>; WORDS.len()]);

const WORDS: [&str; 5] = ["server", "agents", "boot", "ca", "token"];

impl<'a> Words<'a> {
    fn set(&mut self, word: &str, value: &'a str) -> Result<(), Malformed> {
        // A word of a newer version.
        let Some(at) = WORDS.iter().position(|known| *known == word) else { return Ok(()) };
        if self.0[at].replace(value).is_some() {
            return Err(Malformed::Twice(WORDS[at]));
        }
        Ok(())
    }

    fn complete(self) -> Result<UserData, Malformed> {
        let [server, agents, boot, ca, token] = self.0;
        let ca = ca.ok_or(Malformed::Missing("ca"))?;
        let expected = "a SHA-256 fingerprint of 64 lower-case hexadecimal digits";
        Ok(UserData {
            server: url("server", server.ok_or(Malformed::Missing("server"))?, TLS)?,
            agents: agents.map(|value| url("agents", value, TLS)).transpose()?.unwrap_or_default(),
            boot: url("boot", boot.ok_or(Malformed::Missing("boot"))?, PLAIN)?,
            ca: ca.parse().map_err(|_| Malformed::Value { word: "ca", expected })?,
            token: token.map(secret).transpose()?,
        })
    }
}

/// Schemes, and how an address with one of them looks.
type Address = (&'static [&'static str], &'static str);

const TLS: Address = (&["https://"], "an address such as https://server:8443");
const PLAIN: Address = (&["http://", "https://"], "an address such as http://server:8080");

/// Scheme, host and port; what a shell or GRUB could take for its own is not among the signs.
fn url(word: &'static str, value: &str, (schemes, expected): Address) -> Result<String, Malformed> {
    let host = schemes.iter().find_map(|scheme| value.strip_prefix(scheme)).unwrap_or_default();
    let fine = |sign: u8| sign.is_ascii_alphanumeric() || b"-._:[]/".contains(&sign);
    if host.is_empty()
        || host.starts_with(['/', ':'])
        || value.len() > LONGEST_VALUE
        || !host.bytes().all(fine)
    {
        return Err(Malformed::Value { word, expected });
    }
    Ok(value.to_owned())
}

fn secret(value: &str) -> Result<String, Malformed> {
    let fine = |sign: u8| sign.is_ascii_alphanumeric() || b"-_".contains(&sign);
    if value.is_empty() || value.len() > LONGEST_VALUE || !value.bytes().all(fine) {
        let expected = "a one-time token of letters, digits, - and _";
        return Err(Malformed::Value { word: "token", expected });
    }
    Ok(value.to_owned())
}

impl FromStr for UserData {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        Self::parse(text.as_bytes())
    }
}

impl Serialize for UserData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.render().map_err(S::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for UserData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CA: &str = "3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e3b7c5a1e";

    fn text() -> String {
        format!(
            "#lotse-v1\nserver=https://s:8443\nagents=https://s:8444\nboot=http://s:8080\nca={CA}\ntoken=lotse_x\n"
        )
    }

    fn refused(text: &str) -> String {
        UserData::parse(text.as_bytes()).unwrap_err().to_string()
    }

    fn address(scheme: &'static str) -> impl Strategy<Value = String> {
        let host =
            prop_oneof!["[a-z][a-z0-9.-]{0,80}", "\\[[0-9a-f:]{2,39}\\]", "[0-9]{1,3}(\\.[0-9]{1,3}){3}"];
        (host, any::<u16>()).prop_map(move |(host, port)| format!("{scheme}{host}:{port}"))
    }

    fn any_user_data() -> impl Strategy<Value = UserData> {
        let agents = prop_oneof![Just(String::new()), address("https://")];
        let token = proptest::option::of("[A-Za-z0-9_-]{1,100}");
        let parts = (address("https://"), agents, address("http://"), any::<[u8; 32]>(), token);
        parts.prop_map(|(server, agents, boot, ca, token)| UserData {
            server,
            agents,
            boot,
            ca: Sha256::from_bytes(ca),
            token,
        })
    }

    proptest! {
        #[test]
        fn what_is_rendered_is_parsed_as_the_same(user_data in any_user_data()) {
            let text = user_data.render().unwrap();
            prop_assert!(text.len() <= LARGEST);
            prop_assert_eq!(UserData::parse(text.as_bytes()).unwrap(), user_data);
        }

        #[test]
        fn no_answer_makes_the_parser_stumble(content in proptest::collection::vec(any::<u8>(), 0..3000)) {
            prop_assert!(UserData::parse(&content).is_err());
        }

        #[test]
        fn what_is_understood_can_stand_on_a_kernel_command_line(value in "\\PC{0,60}") {
            let text = text().replace("s:8080", &value);
            if let Ok(user_data) = UserData::parse(text.as_bytes()) {
                prop_assert!(!user_data.boot.contains([' ', '\'', '"', '$', '`', ';', '&', '|', '\\']));
            }
        }
    }

    #[test]
    fn the_line_ends_of_a_form_in_a_browser_do_not_matter() {
        let user_data = UserData::parse(text().replace('\n', "\r\n").as_bytes()).unwrap();
        assert_eq!(user_data.render().unwrap(), text());
    }

    #[test]
    fn a_word_of_a_newer_version_is_skipped() {
        let newer = text() + "# written by a newer server\n\nproxy=http://p:3128\n";
        assert_eq!(UserData::parse(newer.as_bytes()).unwrap().render().unwrap(), text());
    }

    #[test]
    fn what_others_answer_is_refused_with_a_reason() {
        assert_eq!(refused(""), "empty");
        assert_eq!(refused(" \n"), "empty");
        assert!(refused("<!DOCTYPE html><title>Hotel</title>").contains("portal"));
        assert!(refused("#cloud-config\nusers: []\n").contains("`#cloud-config`"));
        assert!(refused("#!/bin/sh\nrm -rf /\n").contains("`#!/bin/sh`"));
        assert!(refused("#lotse-v2\nserver=x\n").contains("`#lotse-v2`"));
        assert!(refused(&"x".repeat(3 << 20)).contains("2048 bytes"));
        assert!(refused("I2xvdHNlLXYxCnNlcnZlcj1odHRwczovL3M6ODQ0Mwo=").contains("base64"));
        assert_eq!(UserData::parse(&[0x1f, 0x8b, 0x08, 0]).unwrap_err(), Malformed::NotText);
    }

    #[test]
    fn what_is_ours_and_broken_is_refused_by_line_or_word() {
        assert!(refused("#lotse-v1\nhello\n").contains("line 2"));
        assert!(refused("#lotse-v1\nserver: https://s\n").contains("line 2"));
        assert!(refused(&(text() + "server=https://other:8443\n")).contains("`server` is there twice"));
        assert!(refused(&text().replace(&format!("ca={CA}\n"), "")).contains("`ca` is missing"));
        assert!(refused(&text().replace(CA, "abc")).contains("`ca` must be"));
        assert!(refused(&text().replace("server=https://", "server=http://")).contains("`server` must be"));
        assert!(refused(&text().replace("s:8080", "s:8080$(reboot)")).contains("`boot` must be"));
        assert!(refused(&text().replace("lotse_x", "a b")).contains("`token` must be"));
    }

    #[test]
    fn what_cannot_be_read_is_not_written() {
        let mut user_data = UserData::parse(text().as_bytes()).unwrap();
        user_data.boot = "http://s:8080\ntoken=stolen".to_owned();
        user_data.render().unwrap_err();
        user_data.boot = format!("http://{}", "s".repeat(LARGEST));
        user_data.render().unwrap_err();
    }

    #[test]
    fn the_token_is_not_shown_by_accident() {
        let shown = format!("{:?}", UserData::parse(text().as_bytes()).unwrap());
        assert!(!shown.contains("lotse_x") && shown.contains("s:8443"), "{shown}");
    }
}
