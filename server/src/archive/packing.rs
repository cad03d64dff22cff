//! Unpacks what archives are packed with, and recognises how that was done.
//!
//! Invariant: no packed file makes this take more than [`MEMORY`] at once, whatever it says of itself.

use std::io::{self, Read};

/// Most memory that unpacking takes: xz(1) with -9 needs 65 MiB, `zstd` without --long 128 MiB at most by itself.
const MEMORY: u64 = 128 << 20;

/// How something is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Not at all.
    Plain,
    /// gzip(1).
    Gzip,
    /// xz(1).
    Xz,
    /// zstd(1).
    Zstd,
}

impl Packing {
    /// By the end of a file's name, such as `control.tar.xz`.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name.rsplit('.').next() {
            Some("tar") => Some(Self::Plain),
            Some("gz") => Some(Self::Gzip),
            Some("xz") => Some(Self::Xz),
            Some("zst") => Some(Self::Zstd),
            _ => None,
        }
    }

    /// By the first bytes of a file; what is not known is taken as not packed.
    pub(super) fn of_beginning(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// What was packed.
    ///
    /// # Errors
    /// The unpacker cannot be set up.
    pub(super) fn unpack<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Plain => Box::new(packed),
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(packed, stream))
            }
            Self::Zstd => Box::new(zstd::Decoder::new(packed)?),
        })
    }
}
