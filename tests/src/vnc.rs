//! A small VNC server (RFC 6143) on a UNIX socket: one picture of one colour, and it remembers which keys were pressed.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Result, bail};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    sync::Notify,
    task::{AbortHandle, JoinSet},
};

/// Encodings of a rectangle (RFC 6143, 7.7).
const RAW: u32 = 0;
const RRE: u32 = 2;
/// Width and height of the picture.
pub const SIZE: (u16, u16) = (320, 200);
/// Its colour: red, green, blue.
pub const COLOUR: [u8; 3] = [200, 30, 90];

/// What somebody who looks has done.
#[derive(Default)]
struct Seen {
    keys: Mutex<Vec<(bool, u32)>>,
    sent: AtomicU64,
    ends: Notify,
}

/// A server; it ends when it is dropped.
pub struct Vnc {
    directory: TempDir,
    seen: Arc<Seen>,
    task: AbortHandle,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As it should.
    Polite,
    /// It greets, and then sends without end, whatever anybody says.
    Floods,
}

impl Vnc {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses.
    pub fn start(manner: Manner) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let listener = UnixListener::bind(directory.path().join("vnc.sock"))?;
        let seen = Arc::new(Seen::default());
        let kept = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut talks = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&kept);
                talks.spawn(async move {
                    tokio::select! {
                        // Whoever leaves in the middle of it is no fault.
                        _ = talk(stream, &seen, manner) => {}
                        () = seen.ends.notified() => {}
                    }
                });
            }
        });
        Ok(Self { directory, seen, task: task.abort_handle() })
    }

    /// Where it listens.
    pub fn socket(&self) -> PathBuf {
        socket_in(self.directory.path())
    }

    /// Keys so far: whether it went down, and which (keysym).
    pub fn keys(&self) -> Vec<(bool, u32)> {
        self.seen.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The signs of the keys that went down, without those that write nothing.
    pub fn typed(&self) -> String {
        let down = self.keys().into_iter().filter(|(down, _)| *down).map(|(_, key)| key);
        down.filter_map(|key| match key {
            0xff0d => Some('\n'),
            0xfe00..0x0100_0000 => None,
            key => char::from_u32(key & 0x00ff_ffff),
        })
        .collect()
    }

    /// Ends the talk with everybody, as a machine does that is switched off.
    pub fn hang_up(&self) {
        self.seen.ends.notify_waiters();
    }

    /// Bytes that it has sent.
    pub fn sent(&self) -> u64 {
        self.seen.sent.load(Ordering::Relaxed)
    }
}

impl Drop for Vnc {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn socket_in(directory: &Path) -> PathBuf {
    directory.join("vnc.sock")
}

/// Where the colours are in a pixel.
struct Shifts([u8; 3]);

async fn talk(mut stream: UnixStream, seen: &Seen, manner: Manner) -> Result<()> {
    greet(&mut stream).await?;
    if manner == Manner::Floods {
        let flood = vec![0; 65_536];
        loop {
            stream.write_all(&flood).await?;
            seen.sent.fetch_add(65_536, Ordering::Relaxed);
        }
    }
    let mut shifts = Shifts([16, 8, 0]);
    let mut takes_rre = false;
    loop {
        match stream.read_u8().await? {
            // SetPixelFormat
            0 => {
                let mut format = [0; 19];
                stream.read_exact(&mut format).await?;
                shifts = Shifts([format[13], format[14], format[15]]);
            }
            // SetEncodings
            2 => {
                stream.read_u8().await?;
                let count = stream.read_u16().await?;
                for _ in 0..count {
                    takes_rre |= stream.read_u32().await? == RRE;
                }
            }
            // FramebufferUpdateRequest: nothing changes, so only the whole picture is sent.
            3 => {
                let incremental = stream.read_u8().await?;
                skip(&mut stream, 8).await?;
                if incremental == 0 {
                    let picture = if takes_rre { filled(&shifts) } else { picture(&shifts) };
                    stream.write_all(&picture).await?;
                    seen.sent.fetch_add(picture.len() as u64, Ordering::Relaxed);
                }
            }
            // KeyEvent
            4 => {
                let down = stream.read_u8().await? == 1;
                skip(&mut stream, 2).await?;
                let key = stream.read_u32().await?;
                seen.keys.lock().unwrap_or_else(PoisonError::into_inner).push((down, key));
            }
            // PointerEvent
            5 => skip(&mut stream, 5).await?,
            // ClientCutText
            6 => {
                skip(&mut stream, 3).await?;
                let length = stream.read_u32().await?;
                skip(&mut stream, usize::try_from(length)?).await?;
            }
            other => bail!("a message of type {other}"),
        }
    }
}

async fn skip(stream: &mut UnixStream, bytes: usize) -> Result<()> {
    stream.read_exact(&mut vec![0; bytes]).await?;
    Ok(())
}

/// Version, security (none), and what the picture is.
async fn greet(stream: &mut UnixStream) -> Result<()> {
    stream.write_all(b"RFB 003.008\n").await?;
    skip(stream, 12).await?;
    stream.write_all(&[1, 1]).await?;
    if stream.read_u8().await? != 1 {
        bail!("another kind of security");
    }
    stream.write_u32(0).await?;
    stream.read_u8().await?;
    stream.write_u16(SIZE.0).await?;
    stream.write_u16(SIZE.1).await?;
    // 32 bits, 24 of them used, little endian, true colour, 255 of each at 16, 8 and 0.
    stream.write_all(&[32, 24, 0, 1, 0, 255, 0, 255, 0, 255, 16, 8, 0, 0, 0, 0]).await?;
    let name = b"test";
    stream.write_u32(4).await?;
    stream.write_all(name).await?;
    Ok(())
}

/// One rectangle with the whole picture, and its encoding.
fn rectangle(encoding: u32) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 1, 0, 0, 0, 0];
    message.extend(SIZE.0.to_be_bytes());
    message.extend(SIZE.1.to_be_bytes());
    message.extend(encoding.to_be_bytes());
    message
}

fn pixel(shifts: &Shifts) -> [u8; 4] {
    let pixel = COLOUR
        .iter()
        .zip(shifts.0)
        .fold(0_u32, |pixel, (part, shift)| pixel | u32::from(*part).checked_shl(shift.into()).unwrap_or(0));
    pixel.to_le_bytes()
}

/// The whole picture as a ground and nothing on it: noVNC 1.3 takes raw pixels for transparent ones where they do not lie as it expects.
fn filled(shifts: &Shifts) -> Vec<u8> {
    let mut message = rectangle(RRE);
    message.extend(0_u32.to_be_bytes());
    message.extend(pixel(shifts));
    message
}

/// The whole picture, raw.
fn picture(shifts: &Shifts) -> Vec<u8> {
    let mut message = rectangle(RAW);
    let pixels = usize::from(SIZE.0) * usize::from(SIZE.1);
    message.extend(pixel(shifts).repeat(pixels));
    message
}
