//! What is at a provider beside machines, compared with the journal: named both ways, and never touched.

use harness::{
    cloudstack::{Fault, KEYS},
    server::Engine,
};
use server::{
    app::{
        desktops::{self, compare},
        providers,
    },
    domain::{
        desktop::{DesktopState, PartKind},
        provider::{ProviderDifference, ThereKind},
    },
    vm::{
        NewRule, Provider,
        cloudstack::{CloudStack, Keys},
    },
};

use super::site::{Site, wish};

async fn found(site: &Site) -> Vec<(bool, ThereKind, Option<String>)> {
    site.clock.advance(61);
    compare(&site.ctx).await.unwrap();
    let mut tx = site.ctx.db.read().await.unwrap();
    let record = providers::get(&mut tx, "cloud-0").await.unwrap();
    let told = |one: ProviderDifference| (one.missing, one.kind, one.desktop);
    record.differences.into_iter().map(told).collect()
}

pub(super) async fn what_differs_at_a_provider_is_named_both_ways(engine: Engine) {
    let site = Site::new(engine, 1).await;
    let cloud = &site.clouds[0];
    site.order("ann").await;
    let made = site.until("ann", DesktopState::Ready).await;
    assert_eq!(found(&site).await, []);

    // By hand, past us: another way to our machine, and what belongs to nobody here.
    let keys = Keys { api_key: KEYS.0.to_owned(), secret_key: KEYS.1.to_owned() };
    let hand = CloudStack::new(&wish(cloud), keys, site.clock.clone()).unwrap();
    let part = |kind| made.journal.iter().find(|part| part.kind == kind).unwrap();
    let address = part(PartKind::Forwarding).address.clone().unwrap();
    let vm = part(PartKind::Vm).remote.clone().unwrap();
    hand.open(&NewRule::Forwarding { address: address.clone(), port: 30_000, vm, guest_port: 80 })
        .await
        .unwrap();
    let sources = vec!["0.0.0.0/0".to_owned()];
    hand.open(&NewRule::Firewall { address, port: 31_000, sources }).await.unwrap();
    let ann = || Some("ann".to_owned());
    assert_eq!(found(&site).await, [(false, ThereKind::Forwarding, ann())]);

    // Somebody closes what we have opened.
    cloud.close_firewall();
    let both = [(false, ThereKind::Forwarding, ann()), (true, ThereKind::Firewall, ann())];
    assert_eq!(found(&site).await, both);

    // A provider that does not answer has said nothing about what differs.
    cloud.next("listVolumes", Fault::Page);
    assert_eq!(found(&site).await, both);
    let before = site.left();
    assert_eq!(found(&site).await, both);
    assert_eq!(site.left(), before, "nothing is touched");

    // Its disk stays behind.
    cloud.leave_volumes();
    desktops::delete(&site.ctx, "ann", "test").await.unwrap();
    site.until("ann", DesktopState::Deleted).await;
    assert_eq!(found(&site).await, [(false, ThereKind::Volume, ann())]);
    assert_eq!((site.left().machines, site.left().volumes), (0, 1));
}
