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
pub(super) fn render(
    name: &str,
    addresses: &Addresses,
    package: &Sha256,
    token: &Token,
) -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::rendered::complaints;

    fn rendered() -> (String, Token) {
        let addresses = Addresses {
            https: "https://server:8443".to_owned(),
            agents: "https://server:8444".to_owned(),
            boot: "http://server:8080".to_owned(),
            ca: "a".repeat(64),
            pid: 1,
        };
        let token = Token::new();
        (render("pc-07", &addresses, &Sha256::from_bytes([7; 32]), &token).unwrap(), token)
    }

    #[test]
    fn the_command_is_a_here_document_and_the_token_stands_in_it_once() {
        let (script, token) = rendered();
        let command = command(&script);
        assert!(command.starts_with("sh <<'LOTSE'\n") && command.ends_with("\nLOTSE\n"), "{command}");
        assert_eq!(command.matches(token.reveal()).count(), 1);
        assert!(!script.lines().any(|line| line.trim() == "LOTSE"), "it would end there");
        let uses: Vec<&str> = script.lines().filter(|line| line.contains(token.reveal())).collect();
        assert_eq!(
            uses,
            [format!("    export LOTSE_TOKEN='{}'", token.reveal())],
            "no argument of a program"
        );
    }

    #[test]
    fn nothing_begins_before_the_whole_text_is_there_and_nobody_reads_from_it() {
        let (script, _) = rendered();
        let last = script.lines().last().unwrap();
        assert_eq!(last, "take_over < /dev/null");
        let outside = script.lines().filter(|line| !line.starts_with([' ', '#', '}']) && !line.is_empty());
        assert_eq!(outside.collect::<Vec<_>>(), ["take_over() {", "take_over < /dev/null"]);
    }

    #[test]
    fn shellcheck_has_nothing_against_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("take-over.sh");
        fs_err::write(&file, format!("#!/bin/sh\n{}", rendered().0)).unwrap();
        assert_eq!(complaints(&file), "");
    }
}
