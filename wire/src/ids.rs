//! Names of things: numbers given by the server, hardware addresses, content hashes.
//!
//! Invariant: a value of these types is well formed; parsing is the only way in from outside.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                let malformed = |_| Malformed { text: text.to_owned(), expected: "a number such as 17" };
                text.parse().map(Self).map_err(malformed)
            }
        }
    };
}

number_id!(
    /// A client: a managed machine.
    ClientId
);
number_id!(
    /// A job: one unit of work for one client.
    JobId
);
number_id!(
    /// An attempt: one execution of a plan. It grows with every attempt of any job, so it serves as fencing token.
    AttemptId
);
number_id!(
    /// A group of clients.
    GroupId
);

/// Why a text is not the value it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct Malformed {
    text: String,
    expected: &'static str,
}

/// An Ethernet hardware address (IEEE 802 MAC-48), written in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The six bytes in transmission order.
    pub fn bytes(self) -> [u8; 6] {
        self.0
    }

    /// From six bytes in transmission order.
    pub fn from_bytes(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// With hyphens instead of colons, as iPXE and GRUB write it in paths.
    pub fn hyphenated(self) -> String {
        self.to_string().replace(':', "-")
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = Malformed;

    /// Accepts colons, hyphens or nothing between the bytes, in any case.
    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            || Malformed { text: text.to_owned(), expected: "a hardware address such as 52:54:00:12:34:56" };
        let parts: Vec<&str> = match text.len() {
            12 if text.is_ascii() => (0..6).map(|i| &text[2 * i..2 * i + 2]).collect(),
            17 if text.is_ascii() => text.split([':', '-']).collect(),
            _ => return Err(malformed()),
        };
        if parts.len() != 6 {
            return Err(malformed());
        }
        let mut bytes = [0; 6];
        for (byte, part) in bytes.iter_mut().zip(parts) {
            if part.len() != 2 || !part.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(malformed());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| malformed())?;
        }
        Ok(Self(bytes))
    }
}

/// A SHA-256 hash (FIPS 180-4), written as 64 lower-case hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256(String);

impl Sha256 {
    /// From the 32 bytes of the hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        use fmt::Write;
        Self(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a `String` cannot fail.
            write!(text, "{byte:02x}").ok();
            text
        }))
    }

    /// 64 lower-case hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Sha256 {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Malformed {
                text: text.to_owned(),
                expected: "a SHA-256 hash of 64 lower-case hexadecimal digits",
            })
        }
    }
}

macro_rules! as_text {
    ($name:ident, $example:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

as_text!(Mac, "52:54:00:12:34:56");
as_text!(Sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_is_read_in_every_common_spelling_and_written_in_one() {
        for text in ["52:54:00:AB:cd:ef", "52-54-00-ab-cd-ef", "525400ABCDEF"] {
            assert_eq!(text.parse::<Mac>().unwrap().to_string(), "52:54:00:ab:cd:ef");
        }
        for text in [
            "",
            "52:54:00:ab:cd",
            "52:54:00:ab:cd:eg",
            "+2:54:00:ab:cd:ef",
            "52:54:00:ab:cd:ef:01",
            "ä2540abcdef",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn a_hash_is_64_lower_case_digits_and_nothing_else() {
        assert_eq!(Sha256::from_bytes([0xab; 32]).as_str(), "ab".repeat(32));
        assert!("AB".repeat(32).parse::<Sha256>().is_err());
        assert!("../../etc/passwd".parse::<Sha256>().is_err());
    }
}
