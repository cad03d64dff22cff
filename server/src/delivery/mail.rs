//! Mail over SMTP (RFC 5321), secured by STARTTLS (RFC 3207) or TLS from the beginning (RFC 8314). Certificates are always checked.

use std::{path::Path, time::Duration};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        MultiPart, SinglePart,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{Error, read};

/// A mail server that cannot be reached for so long is not there.
const PATIENCE: Duration = Duration::from_secs(10);
/// A mail that was not taken in this time is tried again later; the library itself would wait for ever for a server that falls silent.
const LONGEST: Duration = Duration::from_secs(40);

/// The way to the mail server.
#[derive(Clone, Debug)]
pub struct Server<'a> {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// `starttls`, `tls` or `none`.
    pub security: String,
    /// Who logs in; empty: nobody.
    pub user: String,
    /// File with the password.
    pub password_file: Option<&'a Path>,
    /// File with CA certificates (PEM) beside those of the machine.
    pub ca: Option<&'a Path>,
}

/// A mail.
#[derive(Clone, Debug)]
pub struct Mail<'a> {
    /// Its own name; the same at every attempt.
    pub id: &'a str,
    /// Sender.
    pub from: &'a str,
    /// Receivers.
    pub to: &'a [String],
    /// Subject.
    pub subject: String,
    /// Text.
    pub text: String,
    /// A file that comes with it.
    pub attachment: Option<Attachment>,
}

/// A file that comes with a mail.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its content, as CSV.
    pub csv: String,
}

/// Sends a mail.
///
/// # Errors
/// It cannot be written, the server cannot be trusted or reached, or does not take it.
pub async fn send(server: &Server<'_>, mail: &Mail<'_>) -> Result<(), Error> {
    let refused = |reason: String| Error::Mail { server: server.host.clone(), reason };
    let message = message(mail).map_err(refused)?;
    let port = server.port;
    let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&server.host)
        .port(port)
        .timeout(Some(PATIENCE));
    transport = match server.security.as_str() {
        "none" => transport.tls(Tls::None),
        "tls" => transport.tls(Tls::Wrapper(tls(server).await?)),
        _ => transport.tls(Tls::Required(tls(server).await?)),
    };
    if !server.user.is_empty() {
        if server.security == "none" {
            return Err(Error::Unset("a password is not sent without encryption: set mail.security to starttls or tls, or mail.user to nobody".to_owned()));
        }
        let path = server.password_file.ok_or_else(|| {
            Error::Unset("mail.user is set, but the configuration names no mail-password-file".to_owned())
        })?;
        let password = String::from_utf8_lossy(&read(path).await?).trim_end_matches(['\r', '\n']).to_owned();
        transport = transport.credentials(Credentials::new(server.user.clone(), password));
    }
    let transport = transport.build();
    let told = |error: lettre::transport::smtp::Error| format!("{:#}", anyhow::Error::from(error));
    // Whoever is not there takes nothing; what goes wrong later may have gone wrong after the mail was taken.
    let late = || format!("it did not answer in {} seconds", LONGEST.as_secs());
    tokio::time::timeout(LONGEST, transport.test_connection())
        .await
        .map_err(|_| refused(late()))?
        .map_err(|error| refused(told(error)))?;
    let unanswered = |reason: String| Error::Unanswered { server: server.host.clone(), reason };
    let sent =
        tokio::time::timeout(LONGEST, transport.send(message)).await.map_err(|_| unanswered(late()))?;
    sent.map(|_| ()).map_err(|error| {
        let is_answer = error.is_permanent() || error.is_transient() || error.is_client();
        if is_answer { refused(told(error)) } else { unanswered(told(error)) }
    })
}

async fn tls(server: &Server<'_>) -> Result<TlsParameters, Error> {
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(path) = server.ca {
        let wrong = |reason: String| Error::Ca { path: path.to_owned(), reason };
        let certificate =
            Certificate::from_pem(&read(path).await?).map_err(|error| wrong(error.to_string()))?;
        parameters = parameters.add_root_certificate(certificate);
    }
    parameters
        .build_rustls()
        .map_err(|error| Error::Mail { server: server.host.clone(), reason: error.to_string() })
}

fn message(mail: &Mail<'_>) -> Result<Message, String> {
    let domain = mail.from.rsplit_once('@').map_or("localhost", |(_, domain)| domain);
    let mut message = Message::builder()
        .from(mail.from.parse().map_err(|error| format!("the sender `{}`: {error}", mail.from))?)
        .subject(mail.subject.clone())
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        // So that nobody's out-of-office note answers (RFC 3834, 5).
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    for address in mail.to {
        message =
            message.to(address.parse().map_err(|error| format!("the receiver `{address}`: {error}"))?);
    }
    match &mail.attachment {
        None => message.header(ContentType::TEXT_PLAIN).body(mail.text.clone()),
        Some(file) => {
            let kind = ContentType::parse("text/csv; charset=utf-8").map_err(|error| error.to_string())?;
            let file = lettre::message::Attachment::new(file.name.clone()).body(file.csv.clone(), kind);
            message.multipart(
                MultiPart::mixed().singlepart(SinglePart::plain(mail.text.clone())).singlepart(file),
            )
        }
    }
    .map_err(|error| error.to_string())
}
