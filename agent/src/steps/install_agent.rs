//! Installs this agent into the target: package, configuration, identity.

use anyhow::Context as _;
use wire::enrol::BlobRef;

use super::{StepContext, StepError, chroot::Chroot, download};
use crate::{config::Config, host::Command, identity::Credentials};

/// Where the package lies while it is installed, as the target sees it.
const PACKAGE: &str = "/var/tmp/lotse-agent.deb";

/// Installs the agent.
pub(super) async fn execute(ctx: &StepContext<'_>, package: &BlobRef) -> Result<(), StepError> {
    let content = download::whole(ctx, package).await.map_err(download::fetching("the agent's package"))?;
    let stored = ctx.target.join(&PACKAGE[1..]);
    ctx.host.write(&stored, &content, 0o600)?;
    let chroot = Chroot::enter(ctx)?;
    let installed = ctx.run(&Command::new(["dpkg", "-i", PACKAGE]).in_root(ctx.target)).await;
    ctx.host.remove(&stored)?;
    installed?;
    let config = Config::system(ctx.addresses.clone(), None);
    config
        .addresses
        .write(ctx.host, ctx.target)
        .context("configuring the agent")
        .map_err(StepError::Permanent)?;
    Credentials::hand_over(ctx.host, ctx.state_dir, ctx.target)
        .context("handing the identity over")
        .map_err(StepError::Permanent)?;
    ctx.run(&Command::new(["systemctl", "--quiet", "enable", "lotse-agent.service"]).in_root(ctx.target))
        .await?;
    chroot.leave(ctx).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::fake::{Answer, FakeHost},
        steps::testing::Stage,
    };

    fn stage() -> Stage {
        let host = FakeHost::new(0).with_file("/run/lotse-agent/identity.json", "{\"key_pem\":\"k\"}");
        let mut stage = Stage::new(host);
        stage.server.blob = b"!<arch>".to_vec();
        stage
    }

    #[tokio::test]
    async fn the_new_system_gets_program_addresses_and_identity() {
        let stage = stage();
        execute(&stage.ctx(), &stage.server.reference()).await.unwrap();
        let commands = stage.host.command_lines();
        assert_eq!(
            commands,
            ["dpkg -i /var/tmp/lotse-agent.deb", "systemctl --quiet enable lotse-agent.service", "sync"]
        );
        assert_eq!(stage.host.commands()[0].root.as_deref(), Some(std::path::Path::new("/target")));
        let config = stage.host.text("/target/etc/lotse-agent/config.toml");
        assert!(config.contains("server = \"https://s:8443\"") && config.contains("ca = \""), "{config}");
        let identity = stage.host.file("/target/var/lib/lotse-agent/identity.json").unwrap();
        assert_eq!(identity.mode, 0o600);
        assert!(stage.host.file("/target/var/tmp/lotse-agent.deb").is_none());
        assert_eq!(stage.host.mounts(), []);
    }

    #[tokio::test]
    async fn a_package_that_does_not_install_is_a_failure_that_leaves_no_identity() {
        let stage = stage();
        stage.host.answer("dpkg", Answer::fails(1, "lotse-agent depends on libc6 (>= 2.28)"));
        let error = execute(&stage.ctx(), &stage.server.reference()).await.unwrap_err();
        assert!(error.to_string().contains("depends on libc6"), "{error}");
        assert!(stage.host.file("/target/var/lib/lotse-agent/identity.json").is_none());
        assert!(stage.host.file("/target/var/tmp/lotse-agent.deb").is_none());
    }
}
