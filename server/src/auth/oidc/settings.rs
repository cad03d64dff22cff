//! How the login service is reached, which claims say what, and which groups give which role.

use std::path::PathBuf;

use serde::Deserialize;

use super::super::mapping::Mapping;

/// The login service as the configuration describes it, `[oidc]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// How people know it: stands on the button of the login page.
    pub title: String,
    /// Its issuer identifier, `https://…`; what it says about itself is under it (`OpenID` Connect Discovery 1.0, 4).
    pub issuer: String,
    /// How it knows Lotse.
    pub client_id: String,
    /// The secret that it gave to Lotse, alone in a file; none for a public client.
    #[serde(default)]
    pub client_secret_file: Option<PathBuf>,
    /// The CA that signed its certificate; without it those that the machine trusts.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// What is asked for beside `openid`.
    #[serde(default = "scopes")]
    pub scopes: Vec<String>,
    /// The claim with the name of the account that is made.
    #[serde(default = "name_claim")]
    pub name_claim: String,
    /// The claim with how people call them.
    #[serde(default = "full_name_claim")]
    pub full_name_claim: String,
    /// The claim with their groups; dots lead into objects, such as `realm_access.roles`.
    #[serde(default = "groups_claim")]
    pub groups_claim: String,
    /// Longest wait for it, in seconds.
    #[serde(default = "timeout")]
    pub timeout: u16,
    /// For how long, in seconds, a login counts; after it the service is asked again.
    #[serde(default = "valid_for")]
    pub valid_for: u32,
    /// Which groups give which role. Who is in none of them is not let in.
    pub roles: Vec<Mapping>,
}

/// The description of the login service cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value is wrong.
    #[error("oidc.{name}: {message}")]
    Value {
        /// Which.
        name: &'static str,
        /// What is wrong and what would be right.
        message: String,
    },
    /// The CA file cannot be used.
    #[error("oidc.ca-file: reading {path}: {reason}", path = path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The HTTP client cannot be set up.
    #[error("setting up the client for the login service")]
    Client(#[source] reqwest::Error),
}

fn scopes() -> Vec<String> {
    ["profile", "groups"].map(str::to_owned).to_vec()
}

fn name_claim() -> String {
    "preferred_username".to_owned()
}

fn full_name_claim() -> String {
    "name".to_owned()
}

fn groups_claim() -> String {
    "groups".to_owned()
}

fn timeout() -> u16 {
    5
}

fn valid_for() -> u32 {
    12 * 3600
}

impl Settings {
    /// Refuses what could not work, or would send secrets in the open.
    ///
    /// # Errors
    /// [`SettingsError::Value`] names the value.
    pub fn check(&self) -> Result<(), SettingsError> {
        let wrong = |name, message: &str| Err(SettingsError::Value { name, message: message.to_owned() });
        let issuer = reqwest::Url::parse(&self.issuer).ok().filter(|url| {
            url.scheme() == "https"
                && url.host_str().is_some()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if issuer.is_none() || !self.issuer.starts_with("https://") {
            return wrong("issuer", "must be https://HOST/…, without a query: nothing is sent in the open");
        }
        if self.title.trim().is_empty() || self.title.chars().count() > 60 {
            return wrong("title", "must have 1 to 60 letters: it stands on the button of the login page");
        }
        if self.client_id.is_empty() {
            return wrong("client-id", "must be the name that the login service gave to Lotse");
        }
        if self.scopes.iter().any(|scope| scope.is_empty() || scope.contains(|c: char| c.is_whitespace())) {
            return wrong("scopes", "must be single words");
        }
        if self.roles.is_empty() {
            return wrong("roles", "without any nobody could log in; map at least one group to a role");
        }
        if !(1..=60).contains(&self.timeout) {
            return wrong("timeout", "must be 1 to 60 seconds");
        }
        if !(60..=2_592_000).contains(&self.valid_for) {
            return wrong("valid-for", "must be 60 to 2592000 seconds");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(issuer: &str, more: &str) -> Settings {
        let text = format!(
            "title = 'School'\nissuer = '{issuer}'\nclient-id = 'lotse'\n{more}\n[[roles]]\ngroup = 'it'\nrole = 'admin'"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn a_login_service_is_never_asked_in_the_open() {
        assert!(settings("https://login.school.example/realms/school", "").check().is_ok());
        for issuer in [
            "http://login.school.example",
            "login.school.example",
            "https://",
            "https://a.example?x=1",
            "file:///a",
        ] {
            let error = settings(issuer, "").check().unwrap_err().to_string();
            assert!(error.starts_with("oidc.issuer: "), "{issuer}: {error}");
        }
    }

    #[test]
    fn what_could_not_work_is_refused_by_name() {
        for (more, name) in
            [("timeout = 0", "timeout"), ("valid-for = 5", "valid-for"), ("scopes = ['a b']", "scopes")]
        {
            let error = settings("https://a.example", more).check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("oidc.{name}: ")), "{error}");
        }
    }
}
