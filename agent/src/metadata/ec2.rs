//! EC2's metadata service, and those of the many clouds that imitate it ("Instance metadata and user data").
//!
//! First as its second version wants it, with a token of its own; a service that knows no tokens is asked as in the first version.

use futures_util::future::BoxFuture;

use super::{Machine, Source, Tried, silent};
use crate::server::plain::Question;

const TOKEN_URL: &str = "http://169.254.169.254/latest/api/token";
const URL: &str = "http://169.254.169.254/latest/user-data";
/// Seconds that the service's token is good for: it is used at once.
const LIFE_S: &str = "60";
/// Longest token of such a service in bytes.
const LONGEST_TOKEN: usize = 1024;

/// EC2's metadata service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ec2;

impl Source for Ec2 {
    fn name(&self) -> &'static str {
        "EC2"
    }

    fn look<'a>(&'a self, machine: Machine<'a>) -> BoxFuture<'a, Vec<Tried>> {
        Box::pin(async move {
            let question = Question {
                url: TOKEN_URL.to_owned(),
                put: true,
                headers: vec![("x-aws-ec2-metadata-token-ttl-seconds", LIFE_S.to_owned())],
                most: LONGEST_TOKEN,
            };
            let headers = match machine.ask.ask(&question).await {
                Ok(answer) if answer.status == 200 => token(&answer.content)
                    .map(|token| vec![("x-aws-ec2-metadata-token", token)])
                    .unwrap_or_default(),
                Ok(_) => Vec::new(),
                Err(error) => return vec![Tried::nowhere(TOKEN_URL, silent(&error))],
            };
            vec![Tried::url(machine.ask, URL.to_owned(), headers).await]
        })
    }
}

/// What can stand in a header. A login page is no token.
fn token(content: &[u8]) -> Option<String> {
    let text = str::from_utf8(content).ok()?.trim();
    let fine =
        !text.is_empty() && text.len() <= LONGEST_TOKEN && text.bytes().all(|sign| sign.is_ascii_graphic());
    fine.then(|| text.to_owned())
}
