//! Measures the machine, and sends what was found.

use super::{StepContext, StepError};
use crate::facts;

/// Measures and sends. Where the agent runs is what its credentials say.
pub(super) async fn execute(ctx: &StepContext<'_>) -> Result<(), StepError> {
    let realm = if ctx.state_dir == std::path::Path::new(crate::config::INSTALLER_STATE_DIR) {
        wire::enrol::Realm::Installer
    } else {
        wire::enrol::Realm::System
    };
    let facts = facts::gather(ctx.host, realm).await;
    ctx.say(&format!(
        "{} disks, {} network cards, {} MiB of memory",
        facts.disks.len(),
        facts.nics.len(),
        facts.memory_bytes >> 20
    ));
    ctx.ask(|| ctx.server.facts(&facts)).await
}
