//! The little of `OpenPGP` (RFC 9580, version 4 packets) that signing an archive takes: one Ed25519 key with its user id, signed texts and
//! detached signatures. Verifying is `gpgv`'s business, and tests hold this to it.
//!
//! Pure: times are arguments, signing is a function that is given.

use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

/// `EdDSA` (legacy), the form of Ed25519 that every gpgv of the last ten years knows.
const EDDSA: u8 = 22;
const SHA512: u8 = 10;
/// The curve Ed25519, 1.3.6.1.4.1.11591.15.1.
const CURVE: [u8; 9] = [0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x0f, 0x01];

/// Kinds of signatures (5.2.1).
#[derive(Clone, Copy)]
enum Kind {
    Binary = 0x00,
    Text = 0x01,
    Certification = 0x13,
}

/// A public key with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    body: Vec<u8>,
    user: String,
    created_s: u32,
}

impl PublicKey {
    /// A key of 32 bytes, made at a time (seconds since the Unix epoch).
    pub(super) fn new(public: &[u8], user: &str, created_s: u32) -> Self {
        let mut body = vec![4];
        body.extend(created_s.to_be_bytes());
        body.push(EDDSA);
        body.push(9);
        body.extend(CURVE);
        // A point in its native form has 0x40 before it.
        let mut point = vec![0x40];
        point.extend(public);
        body.extend(number(&point));
        Self { body, user: user.to_owned(), created_s }
    }

    /// Its fingerprint (5.5.4).
    pub(super) fn fingerprint(&self) -> Vec<u8> {
        let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &self.framed());
        hash.as_ref().to_vec()
    }

    fn framed(&self) -> Vec<u8> {
        let mut framed = vec![0x99];
        framed.extend(two(self.body.len()));
        framed.extend(&self.body);
        framed
    }

    /// The key with its name, in armour, as `Signed-By` names it.
    pub(super) fn armoured(&self, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let mut certified = self.framed();
        certified.push(0xb4);
        certified.extend(four(self.user.len()));
        certified.extend(self.user.as_bytes());
        // Key flags: it certifies and signs.
        let extra = subpacket(27, &[0x03]);
        let signature = self.signature(Kind::Certification, &certified, &extra, self.created_s, sign);
        let packets =
            [packet(6, &self.body), packet(13, self.user.as_bytes()), packet(2, &signature)].concat();
        armour("PUBLIC KEY BLOCK", &packets)
    }

    /// A text with its signature around it (7), as `InRelease` is. Lines have no blanks at their ends.
    pub(super) fn signed_text(&self, text: &str, now_s: u32, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        let lines: Vec<&str> = text.trim_end_matches('\n').split('\n').map(str::trim_end).collect();
        let canonical = lines.join("\r\n");
        let signature = self.signature(Kind::Text, canonical.as_bytes(), &[], now_s, sign);
        let escaped =
            |line: &&str| if line.starts_with('-') { format!("- {line}") } else { (*line).to_owned() };
        let shown = lines.iter().map(escaped).collect::<Vec<_>>().join("\n");
        let armoured = armour("SIGNATURE", &packet(2, &signature));
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{shown}\n{armoured}")
    }

    /// A signature that stands beside what it is about, as `Release.gpg` does.
    pub(super) fn detached(&self, content: &[u8], now_s: u32, sign: impl Fn(&[u8]) -> Vec<u8>) -> String {
        armour("SIGNATURE", &packet(2, &self.signature(Kind::Binary, content, &[], now_s, sign)))
    }

    /// The body of a signature packet (5.2.3). Ed25519 signs the hash.
    fn signature(
        &self,
        kind: Kind,
        content: &[u8],
        extra: &[u8],
        now_s: u32,
        sign: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let fingerprint = self.fingerprint();
        let mut issuer = vec![4];
        issuer.extend(&fingerprint);
        let hashed = [subpacket(2, &now_s.to_be_bytes()), subpacket(33, &issuer), extra.to_vec()].concat();
        let mut body = vec![4, kind as u8, EDDSA, SHA512];
        body.extend(two(hashed.len()));
        body.extend(&hashed);
        let mut signed = content.to_vec();
        signed.extend(&body);
        signed.extend([4, 0xff]);
        signed.extend(four(body.len()));
        let hash = digest::digest(&digest::SHA512, &signed);
        let unhashed = subpacket(16, fingerprint.get(12..).unwrap_or_default());
        body.extend(two(unhashed.len()));
        body.extend(unhashed);
        body.extend(hash.as_ref().iter().take(2));
        let signature = sign(hash.as_ref());
        let (r, s) = signature.split_at(signature.len() / 2);
        body.extend(number(r));
        body.extend(number(s));
        body
    }
}

fn two(length: usize) -> [u8; 2] {
    u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes()
}

fn four(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

/// A number of any length (3.2): its bits, then its bytes without zeros at the front.
fn number(bytes: &[u8]) -> Vec<u8> {
    let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    let bits = bytes.first().map_or(0, |first| bytes.len() * 8 - first.leading_zeros() as usize);
    [two(bits).to_vec(), bytes].concat()
}

/// A subpacket (5.2.3.7); all of ours are shorter than 192 bytes.
fn subpacket(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut packed = vec![u8::try_from(content.len() + 1).unwrap_or(u8::MAX), kind];
    packed.extend(content);
    packed
}

/// A packet with a header that says its length in four bytes (4.2.1).
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packed = vec![0xc0 | kind, 0xff];
    packed.extend(four(body.len()));
    packed.extend(body);
    packed
}

fn armour(title: &str, packets: &[u8]) -> String {
    let encoded = BASE64.encode(packets);
    let mut lines = String::new();
    for line in encoded.as_bytes().chunks(64) {
        lines.push_str(&String::from_utf8_lossy(line));
        lines.push('\n');
    }
    let sum = crc24(packets).to_be_bytes();
    let sum = BASE64.encode(sum.get(1..).unwrap_or_default());
    format!("-----BEGIN PGP {title}-----\n\n{lines}={sum}\n-----END PGP {title}-----\n")
}

/// The checksum of armour (6.1.1).
fn crc24(bytes: &[u8]) -> u32 {
    let mut sum: u32 = 0x00b7_04ce;
    for byte in bytes {
        sum ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            sum <<= 1;
            if sum & 0x0100_0000 != 0 {
                sum ^= 0x0186_4cfb;
            }
        }
    }
    sum & 0x00ff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sums_are_as_the_standard_has_them() {
        assert_eq!(number(&[0, 1]), [0, 1, 1]);
        assert_eq!(number(&[0x40, 0xff]), [0, 15, 0x40, 0xff]);
        assert_eq!(number(&[0, 0]), [0, 0]);
        // The check value of CRC-24/OPENPGP.
        assert_eq!(crc24(b"123456789"), 0x0021_cf02);
    }
}
