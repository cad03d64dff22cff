//! TLS for the two HTTPS listeners. On the agents' one a certificate of our CA is required before the first byte of HTTP.

use std::sync::Arc;

use axum::{Extension, middleware::AddExtension};
use axum_server::{
    accept::Accept,
    tls_rustls::{RustlsAcceptor, RustlsConfig},
};
use futures_util::future::BoxFuture;
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;
use tower::Layer;

use super::{Authority, Error};

/// The certificate that a connection showed: its serial number in hexadecimal. What it may do is looked up at every request.
#[derive(Clone, Debug)]
pub struct Peer(pub String);

/// TLS without client certificates: pages, API, enrolment.
///
/// # Errors
/// The server's certificate cannot be made.
pub fn open(authority: &Authority, names: &[String], now: i64) -> Result<RustlsConfig, Error> {
    let (chain, key) = authority.server_identity(names, now)?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::certificate("setting up TLS"))?;
    Ok(with_alpn(config))
}

/// TLS that requires a certificate of our CA: agents.
///
/// # Errors
/// The server's certificate cannot be made.
pub fn agents(authority: &Authority, names: &[String], now: i64) -> Result<RustlsConfig, Error> {
    let (chain, key) = authority.server_identity(names, now)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_der()?).map_err(Error::certificate("trusting the own CA"))?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .map_err(Error::certificate("setting up the check of client certificates"))?;
    let config = ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(Error::certificate("setting up TLS"))?;
    Ok(with_alpn(config))
}

fn with_alpn(mut config: ServerConfig) -> RustlsConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    RustlsConfig::from_config(Arc::new(config))
}

/// Accepts TLS and hands the serial number of the peer's certificate to the requests of the connection.
#[derive(Clone)]
pub struct PeerAcceptor<A>(pub RustlsAcceptor<A>);

impl<A, I, S> Accept<I, S> for PeerAcceptor<A>
where
    A: Accept<I, S, Service = S> + Clone + Send + Sync + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
    A::Future: Send,
    I: Send + 'static,
    S: Send + 'static,
{
    type Stream = TlsStream<A::Stream>;
    type Service = AddExtension<S, Peer>;
    type Future = BoxFuture<'static, std::io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let acceptor = self.0.clone();
        Box::pin(async move {
            let (stream, service) = acceptor.accept(stream, service).await?;
            let serial = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| chain.first())
                .and_then(|leaf| super::authority::serial_and_key(leaf).ok())
                .map(|(serial, _)| serial)
                .ok_or_else(|| std::io::Error::other("the connection has no client certificate"))?;
            Ok((stream, Extension(Peer(serial)).layer(service)))
        })
    }
}

/// The last certificate that a server shows in its handshake, for somebody who knows its fingerprint and compares.
///
/// The handshake goes on with whatever certificate it is; nothing is sent over the connection and nothing read from it but the chain,
/// so trust begins only with the comparison.
///
/// # Errors
/// No connection, or no certificate.
pub async fn last_certificate(authority: &str) -> anyhow::Result<Vec<u8>> {
    use anyhow::Context;
    certificates(authority).await?.pop().with_context(|| format!("{authority} shows no certificate"))
}

/// The chain of certificates that a server shows, its own first; nothing about it is checked.
///
/// # Errors
/// No connection, or no certificate.
pub async fn certificates(authority: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    use anyhow::Context;
    let seen = Arc::new(ShownChain::default());
    let config = rustls::ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(
            Arc::clone(&seen) as Arc<dyn rustls::client::danger::ServerCertVerifier>
        )
        .with_no_client_auth();
    let host =
        authority.rsplit_once(':').map_or(authority, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let name = rustls::pki_types::ServerName::try_from(host).context("understanding the server's name")?;
    let stream = tokio::net::TcpStream::connect(authority)
        .await
        .with_context(|| format!("connecting to {authority}"))?;
    let handshake = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let found = seen.0.lock().ok().and_then(|mut seen| seen.take());
    match (found, handshake) {
        (Some(chain), _) => Ok(chain),
        (None, Err(error)) => Err(error).with_context(|| format!("reading the certificate of {authority}")),
        (None, Ok(_)) => anyhow::bail!("{authority} shows no certificate"),
    }
}

/// Keeps a chain of certificates, and then refuses the handshake: no connection ever comes of it.
#[derive(Debug, Default)]
struct ShownChain(std::sync::Mutex<Option<Vec<Vec<u8>>>>);

impl rustls::client::danger::ServerCertVerifier for ShownChain {
    fn verify_server_cert(
        &self,
        leaf: &rustls::pki_types::CertificateDer<'_>,
        intermediates: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        if let Ok(mut seen) = self.0.lock() {
            *seen = Some(std::iter::once(leaf).chain(intermediates).map(|der| der.to_vec()).collect());
        }
        Err(rustls::Error::General("the certificate was only looked at".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("the certificate was only looked at".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        self.verify_tls12_signature(message, leaf, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
