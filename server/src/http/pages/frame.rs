//! What every page has: who looks at it, in which language, and the way to the other pages.

use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
    response::Html,
};
use serde::Serialize;

use super::super::{Rejection, access};
use crate::{
    app::{Error, people::Actor, sessions::LoggedIn},
    context::Ctx,
    domain::people::Role,
    pages::LANGUAGES,
};

/// The cookie that keeps which language somebody has chosen.
pub(super) const LANGUAGE_COOKIE: &str = "lotse-language";

/// A page as an answer.
pub(super) type Page = Html<String>;

/// Who looks.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// Who, once they have logged in.
    pub(super) who: Option<LoggedIn>,
    /// Language of the pages.
    pub(super) language: &'static str,
    path: String,
    /// Requests that wait for a second person.
    pending: i64,
}

/// What the frame around every page shows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Frame {
    lang: &'static str,
    other_lang: &'static str,
    user: String,
    role: &'static str,
    path: String,
    navigation: Vec<Part>,
    pending: i64,
}

/// Pages about one matter; a label that is empty has no heading.
#[derive(Clone, Debug, Serialize)]
struct Part {
    label: &'static str,
    items: Vec<Item>,
}

#[derive(Clone, Debug, Serialize)]
struct Item {
    href: &'static str,
    label: &'static str,
    current: bool,
    count: i64,
}

/// The pages by what they are about; those that somebody may not see are left out. What is used most comes first, without a heading.
const NAVIGATION: &[(&str, &[(&str, &str)])] = &[
    (
        "",
        &[
            ("/", "nav-overview"),
            ("/clients", "nav-clients"),
            ("/discovered", "nav-discovered"),
            ("/jobs", "nav-jobs"),
            ("/desktops", "nav-desktops"),
            ("/groups", "nav-groups"),
            ("/approvals", "nav-approvals"),
            ("/reports", "nav-reports"),
        ],
    ),
    (
        "nav-part-software",
        &[
            ("/rollouts", "nav-rollouts"),
            ("/selections", "nav-selections"),
            ("/packages", "nav-packages"),
            ("/source-lists", "nav-source-lists"),
            ("/repositories", "nav-repositories"),
            ("/package-cache", "nav-package-cache"),
        ],
    ),
    (
        "nav-part-installation",
        &[
            ("/layouts", "nav-layouts"),
            ("/images", "nav-images"),
            ("/providers", "nav-providers"),
            ("/job-scripts", "nav-job-scripts"),
        ],
    ),
    (
        "nav-part-administration",
        &[
            ("/accounts", "nav-accounts"),
            ("/tokens", "nav-tokens"),
            ("/audit", "nav-audit"),
            ("/channels", "nav-channels"),
            ("/settings", "nav-settings"),
            ("/about", "nav-about"),
        ],
    ),
];

impl Visitor {
    pub(super) fn new(request: &Request, who: LoggedIn, pending: i64) -> Self {
        let stranger = Self::stranger(request);
        let chosen = LANGUAGES.into_iter().find(|known| who.language.as_deref() == Some(*known));
        Self { language: chosen.unwrap_or(stranger.language), who: Some(who), pending, ..stranger }
    }

    pub(super) fn stranger(request: &Request) -> Self {
        let headers = request.headers();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Self { who: None, language: language(headers), path, pending: 0 }
    }

    /// Name for history and events.
    pub(super) fn name(&self) -> &str {
        self.who.as_ref().map_or("", |who| &who.actor.name)
    }

    /// What they may do.
    pub(super) fn role(&self) -> Role {
        self.who.as_ref().map_or(Role::Viewer, |who| who.actor.role)
    }

    /// Whether their role is enough.
    pub(super) fn may(&self, role: Role) -> bool {
        self.who.as_ref().is_some_and(|who| who.actor.role >= role)
    }

    /// Who asks, for streams that outlast the request.
    pub(super) fn actor(&self) -> Result<Actor, Error> {
        let who = self.who.as_ref().ok_or_else(|| Error::Unauthenticated("log in first".to_owned()))?;
        Ok(who.actor.clone())
    }

    /// The frame; `current` is the entry of the navigation that the page belongs to.
    pub(super) fn frame(&self, current: &str) -> Frame {
        let greatest = self.who.as_ref().and_then(|who| who.actor.reach.greatest());
        let role = greatest.map_or("", Role::as_str);
        let may = |path: &str| {
            self.who.as_ref().is_some_and(|who| access::is_open(super::ROUTES, &who.actor, path))
        };
        let pending = if may("/approvals") { self.pending } else { 0 };
        let item = |&(href, label): &(&'static str, &'static str)| Item {
            href,
            label,
            current: href == current,
            count: if href == "/approvals" { pending } else { 0 },
        };
        let parts = NAVIGATION.iter().map(|&(label, items)| Part {
            label,
            items: items.iter().filter(|(href, _)| may(href)).map(item).collect(),
        });
        Frame {
            lang: self.language,
            other_lang: LANGUAGES.into_iter().find(|other| *other != self.language).unwrap_or(self.language),
            user: self.name().to_owned(),
            role,
            path: self.path.clone(),
            pending,
            navigation: parts.filter(|part| !part.items.is_empty()).collect(),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Error::Unauthenticated("log in first".to_owned()).into())
    }
}

/// Writes a page.
pub(super) fn page(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    view: &impl Serialize,
) -> Result<Page, Rejection> {
    let text =
        ctx.pages.render(visitor.language, name, view).map_err(|error| Error::Internal(error.into()))?;
    Ok(Html(text))
}

/// A cookie by name (RFC 6265, 4.2).
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

/// The chosen language, else the first that the browser likes (RFC 9110, 12.5.4; its weights are taken as sorted), else English.
fn language(headers: &HeaderMap) -> &'static str {
    let liked =
        headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let chosen = cookie(headers, LANGUAGE_COOKIE).into_iter();
    chosen
        .chain(liked.split(','))
        .find_map(|word| {
            let word = word.trim().split([';', '-']).next().unwrap_or_default();
            LANGUAGES.into_iter().find(|known| known.eq_ignore_ascii_case(word))
        })
        .unwrap_or(LANGUAGES[0])
}

/// A text as part of a query (RFC 3986, 2.3).
pub(super) fn query_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
        encoded
    })
}

/// Whether an address leads to a page of our own. Browsers take `\` for `/`, and leave out tabs and line ends wherever they stand (WHATWG
/// URL, 4.4).
pub(super) fn is_own(address: &str) -> bool {
    let steers = |c: char| c == '\\' || c.is_control();
    address.starts_with('/') && !address.starts_with("//") && !address.contains(steers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_language_is_the_chosen_one_then_the_liked_one_then_english() {
        assert_eq!(language(&headers(&[])), "en");
        assert_eq!(language(&headers(&[(header::ACCEPT_LANGUAGE, "fr-FR,de-AT;q=0.8,en;q=0.5")])), "de");
        let both = [(header::ACCEPT_LANGUAGE, "de"), (header::COOKIE, "a=b; lotse-language=en")];
        assert_eq!(language(&headers(&both)), "en");
    }

    #[test]
    fn only_addresses_of_our_own_are_gone_back_to() {
        for own in ["/", "/clients?stage=installed"] {
            assert!(is_own(own), "{own}");
        }
        for foreign in
            ["", "//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "clients"]
        {
            assert!(!is_own(foreign), "{foreign}");
        }
    }

    #[test]
    fn what_has_a_meaning_in_a_query_is_encoded() {
        assert_eq!(query_encoded("/clients?stage=a b&c"), "/clients%3Fstage%3Da%20b%26c");
    }
}
