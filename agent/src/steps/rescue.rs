//! Opens an SSH server for the given keys, and stays until somebody releases the job. Nothing on the disks is touched.

use std::path::Path;

use tokio_util::sync::CancellationToken;
use wire::event::Stream;

use super::{StepContext, StepError};
use crate::{facts, host::Command};

/// Opens the SSH server.
pub(super) async fn execute(ctx: &StepContext<'_>, authorized_keys: &[String]) -> Result<(), StepError> {
    if authorized_keys.iter().all(|key| key.trim().is_empty()) {
        return Err(StepError::Refused("there is no key that may log in: name one in the job".to_owned()));
    }
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
    for nic in facts::net::gather(ctx.host).await {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    fn stage() -> Stage {
        let host = FakeHost::new(0)
            .with_file("/sys/class/net/eth0/address", "52:54:00:12:34:56")
            .with_file("/sys/class/net/eth0/device/vendor", "0x1af4");
        host.answer(
            "ip address",
            Answer::prints("2: eth0: <UP>\n    inet 10.0.0.5/24 brd 10.0.0.255 scope global eth0"),
        );
        host.answer("ssh-keygen -l", Answer::prints("256 SHA256:abc root (ED25519)"));
        host.answer("/usr/sbin/sshd", Answer::default().after(Duration::from_hours(24)));
        Stage::new(host)
    }

    #[tokio::test(start_paused = true)]
    async fn it_stays_open_until_somebody_releases_it() {
        let stage = stage();
        let keys = ["ssh-ed25519 AAAA ann".to_owned()];
        let ctx = stage.ctx();
        let mut rescue = Box::pin(execute(&ctx, &keys));
        let hours = tokio::time::timeout(Duration::from_hours(2), &mut rescue).await;
        assert!(hours.is_err(), "ended by itself");
        stage.release.cancel();
        rescue.await.unwrap();
        let said = stage.said();
        assert!(said.contains("ssh root@10.0.0.5\n") && said.contains("SHA256:abc"), "{said}");
        let file = stage.host.file("/root/.ssh/authorized_keys").unwrap();
        assert_eq!((file.content.as_slice(), file.mode), (&b"ssh-ed25519 AAAA ann\n"[..], 0o600));
        let server = stage.host.command_lines().pop().unwrap();
        assert!(server.contains("-o PasswordAuthentication=no"), "{server}");
        assert_eq!(stage.host.mounts(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn stopping_it_is_no_success_and_neither_is_a_server_that_ends() {
        let stage = stage();
        let keys = ["ssh-ed25519 AAAA ann".to_owned()];
        stage.stop.cancel();
        assert!(matches!(execute(&stage.ctx(), &keys).await, Err(StepError::Stopped)));
        let stage = self::stage();
        stage.host.answer("/usr/sbin/sshd", Answer::fails(255, "no hostkeys available"));
        assert!(matches!(execute(&stage.ctx(), &keys).await, Err(StepError::Permanent(_))));
        assert!(matches!(execute(&stage.ctx(), &[]).await, Err(StepError::Refused(_))));
    }
}
