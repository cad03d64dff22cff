//! Whether a plan may be carried out: decided before anything is touched. Pure.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ED25519, UnparsedPublicKey},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use wire::{
    ClientId,
    enrol::{Identity, Realm},
    facts::Firmware,
    package_work::{Conffiles, PackageAction, PackageWork},
    plan::{Plan, SignedPlan},
    step::{StepKind, WipeMethod},
    storage::{StorageAction, StorageWork, Volume},
    vm::VmWork,
};

use crate::host::Power;

/// Why a plan is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text is not the one that was hashed.
    #[error("the plan's text does not have the hash that it came with")]
    Hash,
    /// The server that this agent enrolled with did not sign it.
    #[error("the plan is not signed by the server that this agent enrolled with")]
    Signature,
    /// The text is no plan.
    #[error("the plan cannot be read: {0}")]
    Text(String),
    /// It is somebody else's.
    #[error("the plan is for client {plan}, but this is client {own}")]
    Client {
        /// Whom the plan names.
        plan: ClientId,
        /// Who the agent is.
        own: ClientId,
    },
    /// It belongs elsewhere.
    #[error("the plan runs in the {plan} realm, but the agent is in the {own} realm")]
    Realm {
        /// Where the plan runs.
        plan: &'static str,
        /// Where the agent is.
        own: &'static str,
    },
    /// It asks for something that this agent does not know.
    #[error("step {step} needs a newer agent: its {what} is not known to version {version}", version = env!("CARGO_PKG_VERSION"))]
    Newer {
        /// The step's id.
        step: String,
        /// What of it.
        what: &'static str,
    },
    /// It contradicts itself.
    #[error("the plan contradicts itself: {0}")]
    Contradiction(String),
}

/// The plan, if this agent may carry out all of it here.
pub fn verify(signed: &SignedPlan, identity: &Identity, realm: Realm) -> Result<Plan, Refusal> {
    let text = signed.text.as_bytes();
    if hex::encode(digest(&SHA256, text)) != signed.sha256.as_str() {
        return Err(Refusal::Hash);
    }
    let key = hex::decode(&identity.plan_key).map_err(|_| Refusal::Signature)?;
    let signature = BASE64_STANDARD.decode(&signed.signature).map_err(|_| Refusal::Signature)?;
    UnparsedPublicKey::new(&ED25519, key).verify(text, &signature).map_err(|_| Refusal::Signature)?;
    let plan: Plan = serde_json::from_str(&signed.text).map_err(|error| Refusal::Text(error.to_string()))?;
    if plan.client != identity.client {
        return Err(Refusal::Client { plan: plan.client, own: identity.client });
    }
    if let Some(wanted) = plan.realm
        && wanted != realm
    {
        return Err(Refusal::Realm { plan: realm_name(wanted), own: realm_name(realm) });
    }
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(what) = newer(&step.kind) {
            return Err(Refusal::Newer { step: step.id.clone(), what });
        }
        if plan.steps[..index].iter().any(|earlier| earlier.id == step.id) {
            return Err(Refusal::Contradiction(format!("two steps have the id {}", step.id)));
        }
        if power(&step.kind).is_some() && index + 1 < plan.steps.len() {
            return Err(Refusal::Contradiction(format!("steps follow {}, which ends the attempt", step.id)));
        }
    }
    Ok(plan)
}

/// What happens to the machine after a step that ends the attempt.
pub fn power(kind: &StepKind) -> Option<Power> {
    match kind {
        StepKind::Reboot {} => Some(Power::Reboot),
        StepKind::Shutdown {} => Some(Power::Off),
        _ => None,
    }
}

/// A step that was cut off may simply run again.
pub fn is_repeatable(kind: &StepKind) -> bool {
    match kind {
        StepKind::Unpack { .. }
        | StepKind::Mount { .. }
        | StepKind::WriteFile { .. }
        | StepKind::BootLoader { .. }
        | StepKind::InstallAgent { .. }
        // It is cut off by what it does, and goes on by what it finds on disk.
        | StepKind::UpgradeAgent { .. }
        | StepKind::SendPackages { .. }
        | StepKind::Facts {}
        | StepKind::Survey {}
        | StepKind::Reboot {}
        | StepKind::Shutdown {}
        | StepKind::Rescue { .. }
        // It looks first what is there.
        | StepKind::Vm { .. } => true,
        StepKind::Script { .. }
        // It could go on. But a package that takes the machine down with it would do so for ever: attempts are counted.
        | StepKind::Packages(_)
        | StepKind::Storage(_)
        | StepKind::Debootstrap { .. }
        | StepKind::WipeDisk { .. }
        | StepKind::Unknown => false,
    }
}

/// The step works with programs that the small first system of the installer does not have.
pub fn needs_tools(kind: &StepKind) -> bool {
    !matches!(kind, StepKind::Facts {} | StepKind::Reboot {} | StepKind::Shutdown {} | StepKind::Unknown)
}

fn newer(kind: &StepKind) -> Option<&'static str> {
    match kind {
        StepKind::Unknown => Some("kind"),
        StepKind::Vm { work: VmWork::Unknown } => Some("work on virtual machines"),
        StepKind::Storage(work) if is_newer(work) => Some("storage work"),
        StepKind::Mount { mounts } if mounts.iter().any(|entry| entry.volume == Volume::Unknown) => {
            Some("kind of volume")
        }
        StepKind::BootLoader { firmware: Firmware::Unknown, .. } => Some("firmware"),
        StepKind::WipeDisk { method: WipeMethod::Unknown, .. } => Some("method"),
        StepKind::Packages(PackageWork { action: PackageAction::Unknown, .. }) => Some("package work"),
        StepKind::Packages(PackageWork { conffiles: Conffiles::Unknown, .. }) => {
            Some("choice of configuration files")
        }
        _ => None,
    }
}

fn is_newer(work: &StorageWork) -> bool {
    work.actions.iter().any(|action| match action {
        StorageAction::Unknown => true,
        StorageAction::Format { volume, .. } => *volume == Volume::Unknown,
        StorageAction::Mount(entry) => entry.volume == Volume::Unknown,
        StorageAction::Wipe { .. } | StorageAction::WriteTable { .. } => false,
    })
}

fn realm_name(realm: Realm) -> &'static str {
    match realm {
        Realm::Installer => "installer",
        Realm::System => "system",
        Realm::Unknown => "unknown",
    }
}

#[cfg(test)]
pub(crate) mod tests;
