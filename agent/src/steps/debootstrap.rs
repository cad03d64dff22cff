//! Builds the base system from packages (debootstrap(8)) instead of an archive.

use super::{StepContext, StepError};
use crate::host::{self, Command};

/// What the plan says about the system.
pub(super) struct System<'a> {
    pub(super) suite: &'a str,
    pub(super) mirror_url: &'a str,
    pub(super) architecture: &'a str,
    pub(super) keyring: &'a str,
    pub(super) packages: &'a [String],
}

/// Builds it.
pub(super) async fn execute(ctx: &StepContext<'_>, system: &System<'_>) -> Result<(), StepError> {
    // What an attempt that broke off has left would stop the next one.
    ctx.host.remove(&ctx.target.join("debootstrap"))?;
    let mut argv = vec![
        "debootstrap".to_owned(),
        "--variant=minbase".to_owned(),
        format!("--arch={}", system.architecture),
        format!("--keyring={}", system.keyring),
    ];
    if !system.packages.is_empty() {
        argv.push(format!("--include={}", system.packages.join(",")));
    }
    argv.extend([system.suite.to_owned(), ctx.target.display().to_string(), system.mirror_url.to_owned()]);
    match ctx.run(&Command::new(argv)).await {
        Ok(_) => Ok(()),
        // Packages are fetched from the mirror during the whole run, and debootstrap begins where it stopped.
        Err(error @ host::Error::Status { .. }) => Err(StepError::Transient(error.into())),
        Err(error) => Err(error.into()),
    }
}
