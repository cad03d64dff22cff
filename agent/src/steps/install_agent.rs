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
    drop(chroot);
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
    Ok(())
}
