//! A machine's state under a name: kept, gone back to, forgotten.

use wire::vm::SnapshotOrder;

use super::{StepContext, StepError, change, libvirt, needed};
use crate::vm::virsh::domain;

pub(super) async fn execute(
    ctx: &StepContext<'_>,
    name: &str,
    snapshot: &str,
    order: SnapshotOrder,
) -> Result<(), StepError> {
    needed(ctx, name).await?;
    let (machine, named) = (domain(name), format!("--snapshotname={snapshot}"));
    let there = libvirt(ctx).names(&["snapshot-list", &machine, "--name"]).await?;
    let is_there = there.iter().any(|known| known == snapshot);
    match order {
        SnapshotOrder::Take if is_there => {
            ctx.say(&format!("{name} has a snapshot {snapshot} already"));
            Ok(())
        }
        SnapshotOrder::Take => {
            change(ctx, &["snapshot-create-as", &machine, &format!("--name={snapshot}")]).await
        }
        SnapshotOrder::Revert if is_there => change(ctx, &["snapshot-revert", &machine, &named]).await,
        SnapshotOrder::Revert => Err(StepError::Refused(format!(
            "{name} has no snapshot {snapshot}; it has: {}",
            there.join(", ")
        ))),
        SnapshotOrder::Forget if is_there => change(ctx, &["snapshot-delete", &machine, &named]).await,
        SnapshotOrder::Forget => Ok(()),
        SnapshotOrder::Unknown => {
            Err(StepError::Refused("this agent does not know such an order".to_owned()))
        }
    }
}
