//! Real TLS on the loopback interface, against a listener that answers one canned response per request.

use std::{error::Error as _, sync::Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ServerConfig, pki_types::PrivatePkcs8KeyDer, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use wire::enrol::Realm;

use super::*;
use crate::identity::{NewKey, tests::identity};

struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap() }
    }

    fn server_config(&self) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap()
    }

    fn credentials(&self) -> Credentials {
        let key = NewKey::generate().unwrap();
        let csr = rcgen::CertificateSigningRequestParams::from_pem(&key.csr_pem).unwrap();
        let certificate_pem = csr.signed_by(&self.issuer).unwrap().pem();
        let identity =
            Identity { certificate_pem, agents_url: String::new(), boot_url: String::new(), ..identity() };
        key.into_credentials(identity, Realm::System, 0)
    }
}

/// What a listener saw: the head of the request, and whether a client certificate came.
type Seen = Arc<Mutex<Vec<(String, bool)>>>;

/// Answers every request with the given head (after `HTTP/1.1 `) and body. Gives its address without a scheme.
async fn listen(tls: Option<ServerConfig>, head: &'static str, body: &'static str) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let seen = Seen::default();
    let recording = seen.clone();
    tokio::spawn(async move {
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Some(acceptor) = &acceptor else {
                answer_once(stream, false, &recording, head, body).await;
                continue;
            };
            // A client that does not trust us breaks off here.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            let known = stream.get_ref().1.peer_certificates().is_some();
            answer_once(stream, known, &recording, head, body).await;
        }
    });
    (address, seen)
}

async fn answer_once(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    known: bool,
    seen: &Seen,
    head: &str,
    body: &str,
) {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(length) if length > 0 => request.extend_from_slice(&chunk[..length]),
            _ => return,
        }
    }
    seen.lock().unwrap().push((String::from_utf8_lossy(&request).into_owned(), known));
    let mut response = format!("HTTP/1.1 {head}\r\nconnection: close\r\n");
    if !head.contains("content-length") {
        response = format!("{response}content-length: {}\r\n", body.len());
    }
    response.push_str("\r\n");
    response.push_str(body);
    stream.write_all(response.as_bytes()).await.unwrap();
    stream.shutdown().await.ok();
}

fn connect(scheme: &str, address: &str, ca: &Ca, credentials: Option<&Credentials>) -> Arc<dyn Server> {
    let url = format!("{scheme}://{address}");
    let addresses =
        Addresses { server: url.clone(), agents: url.clone(), boot: url, ca: Sha256::from_bytes([0; 32]) };
    Https.connect(&addresses, &ca.issuer.pem(), credentials).unwrap()
}

fn poll() -> PollRequest {
    PollRequest {
        boot_id: "b".into(),
        realm: Realm::System,
        agent_version: "0".into(),
        working: None,
        wait_s: 1,
    }
}

const REST: &str = r#"{"server_at":1,"order":{"do":"rest","again_ms":5}}"#;

#[tokio::test]
async fn a_server_of_the_pinned_ca_is_believed_and_shown_the_client_certificate() {
    let ca = Ca::new();
    let (address, seen) = listen(Some(ca.server_config()), "200 OK", REST).await;
    let answer = connect("https", &address, &ca, Some(&ca.credentials())).poll(&poll()).await.unwrap();
    assert_eq!(answer.server_at, 1);
    let seen = seen.lock().unwrap();
    assert!(seen[0].0.starts_with("POST /agent/v1/poll HTTP/1.1\r\n"), "{}", seen[0].0);
    assert!(seen[0].1, "no client certificate came");
}

#[tokio::test]
async fn a_server_of_another_ca_never_sees_a_request() {
    let (address, seen) = listen(Some(Ca::new().server_config()), "200 OK", REST).await;
    let ca = Ca::new();
    let error = connect("https", &address, &ca, None).poll(&poll()).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }) && error.source().is_some(), "{error}");
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_problem_document_becomes_its_words() {
    let body = r#"{"status":403,"code":"token-used","title":"the token was used","remedy":"make a new one"}"#;
    let (address, _) = listen(None, "403 Forbidden", body).await;
    let error = connect("http", &address, &Ca::new(), None).poll(&poll()).await.unwrap_err();
    let words = "the server refused to poll for work: the token was used; make a new one (403)";
    assert_eq!(error.to_string(), words);
    assert!(error.is_unknown_identity() && !error.is_transient());
}

#[tokio::test]
async fn garbage_counts_as_no_answer() {
    let (address, _) = listen(None, "200 OK", "<html>login to our hotel</html>").await;
    let error = connect("http", &address, &Ca::new(), None).poll(&poll()).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
}

#[tokio::test]
async fn the_rest_of_a_blob_is_asked_for_by_range_and_nothing_else_is_taken_for_it() {
    let hash = Sha256::from_bytes([7; 32]);
    let (address, seen) = listen(None, "206 Partial Content", "rest").await;
    let server = connect("http", &address, &Ca::new(), None);
    let chunks: Vec<Bytes> = server.blob(&hash, 10).await.unwrap().try_collect().await.unwrap();
    assert_eq!(chunks.concat(), b"rest");
    let request = seen.lock().unwrap()[0].0.clone();
    assert!(request.starts_with(&format!("GET /boot/blobs/{hash} ")), "{request}");
    assert!(request.contains("range: bytes=10-\r\n"), "{request}");

    let (address, _) = listen(None, "200 OK", "from the beginning").await;
    let server = connect("http", &address, &Ca::new(), None);
    assert!(matches!(server.blob(&hash, 10).await, Err(Error::Refused { status: 200, .. })));
}

#[tokio::test]
async fn a_blob_that_ends_early_is_an_error() {
    let (address, _) = listen(None, "200 OK\r\ncontent-length: 99", "short").await;
    let server = connect("http", &address, &Ca::new(), None);
    let result: Result<Vec<Bytes>, Error> = match server.blob(&Sha256::from_bytes([7; 32]), 0).await {
        Ok(chunks) => chunks.try_collect().await,
        Err(error) => Err(error),
    };
    assert!(result.unwrap_err().is_transient());
}

#[tokio::test]
async fn a_secret_s_name_is_one_segment_of_the_path() {
    let (address, seen) = listen(None, "200 OK", "\"hidden\"").await;
    let server = connect("http", &address, &Ca::new(), None);
    assert_eq!(server.secret(AttemptId(5), "../a b").await.unwrap(), "hidden");
    let request = seen.lock().unwrap()[0].0.clone();
    assert!(request.starts_with("GET /agent/v1/attempts/5/secrets/..%2Fa%20b "), "{request}");
}

#[tokio::test]
async fn trust_is_asked_for_over_plain_http_with_the_nonce() {
    let body = r#"{"ca_pem":"","server_at":3,"nonce":"n","signature":""}"#;
    let (address, seen) = listen(None, "200 OK", body).await;
    let trust = Https.trust(&format!("http://{address}"), "n").await.unwrap();
    assert_eq!(trust.server_at, 3);
    assert!(seen.lock().unwrap()[0].0.starts_with("GET /boot/trust?nonce=n "));
}

#[tokio::test]
async fn an_answer_without_end_does_not_fill_the_memory() {
    let (address, _) = listen(None, "200 OK", " ".repeat(LARGEST_ANSWER + 1).leak()).await;
    let error = Https.trust(&format!("http://{address}"), "n").await.unwrap_err();
    assert!(error.source().unwrap().to_string().contains("too large"), "{error:?}");
}
