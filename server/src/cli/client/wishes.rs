//! What is wanted of a client, as words of the command line.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context;
use serde_json::{Value, json};

use crate::domain::client::{
    BaseMethod, ClientConfig, DesktopChoice, DesktopEnvironment, RemoteAccess, User,
};

/// What is wanted of a client. What is not given stays, or takes its default.
#[derive(clap::Args)]
pub(in crate::cli) struct Wishes {
    /// YAML or JSON file with a whole configuration; the flags below change it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Group to belong to; repeat it for several. A client that is there already leaves its other groups.
    #[arg(long = "group", value_name = "GROUP")]
    pub(in crate::cli) groups: Vec<String>,
    /// Distribution, such as debian-12.
    #[arg(long)]
    distribution: Option<String>,
    /// image or debootstrap.
    #[arg(long, value_parser = base_method)]
    base: Option<BaseMethod>,
    /// Storage layout, such as whole-disk.
    #[arg(long)]
    layout: Option<String>,
    /// Locale, such as `de_DE.UTF-8`.
    #[arg(long)]
    locale: Option<String>,
    /// Keyboard layout, such as de.
    #[arg(long)]
    keyboard: Option<String>,
    /// Time zone, such as Europe/Berlin.
    #[arg(long)]
    timezone: Option<String>,
    /// DNS domain.
    #[arg(long)]
    domain: Option<String>,
    /// Serial console, such as ttyS0,115200.
    #[arg(long)]
    serial_console: Option<String>,
    /// Desktop: mate, xfce, kde, gnome, cinnamon, lxqt or none.
    #[arg(long, value_parser = environment)]
    desktop: Option<DesktopEnvironment>,
    /// How the desktop is used: x2go, xrdp, or none for before the screen.
    #[arg(long, value_parser = remote_access)]
    remote: Option<RemoteAccess>,
    /// Make this user, with sudo. Without a password and without keys nobody can log in as this user.
    #[arg(long)]
    user: Option<String>,
    /// File with the user's password in its first line; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// File with public keys for the user and root.
    #[arg(long, value_name = "FILE")]
    ssh_keys: Option<PathBuf>,
}

fn base_method(text: &str) -> Result<BaseMethod, String> {
    match text {
        "image" => Ok(BaseMethod::Image),
        "debootstrap" => Ok(BaseMethod::Debootstrap),
        _ => Err("must be image or debootstrap".to_owned()),
    }
}

fn environment(text: &str) -> Result<DesktopEnvironment, String> {
    DesktopEnvironment::from_word(text)
        .ok_or_else(|| "must be mate, xfce, kde, gnome, cinnamon, lxqt or none".to_owned())
}

fn remote_access(text: &str) -> Result<RemoteAccess, String> {
    RemoteAccess::from_word(text).ok_or_else(|| "must be x2go, xrdp or none".to_owned())
}

impl Wishes {
    fn any(&self) -> bool {
        let words = [
            &self.distribution,
            &self.layout,
            &self.locale,
            &self.keyboard,
            &self.timezone,
            &self.domain,
            &self.serial_console,
            &self.user,
        ];
        self.config.is_some()
            || self.base.is_some()
            || self.ssh_keys.is_some()
            || self.desktop.is_some()
            || self.remote.is_some()
            || words.iter().any(|word| word.is_some())
    }

    /// The configuration that is wanted, from the present one.
    pub(in crate::cli) fn apply(&self, present: ClientConfig) -> anyhow::Result<ClientConfig> {
        let mut config = match &self.config {
            Some(path) => {
                let text = fs_err::read_to_string(path)?;
                serde_yaml::from_str(&text).with_context(|| format!("understanding {}", path.display()))?
            }
            None => present,
        };
        for (field, wish) in [
            (&mut config.distribution, &self.distribution),
            (&mut config.layout, &self.layout),
            (&mut config.locale, &self.locale),
            (&mut config.keyboard, &self.keyboard),
            (&mut config.timezone, &self.timezone),
            (&mut config.domain, &self.domain),
            (&mut config.serial_console, &self.serial_console),
        ] {
            if let Some(wish) = wish {
                field.clone_from(wish);
            }
        }
        config.base = self.base.unwrap_or(config.base);
        let desktop = config.desktop.unwrap_or_default();
        let desktop = DesktopChoice {
            environment: self.desktop.unwrap_or(desktop.environment),
            remote: self.remote.unwrap_or(desktop.remote),
        };
        config.desktop = Some(desktop).filter(|desktop| desktop.is_any());
        let keys = self.ssh_keys.as_deref().map(read_keys).transpose()?;
        if let Some(name) = &self.user {
            // One who is there already keeps what nobody has spoken of.
            let known = config.users.iter().position(|user| user.name == *name);
            let at = known.unwrap_or_else(|| {
                config.users.push(User { name: name.clone(), sudo: true, ..User::default() });
                config.users.len() - 1
            });
            if let (Some(user), Some(keys)) = (config.users.get_mut(at), &keys) {
                user.ssh_keys.clone_from(keys);
            }
        }
        if let Some(keys) = keys {
            config.root_ssh_keys = keys;
        }
        Ok(config)
    }

    pub(in crate::cli) fn passwords(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let (Some(user), Some(path)) = (&self.user, &self.password_file) else { return Ok(BTreeMap::new()) };
        let text = if path.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin())?
        } else {
            fs_err::read_to_string(path)?
        };
        let password = text.lines().next().unwrap_or_default().to_owned();
        Ok([(user.clone(), password)].into())
    }

    pub(super) fn change(&self, present: ClientConfig) -> anyhow::Result<Value> {
        let mut change = json!({ "passwords": self.passwords()? });
        if self.any() {
            change["config"] = serde_json::to_value(self.apply(present)?)?;
        }
        if !self.groups.is_empty() {
            change["groups"] = json!(self.groups);
        }
        Ok(change)
    }
}

/// Public keys from a file, one a line.
pub(in crate::cli) fn read_keys(path: &std::path::Path) -> anyhow::Result<Vec<String>> {
    let text = fs_err::read_to_string(path)?;
    Ok(text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        wishes: Wishes,
    }

    #[test]
    fn a_desktop_is_changed_by_the_word_that_is_given_and_can_be_taken_away() {
        let apply = |words: &[&str], present: &ClientConfig| {
            Words::parse_from([&["x"], words].concat()).wishes.apply(present.clone()).unwrap()
        };
        let mate = apply(&["--desktop", "mate", "--remote", "x2go"], &ClientConfig::default());
        let rdp = apply(&["--remote", "xrdp"], &mate).desktop.unwrap();
        assert_eq!(rdp.environment, DesktopEnvironment::Mate);
        assert_eq!(rdp.remote, RemoteAccess::Xrdp);
        assert_eq!(apply(&["--desktop", "none", "--remote", "none"], &mate).desktop, None);
    }

    #[test]
    fn a_new_password_leaves_a_user_the_name_and_the_keys() {
        let ann = User {
            name: "ann".to_owned(),
            full_name: "Ann Müller".to_owned(),
            ssh_keys: vec!["ssh-ed25519 AAAA ann".to_owned()],
            ..User::default()
        };
        let present = ClientConfig { users: vec![ann.clone()], ..ClientConfig::default() };
        let words = Words::parse_from(["x", "--user", "ann", "--password-file", "-"]);
        assert_eq!(words.wishes.apply(present.clone()).unwrap().users, [ann]);
        let words = Words::parse_from(["x", "--user", "ben"]);
        let users = words.wishes.apply(present).unwrap().users;
        assert_eq!((users.len(), users[1].name.as_str(), users[1].sudo), (2, "ben", true));
    }
}
