//! A browser as far as logging in needs one: it keeps a cookie, sends forms, follows nothing by itself.

use anyhow::{Context as _, Result};
use reqwest::{Certificate, Method, RequestBuilder, header};
use server::{app::accounts, domain::people::Rights};

use crate::server::{Answer, TestServer, answer};

/// The name of the session's cookie.
pub const COOKIE: &str = "__Host-lotse";

/// A browser at one server.
pub struct Browser {
    http: reqwest::Client,
    base: String,
    /// The secret of its session.
    pub secret: Option<String>,
}

impl Browser {
    /// One that is not logged in.
    ///
    /// # Errors
    /// HTTPS cannot be set up.
    pub fn new(server: &TestServer) -> Result<Self> {
        let http = reqwest::Client::builder()
            .tls_certs_only([Certificate::from_pem(server.ctx.authority.ca_pem().as_bytes())?])
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { http, base: server.ctx.addresses.https.clone(), secret: None })
    }

    /// One of a new account with these roles, which has logged in by its link.
    ///
    /// # Errors
    /// The account cannot be made, or the login is refused.
    pub async fn of_new_account(server: &TestServer, name: &str, rights: Rights) -> Result<Self> {
        let new = accounts::NewAccount { name: name.to_owned(), full_name: String::new(), rights };
        let link = accounts::create(&server.ctx, &new, "test").await?.link;
        let mut browser = Self::new(server)?;
        let secret = link.split_once('#').context("the link has no secret")?.1.to_owned();
        let answer = browser.login(&[("link", &secret)]).await?;
        anyhow::ensure!(answer.status == 303, "the login was answered {}: {}", answer.status, answer.text);
        Ok(browser)
    }

    /// A request with the cookie.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.secret {
            Some(secret) => request.header(header::COOKIE, format!("{COOKIE}={secret}")),
            None => request,
        }
    }

    /// Opens a page.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        answer(self.request(Method::GET, path)).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Result<Answer> {
        answer(form(self.request(Method::POST, path), fields)).await
    }

    /// Sends the form of the login, and keeps the cookie of the answer.
    ///
    /// # Errors
    /// The server does not answer.
    pub async fn login(&mut self, fields: &[(&str, &str)]) -> Result<Answer> {
        let answer = self.post("/login", fields).await?;
        if let Some(secret) = cookie(&answer) {
            self.secret = Some(secret);
        }
        Ok(answer)
    }
}

/// A request with a form as its body (`application/x-www-form-urlencoded`).
pub fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let encoded = |text: &str| {
        text.bytes().fold(String::new(), |mut done, byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                done.push(char::from(byte));
            } else {
                done.push_str(&format!("%{byte:02X}"));
            }
            done
        })
    };
    let pairs: Vec<_> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(pairs.join("&"))
}

/// The secret that an answer sets as the session's cookie.
pub fn cookie(answer: &Answer) -> Option<String> {
    let set = answer.headers.get_all(header::SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    set.filter_map(|value| value.strip_prefix(COOKIE)?.strip_prefix('=')?.split(';').next())
        .find(|secret| !secret.is_empty())
        .map(str::to_owned)
}
