//! By what a provider's certificate is checked: the roots of this system, certificates that somebody gave, or one certificate's fingerprint.
//!
//! Invariant: it is always checked. With a fingerprint the certificate has to be that very one, and the handshake has to prove its key.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use reqwest::{Certificate, Client, redirect::Policy};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::domain::provider::ProviderWish;

/// What sends requests to this provider and trusts nobody else.
///
/// # Errors
/// The certificates cannot be read; in words.
pub(super) fn client(wish: &ProviderWish) -> Result<Client, String> {
    let mut client = Client::builder()
        .https_only(true)
        .redirect(Policy::none())
        .timeout(Duration::from_secs(wish.timeout_s.into()))
        .user_agent(concat!("lotse/", env!("CARGO_PKG_VERSION")));
    if let Some(fingerprint) = &wish.fingerprint {
        client = client.tls_backend_preconfigured(pinned(fingerprint.as_str())?);
    } else if !wish.ca_pem.is_empty() {
        let certificates =
            Certificate::from_pem_bundle(wish.ca_pem.as_bytes()).map_err(|error| error.to_string())?;
        if certificates.is_empty() {
            return Err("there is no certificate in what was given".to_owned());
        }
        client = client.tls_certs_only(certificates);
    }
    client.build().map_err(|error| format!("{:#}", anyhow::Error::from(error)))
}

fn pinned(fingerprint: &str) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Pinned { fingerprint: fingerprint.to_owned(), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Lets one certificate in, by its SHA-256.
#[derive(Debug)]
struct Pinned {
    fingerprint: String,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if hex::encode(digest(&SHA256, end_entity)) == self.fingerprint {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
