//! Agents that are nothing but a connection with a certificate, and their long polls.
//!
//! All have the same key and each a certificate of its own: making keys would take longer than everything that is measured.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use axum::http::Request;
use bytes::Bytes;
use h2::client::SendRequest;
use harness::server::config;
use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use server::{
    clock::Clock,
    db::{
        clients,
        identities::{self, Certificate},
    },
    domain::client::{ClientConfig as Wanted, Stage},
    startup::Server,
};
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;
use wire::{enrol::Realm, poll::PollRequest};

/// Rows in one transaction.
const BATCH: usize = 1000;
/// Connections from one address: there are 28 000 ports for them (ip(7), `ip_local_port_range`).
const FROM_ONE_ADDRESS: usize = 20_000;
const BOOT_ID: &str = "00000000-0000-4000-8000-000000000000";
const VERSION: &str = "0.1.0";
const WAIT_S: u32 = 60;

/// Identities of installed clients.
pub(super) struct Identities {
    ca: CertificateDer<'static>,
    key: KeyPair,
    certificates: Vec<CertificateDer<'static>>,
}

impl Identities {
    /// Makes a data directory with so many clients. The server that serves it is another process.
    pub(super) async fn prepare(data: &Path, count: usize) -> Result<Self> {
        rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
        let server = Server::bind(config(data.to_owned(), None), Clock::system()).await?;
        let ctx = server.ctx();
        let key = KeyPair::generate()?;
        let request = CertificateParams::default().serialize_request(&key)?.pem()?;
        let now = ctx.now();
        let mut certificates = Vec::with_capacity(count);
        while certificates.len() < count {
            let mut tx = ctx.db.write().await?;
            for number in certificates.len()..count.min(certificates.len() + BATCH) {
                let name = format!("idle-{number:05}");
                let client =
                    clients::create(&mut tx, &name, Stage::Installed, &Wanted::default(), &[], now).await?;
                let issued = ctx.authority.issue(&request, client, now)?;
                let certificate = Certificate {
                    serial: issued.serial,
                    client,
                    fingerprint: issued.key_fingerprint,
                    expires_at: issued.expires_at,
                    revoked_at: None,
                };
                identities::create_certificate(&mut tx, &certificate, Realm::System, BOOT_ID, now).await?;
                certificates.push(CertificateDer::from_pem_slice(issued.pem.as_bytes())?);
            }
            tx.commit().await?;
        }
        let ca = CertificateDer::from_pem_slice(ctx.authority.ca_pem().as_bytes())?;
        Ok(Self { ca, key, certificates })
    }

    /// The same for a server that listens there.
    pub(super) fn towards(self, agents_url: &str) -> Result<Towards> {
        let host =
            agents_url.strip_prefix("https://").with_context(|| format!("{agents_url} is not HTTPS"))?;
        let server: SocketAddr = host.trim_end_matches('/').parse()?;
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.clone())?;
        let request = PollRequest {
            boot_id: BOOT_ID.to_owned(),
            realm: Realm::System,
            agent_version: VERSION.to_owned(),
            working: None,
            wait_s: WAIT_S,
        };
        Ok(Towards {
            identities: self,
            roots: Arc::new(roots),
            server,
            url: format!("{}/agent/v1/poll", agents_url.trim_end_matches('/')),
            body: Bytes::from(serde_json::to_vec(&request)?),
        })
    }
}

/// Identities, and the server that knows them.
pub(super) struct Towards {
    identities: Identities,
    roots: Arc<RootCertStore>,
    server: SocketAddr,
    url: String,
    body: Bytes,
}

/// An agent that is connected.
pub(super) struct Agent {
    sender: SendRequest<Bytes>,
    url: String,
    body: Bytes,
}

impl Towards {
    fn tls(&self, number: usize) -> Result<ClientConfig> {
        let certificate = self.identities.certificates.get(number).context("there is no such agent")?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.identities.key.serialize_der()));
        let mut tls = ClientConfig::builder()
            .with_root_certificates(Arc::clone(&self.roots))
            .with_client_auth_cert(vec![certificate.clone()], key)?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        tls.resumption = Resumption::disabled();
        Ok(tls)
    }

    /// Connects an agent, from an address of loopback that has ports left.
    pub(super) async fn connect(&self, number: usize) -> Result<Agent> {
        let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(number / FROM_ONE_ADDRESS)?);
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((from, 0)))?;
        let stream = socket.connect(self.server).await?;
        stream.set_nodelay(true)?;
        let name = ServerName::IpAddress(self.server.ip().into());
        let stream = TlsConnector::from(Arc::new(self.tls(number)?)).connect(name, stream).await?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Agent { sender, url: self.url.clone(), body: self.body.clone() })
    }
}

impl Agent {
    /// Asks once; the server takes as long as it may before it says that there is nothing to do.
    pub(super) async fn poll(&mut self) -> Result<()> {
        let mut ready = self.sender.clone().ready().await?;
        let request = Request::post(&self.url).header("content-type", "application/json").body(())?;
        let (response, mut body) = ready.send_request(request, false)?;
        body.send_data(self.body.clone(), true)?;
        let response = response.await?;
        ensure!(response.status().is_success(), "the server answers {}", response.status());
        let mut body = response.into_body();
        while let Some(chunk) = body.data().await {
            body.flow_control().release_capacity(chunk?.len())?;
        }
        Ok(())
    }
}
