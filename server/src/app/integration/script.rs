//! The shell text that makes a machine a client: copied by a person, or sent over SSH by the command line. It holds the token.
//!
//! Invariants: values come in quoted by construction; nothing of it ever is an argument of a process, so the token is in no process list;
//! the package is installed only when it has the hash that stands in the text, and the server is trusted only by the CA's fingerprint there.

use tera::Context;
use wire::Sha256;

use crate::{catalog::render, context::Addresses, identity::token::Token};

/// What is made of it for people: a shell reads it to its end before it begins, and nothing of it from its own standard input.
const TEXT: &str = include_str!("take-over.sh.tera");

/// The shell text for the client `name`, with the agent's package of this hash.
///
/// # Errors
/// A value cannot stand in shell text.
pub(super) fn render(name: &str, addresses: &Addresses, package: &Sha256, token: &Token) -> Result<String, String> {
    let mut context = Context::new();
    context.insert("name", name);
    context.insert("server", &addresses.https);
    context.insert("boot", &addresses.boot);
    context.insert("ca", &addresses.ca);
    context.insert("sha256", package.as_str());
    context.insert("token", token.reveal());
    render::shell("take-over.sh", TEXT, &context)
}

/// The text as one command that a person pastes: a here-document, which is no argument.
pub(super) fn command(script: &str) -> String {
    format!("sh <<'LOTSE'\n{script}LOTSE\n")
}
