//! Whether the documents of a suite are signed by a key that this server trusts for the mirror: `gpgv`(1), as apt does it.
//!
//! Invariant: what is read of a signed text is what gpgv has found to be signed, never the text around it.

use std::path::{Path, PathBuf};

use base64::Engine;

use super::failure::Failure;
use crate::process;

/// What a document is not.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Signed by a known key: the signed text.
    Good(String),
    /// Not signed by a known key, and why.
    Bad(String),
}

/// Verifies an `InRelease`.
///
/// # Errors
/// gpgv cannot be run.
pub(super) async fn inline(document: &[u8], keyrings: &[PathBuf]) -> Result<Verdict, Failure> {
    // A signature in the middle of something else would leave the rest unsigned.
    if !document.starts_with(b"-----BEGIN PGP SIGNED MESSAGE-----") {
        return Ok(Verdict::Bad("is no signed text".to_owned()));
    }
    verify(&[("InRelease", document)], keyrings).await
}

/// Verifies a `Release` by its `Release.gpg`.
///
/// # Errors
/// gpgv cannot be run.
pub(super) async fn detached(
    release: &[u8],
    signature: &[u8],
    keyrings: &[PathBuf],
) -> Result<Verdict, Failure> {
    verify(&[("Release.gpg", signature), ("Release", release)], keyrings).await
}

async fn verify(documents: &[(&str, &[u8])], keyrings: &[PathBuf]) -> Result<Verdict, Failure> {
    let broken = |attempt: &'static str| move |error: std::io::Error| Failure::broken(attempt, &error);
    let scratch = tempfile::tempdir().map_err(broken("making a directory to verify a signature in"))?;
    let place = |name: &str| scratch.path().join(name);
    let word = |path: &Path| path.display().to_string();
    let mut argv: Vec<String> =
        ["gpgv", "--status-fd", "1", "--weak-digest", "SHA1"].map(str::to_owned).to_vec();
    for (number, keyring) in keyrings.iter().enumerate() {
        let binary = place(&format!("keyring-{number}.gpg"));
        let key = fs_err::read(keyring).map_err(broken("reading a keyring"))?;
        fs_err::write(&binary, dearmoured(&key)).map_err(broken("writing a keyring"))?;
        argv.extend(["--keyring".to_owned(), word(&binary)]);
    }
    let text = place("text");
    if documents.len() == 1 {
        argv.extend(["--output".to_owned(), word(&text)]);
    }
    for (name, content) in documents {
        fs_err::write(place(name), content).map_err(broken("writing a document to verify"))?;
        argv.push(word(&place(name)));
    }
    let status =
        process::output(&argv).await.map_err(|error| Failure::broken("verifying a signature", &error))?;
    let says = |word: &str| status.lines().any(|line| line.starts_with(&format!("[GNUPG:] {word} ")));
    // Like apt: one good signature of a known key is enough, but none may be wrong.
    if !says("GOODSIG") || !says("VALIDSIG") || says("BADSIG") {
        let why = if says("BADSIG") {
            "has a signature that does not fit it"
        } else if says("EXPKEYSIG") || says("EXPSIG") {
            "is signed by a key that has expired"
        } else if says("REVKEYSIG") {
            "is signed by a key that was revoked"
        } else if says("NO_PUBKEY") {
            "is signed by a key that is in no keyring of this server"
        } else {
            "is not signed"
        };
        return Ok(Verdict::Bad(why.to_owned()));
    }
    let signed = match documents {
        [_] => fs_err::read(&text).map_err(broken("reading the signed text"))?,
        [.., (_, release)] => release.to_vec(),
        [] => Vec::new(),
    };
    Ok(String::from_utf8(signed).map_or_else(|_| Verdict::Bad("is no text".to_owned()), Verdict::Good))
}

/// A keyring as gpgv reads it: without the armour (RFC 9580, 6.2) that files with the ending `.asc` have.
fn dearmoured(key: &[u8]) -> Vec<u8> {
    let Some(text) = std::str::from_utf8(key).ok().filter(|text| text.contains("-----BEGIN PGP PUBLIC KEY"))
    else {
        return key.to_vec();
    };
    let blocks = text.split("-----BEGIN PGP PUBLIC KEY BLOCK-----").skip(1);
    let block = |block: &str| {
        let body = block.split("-----END").next().unwrap_or_default().replace('\r', "");
        let (_, body) = body.split_once("\n\n").unwrap_or(("", ""));
        let lines = body.lines().filter(|line| !line.starts_with('='));
        let packed: String = lines.flat_map(str::chars).filter(|c| !c.is_whitespace()).collect();
        base64::engine::general_purpose::STANDARD.decode(packed).unwrap_or_default()
    };
    blocks.flat_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyring_with_armour_is_read_like_one_without() {
        let armoured = "Comment\n-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: x\n\nmQEB\nAgM=\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(dearmoured(armoured.as_bytes()), [0x99, 1, 1, 2, 3]);
        assert_eq!(dearmoured(&[0x99, 1, 1]), [0x99, 1, 1]);
    }
}
