//! With a login service that lies, whose every answer is made by the test.

use std::{
    net::TcpListener,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{get, post},
};
use axum_server::tls_rustls::RustlsConfig;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

use super::*;

/// A key by which tokens are signed (ES256).
struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self, kid: &str) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": kid, "x": BASE64.encode(&point[1..33]), "y": BASE64.encode(&point[33..]) })
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let text = unsigned(header, claims);
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64.encode(signature.as_ref()))
    }
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

fn header() -> Value {
    json!({ "alg": "ES256", "kid": "a" })
}

/// What it says next.
#[derive(Clone, Default)]
struct Said {
    issuer: String,
    keys: Vec<Value>,
    token: Value,
    userinfo: Value,
    /// How often its keys were asked for.
    keys_read: u32,
}

type Shared = State<Arc<Mutex<Said>>>;

struct Liar {
    said: Arc<Mutex<Said>>,
    signer: Signer,
    issuer: String,
}

impl Liar {
    async fn start(trust: &Trust) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let issuer = format!("https://{}", listener.local_addr().unwrap());
        let signer = Signer::new();
        let said = Said { issuer: issuer.clone(), keys: vec![signer.jwk("a")], ..Said::default() };
        let said = Arc::new(Mutex::new(said));
        let base = issuer.clone();
        let metadata = async move |State(said): Shared| {
            Json(json!({
                "issuer": said.lock().unwrap().issuer,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "jwks_uri": format!("{base}/keys"),
                "userinfo_endpoint": format!("{base}/userinfo"),
            }))
        };
        let keys = async |State(said): Shared| {
            let mut said = said.lock().unwrap();
            said.keys_read += 1;
            Json(json!({ "keys": said.keys }))
        };
        let token = async |State(said): Shared| match said.lock().unwrap().token.clone() {
            Value::Null => (StatusCode::BAD_REQUEST, Json(json!({ "error": "invalid_grant" }))),
            token => (
                StatusCode::OK,
                Json(json!({ "id_token": token, "access_token": "a", "token_type": "Bearer" })),
            ),
        };
        let userinfo = async |State(said): Shared| Json(said.lock().unwrap().userinfo.clone());
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/token", post(token))
            .route("/userinfo", get(userinfo))
            .with_state(said.clone());
        let config =
            RustlsConfig::from_pem_file(trust.path("certificate.pem"), trust.path("key.pem")).await.unwrap();
        let server = axum_server::from_tcp_rustls(listener, config).unwrap();
        tokio::spawn(async move { server.serve(router.into_make_service()).await });
        Self { said, signer, issuer }
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
    }

    /// Claims that are right for a browser that was sent away.
    fn right(&self, away: &Away, clock: &Clock) -> Value {
        let now = clock.now() / 1_000_000;
        json!({
            "iss": self.issuer, "aud": "lotse", "sub": "7", "nonce": away.asked("nonce"), "iat": now, "exp": now + 300,
            "preferred_username": "ann", "name": "Ann", "groups": ["it"],
        })
    }
}

async fn start() -> (Liar, TestServer, Clock, Trust) {
    let trust = Trust::new();
    let liar = Liar::start(&trust).await;
    let (server, clock) = server_with(settings(&liar.issuer, &trust)).await;
    (liar, server, clock, trust)
}

/// Comes back with whatever the service says next.
async fn come_back(away: &mut Away) -> Answer {
    let state = away.asked("state");
    away.come_back(&format!("state={state}&code=c")).await
}

#[tokio::test]
async fn every_lie_in_a_token_is_refused_and_the_truth_is_not() {
    let (liar, server, clock, _trust) = start().await;
    for (name, value) in [
        ("iss", json!("https://evil.example")),
        ("aud", json!("another client")),
        ("aud", json!(["lotse", "another client"])),
        ("azp", json!("another client")),
        ("nonce", json!("of another question")),
        ("nonce", Value::Null),
        ("exp", json!(-61)),
        ("iat", json!(61)),
        ("sub", Value::Null),
    ] {
        let mut away = Away::begin(&server, "/").await;
        let mut claims = liar.right(&away, &clock);
        // Times are told from now on.
        claims[name] = value.as_i64().map_or(value.clone(), |at| json!(clock.now() / 1_000_000 + at));
        liar.say(|said| said.token = liar.signer.token(&header(), &claims).into());
        assert_eq!(come_back(&mut away).await.status, 401, "{name}: {value}");
        assert!(away.browser.secret.is_none());
        // So many failures of one address are too many.
        clock.advance(120);
    }
    assert!(account(&server, "ann").await.is_problem(404));
    clock.advance(900);
    let mut away = Away::begin(&server, "/").await;
    let token = liar.signer.token(&header(), &liar.right(&away, &clock));
    liar.say(|said| said.token = token.into());
    assert_eq!(come_back(&mut away).await.status, 303);
    for (action, who) in [("login.failed", "login service"), ("session.begin", "account ann")] {
        let entries = server.get(&format!("/api/v1/audit?action={action}")).await.unwrap().text;
        assert!(entries.contains(who) && entries.contains("127.0.0.1"), "{action}: {entries}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_token_that_nobody_has_signed_is_refused() {
    let (liar, server, clock, _trust) = start().await;
    let stranger = Signer::new();
    for turn in 0..6 {
        let mut away = Away::begin(&server, "/").await;
        let claims = liar.right(&away, &clock);
        let public = liar.signer.0.public_key().as_ref().to_vec();
        let token = match turn {
            0 => format!("{}.", unsigned(&json!({ "alg": "none" }), &claims)),
            1 => format!("{}.", unsigned(&json!({ "alg": "none", "kid": "a" }), &claims)),
            2 => stranger.token(&header(), &claims),
            // The public key as a password.
            3 => {
                let text = unsigned(&json!({ "alg": "HS256", "kid": "a" }), &claims);
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
                format!("{text}.{}", BASE64.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes())))
            }
            // A key that comes along with the token.
            4 => stranger.token(&json!({ "alg": "ES256", "kid": "x", "jwk": stranger.jwk("x") }), &claims),
            _ => "no token".to_owned(),
        };
        liar.say(|said| said.token = token.into());
        assert_eq!(come_back(&mut away).await.status, 401, "{turn}");
        assert!(away.browser.secret.is_none());
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn new_keys_are_learned_and_strange_ones_do_not_make_us_ask_all_the_time() {
    let (liar, server, clock, _trust) = start().await;
    let mut away = Away::begin(&server, "/").await;
    let new = Signer::new();
    let token = new.token(&json!({ "alg": "ES256", "kid": "b" }), &liar.right(&away, &clock));
    liar.say(|said| {
        said.keys.push(new.jwk("b"));
        said.token = token.into();
    });
    clock.advance(31);
    assert_eq!(come_back(&mut away).await.status, 303);
    let before = liar.said.lock().unwrap().keys_read;
    for _ in 0..5 {
        let mut away = Away::begin(&server, "/").await;
        let token = Signer::new().token(&json!({ "alg": "ES256", "kid": "c" }), &liar.right(&away, &clock));
        liar.say(|said| said.token = token.into());
        assert_eq!(come_back(&mut away).await.status, 401);
    }
    assert_eq!(liar.said.lock().unwrap().keys_read, before);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_subject_is_who_somebody_is_and_not_their_name_or_mail_address() {
    let (liar, server, clock, _trust) = start().await;
    for (sub, name, groups, status) in [
        ("7", "ann", json!(["it"]), 303),
        // Another person with her name, and her mail address, is not she.
        ("8", "ann", json!(["it"]), 401),
        // She has married.
        ("7", "ann.smith", json!(["teachers"]), 303),
        ("7", "ann", json!([]), 401),
    ] {
        let mut away = Away::begin(&server, "/").await;
        let mut claims = liar.right(&away, &clock);
        for (key, value) in [
            ("sub", json!(sub)),
            ("preferred_username", json!(name)),
            ("groups", groups),
            ("email", json!("a@b")),
        ] {
            claims[key] = value;
        }
        liar.say(|said| said.token = liar.signer.token(&header(), &claims).into());
        assert_eq!(come_back(&mut away).await.status, status, "{sub} {name}");
    }
    let ann = account(&server, "ann").await.ok().unwrap();
    assert_eq!(ann["rights"], json!({ "role": null, "groups": [] }));
    assert!(account(&server, "ann.smith").await.is_problem(404));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn more_about_a_person_is_taken_from_the_service_but_not_about_another() {
    let (liar, server, clock, _trust) = start().await;
    for (sub, status) in [("8", 401), ("7", 303)] {
        let mut away = Away::begin(&server, "/").await;
        let mut claims = liar.right(&away, &clock);
        claims.as_object_mut().unwrap().remove("groups");
        liar.say(|said| {
            said.token = liar.signer.token(&header(), &claims).into();
            said.userinfo = json!({ "sub": sub, "groups": ["it"], "preferred_username": "other" });
        });
        assert_eq!(come_back(&mut away).await.status, status, "{sub}");
    }
    assert_eq!(account(&server, "ann").await.ok().unwrap()["rights"]["role"], "admin");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_calls_itself_something_else_is_not_believed() {
    let (liar, server, _, _trust) = start().await;
    liar.say(|said| "https://evil.example".clone_into(&mut said.issuer));
    assert_eq!(Browser::new(&server).unwrap().get("/login/oidc").await.unwrap().status, 503);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_kept_question_that_was_changed_or_made_up_is_worth_nothing() {
    let (liar, server, clock, _trust) = start().await;
    let mut away = Away::begin(&server, "/").await;
    let token = liar.signer.token(&header(), &liar.right(&away, &clock));
    liar.say(|said| said.token = token.into());
    let good = away.kept.clone();
    let mut flipped = good.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    for kept in [String::from_utf8(flipped).unwrap(), "{}".to_owned(), "sealed1.AAAA".to_owned()] {
        away.kept = kept;
        assert_eq!(come_back(&mut away).await.status, 401);
    }
    away.kept = good;
    assert_eq!(come_back(&mut away).await.status, 303);
    server.stop().await.unwrap();
}
