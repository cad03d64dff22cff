//! The spool on a fake machine: numbering, batches, power cuts, congestion.

use std::task::Waker;

use wire::event::{Outcome, Stream};

use super::*;
use crate::host::fake::FakeHost;

const DIR: &str = "/var/lib/lotse-agent/spool/1";

fn open(fake: &FakeHost) -> Spool {
    let host: Arc<dyn Host> = Arc::new(fake.clone());
    Spool::open(&host, DIR.into(), 4 * 1024 * 1024).unwrap()
}

fn say(spool: &Spool, line: &str) {
    spool.push(1, EventKind::Output { step: "s".into(), stream: Stream::Stdout, line: line.into() });
}

fn numbers(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.seq).collect()
}

#[test]
fn the_same_events_are_handed_out_until_they_are_acknowledged() {
    let spool = open(&FakeHost::new(0));
    for line in ["a", "b", "c"] {
        say(&spool, line);
    }
    assert_eq!(numbers(&spool.next_batch().unwrap()), [1, 2, 3]);
    assert_eq!(numbers(&spool.next_batch().unwrap()), [1, 2, 3]);
    spool.acknowledge(2).unwrap();
    spool.acknowledge(1).unwrap();
    assert_eq!(numbers(&spool.next_batch().unwrap()), [3]);
    spool.acknowledge(3).unwrap();
    assert!(spool.next_batch().unwrap().is_empty());
}

#[test]
fn numbering_goes_on_after_a_restart_and_half_a_line_is_cut_off() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    say(&spool, "a");
    say(&spool, "b");
    spool.next_batch().unwrap();
    spool.acknowledge(1).unwrap();
    let path = format!("{DIR}/{}", segment_name(1));
    fake.append(Path::new(&path), br#"{"seq":3,"at":1,"eve"#).unwrap();
    let spool = open(&fake);
    say(&spool, "c");
    // What was stored already may come again; the server ignores repeated numbers.
    assert_eq!(numbers(&spool.next_batch().unwrap()), [1, 2, 3]);
    spool.acknowledge(2).unwrap();
    assert_eq!(numbers(&spool.next_batch().unwrap()), [3]);
}

#[test]
fn no_number_that_was_sent_is_given_again_after_a_power_cut() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    say(&spool, "sent");
    assert_eq!(numbers(&spool.next_batch().unwrap()), [1]);
    say(&spool, "lost with the power");
    fake.power_cut();
    let spool = open(&fake);
    say(&spool, "after");
    let events = spool.next_batch().unwrap();
    assert_eq!(numbers(&events), [1, 2]);
    assert!(matches!(&events[0].kind, EventKind::Output { line, .. } if line == "sent"));
}

#[test]
fn numbering_goes_on_when_every_full_segment_was_acknowledged_and_removed() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    let line = "x".repeat(10_000);
    let drain = |spool: &Spool| {
        while let Some(last) = spool.next_batch().unwrap().last().map(|event| event.seq) {
            spool.acknowledge(last).unwrap();
        }
    };
    for _ in 0..300 {
        say(&spool, &line);
    }
    drain(&spool);
    assert_eq!(fake.list(Path::new(DIR)).unwrap().len(), 1, "stored segments are removed");
    let spool = open(&fake);
    say(&spool, "next");
    spool.acknowledge(300).unwrap();
    assert_eq!(numbers(&spool.next_batch().unwrap()), [301]);
}

#[test]
fn a_batch_is_bounded_and_every_event_comes_once_and_in_order() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    for number in 1..=2000 {
        say(&spool, &format!("{number} {}", "y".repeat(number % 700)));
    }
    let mut next = 1;
    loop {
        let batch = spool.next_batch().unwrap();
        let Some(last) = batch.last() else { break };
        assert!(
            batch.len() <= BATCH_EVENTS && serde_json::to_vec(&batch).unwrap().len() <= BATCH_BYTES + 1024
        );
        for event in &batch {
            assert_eq!(event.seq, next);
            assert!(
                matches!(&event.kind, EventKind::Output { line, .. } if line.starts_with(&format!("{next} ")))
            );
            next += 1;
        }
        spool.acknowledge(last.seq).unwrap();
    }
    assert_eq!(next, 2001);
}

#[test]
fn too_much_unsent_output_is_congestion_until_it_is_acknowledged() {
    let fake = FakeHost::new(0);
    let host: Arc<dyn Host> = Arc::new(fake.clone());
    let spool = Spool::open(&host, DIR.into(), 1000).unwrap();
    assert!(!spool.is_congested(Waker::noop()));
    say(&spool, &"z".repeat(1001));
    assert!(spool.is_congested(Waker::noop()));
    spool.next_batch().unwrap();
    spool.acknowledge(1).unwrap();
    assert!(!spool.is_congested(Waker::noop()));
}

#[test]
fn a_full_disk_loses_no_line_and_does_not_keep_the_server_from_hearing_of_it() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    say(&spool, "a");
    fake.break_writes(Some(DIR));
    assert_eq!(numbers(&spool.next_batch().unwrap()), [1]);
    say(&spool, "b");
    spool.acknowledge(1).unwrap();
    assert_eq!(numbers(&spool.next_batch().unwrap()), [2]);
    fake.break_writes(None);
    assert_eq!(numbers(&spool.next_batch().unwrap()), [2]);
    say(&spool, "c");
    assert_eq!(numbers(&open_again(&spool, &fake).next_batch().unwrap()), [2, 3]);
}

fn open_again(spool: &Spool, fake: &FakeHost) -> Spool {
    spool.sync().unwrap();
    open(fake)
}

#[test]
fn the_spool_is_over_when_its_finish_is_stored() {
    let fake = FakeHost::new(0);
    let spool = open(&fake);
    say(&spool, "a");
    assert!(!spool.is_over());
    spool.push(2, EventKind::Finished { outcome: Outcome::Succeeded });
    spool.next_batch().unwrap();
    spool.acknowledge(1).unwrap();
    assert!(!spool.is_over());
    assert!(open(&fake).is_finished(), "known again after a restart");
    spool.next_batch().unwrap();
    spool.acknowledge(2).unwrap();
    assert!(spool.is_over());
}
