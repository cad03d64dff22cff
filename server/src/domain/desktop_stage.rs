//! The way of a desktop from the order to its user's first login, in stages: each with the time that it took, and why it is not over.
//! Pure: what was stored goes in, what people read comes out.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::JobId;

use super::{
    boot::{BootEvent, BootEventKind, Expectation},
    desktop::{Desktop, DesktopState, ProviderTrial, TrialState},
    job::{Job, JobState},
    provider_image::{ImageState, ProviderImage},
};
use crate::clock::SECOND;

/// A machine that says nothing for so long after its start does not find its way.
const SILENT: i64 = 600 * SECOND;

/// What a stage brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageWord {
    /// The provider has the boot image.
    Image,
    /// The machine runs at a provider.
    Deployed,
    /// It has booted, and its agent has found this server.
    Booted,
    /// The system is on its disk.
    Installed,
    /// The desktop and its selections are set up.
    Desktop,
    /// Somebody can log in.
    Ready,
}

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    /// Others come first.
    Waits,
    /// It is under way.
    Goes,
    /// It is over.
    Done,
    /// It does not go on by itself.
    Failed,
}

impl StageWord {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Deployed => "deployed",
            Self::Booted => "booted",
            Self::Installed => "installed",
            Self::Desktop => "desktop",
            Self::Ready => "ready",
        }
    }
}

impl StageState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Goes => "goes",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// A stage of a desktop's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DesktopStage {
    /// What it brings.
    pub stage: StageWord,
    /// How far it is.
    pub state: StageState,
    /// When it began.
    pub began_at: Option<i64>,
    /// When it was over.
    pub ended_at: Option<i64>,
    /// How much of it is done, where somebody counts.
    pub percent: Option<i64>,
    /// Why it is not over; empty when there is nothing to say.
    pub reason: String,
    /// The job that it is at, or that failed.
    pub job: Option<JobId>,
}

/// What is known of a desktop's way.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    /// The desktop.
    pub desktop: &'a Desktop,
    /// Providers that were tried for the machine that is wanted now.
    pub trials: &'a [ProviderTrial],
    /// The boot image at the provider of the last of them, where Lotse keeps one there.
    pub image: Option<&'a ProviderImage>,
    /// Contacts of the machine.
    pub contacts: &'a [BootEvent],
    /// The contact that should come next.
    pub expected: Option<&'a Expectation>,
    /// The newest job of each kind of its installation, in order.
    pub chain: &'a [Job],
    /// The time.
    pub now: i64,
}

/// The stages, in order; none of a desktop that goes or is gone.
pub fn stages(way: &Way<'_>) -> Vec<DesktopStage> {
    if matches!(way.desktop.state, DesktopState::Deleting | DesktopState::Deleted) {
        return Vec::new();
    }
    let restart = way.chain.iter().position(|job| job.job_type == "reboot").map_or(0, |at| at + 1);
    let (installation, setup) = way.chain.split_at(restart);
    let image = way.image.and_then(|image| awaited(way, image));
    let deployed = deployed(way, image.as_ref());
    let booted = booted(way, &deployed, installation);
    let installed = worked(StageWord::Installed, installation, &booted);
    let desktop = (!setup.is_empty()).then(|| worked(StageWord::Desktop, setup, &installed));
    let mut stages: Vec<_> =
        [image, Some(deployed), Some(booted), Some(installed), desktop].into_iter().flatten().collect();
    let done = stages.iter().all(|stage| stage.state == StageState::Done);
    stages.push(DesktopStage {
        stage: StageWord::Ready,
        state: if done { StageState::Done } else { StageState::Waits },
        began_at: Some(way.desktop.wanted_at),
        ended_at: stages.last().and_then(|last| last.ended_at).filter(|_| done),
        percent: None,
        reason: String::new(),
        job: None,
    });
    stages
}

/// The boot image, when the desktop has to wait for it or had to.
fn awaited(way: &Way<'_>, image: &ProviderImage) -> Option<DesktopStage> {
    let wanted_at = way.desktop.wanted_at;
    let state = match image.state {
        ImageState::Ready if image.changed_at <= wanted_at => return None,
        ImageState::Ready | ImageState::Leaving => StageState::Done,
        ImageState::Intended | ImageState::Loading => StageState::Goes,
        ImageState::Failed => StageState::Failed,
    };
    Some(DesktopStage {
        stage: StageWord::Image,
        state,
        began_at: Some(wanted_at.max(image.registered_at)),
        ended_at: Some(image.changed_at).filter(|_| state == StageState::Done),
        percent: image.percent.filter(|_| state == StageState::Goes),
        reason: image.said.clone(),
        job: None,
    })
}

fn deployed(way: &Way<'_>, image: Option<&DesktopStage>) -> DesktopStage {
    let desktop = way.desktop;
    let made = way.trials.iter().rev().find(|trial| trial.state == TrialState::Succeeded);
    let troubled = way.trials.last().filter(|trial| trial.state != TrialState::Succeeded);
    let state = match desktop.state {
        DesktopState::Creating => StageState::Goes,
        DesktopState::Ready => StageState::Done,
        DesktopState::Failed | DesktopState::Lost | DesktopState::Deleting | DesktopState::Deleted => {
            StageState::Failed
        }
    };
    let reason = match (state, desktop.reason.as_str(), troubled) {
        (StageState::Done, ..) => String::new(),
        (_, "", Some(trial)) if !trial.reason.is_empty() => format!("{}: {}", trial.provider, trial.reason),
        (_, reason, _) => reason.to_owned(),
    };
    let ended_at = made.and_then(|trial| trial.ended_at).filter(|_| state == StageState::Done);
    let mut stage =
        DesktopStage { state, ended_at, reason, ..following(StageWord::Deployed, Some(desktop.wanted_at)) };
    if let Some(image) = image {
        stage.began_at = image.ended_at;
        if image.state == StageState::Goes {
            // What it waits for is said there.
            (stage.state, stage.reason) = (StageState::Waits, String::new());
        }
    }
    stage
}

/// The contacts that only a machine of ours has: its agent's.
fn is_of_agent(kind: BootEventKind) -> bool {
    matches!(
        kind,
        BootEventKind::Searched
            | BootEventKind::Trust
            | BootEventKind::Announced
            | BootEventKind::Enrolled
            | BootEventKind::Connected
    )
}

fn booted(way: &Way<'_>, deployed: &DesktopStage, installation: &[Job]) -> DesktopStage {
    let mut stage = following(StageWord::Booted, deployed.ended_at);
    if deployed.state != StageState::Done {
        return stage;
    }
    // The provider says that it runs a moment after it has begun to.
    let made = way.trials.iter().rev().find(|trial| trial.state == TrialState::Succeeded);
    let since = made.map_or(way.desktop.wanted_at, |trial| trial.started_at);
    let contact = way.contacts.iter().find(|contact| contact.at >= since && is_of_agent(contact.kind));
    if let Some(contact) = contact {
        (stage.state, stage.ended_at) = (StageState::Done, Some(contact.at.max(stage.began_at.unwrap_or(0))));
    } else if installation.iter().any(|job| job.attempts > 0) {
        // Old contacts are forgotten some day.
        stage.state = StageState::Done;
    } else {
        stage.state = StageState::Goes;
        let silent = stage.began_at.is_some_and(|began| way.now - began > SILENT);
        stage.reason = match way.expected.filter(|expected| expected.late) {
            Some(expected) => format!("{}; {}", expected.likely_cause, expected.remedy),
            None if silent => {
                "nothing was heard of the machine: look at its console at the provider, whether it boots the image and \
                 reaches this server"
                    .to_owned()
            }
            None => String::new(),
        };
    }
    stage
}

fn following(stage: StageWord, began_at: Option<i64>) -> DesktopStage {
    DesktopStage {
        stage,
        state: StageState::Waits,
        began_at,
        ended_at: None,
        percent: None,
        reason: String::new(),
        job: None,
    }
}

/// A stage that consists of jobs.
fn worked(word: StageWord, jobs: &[Job], before: &DesktopStage) -> DesktopStage {
    let mut stage = following(word, before.ended_at);
    let failed =
        |state: JobState| matches!(state, JobState::Failed | JobState::Cancelled | JobState::Expired);
    if let Some(job) = jobs.iter().find(|job| failed(job.state)) {
        (stage.state, stage.job, stage.reason) = (StageState::Failed, Some(job.id), job.reason.clone());
    } else if let Some(job) = jobs.iter().find(|job| job.state != JobState::Succeeded) {
        if before.state == StageState::Done {
            (stage.state, stage.job) = (StageState::Goes, Some(job.id));
            if job.state == JobState::Held {
                stage.reason.clone_from(&job.reason);
            }
        }
    } else if before.state == StageState::Done {
        stage.state = StageState::Done;
        stage.ended_at = jobs.iter().filter_map(|job| job.finished_at).max();
    }
    stage
}

#[cfg(test)]
mod tests {
    use wire::{ClientId, Mac};

    use super::*;
    use crate::domain::desktop::DesktopWish;

    fn desktop(state: DesktopState) -> Desktop {
        Desktop {
            id: 1,
            name: "ann-desk".to_owned(),
            client: Some(ClientId(1)),
            wish: DesktopWish::sized("standard"),
            state,
            reason: String::new(),
            order: None,
            power: String::new(),
            iso_attached: true,
            doing: None,
            doing_job: None,
            created_by: "admin".to_owned(),
            created_at: 0,
            changed_at: 0,
            wanted_at: 10 * SECOND,
            first_round: 1,
        }
    }

    fn trial(state: TrialState, reason: &str, ended_at: Option<i64>) -> ProviderTrial {
        ProviderTrial {
            id: 1,
            desktop: 1,
            provider_id: 1,
            provider: "north".to_owned(),
            round: 1,
            state,
            class: None,
            reason: reason.to_owned(),
            retries: 0,
            place: None,
            started_at: 11 * SECOND,
            ended_at,
        }
    }

    fn job(id: i64, job_type: &str, state: JobState, finished_at: Option<i64>) -> Job {
        Job {
            id: JobId(id),
            client: ClientId(1),
            job_type: job_type.to_owned(),
            params: serde_json::json!({}),
            realm: None,
            priority: 10,
            state,
            reason: if state == JobState::Failed { "no disk".to_owned() } else { String::new() },
            not_before: None,
            expires_at: None,
            max_attempts: 1,
            retry_after_s: 60,
            attempts: 0,
            cancel_reason: None,
            released: false,
            created_at: 10 * SECOND,
            created_by: "admin".to_owned(),
            finished_at,
            version: 1,
            joined_to: None,
            alone: false,
            needs: Vec::new(),
        }
    }

    fn image(state: ImageState, changed_at: i64) -> ProviderImage {
        ProviderImage {
            id: 1,
            provider_id: 1,
            sha256: "ab".repeat(32).parse().unwrap(),
            name: "lotse-boot-abababababab-00000000".to_owned(),
            remote: Some("i".to_owned()),
            state,
            said: "40% Downloaded".to_owned(),
            percent: Some(40),
            looks: 0,
            registered_at: 9 * SECOND,
            changed_at,
        }
    }

    fn contact(at: i64) -> BootEvent {
        let mac = Mac::from_bytes([2, 0, 0, 0, 0, 1]);
        BootEvent { id: 1, mac, at, kind: BootEventKind::Enrolled, detail: String::new() }
    }

    fn told(stages: &[DesktopStage]) -> Vec<(&'static str, &'static str)> {
        stages.iter().map(|stage| (stage.stage.as_str(), stage.state.as_str())).collect()
    }

    #[test]
    fn each_stage_begins_where_the_last_one_has_ended() {
        let desktop = desktop(DesktopState::Ready);
        let trials = [trial(TrialState::Succeeded, "", Some(20 * SECOND))];
        let contacts = [contact(50 * SECOND)];
        let chain = [
            job(1, "storage", JobState::Succeeded, Some(60 * SECOND)),
            job(2, "reboot", JobState::Succeeded, Some(90 * SECOND)),
            job(3, "desktop", JobState::Running, None),
        ];
        let way = Way {
            desktop: &desktop,
            trials: &trials,
            image: None,
            contacts: &contacts,
            expected: None,
            chain: &chain,
            now: 99 * SECOND,
        };
        let found = stages(&way);
        assert_eq!(
            told(&found),
            [
                ("deployed", "done"),
                ("booted", "done"),
                ("installed", "done"),
                ("desktop", "goes"),
                ("ready", "waits")
            ]
        );
        let times: Vec<_> =
            found.iter().map(|stage| (stage.began_at.unwrap() / SECOND, stage.ended_at)).collect();
        assert_eq!(times[1], (20, Some(50 * SECOND)));
        assert_eq!(times[2], (50, Some(90 * SECOND)));
        assert_eq!((times[3], found[3].job), ((90, None), Some(JobId(3))));
        let done = [chain[0].clone(), chain[1].clone()];
        let found = stages(&Way { chain: &done, ..way });
        assert_eq!(found.len(), 4, "nothing is set up, so there is no such stage");
        assert_eq!(
            (found[3].state, found[3].began_at, found[3].ended_at),
            (StageState::Done, Some(10 * SECOND), Some(90 * SECOND))
        );
    }

    #[test]
    fn what_holds_a_stage_up_is_said() {
        let making = desktop(DesktopState::Creating);
        let trials = [trial(TrialState::Building, "the provider is busy", None)];
        let mut way = Way {
            desktop: &making,
            trials: &trials,
            image: None,
            contacts: &[],
            expected: None,
            chain: &[],
            now: 0,
        };
        assert_eq!(stages(&way)[0].reason, "north: the provider is busy");
        let loading = image(ImageState::Loading, 12 * SECOND);
        let found = stages(&Way { image: Some(&loading), ..way });
        assert_eq!((found[0].stage, found[0].percent), (StageWord::Image, Some(40)));
        assert_eq!((found[1].state, found[1].reason.as_str()), (StageState::Waits, ""), "it waits for that");
        let there = image(ImageState::Ready, 9 * SECOND);
        assert_eq!(stages(&Way { image: Some(&there), ..way })[0].stage, StageWord::Deployed, "nobody waits");
        let there = desktop(DesktopState::Ready);
        let trials = [trial(TrialState::Succeeded, "", Some(20 * SECOND))];
        let chain = [job(1, "storage", JobState::Queued, None), job(2, "reboot", JobState::Queued, None)];
        way = Way { desktop: &there, trials: &trials, chain: &chain, now: 30 * SECOND, ..way };
        assert_eq!((stages(&way)[1].state, stages(&way)[1].reason.as_str()), (StageState::Goes, ""));
        way.now = 20 * SECOND + SILENT + 1;
        assert!(stages(&way)[1].reason.contains("console"));
        let contacts = [contact(50 * SECOND)];
        let chain = [job(1, "storage", JobState::Failed, Some(60 * SECOND))];
        way = Way { contacts: &contacts, chain: &chain, ..way };
        let found = stages(&way);
        // Without a restart in the chain all of it is what comes after.
        assert!(found.iter().any(|stage| stage.state == StageState::Failed && stage.reason == "no disk"));
    }
}
