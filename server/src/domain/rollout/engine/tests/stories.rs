//! What people know of rollouts, one story each.

use super::*;
use crate::domain::rollout::{RolloutTarget, RolloutWave, RolloutWork};

fn lab(waves: &[(&str, i64)]) -> RolloutSpec {
    let wave = |(size, soak_s): &(&str, i64)| RolloutWave {
        size: size.parse().unwrap(),
        soak_s: *soak_s,
        pause: false,
        limits: None,
    };
    let target = RolloutTarget { group: Some("lab".to_owned()), ..RolloutTarget::default() };
    RolloutSpec {
        waves: waves.iter().map(wave).collect(),
        ..RolloutSpec::new(RolloutWork::Reinstall, target)
    }
}

fn started(spec: RolloutSpec, count: usize) -> World {
    let mut world = World::new(spec, count, None);
    for client in &mut world.clients {
        client.online = true;
    }
    world.happen(&Event::Start);
    world.happen(&Event::Round { steps: 10_000 });
    world
}

#[test]
fn a_broken_package_stops_in_the_first_wave_and_says_why() {
    let mut world = started(lab(&[("2", 0), ("rest", 0)]), 20);
    assert_eq!(world.progress().counts().queued, 2);
    world.happen(&Event::ClaimAll);
    for client in 0..20 {
        world.end(client, false);
    }
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.state, RolloutState::Halted);
    assert_eq!(world.why.as_ref().unwrap().to_string(), "2 of 2 clients of wave 1 failed, at most 10 % may");
    assert_eq!(world.progress().counts().waiting, 18);
    // Whoever resumes it knows of them.
    world.resume();
    world.happen(&Event::Round { steps: 10_000 });
    assert!(matches!(world.why, Some(Why::NobodySucceeded { wave: 1, .. })), "{:?}", world.why);
}

#[test]
fn a_wave_soaks_before_the_next_one_begins() {
    let mut world = started(lab(&[("1", 3600), ("rest", 0)]), 3);
    world.happen(&Event::ClaimAll);
    world.happen(&Event::EndAll { one_bad_of: usize::MAX });
    world.happen(&Event::Round { steps: 10_000 });
    world.happen(&Event::Minutes(59));
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.progress().current(), Some(0));
    world.happen(&Event::Minutes(1));
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.progress().current(), Some(1));
    assert_eq!(world.progress().counts().queued, 2);
}

#[test]
fn a_client_that_stays_offline_holds_nobody_up_for_ever() {
    let mut world = started(lab(&[("2", 0), ("rest", 0)]), 4);
    let first: Vec<_> = (0..4).filter(|client| world.clients[*client].wave == 0).collect();
    world.clients[first[0]].online = false;
    for _ in 0..3 {
        world.happen(&Event::Round { steps: 10_000 });
        world.happen(&Event::ClaimAll);
        world.happen(&Event::EndAll { one_bad_of: usize::MAX });
    }
    assert_eq!(world.progress().current(), Some(0));
    world.happen(&Event::Minutes(8 * 24 * 60));
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.clients[first[0]].state, RolloutClientState::OfflineExpired);
    assert_eq!(world.progress().current(), Some(1));
}

#[test]
fn only_what_failed_is_tried_again() {
    let mut world = started(lab(&[("rest", 0)]), 5);
    world.happen(&Event::ClaimAll);
    world.end(0, false);
    world.happen(&Event::EndAll { one_bad_of: usize::MAX });
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.state, RolloutState::Halted);
    world.happen(&Event::Retry);
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.progress().counts().queued, 1);
    world.happen(&Event::ClaimAll);
    world.happen(&Event::EndAll { one_bad_of: usize::MAX });
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.state, RolloutState::Finished);
    assert_eq!(world.clients.iter().map(|client| client.done).collect::<Vec<_>>(), [2, 1, 1, 1, 1]);
}

#[test]
fn a_pause_point_waits_for_somebody() {
    let mut spec = lab(&[("1", 0), ("rest", 0)]);
    spec.waves[1].pause = true;
    let mut world = started(spec, 3);
    world.happen(&Event::ClaimAll);
    world.happen(&Event::EndAll { one_bad_of: usize::MAX });
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!((world.state, world.why.clone()), (RolloutState::Paused, Some(Why::PausePoint { wave: 2 })));
    world.resume();
    world.happen(&Event::Round { steps: 10_000 });
    assert_eq!(world.progress().counts().queued, 2);
}
