//! Boot programs over TFTP (RFC 1350, options RFC 2347-2349, 7440), read only, answered per machine.
//!
//! Firmware fetches iPXE, or signed shim and GRUB, from here; GRUB, which has no HTTP, fetches its configuration, kernel and
//! initramfs as well. Nothing secret is served that HTTP would not serve.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use async_tftp::{
    packet,
    server::{Handler, TftpServerBuilder},
};
use futures_util::io::{AsyncRead, Cursor, Sink};
use wire::{Mac, Sha256};

use super::{neighbour, script, timeline};
use crate::{
    context::Ctx,
    db::images,
    domain::{boot::BootEventKind, image},
};

/// What a path on the TFTP server means.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    /// A boot program.
    Program(&'static str),
    /// GRUB's first configuration: it asks again with its hardware address.
    GrubStart,
    /// GRUB's configuration for one machine.
    GrubFor(Mac),
    /// A stored file.
    Blob(Sha256),
    /// Nothing that we have.
    Nothing,
}

/// Boot programs that firmware may ask for: parts of the image `loaders`.
const PROGRAMS: [&str; 5] = ["undionly.kpxe", "ipxe.efi", "shimx64.efi", "mmx64.efi", "grubx64.efi"];

fn understand(path: &str) -> Asked {
    let path = path.trim_start_matches('/');
    if let Some(name) = PROGRAMS.into_iter().find(|name| *name == path) {
        return Asked::Program(name);
    }
    if path == "grub/grub.cfg" {
        return Asked::GrubStart;
    }
    if let Some(mac) = path.strip_prefix("grub/by-mac/") {
        return mac.parse().map_or(Asked::Nothing, Asked::GrubFor);
    }
    if let Some(sha256) = path.strip_prefix("blobs/") {
        return sha256.parse().map_or(Asked::Nothing, Asked::Blob);
    }
    Asked::Nothing
}

/// Serves until `stop` fires.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    ctx: Ctx,
    address: SocketAddr,
    stop: tokio_util::sync::CancellationToken,
) -> anyhow::Result<()> {
    let server = TftpServerBuilder::with_handler(Files { ctx, transfers: Transfers::default() })
        .bind(address)
        .timeout(Duration::from_secs(3))
        .max_send_retries(20)
        // What is on the way is kept in memory, so whoever asks must not say how much that is.
        .block_size_limit(LARGEST_BLOCK)
        .window_size_limit(LARGEST_WINDOW)
        .ignore_client_timeout()
        .build()
        .await?;
    tokio::select! {
        result = server.serve() => Ok(result?),
        () = stop.cancelled() => Ok(()),
    }
}

/// A block fits into a packet of the largest Ethernet frames.
const LARGEST_BLOCK: u16 = 8192;
/// Blocks that are sent before one is acknowledged (RFC 7440).
const LARGEST_WINDOW: u16 = 64;
/// Transfers at a time to one address, and to all: each holds a socket and a file, and the addresses of requests can be forged.
const MOST_TO_ONE: usize = 16;
const MOST_TO_ALL: usize = 512;

struct Files {
    ctx: Ctx,
    transfers: Transfers,
}

/// What is under way, by address.
#[derive(Clone, Default)]
struct Transfers(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Transfers {
    /// Room for one more transfer to an address, for as long as the result lives.
    fn begin(&self, to: IpAddr) -> Option<Transfer> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let to_one = under_way.get(&to).copied().unwrap_or(0);
        if to_one >= MOST_TO_ONE || under_way.values().sum::<usize>() >= MOST_TO_ALL {
            return None;
        }
        under_way.insert(to, to_one + 1);
        Some(Transfer { all: self.clone(), to })
    }
}

/// One transfer that is under way.
struct Transfer {
    all: Transfers,
    to: IpAddr,
}

impl Drop for Transfer {
    fn drop(&mut self) {
        let mut under_way = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = under_way.get_mut(&self.to) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.to);
            }
        }
    }
}

/// A file that is being sent.
struct Sending {
    content: Box<dyn AsyncRead + Unpin + Send>,
    _transfer: Transfer,
}

impl AsyncRead for Sending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.content).poll_read(cx, buffer)
    }
}

impl Files {
    /// Where a boot program is stored; without the image nothing is, and the log says what to do.
    async fn program(&self, name: &str) -> Option<PathBuf> {
        let image = async {
            let mut tx = self.ctx.db.read().await?;
            images::find(&mut tx, image::LOADERS).await
        };
        match image.await {
            Ok(Some(image)) => self.ctx.blobs.find(&image.parts.get(name)?.sha256),
            Ok(None) => {
                tracing::warn!(
                    name,
                    "a machine asks for a boot program, but there are none yet: run `lotse image build`"
                );
                None
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{:#}", anyhow::Error::from(error)),
                    "looking for the boot programs"
                );
                None
            }
        }
    }

    async fn open(&self, client: SocketAddr, path: &str) -> Option<(Box<dyn AsyncRead + Unpin + Send>, u64)> {
        let file = match understand(path) {
            Asked::Program(name) => {
                let file = self.program(name).await?;
                if let Some(mac) = neighbour::of(client.ip()).await {
                    let detail = format!("{} fetches {name}", client.ip());
                    timeline::note(&self.ctx, mac, BootEventKind::Tftp, &detail).await;
                }
                file
            }
            Asked::GrubStart => self.ctx.config.share.join("pxe/grub/grub.cfg"),
            Asked::GrubFor(mac) => {
                return match script::render(&self.ctx, mac, script::Program::Grub).await {
                    Ok((decision, text)) => {
                        let detail = format!("GRUB at {} was told: {decision:?}", client.ip());
                        timeline::note(&self.ctx, mac, BootEventKind::Script, &detail).await;
                        let size = text.len() as u64;
                        Some((Box::new(Cursor::new(text)), size))
                    }
                    Err(error) => {
                        tracing::error!(%mac, %error, "writing the GRUB configuration");
                        None
                    }
                };
            }
            Asked::Blob(sha256) => self.ctx.blobs.find(&sha256)?,
            Asked::Nothing => return None,
        };
        let size = fs_err::metadata(&file).ok()?.len();
        let file = tokio::fs::File::open(file).await.ok()?;
        Some((Box::new(tokio_util::compat::TokioAsyncReadCompatExt::compat(file)), size))
    }
}

impl Handler for Files {
    type Reader = Sending;
    type Writer = Sink;

    async fn read_req_open(
        &mut self,
        client: &SocketAddr,
        path: &std::path::Path,
    ) -> Result<(Self::Reader, Option<u64>), packet::Error> {
        let path = path.to_string_lossy();
        let Some(transfer) = self.transfers.begin(client.ip()) else {
            tracing::warn!(%client, %path, "TFTP: too many transfers are under way; this one is refused");
            return Err(packet::Error::Msg("too many transfers are under way: try again later".to_owned()));
        };
        if let Some((reader, size)) = self.open(*client, &path).await {
            tracing::info!(%client, %path, size, "TFTP");
            Ok((Sending { content: reader, _transfer: transfer }, Some(size)))
        } else {
            tracing::info!(%client, %path, "TFTP: no such file");
            Err(packet::Error::FileNotFound)
        }
    }

    async fn write_req_open(
        &mut self,
        _client: &SocketAddr,
        _path: &std::path::Path,
        _size: Option<u64>,
    ) -> Result<Self::Writer, packet::Error> {
        Err(packet::Error::IllegalOperation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_names_are_served() {
        assert_eq!(understand("/undionly.kpxe"), Asked::Program("undionly.kpxe"));
        assert_eq!(
            understand("grub/by-mac/52:54:00:12:34:56"),
            Asked::GrubFor("525400123456".parse().unwrap())
        );
        for path in ["../etc/shadow", "grub/by-mac/../x", "blobs/..", "/etc/passwd", ""] {
            assert_eq!(understand(path), Asked::Nothing, "{path}");
        }
    }
}
