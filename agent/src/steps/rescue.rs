//! Opens an SSH server for the given keys, and stays until somebody releases the job. Nothing on the disks is touched.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use wire::{enrol::Realm, event::Stream};

use super::{StepContext, StepError};
use crate::{facts, host::Command};

/// Opens the SSH server.
pub(super) async fn execute(ctx: &StepContext<'_>, authorized_keys: &[String]) -> Result<(), StepError> {
    let keys = authorized_keys.join("\n") + "\n";
    ctx.host.create_dir(Path::new("/run/sshd"))?;
    ctx.host.write(Path::new("/root/.ssh/authorized_keys"), keys.as_bytes(), 0o600)?;
    ctx.run(&Command::new(["ssh-keygen", "-A"])).await?;
    let fingerprint = ctx
        .host
        .run(
            &Command::new(["ssh-keygen", "-l", "-f", "/etc/ssh/ssh_host_ed25519_key.pub"]),
            &|_, _| {},
            ctx.stop,
        )
        .await?;
    for nic in facts::gather(ctx.host, Realm::Installer).await.nics {
        for address in &nic.addresses {
            let address = address.split('/').next().unwrap_or_default();
            ctx.say(&format!("open for: ssh root@{address}"));
        }
    }
    ctx.say(&format!("host key: {}", fingerprint.trim()));
    let server = Command::new([
        "/usr/sbin/sshd",
        "-D",
        "-e",
        "-o",
        "PasswordAuthentication=no",
        "-o",
        "KbdInteractiveAuthentication=no",
        "-o",
        "PermitRootLogin=prohibit-password",
    ]);
    let closing = CancellationToken::new();
    let say = |stream: Stream, line: &str| ctx.voice.line(stream, line);
    let serving = ctx.host.run(&server, &say, &closing);
    tokio::pin!(serving);
    tokio::select! {
        ended = &mut serving => {
            ended?;
            return Err(StepError::Permanent(anyhow::anyhow!("the SSH server ended by itself")));
        }
        () = ctx.release.cancelled() => ctx.say("released"),
        () = ctx.stop.cancelled() => {}
    }
    closing.cancel();
    // It ends because it was told to; how is of no interest.
    serving.await.ok();
    if ctx.stop.is_cancelled() { Err(StepError::Stopped) } else { Ok(()) }
}
