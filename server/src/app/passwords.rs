//! Passwords of a client's users: they arrive in clear text over HTTPS, are hashed at once, and only the hashes are kept.
//!
//! Invariant: the secret holds one line for each user of the configuration whose `has_password` is set, and no other line;
//! `chpasswd -e` on the client would refuse a line without a user.

use std::collections::BTreeMap;

use sha_crypt::{PasswordHasher, ShaCrypt};
use wire::{ClientId, problem::FieldProblem};

use super::Error;
use crate::{
    db::{Tx, clients},
    domain::client::ClientConfig,
    identity::token::random_bytes,
};

/// Twelve bytes are sixteen letters: the longest salt of crypt(5) for SHA-512.
const SALT_BYTES: usize = 12;
/// Name of the secret with the lines for `chpasswd -e`.
const USER_PASSWORDS: &str = "user-passwords";
const SHORTEST: usize = 8;
const LONGEST: usize = 512;

/// Passwords in clear text by login name; `Debug` does not show them.
#[derive(Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub struct Passwords(pub BTreeMap<String, String>);

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Passwords({} of them)", self.0.len())
    }
}

/// Hashes (SHA-512-crypt, crypt(5)) by login name.
pub(super) struct Hashes(BTreeMap<String, String>);

impl Passwords {
    /// Says in the configuration who has a password: those who get one now, and those of `known` who stay.
    ///
    /// # Errors
    /// A password belongs to nobody, or cannot be used.
    pub(super) fn mark(&self, config: &mut ClientConfig, known: &[String]) -> Result<(), Error> {
        let mut problems = Vec::new();
        let mut wrong = |name: &str, message: &str| {
            problems.push(FieldProblem { field: format!("passwords.{name}"), message: message.to_owned() });
        };
        for (name, password) in &self.0 {
            if !config.users.iter().any(|user| user.name == *name) {
                wrong(name, "is of no user of the configuration");
            }
            if !(SHORTEST..=LONGEST).contains(&password.len()) {
                wrong(name, "must have 8 to 512 bytes");
            }
            if password.contains(char::is_control) {
                wrong(name, "must not contain control characters");
            }
        }
        for user in &mut config.users {
            user.has_password = self.0.contains_key(&user.name) || known.contains(&user.name);
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::fields("passwords are wrong", problems)) }
    }

    /// The hashes; computed beside the executor and before any transaction, because each takes milliseconds.
    pub(super) async fn hash(&self) -> Result<Hashes, Error> {
        let passwords = self.0.clone();
        let hashed = tokio::task::spawn_blocking(move || {
            passwords
                .into_iter()
                .filter(|(_, password)| password.len() <= LONGEST)
                .map(|(name, password)| {
                    let hash = ShaCrypt::default()
                        .hash_password_with_salt(password.as_bytes(), &random_bytes::<SALT_BYTES>())
                        .map_err(|error| anyhow::anyhow!("hashing a password: {error}"))?;
                    Ok((name, hash.as_str().to_owned()))
                })
                .collect::<anyhow::Result<BTreeMap<_, _>>>()
        });
        let hashed = hashed.await.map_err(|error| Error::Internal(error.into()))?;
        Ok(Hashes(hashed.map_err(Error::Internal)?))
    }
}

impl Hashes {
    /// No new password.
    pub(super) fn none() -> Self {
        Self(BTreeMap::new())
    }

    /// Keeps the hashes of those who have a password by the configuration: new ones, and old ones of users that stay.
    pub(super) async fn keep(
        &self,
        tx: &mut Tx,
        id: ClientId,
        config: &ClientConfig,
        now: i64,
    ) -> Result<(), Error> {
        let before = clients::find_secret(tx, id, USER_PASSWORDS).await?;
        let text = self.lines(before.as_deref().unwrap_or_default(), config);
        if before.as_deref().unwrap_or_default() != text {
            clients::set_secret(tx, id, USER_PASSWORDS, &text, now).await?;
        }
        Ok(())
    }

    fn lines(&self, before: &str, config: &ClientConfig) -> String {
        let kept: BTreeMap<&str, &str> = before.lines().filter_map(|line| line.split_once(':')).collect();
        let mut lines = Vec::new();
        for user in config.users.iter().filter(|user| user.has_password) {
            let new = self.0.get(&user.name).map(String::as_str);
            if let Some(hash) = new.or_else(|| kept.get(user.name.as_str()).copied()) {
                lines.push(format!("{}:{hash}", user.name));
            }
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::User;

    fn config(names: &[&str]) -> ClientConfig {
        let users = names.iter().map(|name| User { name: (*name).to_owned(), ..User::default() }).collect();
        ClientConfig { users, ..ClientConfig::default() }
    }

    fn passwords(name: &str, password: &str) -> Passwords {
        Passwords([(name.to_owned(), password.to_owned())].into())
    }

    #[test]
    fn a_password_needs_a_user_and_eight_bytes() {
        assert!(passwords("ann", "long enough").mark(&mut config(&["bob"]), &[]).is_err());
        assert!(passwords("ann", "short").mark(&mut config(&["ann"]), &[]).is_err());
        assert!(passwords("ann", "two\nlines of it").mark(&mut config(&["ann"]), &[]).is_err());
        let mut fine = config(&["ann", "bob"]);
        passwords("ann", "long enough").mark(&mut fine, &[]).unwrap();
        assert!(fine.users[0].has_password && !fine.users[1].has_password);
    }

    #[test]
    fn a_user_who_goes_takes_the_password_along() {
        let mut with = config(&["bob"]);
        with.users[0].has_password = true;
        let hashes = Hashes([("bob".to_owned(), "$6$new".to_owned())].into());
        assert_eq!(hashes.lines("ann:$6$old\nbob:$6$old", &with), "bob:$6$new");
        assert_eq!(Hashes(BTreeMap::new()).lines("ann:$6$old\nbob:$6$old", &with), "bob:$6$old");
        assert_eq!(Hashes(BTreeMap::new()).lines("bob:$6$old", &config(&["bob"])), "");
    }

    #[tokio::test]
    async fn passwords_are_kept_as_sha_512_crypt() {
        let hashes = passwords("ann", "correct horse").hash().await.unwrap();
        let parts: Vec<_> = hashes.0["ann"].split('$').collect();
        assert_eq!(parts[1], "6");
        // crypt(3) cuts a longer salt off in what it gives, so that login compares in vain.
        assert_eq!(parts[3].len(), 16, "{parts:?}");
    }

    #[test]
    fn passwords_are_not_shown_in_logs() {
        assert_eq!(format!("{:?}", passwords("ann", "correct horse")), "Passwords(1 of them)");
    }
}
