//! Plain HTTP to strangers: what a cloud's metadata service is asked by. Nothing that it answers is believed before it was checked.
//!
//! No redirect is followed (a captive portal sends everybody to its login page), no proxy is used, and of an answer only as much is read
//! as user-data may have.

use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::{Client, Method, RequestBuilder, header};

use super::{Error, https};

/// Until there is a connection. Metadata services are at most one hop away.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// Until the whole answer is there.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// One question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// `http://…`
    pub url: String,
    /// PUT instead of GET.
    pub put: bool,
    /// Names and values beyond the usual.
    pub headers: Vec<(&'static str, String)>,
    /// Bytes of the answer after which no more is read.
    pub most: usize,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Where it sends whoever asks; empty when it does not.
    pub location: String,
    /// The body, as far as it was read: one byte more than was asked for says that there is more.
    pub content: Vec<u8>,
}

/// Whoever asks a stranger.
pub trait Ask: Send + Sync {
    /// The answer, whatever its status, within [`PATIENCE`].
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>>;
}

/// Really asks.
#[derive(Clone, Debug)]
pub struct Http(Client);

const ATTEMPT: &str = "ask for user-data";

impl Http {
    /// Prepares; nothing is sent yet.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new() -> Result<Self, Error> {
        https::plain(ATTEMPT, CONNECT_PATIENCE).map(Self)
    }
}

impl Ask for Http {
    fn ask<'a>(&'a self, question: &'a Question) -> BoxFuture<'a, Result<Answer, Error>> {
        let method = if question.put { Method::PUT } else { Method::GET };
        let mut request = self.0.request(method, &question.url);
        for (name, value) in &question.headers {
            request = request.header(*name, value);
        }
        Box::pin(async move {
            let answer = tokio::time::timeout(PATIENCE, answer(request, question.most)).await;
            answer.map_err(|elapsed| https::unreachable(ATTEMPT, elapsed))?
        })
    }
}

async fn answer(request: RequestBuilder, most: usize) -> Result<Answer, Error> {
    let mut response = request.send().await.map_err(|error| https::broken(ATTEMPT, error))?;
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.unwrap_or_default().to_owned();
    let mut content = Vec::new();
    while content.len() <= most {
        let Some(chunk) = response.chunk().await.map_err(|error| https::broken(ATTEMPT, error))? else {
            break;
        };
        content.extend_from_slice(&chunk);
    }
    content.truncate(most + 1);
    Ok(Answer { status: response.status().as_u16(), location, content })
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request with these bytes, and gives the address.
    async fn answering(bytes: Vec<u8>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/latest/user-data", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 1024];
            assert!(stream.read(&mut request).await.unwrap() > 0);
            // Who has read enough closes the connection.
            stream.write_all(&bytes).await.ok();
            stream.shutdown().await.ok();
        });
        url
    }

    async fn ask(url: String) -> Result<Answer, Error> {
        Http::new().unwrap().ask(&Question { url, most: 10, ..Question::default() }).await
    }

    #[tokio::test]
    async fn a_redirect_is_told_and_not_followed() {
        let head = b"HTTP/1.1 302 Found\r\nlocation: http://portal/login\r\ncontent-length: 0\r\n\r\n";
        let answer = ask(answering(head.to_vec()).await).await.unwrap();
        assert_eq!((answer.status, answer.location.as_str()), (302, "http://portal/login"));
    }

    #[tokio::test]
    async fn of_a_long_answer_only_the_beginning_is_read() {
        let mut bytes = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
        bytes.resize(3 << 20, b'x');
        assert_eq!(ask(answering(bytes).await).await.unwrap().content, b"xxxxxxxxxxx");
    }

    #[tokio::test(start_paused = true)]
    async fn who_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let begun = tokio::time::Instant::now();
        assert!(ask(url).await.unwrap_err().is_transient());
        assert!(begun.elapsed() <= PATIENCE, "{:?}", begun.elapsed());
    }
}
