//! Notices arrive once, signed, from this server and nobody else; or are tried again, until they do or are given up.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    app::notices,
    clock::Clock,
    db::{clients, events},
    domain::{client::Stage, notice::ATTEMPTS},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::{TlsAcceptor, rustls};

use super::{entries, register, set};

/// A bound for what must happen at once; slow computers are slow.
const AT_ONCE: Duration = Duration::from_secs(20);

/// A CA of the test's own, and a certificate of it for this machine.
pub(super) struct Trust {
    directory: tempfile::TempDir,
    certificate: rcgen::Certificate,
    key: rcgen::KeyPair,
}

impl Trust {
    pub(super) fn new() -> Self {
        // Fails only when it was installed before, by another test of the process.
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let directory = tempfile::tempdir().unwrap();
        let ca_key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let ca_certificate = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        let write = |name: &str, text: &str| fs_err::write(directory.path().join(name), text).unwrap();
        write("ca.pem", &ca_certificate.pem());
        write("certificate.pem", &certificate.pem());
        write("key.pem", &key.serialize_pem());
        write("password", "a right password\n");
        Self { directory, certificate, key }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }
}

/// A server that may send to this machine, and trusts the CA.
pub(super) async fn server(engine: Engine, trust: &Trust, clock: &Clock) -> TestServer {
    TestServer::start_as(engine, clock.clone(), |config| {
        config.notices.ca = Some(trust.path("ca.pem"));
        config.notices.mail_password_file = Some(trust.path("password"));
        config.notices.webhook_allow = vec![[127, 0, 0, 1].into()];
    })
    .await
    .unwrap()
}

/// A request as a receiver got it.
struct Got {
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        &self.headers.iter().find(|(known, _)| known == name).unwrap().1
    }

    fn notice(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// A receiver of webhooks; it gives the answers in their order, the last one for ever.
struct Receiver {
    url: String,
    got: mpsc::UnboundedReceiver<Got>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn start(trust: &Trust, answers: &'static [&'static str]) -> Self {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(trust.key.serialize_der());
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![trust.certificate.der().clone()], key.into())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://localhost:{}/hook", listener.local_addr().unwrap().port());
        let (sender, got) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut at = 0;
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // Somebody who does not trust us goes away again.
                let Ok(stream) = acceptor.accept(stream).await else { continue };
                let mut stream = BufReader::new(stream);
                let mut headers = Vec::new();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    match line.trim_end().split_once(": ") {
                        Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.to_owned())),
                        None if line.trim_end().is_empty() => break,
                        None => {}
                    }
                }
                let length =
                    headers.iter().find(|(name, _)| name == "content-length").unwrap().1.parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                let answer = answers[at.min(answers.len() - 1)];
                at += 1;
                let text = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.ok();
                sender.send(Got { headers, body: String::from_utf8(body).unwrap() }).unwrap();
            }
        });
        Self { url, got, task }
    }

    async fn next(&mut self) -> Got {
        tokio::time::timeout(AT_ONCE, self.got.recv()).await.expect("no request came").unwrap()
    }
}

/// A real mail server.
pub(super) struct Mails {
    process: tokio::process::Child,
    pub(super) port: u16,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Mails {
    pub(super) async fn start(trust: &Trust, mode: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the mail server of this test")]
        let mut command = tokio::process::Command::new("/usr/bin/python3");
        let mut process = command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/it/audit/smtp.py"))
            .args([trust.path("certificate.pem"), trust.path("key.pem")])
            .arg(mode)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.next_line().await.unwrap().expect("is python3-aiosmtpd installed?").parse().unwrap();
        Self { process, port, lines }
    }

    pub(super) async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(AT_ONCE, self.lines.next_line()).await.expect("no mail came");
        serde_json::from_str(&line.unwrap().unwrap()).unwrap()
    }

    pub(super) async fn stop(mut self) {
        drop(self.process.stdin.take());
        self.process.wait().await.unwrap();
    }
}

async fn happens(server: &TestServer, kind: &str, client: Option<&str>, times: usize) {
    let mut tx = server.ctx.db.write().await.unwrap();
    let client = match client {
        Some(name) => Some(clients::find_by_name(&mut tx, name).await.unwrap().unwrap().id),
        None => None,
    };
    for time in 0..times {
        let detail = format!("number {time}");
        events::add(&mut tx, kind, client, None, "queue", &detail, server.ctx.now()).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// What the server does by itself every few seconds.
async fn work(server: &TestServer) {
    notices::gather(&server.ctx).await.unwrap();
    notices::deliver(&server.ctx).await.unwrap();
}

async fn channel(server: &TestServer, wish: Value) -> Value {
    server.send(Method::POST, "/api/v1/channels", &wish).await.unwrap().ok().unwrap()
}

async fn outbox(server: &TestServer) -> Vec<Value> {
    let all = server.get("/api/v1/notices").await.unwrap().ok().unwrap();
    all.as_array().unwrap().clone()
}

pub(super) async fn mail_settings(server: &TestServer, mails: &Mails, security: &str) {
    let user = if security == "none" { "" } else { "lotse" };
    set(
        server,
        json!({ "mail.server": "localhost", "mail.port": mails.port, "mail.security": security, "mail.user": user, "mail.from": "lotse@school.example" }),
    )
    .await;
}

pub(super) async fn five_hundred_failures_are_one_mail(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(Clock::system().now()));
    let server = server(engine, &trust, &clock).await;
    for (mode, security) in [("starttls", "starttls"), ("tls", "tls"), ("open", "none")] {
        let mut mails = Mails::start(&trust, mode).await;
        mail_settings(&server, &mails, security).await;
        let wish = json!({ "name": mode, "kind": "mail", "to": ["admin@school.example", "head@school.example"], "language": "de", "events": ["job.failed"] });
        channel(&server, wish).await;
        happens(&server, "job.failed", None, 500).await;
        happens(&server, "job.running", None, 5).await;
        work(&server).await;
        assert!(
            outbox(&server).await.iter().all(|posted| posted["notice"]["channel"] != mode),
            "they are gathered for a minute"
        );
        clock.advance(61);
        work(&server).await;
        let mail = mails.next().await;
        assert_eq!(mail["subject"], "Lotse: 500 Ereignisse");
        assert_eq!(mail["to"], json!(["admin@school.example", "head@school.example"]));
        assert_eq!(
            (&mail["from"], &mail["auto"]),
            (&json!("lotse@school.example"), &json!("auto-generated"))
        );
        assert_eq!(mail["tls"], json!(mode != "open"));
        assert_eq!(mail["user"], if mode == "open" { Value::Null } else { json!("lotse") });
        let text = mail["text"].as_str().unwrap();
        for part in ["500 × Job fehlgeschlagen", "number 0", "number 49", "und 450 weitere", mode] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("number 50"), "{text}");
        clock.advance(3600);
        work(&server).await;
        let sent: Vec<_> =
            outbox(&server).await.into_iter().filter(|posted| posted["notice"]["channel"] == mode).collect();
        assert_eq!((sent.len(), &sent[0]["state"]), (1, &json!("sent")), "{sent:?}");
        server
            .send(Method::DELETE, &format!("/api/v1/channels/{mode}"), &json!({}))
            .await
            .unwrap()
            .ok()
            .unwrap();
        mails.stop().await;
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_mail_server_that_is_not_trusted_or_refuses_gets_nothing_and_is_named(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(Clock::system().now()));
    let server = server(engine, &trust, &clock).await;
    let test = async |name: &str| {
        let answer =
            server.send(Method::POST, &format!("/api/v1/channels/{name}/test"), &json!({})).await.unwrap();
        if answer.status.is_success() {
            String::new()
        } else {
            answer.json()["title"].as_str().unwrap().to_owned()
        }
    };
    let wish = |name: &str, to: &str| json!({ "name": name, "kind": "mail", "to": [to] });
    channel(&server, wish("admins", "admin@school.example")).await;
    channel(&server, wish("nobody", "refuse@school.example")).await;
    assert!(test("admins").await.contains("no mail server is set"));
    let mut mails = Mails::start(&trust, "starttls").await;
    mail_settings(&server, &mails, "starttls").await;
    assert_eq!(test("admins").await, "");
    assert_eq!(mails.next().await["subject"], "Lotse: test");
    assert!(test("nobody").await.contains("nobody here"));
    fs_err::write(trust.path("password"), "a wrong password").unwrap();
    assert!(test("admins").await.contains("535"), "{}", test("admins").await);
    fs_err::write(trust.path("password"), "a right password").unwrap();
    // Never in clear text, whoever asks for that.
    set(&server, json!({ "mail.security": "none" })).await;
    assert!(test("admins").await.contains("not sent without encryption"));
    set(&server, json!({ "mail.security": "starttls" })).await;
    fs_err::write(trust.path("ca.pem"), fs_err::read_to_string(Trust::new().path("ca.pem")).unwrap())
        .unwrap();
    let refused = test("admins").await;
    assert!(refused.contains("certificate") || refused.contains("UnknownIssuer"), "{refused}");
    let text = serde_json::to_string(&entries(&server).await).unwrap();
    assert!(!text.contains("a right password") && !text.contains("a wrong password"));
    mails.stop().await;
    server.stop().await.unwrap();
}

pub(super) async fn a_webhook_is_signed_and_tried_again_under_the_same_id(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(Clock::system().now()));
    let server = server(engine, &trust, &clock).await;
    let mut receiver =
        Receiver::start(&trust, &["500 Broken", "302 Found\r\nlocation: /other", "204 No Content"]).await;
    let wish = json!({ "name": "hook", "kind": "webhook", "url": receiver.url, "events": ["client.*"], "gather_s": 0 });
    let made = channel(&server, wish).await;
    let secret = made["secret"].as_str().unwrap().to_owned();
    register(&server, "lab-01").await;
    work(&server).await;
    let mut ids = Vec::new();
    for (pause, error) in [(0, "500"), (11, "302"), (21, "")] {
        clock.advance(pause);
        work(&server).await;
        let got = receiver.next().await;
        let (id, timestamp) = (got.header("webhook-id"), got.header("webhook-timestamp"));
        // As the specification says, and not by the code that signs.
        let key = BASE64.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let signature = BASE64.decode(got.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
        let text = format!("{id}.{timestamp}.{}", got.body);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        hmac::verify(&key, text.as_bytes(), &signature).expect("the signature fits");
        assert!(hmac::verify(&key, text.replace("lab-01", "lab-02").as_bytes(), &signature).is_err());
        assert_eq!(timestamp.parse::<i64>().unwrap(), server.ctx.now() / 1_000_000);
        let notice = got.notice();
        assert_eq!(notice["id"], id);
        assert_eq!(
            (&notice["events"][0]["kind"], &notice["events"][0]["client"]),
            (&json!("client.registered"), &json!("lab-01"))
        );
        ids.push(id.to_owned());
        // What became of it is written a moment after the receiver has answered.
        let posted = settled(&server, ids.len()).await;
        assert!(posted["error"].as_str().unwrap().contains(error), "{posted}");
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(outbox(&server).await[0]["state"], "sent");
    let text = serde_json::to_string(&entries(&server).await).unwrap();
    assert!(
        !text.contains(&secret) && !text.contains("/hook"),
        "neither the secret nor the path is in the audit"
    );
    server.stop().await.unwrap();
}

/// The newest notice, once this many attempts have ended.
async fn settled(server: &TestServer, attempts: usize) -> Value {
    let waits = async {
        loop {
            let posted = outbox(server).await.remove(0);
            // While it is being sent, it is put off for longer than the pauses that are waited for here.
            let put_off = posted["next_at"].as_i64().unwrap() - server.ctx.now() > 100_000_000;
            if posted["attempts"] == json!(attempts) && (posted["state"] != "waiting" || !put_off) {
                return posted;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_ONCE, waits).await.expect("the attempt does not end")
}

pub(super) async fn a_webhook_never_goes_to_this_machine_unless_allowed(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::system());
    let receiver = Receiver::start(&trust, &["204 No Content"]).await;
    let port = receiver.url.split(':').nth(2).unwrap().to_owned();
    let server = TestServer::start_as(engine, clock, |config| config.notices.ca = Some(trust.path("ca.pem")))
        .await
        .unwrap();
    for (at, host) in ["localhost", "127.0.0.1", "[::1]", "0.0.0.0", "[::ffff:127.0.0.1]", "169.254.169.254"]
        .into_iter()
        .enumerate()
    {
        let name = format!("own-{at}");
        let wish = json!({ "name": name, "kind": "webhook", "url": format!("https://{host}:{port}") });
        channel(&server, wish).await;
        let answer =
            server.send(Method::POST, &format!("/api/v1/channels/{name}/test"), &json!({})).await.unwrap();
        assert!(answer.is_problem(503), "{host}: {answer:?}");
        assert!(answer.text.contains("webhooks do not go"), "{host}: {answer:?}");
    }
    for url in ["http://hooks.example", "https://user:word@hooks.example", "file:///etc/passwd"] {
        let wish = json!({ "name": "wrong", "kind": "webhook", "url": url });
        assert!(server.send(Method::POST, "/api/v1/channels", &wish).await.unwrap().is_problem(422), "{url}");
    }
    server.stop().await.unwrap();
}

pub(super) async fn a_channel_hears_of_its_groups_and_of_changed_health(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(Clock::system().now()));
    let server = server(engine, &trust, &clock).await;
    let mut receiver = Receiver::start(&trust, &["204 No Content"]).await;
    for name in ["lab-01", "pc-01"] {
        let new = json!({ "name": name, "groups": [if name == "lab-01" { "lab" } else { "office" }] });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
    }
    let wish = json!({ "name": "lab", "kind": "webhook", "url": receiver.url, "events": ["client.health", "job.failed"], "groups": ["lab"], "gather_s": 0 });
    channel(&server, wish).await;
    happens(&server, "job.failed", Some("pc-01"), 3).await;
    happens(&server, "job.failed", None, 1).await;
    happens(&server, "client.alarm", Some("lab-01"), 1).await;
    // Looked at for the first time, nothing has changed.
    notices::watch_health(&server.ctx).await.unwrap();
    happens(&server, "job.failed", Some("lab-01"), 2).await;
    work(&server).await;
    let notice = receiver.next().await.notice();
    assert_eq!(
        (&notice["counts"], notice["events"].as_array().unwrap().len()),
        (&json!({ "job.failed": 2 }), 2),
        "{notice}"
    );
    let mut tx = server.ctx.db.write().await.unwrap();
    for name in ["lab-01", "pc-01"] {
        let id = clients::find_by_name(&mut tx, name).await.unwrap().unwrap().id;
        clients::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
        clients::set_seen(&mut tx, id, "boot", wire::enrol::Realm::System, "1", server.ctx.now())
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    notices::watch_health(&server.ctx).await.unwrap();
    clock.advance(3600);
    notices::watch_health(&server.ctx).await.unwrap();
    notices::watch_health(&server.ctx).await.unwrap();
    work(&server).await;
    let notice = receiver.next().await.notice();
    assert_eq!(notice["counts"], json!({ "client.health": 1 }), "told once: {notice}");
    assert_eq!(
        (&notice["events"][0]["client"], &notice["events"][0]["detail"]),
        (&json!("lab-01"), &json!("ok → offline"))
    );
    server.stop().await.unwrap();
}

pub(super) async fn what_does_not_arrive_is_given_up_and_can_be_sent_again(engine: Engine) {
    let (trust, clock) = (Trust::new(), Clock::fixed(Clock::system().now()));
    let server = server(engine, &trust, &clock).await;
    // Nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    drop(listener);
    channel(
        &server,
        json!({ "name": "hook", "kind": "webhook", "url": url, "events": ["job.failed"], "gather_s": 0 }),
    )
    .await;
    happens(&server, "job.failed", None, 1).await;
    for _ in 0..ATTEMPTS {
        clock.advance(4 * 3600);
        work(&server).await;
        settled_any(&server).await;
    }
    let posted = outbox(&server).await.remove(0);
    assert_eq!((&posted["state"], &posted["attempts"]), (&json!("given-up"), &json!(ATTEMPTS)), "{posted}");
    let path = format!("/api/v1/notices/{}/retry", posted["id"]);
    server.send(Method::POST, &path, &json!({})).await.unwrap().ok().unwrap();
    assert_eq!(outbox(&server).await[0]["state"], "waiting");
    assert!(server.send(Method::POST, &path, &json!({})).await.unwrap().is_problem(409));
    server.stop().await.unwrap();
}

/// Waits until nobody is sending: the server's own round may have taken the notice just before ours.
async fn settled_any(server: &TestServer) {
    let waits = async {
        loop {
            let posted = outbox(server).await.remove(0);
            let taken = posted["next_at"].as_i64().unwrap() - server.ctx.now() == 120_000_000;
            if posted["state"] != "waiting" || !taken {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(AT_ONCE, waits).await.expect("the attempt does not end");
}
