//! Sends packages of this system to the server, which takes them into a repository (`take.sh` finds them or makes them again).
//!
//! Sending the same again is safe: the server knows it has it.

use std::path::Path;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tokio::sync::mpsc;

use super::{StepContext, StepError};
use crate::{host::Command, server};

const TAKE: &str = include_str!("send_packages/take.sh");
/// So much of a package is in memory at a time.
const PIECE: usize = 1 << 18;

pub(super) async fn execute(ctx: &StepContext<'_>, packages: &[String]) -> Result<(), StepError> {
    let directory = ctx.state_dir.join("taken");
    // An attempt that was cut off may have left something.
    ctx.host.remove(&directory)?;
    ctx.host.create_dir(&directory)?;
    let sent = send_all(ctx, &directory, packages).await;
    ctx.host.remove(&directory)?;
    sent
}

async fn send_all(ctx: &StepContext<'_>, directory: &Path, packages: &[String]) -> Result<(), StepError> {
    let into = directory.display().to_string();
    let words = ["/bin/sh", "-euc", TAKE, "take", &into].map(str::to_owned);
    ctx.run(&Command::new(words.into_iter().chain(packages.iter().cloned()))).await?;
    let files = ctx.host.list(directory)?;
    for (number, name) in (0_usize..).zip(&files) {
        let percent = u8::try_from(number * 100 / files.len()).unwrap_or(100);
        ctx.voice.progress(percent, name);
        let path = directory.join(name);
        ctx.ask(|| Box::pin(send(ctx, path.clone()))).await?;
        ctx.say(&format!("{name} is in the repository"));
    }
    Ok(())
}

/// Sends one file piece by piece, as fast as the server takes them.
async fn send(ctx: &StepContext<'_>, path: std::path::PathBuf) -> Result<(), server::Error> {
    let (pieces, taken) = mpsc::channel::<std::io::Result<Bytes>>(1);
    let taken = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    let read = async move {
        let mut offset = 0;
        loop {
            let piece = ctx.host.read_at(&path, offset, PIECE).map_err(std::io::Error::other);
            let length = piece.as_ref().map_or(0, Vec::len);
            let last = length < PIECE;
            // Whoever does not listen any more has said why.
            if pieces.send(piece.map(Bytes::from)).await.is_err() || last {
                break;
            }
            offset += length as u64;
        }
    };
    let (answer, ()) = tokio::join!(ctx.server.package(ctx.attempt, taken.boxed()), read);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::{
            Host,
            fake::{Answer, FakeHost},
        },
        steps::testing::Stage,
    };
    use std::sync::Arc;

    fn stage(files: &'static [(&'static str, usize)]) -> Stage {
        let host = FakeHost::new(0);
        host.run_by(Arc::new(move |host, command| {
            if command.to_string().contains("dpkg-query") {
                for (name, length) in files {
                    let path = format!("/run/lotse-agent/taken/{name}");
                    host.write(Path::new(&path), &vec![7; *length], 0o600).unwrap();
                }
            }
            Answer::default()
        }));
        Stage::new(host)
    }

    #[tokio::test(start_paused = true)]
    async fn every_package_is_sent_whole_and_nothing_is_left() {
        let stage = stage(&[("a_1_all.deb", 10), ("b_1_all.deb", PIECE * 2)]);
        execute(&stage.ctx(), &["a".to_owned(), "b".to_owned()]).await.unwrap();
        let sent: Vec<usize> = stage.server.packages.lock().unwrap().iter().map(Vec::len).collect();
        assert_eq!(sent, [10, PIECE * 2]);
        assert!(!stage.host.exists(Path::new("/run/lotse-agent/taken")));
        assert!(stage.said().contains("a_1_all.deb is in the repository"), "{}", stage.said());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_installed_is_not_sent() {
        let stage = Stage::new(FakeHost::new(0));
        stage.host.answer("/bin/sh", Answer::fails(1, "the package nothing is not installed here"));
        let error = execute(&stage.ctx(), &["nothing".to_owned()]).await.unwrap_err();
        assert!(error.to_string().contains("is not installed here"), "{error}");
        assert!(stage.server.packages.lock().unwrap().is_empty());
        assert!(!stage.host.exists(Path::new("/run/lotse-agent/taken")));
    }
}
