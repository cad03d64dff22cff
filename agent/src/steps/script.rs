//! Shell text that the server has rendered.

use std::collections::BTreeMap;

use wire::step::Root;

use super::{StepContext, StepError};
use crate::host::Command;

/// Runs the text with `/bin/sh -eu`.
pub(super) async fn execute(
    ctx: &StepContext<'_>,
    text: &str,
    root: Root,
    environment: &BTreeMap<String, String>,
) -> Result<(), StepError> {
    let mut command = Command::new(["/bin/sh", "-eu", "-c", text]);
    command.environment.clone_from(environment);
    command.root = ctx.root(root);
    ctx.run(&command).await?;
    Ok(())
}
