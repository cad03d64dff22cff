//! Whatever goes wrong, and whenever the server ends: no machine that nobody knows, and no record of one that is not there.

use std::{collections::BTreeMap, time::Duration};

use harness::{
    cloudstack::{Fault, Left, Random},
    server::Engine,
};
use server::{
    app::desktops::{self, compare, work},
    db,
    domain::{
        desktop::{DesktopState, PartKind, PartState},
        reach::Sees,
    },
};

use super::site::Site;

pub(super) async fn an_answer_that_is_lost_never_makes_two_machines(engine: Engine) {
    let mut site = Site::new(engine, 1).await;
    for (at, fault) in
        [Fault::Lost, Fault::Garbage, Fault::After(530), Fault::Hangs, Fault::Page, Fault::Silent]
            .into_iter()
            .enumerate()
    {
        for command in
            ["deployVirtualMachine", "createPortForwardingRule", "createFirewallRule", "startVirtualMachine"]
        {
            site.clouds[0].next(command, fault.clone());
        }
        let name = format!("desk-{at}");
        site.order(&name).await;
        site.until(&name, DesktopState::Ready).await;
        let there = at + 1;
        let all = Left {
            machines: there,
            volumes: there,
            addresses: 0,
            forwardings: there,
            firewall: there,
            egress: there,
        };
        assert_eq!(site.left(), all, "{fault:?}");
    }
    // The server ends while it waits for the answer.
    site.clouds[0].next("deployVirtualMachine", Fault::Hangs);
    site.order("last").await;
    let cut = tokio::time::timeout(Duration::from_millis(1500), work(&site.ctx)).await;
    assert!(cut.is_err() && site.left().machines == 7);
    site.restart().await;
    site.clock.advance(121);
    site.until("last", DesktopState::Ready).await;
    assert_eq!(site.left().machines, 7);
    for cloud in &site.clouds {
        cloud.always(Some(Fault::Page));
    }
    desktops::delete(&site.ctx, "last", "test").await.unwrap();
    work(&site.ctx).await.unwrap();
    let left = site.get("last").await;
    assert_eq!(left.desktop.state, DesktopState::Deleting);
    assert!(left.journal.iter().any(|part| !part.problem.is_empty()), "what is left says why");
    site.clouds[0].always(None);
    site.until("last", DesktopState::Deleted).await;
    assert_eq!(site.left().machines, 6);
}

/// Numbers for when the server ends (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

async fn states(site: &Site) -> BTreeMap<DesktopWord, usize> {
    let mut tx = site.ctx.db.read().await.unwrap();
    let mut found = BTreeMap::new();
    for desktop in desktops::list(&mut tx, &Sees::Everything).await.unwrap() {
        *found.entry(desktop.state.as_str()).or_default() += 1;
    }
    found
}

type DesktopWord = &'static str;

pub(super) async fn many_desktops_at_random_faults_leave_no_orphan_and_no_missing_record(engine: Engine) {
    let desktops_wanted = if engine == Engine::Sqlite { 200 } else { 60 };
    let mut site = Site::new(engine, 3).await;
    site.clouds[0].room(desktops_wanted / 2);
    site.clouds[1].without_own_address();
    let names: Vec<_> = (0..desktops_wanted).map(|at| format!("desk-{at:03}")).collect();
    for name in &names {
        site.order(name).await;
    }
    for (at, cloud) in site.clouds.iter().enumerate() {
        cloud.random(Some(Random { seed: 7 + at as u64, per_mille: 60 }));
    }
    let mut dice = Dice(0x1234_5678_9abc_def1);
    for round in 1.. {
        if dice.roll(4) == 0 {
            // The server ends in the middle of whatever it does.
            let time = Duration::from_millis(20 + dice.roll(150));
            tokio::time::timeout(time, work(&site.ctx)).await.ok();
            site.restart().await;
            site.clock.advance(121);
        } else {
            work(&site.ctx).await.unwrap();
        }
        site.clock.advance(i64::try_from(1 + dice.roll(20)).unwrap());
        if round % 5 == 0 {
            compare(&site.ctx).await.unwrap();
        }
        if round == 10 {
            for name in names.iter().take(desktops_wanted / 10) {
                desktops::delete(&site.ctx, name, "test").await.unwrap();
            }
        }
        let open = states(&site).await;
        if round > 10 && !open.contains_key("creating") && !open.contains_key("deleting") {
            break;
        }
        assert!(round < 1500, "{open:?}");
    }
    for cloud in &site.clouds {
        cloud.random(None);
    }
    // What came too late is found by the next comparisons, once no provider is left alone any more.
    for _ in 0..3 {
        site.clock.advance(1801);
        compare(&site.ctx).await.unwrap();
        work(&site.ctx).await.unwrap();
    }
    let (ready, failed) = check(&site).await;
    assert_eq!(ready + failed, desktops_wanted - desktops_wanted / 10);
    assert!(ready > desktops_wanted / 2, "only {ready} were made");
    for name in names.iter().skip(desktops_wanted / 10) {
        desktops::delete(&site.ctx, name, "test").await.unwrap();
    }
    for _ in 0..600 {
        work(&site.ctx).await.unwrap();
        if states(&site).await.is_empty() {
            break;
        }
        site.clock.advance(2);
    }
    assert_eq!(states(&site).await, BTreeMap::new());
    assert_eq!(site.left(), Left::default());
    let mut tx = site.ctx.db.read().await.unwrap();
    for name in &names {
        assert!(db::clients::find_by_name(&mut tx, name).await.unwrap().is_none(), "{name}");
    }
}

/// What is known here is there, and nothing else is; gives how many desktops are ready and how many failed.
async fn check(site: &Site) -> (usize, usize) {
    let (mut ready, mut failed, mut known) = (0, 0, Left::default());
    let machines: Vec<_> = site.clouds.iter().flat_map(harness::cloudstack::Cloud::machines).collect();
    let mut tx = site.ctx.db.read().await.unwrap();
    for desktop in desktops::list(&mut tx, &Sees::Everything).await.unwrap() {
        let record = desktops::get(&mut tx, &desktop.name).await.unwrap();
        let there: Vec<_> = record.journal.iter().filter(|part| part.state != PartState::Gone).collect();
        let mark = format!("{}-lotse-", desktop.name);
        let machine: Vec<_> = machines.iter().filter(|machine| machine.name.starts_with(&mark)).collect();
        match desktop.state {
            DesktopState::Ready => {
                ready += 1;
                assert_eq!(machine.len(), 1, "{record:#?}");
                let vm = there.iter().find(|part| part.kind == PartKind::Vm).unwrap();
                assert_eq!(vm.remote.as_ref(), Some(&machine[0].id));
                assert_eq!(machine[0].state, "Running");
                assert_eq!(record.reached.len(), 1, "{record:#?}");
            }
            DesktopState::Failed => {
                failed += 1;
                assert!(machine.is_empty() && !record.desktop.reason.is_empty(), "{record:#?}");
                assert!(there.is_empty(), "{record:#?}");
            }
            other => panic!("{} is {}", desktop.name, other.as_str()),
        }
        for part in there {
            match part.kind {
                PartKind::Vm => (known.machines, known.volumes) = (known.machines + 1, known.volumes + 1),
                PartKind::Address => known.addresses += 1,
                PartKind::Forwarding => known.forwardings += 1,
                PartKind::Firewall => known.firewall += 1,
                PartKind::Egress => known.egress += 1,
            }
        }
    }
    assert_eq!(site.left(), known);
    (ready, failed)
}
