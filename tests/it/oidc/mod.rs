//! People of a login service: a real one (Canaille), real TLS, real pages; and one that lies.

mod hostile;
mod real;

use std::{collections::BTreeMap, path::PathBuf};

use harness::{
    cookies::{Browser, cookie},
    server::{Answer, Engine, TestServer, answer},
};
use reqwest::{Method, header};
use server::{
    app::groups,
    auth::oidc::{Mapping, Settings},
    clock::Clock,
    domain::people::Role,
};
use tokio_rustls::rustls;

const SECRET: &str = "between lotse & the service: 100% ä";
const AWAY: &str = "__Host-lotse-away";

/// A CA of the test's own, a certificate of it for this machine, and the secret, as files.
struct Trust(tempfile::TempDir);

impl Trust {
    fn new() -> Self {
        // Fails only when it was installed before, by another test of the process.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        for ca in ["ca.pem", "other-ca.pem"] {
            let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
            let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            write(ca, &params.self_signed(&ca_key).unwrap().pem());
            if ca == "ca.pem" {
                let issuer = rcgen::Issuer::new(params, ca_key);
                let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
                let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
                write("certificate.pem", &params.signed_by(&key, &issuer).unwrap().pem());
                write("key.pem", &key.serialize_pem());
            }
        }
        write("secret", &format!("{SECRET}\n"));
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

fn settings(issuer: &str, trust: &Trust) -> Settings {
    let mapping = |group: &str, role, client_groups: &[&str]| Mapping {
        group: group.to_owned(),
        role,
        client_groups: client_groups.iter().map(|&name| name.to_owned()).collect(),
    };
    Settings {
        title: "School".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "lotse".to_owned(),
        client_secret_file: Some(trust.path("secret")),
        ca_file: Some(trust.path("ca.pem")),
        scopes: vec!["profile".to_owned(), "groups".to_owned()],
        name_claim: "preferred_username".to_owned(),
        full_name_claim: "name".to_owned(),
        groups_claim: "groups".to_owned(),
        timeout: 3,
        valid_for: 3600,
        roles: vec![mapping("it", Role::Admin, &[]), mapping("teachers", Role::Helpdesk, &["room-101"])],
    }
}

async fn server_with(settings: Settings) -> (TestServer, Clock) {
    let clock = Clock::fixed(Clock::system().now());
    let adjust = |config: &mut server::config::Config| config.oidc = Some(settings);
    let server = TestServer::start_as(Engine::Sqlite, clock.clone(), adjust).await.unwrap();
    groups::create(&server.ctx, "room-101", "", None, "test").await.unwrap();
    (server, clock)
}

/// A browser that was sent away: where to, and what it keeps.
struct Away {
    browser: Browser,
    address: reqwest::Url,
    kept: String,
}

impl Away {
    async fn begin(server: &TestServer, next: &str) -> Self {
        let browser = Browser::new(server).unwrap();
        let sent = browser.get(&format!("/login/oidc?next={next}")).await.unwrap();
        assert_eq!(sent.status, 303, "{}", sent.text);
        let set = sent.headers[header::SET_COOKIE].to_str().unwrap();
        for word in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Max-Age=900"] {
            assert!(set.contains(word), "{set}");
        }
        let kept = set.strip_prefix(AWAY).unwrap().split(';').next().unwrap()[1..].to_owned();
        let address = reqwest::Url::parse(sent.headers[header::LOCATION].to_str().unwrap()).unwrap();
        Self { browser, address, kept }
    }

    /// A value of the address to which the browser was sent.
    fn asked(&self, name: &str) -> String {
        self.address.query_pairs().find(|(known, _)| known == name).unwrap().1.into_owned()
    }

    /// Comes back with an answer.
    async fn come_back(&mut self, query: &str) -> Answer {
        let path = format!("/login/oidc/answer?{query}");
        let request =
            self.browser.request(Method::GET, &path).header(header::COOKIE, format!("{AWAY}={}", self.kept));
        let answer = answer(request).await.unwrap();
        if let Some(secret) = cookie(&answer) {
            self.browser.secret = Some(secret);
        }
        answer
    }
}

/// Cookies of another site, by name.
type Jar = BTreeMap<String, String>;

async fn account(server: &TestServer, name: &str) -> Answer {
    server.get(&format!("/api/v1/accounts/{name}")).await.unwrap()
}
