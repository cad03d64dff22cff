//! Which agent replaces that of a client. Pure.

use wire::step::StepKind;

use super::{Error, PlanRequest};
use crate::domain::{
    image::{self, AGENT},
    search::version,
};

/// How long a new agent may take, in seconds: time enough to start, and no longer than somebody wants to wait for the old one.
const LIMITS_S: std::ops::RangeInclusive<i64> = 10..=900;

/// The step that replaces the agent by the newest one that this server has.
pub(super) fn step(request: &PlanRequest<'_>) -> Result<StepKind, Error> {
    let image = request.images.get(AGENT).ok_or_else(|| Error::NoImage(AGENT.to_owned()))?;
    let package = image.parts.get(image::PACKAGE).ok_or_else(|| Error::NoImage(AGENT.to_owned()))?;
    let is_set = |name: &str| request.params[name].as_bool().unwrap_or(false);
    let limit_s = request.params["limit"]
        .as_i64()
        .filter(|limit| LIMITS_S.contains(limit))
        .and_then(|limit| u32::try_from(limit).ok())
        .ok_or_else(|| {
            Error::Params(format!("`limit` must be {} to {} seconds", LIMITS_S.start(), LIMITS_S.end()))
        })?;
    let there = request.client.agent_version.as_deref().unwrap_or_default();
    let older =
        !image.version.is_empty() && !there.is_empty() && version::key(&image.version) < version::key(there);
    if older && !is_set("downgrade") {
        return Err(Error::Params(format!(
            "the agent of {} has version {there}, and this server only {}: say `downgrade` when you want the older one",
            request.client.name, image.version
        )));
    }
    Ok(StepKind::UpgradeAgent {
        package: package.clone(),
        version: image.version.clone(),
        limit_s,
        reinstall: is_set("reinstall"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wire::facts::Facts;

    use super::*;
    use crate::{catalog::Catalog, planner::sample};

    fn planned(version: &str, params: Value) -> Result<StepKind, String> {
        let share = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let catalog = Catalog::load(&share, None).unwrap();
        let facts: Facts =
            serde_json::from_slice(&fs_err::read(share.join("job-scripts/_facts/qemu-bios.json")).unwrap())
                .unwrap();
        let mut client = sample::client(crate::domain::client::ClientConfig::default(), facts);
        client.agent_version = Some(version.to_owned());
        let request = PlanRequest {
            job: wire::JobId(17),
            job_type: "agent-upgrade",
            params: &params,
            client: &client,
            facts: client.facts.as_ref(),
            images: &sample::images(&catalog),
            server: &sample::server(),
            layout: None,
            retracted: &crate::domain::settings::Retracted::new(),
            sources: &[],
        };
        step(&request).map_err(|error| error.to_string())
    }

    #[test]
    fn an_older_agent_comes_only_when_somebody_says_so() {
        let params = |downgrade: bool| json!({ "limit": 120, "downgrade": downgrade });
        assert!(planned("0.1.0", params(false)).is_ok());
        assert!(planned("0.2.0", params(false)).is_ok());
        let refused = planned("0.10.0", params(false)).unwrap_err();
        assert!(refused.contains("0.10.0") && refused.contains("downgrade"), "{refused}");
        assert!(planned("0.10.0", params(true)).is_ok());
    }

    #[test]
    fn a_trial_has_an_end_that_somebody_can_wait_for() {
        for limit in [json!(9), json!(901), json!("120"), json!(null)] {
            assert!(planned("0.1.0", json!({ "limit": limit })).is_err(), "{limit}");
        }
    }
}
