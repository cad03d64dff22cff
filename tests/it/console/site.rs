//! A host with a machine whose screen is a small VNC server, and whoever looks at it.

use std::sync::Arc;

use agent::host::{Host as _, LocalSocket, real::RealHost};
use futures_util::{SinkExt, StreamExt};
use harness::{
    server::{Engine, TestServer},
    vnc::{Manner, Vnc},
};
use reqwest::Method;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use server::{app::consoles::OpenedConsole, domain::desktop::DesktopState};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use crate::vm::kvm::{Attic, is, order, register, site, until, wish};

/// A server, a host, and the desktop `ann-desk` on it, which runs.
pub(crate) struct Site {
    pub(crate) server: TestServer,
    pub(crate) attic: Attic,
    pub(crate) vnc: Vnc,
    /// The machine's name on its host.
    pub(crate) machine: String,
}

impl Site {
    pub(crate) async fn new(engine: Engine, manner: Manner) -> Self {
        let server = site(engine).await;
        let attic = Attic::new(&server, "attic", 1).await;
        let vnc = Vnc::start(manner).unwrap();
        let screen = vnc.socket();
        attic.libvirt.show_screens_at(&screen);
        // Nothing else can be reached.
        attic.host.dialled(Arc::new(move |socket| {
            let (socket, screen) = (socket.clone(), LocalSocket::Unix(screen.clone()));
            Box::pin(async move {
                assert_eq!(socket, screen, "the socket that libvirt names");
                RealHost.dial(&socket).await.map_err(std::io::Error::other)
            })
        }));
        register(&server, "attic", wish("attic")).await;
        order(&server, "ann-desk", Some("attic")).await;
        until(&server, "ann-desk", is(DesktopState::Ready)).await;
        let machine = attic.libvirt.machines().unwrap().remove(0);
        Self { server, attic, vnc, machine }
    }

    /// A ticket for the console, by somebody's token.
    pub(crate) async fn ticket(&self, token: &str) -> String {
        let address = format!("{}/api/v1/clients/ann-desk/console", self.server.ctx.addresses.https);
        let request = self.server.http.request(Method::POST, address).bearer_auth(token);
        let answer = harness::server::answer(request).await.unwrap();
        assert!(answer.status.is_success(), "{answer:?}");
        match serde_json::from_str(&answer.text).unwrap() {
            OpenedConsole::Server { ticket, .. } => ticket,
            other @ OpenedConsole::Provider { .. } => panic!("{other:?}"),
        }
    }

    /// Opens the WebSocket of the console.
    pub(crate) async fn connect(
        &self,
        token: &str,
        ticket: &str,
        origin: Option<&str>,
    ) -> Result<Looker, Error> {
        let https = &self.server.ctx.addresses.https;
        let host = https.strip_prefix("https://").unwrap();
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.server.ctx.authority.ca_pem().as_bytes()).unwrap();
        roots.add(ca).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let tcp = TcpStream::connect(host).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let tls = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
        let mut request =
            format!("wss://{host}/api/v1/clients/ann-desk/console/screen").into_client_request().unwrap();
        let mut add = |name, value: String| {
            request.headers_mut().insert(name, HeaderValue::from_str(&value).unwrap());
        };
        add("authorization", format!("Bearer {token}"));
        add("sec-websocket-protocol", format!("binary, ticket.{ticket}"));
        if let Some(origin) = origin {
            add("origin", origin.to_owned());
        }
        let (socket, response) = client_async(request, tls).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "binary");
        Ok(Looker { socket, read: Vec::new() })
    }

    /// A console that is open, for somebody's token.
    pub(crate) async fn look(&self, token: &str) -> Looker {
        let ticket = self.ticket(token).await;
        self.connect(token, &ticket, None).await.unwrap()
    }

    /// What the audit says of consoles.
    pub(crate) async fn opened(&self) -> Vec<Value> {
        let audit = self.server.get("/api/v1/audit?action=console.open").await.unwrap().json();
        audit["items"].as_array().unwrap_or_else(|| panic!("{audit}")).clone()
    }

    pub(crate) async fn end(self) {
        self.attic.end().await;
        self.server.stop().await.unwrap();
    }
}

/// Somebody before a screen.
pub(crate) struct Looker {
    socket: WebSocketStream<TlsStream<TcpStream>>,
    read: Vec<u8>,
}

impl Looker {
    /// The next bytes of the screen.
    pub(crate) async fn read(&mut self, count: usize) -> Vec<u8> {
        while self.read.len() < count {
            match self.socket.next().await.unwrap().unwrap() {
                Message::Binary(piece) => self.read.extend(piece),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
        self.read.drain(..count).collect()
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.socket.send(Message::Binary(bytes.to_vec().into())).await.unwrap();
    }

    /// Comes to the picture.
    pub(crate) async fn greet(&mut self) {
        assert_eq!(self.read(12).await, b"RFB 003.008\n");
        self.write(b"RFB 003.008\n").await;
        assert_eq!(self.read(2).await, [1, 1]);
        self.write(&[1]).await;
        assert_eq!(self.read(4).await, [0; 4]);
        self.write(&[1]).await;
        self.read(28).await;
    }

    /// Waits for the end; its code and reason.
    pub(crate) async fn end(mut self) -> (u16, String) {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return (frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) | None => panic!("it ended without a reason"),
                Some(Ok(_)) => {}
                Some(Err(error)) => panic!("{error}"),
            }
        }
    }
}
