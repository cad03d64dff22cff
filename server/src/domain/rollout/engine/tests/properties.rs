//! Whatever people, agents and time do, nothing forbidden happens.

use proptest::prelude::*;

use super::*;
use crate::domain::rollout::{
    RolloutLimits, RolloutTarget, RolloutWave, RolloutWindows, RolloutWork, WaveSize,
};

fn limits() -> impl Strategy<Value = RolloutLimits> {
    let percent = || proptest::option::of(0_i64..=100);
    let count = || proptest::option::of(0_i64..6);
    (count(), percent(), count(), percent()).prop_map(
        |(max_failed, max_failed_percent, min_succeeded, min_succeeded_percent)| RolloutLimits {
            max_failed,
            max_failed_percent,
            min_succeeded,
            min_succeeded_percent,
        },
    )
}

fn spec() -> impl Strategy<Value = RolloutSpec> {
    let size = prop_oneof![(1_i64..8).prop_map(WaveSize::Count), (1_i64..=60).prop_map(WaveSize::Percent)];
    let wave = (size, 0_i64..7200, any::<bool>(), proptest::option::of(limits()))
        .prop_map(|(size, soak_s, pause, limits)| RolloutWave { size, soak_s, pause, limits });
    let windows = prop_oneof![
        Just(RolloutWindows::default()),
        Just(RolloutWindows {
            time_zone: Some("Europe/Berlin".to_owned()),
            open: vec!["sat,sun 01:30-05:00".to_owned(), "mon-fri 20:00-06:00".to_owned()],
            closed: vec!["sun 03:30-04:00".to_owned()],
            ..RolloutWindows::default()
        }),
    ];
    (proptest::collection::vec(wave, 0..4), limits(), limits(), 1_i64..10, windows, 3600_i64..90_000)
        .prop_map(|(mut waves, limits, wave_limits, at_once, windows, expire_after_s)| {
            waves.push(RolloutWave { size: WaveSize::Rest, soak_s: 600, pause: false, limits: None });
            let work = RolloutWork::Reinstall;
            let target = RolloutTarget { group: Some("lab".to_owned()), ..RolloutTarget::default() };
            RolloutSpec {
                waves,
                limits,
                wave_limits,
                at_once,
                windows,
                expire_after_s,
                ..RolloutSpec::new(work, target)
            }
        })
}

fn event() -> impl Strategy<Value = Event> {
    let client = || 0_usize..40;
    prop_oneof![
        8 => (0_usize..30).prop_map(|steps| Event::Round { steps }),
        8 => Just(Event::Round { steps: 10_000 }),
        3 => client().prop_map(Event::Claim),
        6 => Just(Event::ClaimAll),
        4 => (client(), any::<bool>()).prop_map(|(client, well)| Event::End(client, well)),
        5 => (2_usize..30).prop_map(|one_bad_of| Event::EndAll { one_bad_of }),
        2 => client().prop_map(Event::Lost),
        2 => client().prop_map(Event::Offline),
        2 => client().prop_map(Event::Online),
        1 => client().prop_map(Event::CancelJob),
        1 => client().prop_map(Event::HoldJob),
        1 => client().prop_map(Event::AcceptJob),
        3 => Just(Event::Start),
        1 => Just(Event::Pause),
        3 => Just(Event::Resume),
        1 => Just(Event::Halt),
        1 => Just(Event::Retry),
        1 => Just(Event::Latecomer),
        5 => (0_i64..90).prop_map(Event::Minutes),
        1 => (-600_i64..3000).prop_map(Event::Minutes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]
    #[test]
    fn nothing_forbidden_happens_whatever_comes(
        spec in spec(),
        count in 0_usize..40,
        period in proptest::option::of(1_i64..40),
        cancels in proptest::option::weighted(0.1, 0_usize..120),
        events in proptest::collection::vec(event(), 0..120),
    ) {
        prop_assume!(spec.problems().is_empty());
        let mut world = World::new(spec, count, period.map(|hours| BEGIN + hours * HOUR));
        world.happen(&Event::Start);
        for (place, event) in events.iter().enumerate() {
            let before: Vec<_> = world.clients.iter().map(|client| (client.jobs.len(), client.state)).collect();
            let ran = world.state == RolloutState::Running;
            world.happen(event);
            world.check(&before, ran);
            let looked = matches!(event, Event::Round { steps: 10_000 });
            let stopped = !matches!(world.state, RolloutState::Planned | RolloutState::Running);
            let queued = world.clients.iter().any(|client| client.jobs.iter().any(|job| job.state == JobState::Queued));
            prop_assert!(!(looked && stopped && queued), "something can begin although the rollout has stopped");
            if cancels == Some(place) {
                world.happen(&Event::Cancel);
            }
        }
        world.end_well();
        for client in &world.clients {
            prop_assert!(client.state.is_final());
        }
    }

    /// Whoever looks at one moment twice sees the same.
    #[test]
    fn a_decision_that_is_carried_out_twice_orders_once(spec in spec(), count in 1_usize..40) {
        prop_assume!(spec.problems().is_empty());
        let mut world = World::new(spec, count, None);
        world.happen(&Event::Start);
        world.happen(&Event::Round { steps: 10_000 });
        let jobs: usize = world.clients.iter().map(|client| client.jobs.len()).sum();
        world.happen(&Event::Round { steps: 10_000 });
        prop_assert_eq!(world.clients.iter().map(|client| client.jobs.len()).sum::<usize>(), jobs);
    }
}
