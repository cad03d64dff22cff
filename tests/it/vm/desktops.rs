//! Desktops in good days, and in bad ones that are known.

use harness::{
    cloudstack::{Fault, Left, keys},
    server::Engine,
};
use server::{
    app::{
        Error, clients,
        desktops::{self, compare, work},
        providers::{self, IsoWish, ProviderChange, ProviderKeys},
    },
    db,
    domain::{
        client::{DesktopChoice, DesktopEnvironment, RemoteAccess, Stage, User},
        desktop::{DesktopState, FaultClass, PartKind, PartState, PowerOrder, TrialState},
        provider::{ProviderWish, ThereKind},
        reach::Sees,
    },
    identity::token,
};

use super::site::{Site, wanted, wish};

/// Works until nothing more is ordered.
async fn settle(site: &Site, name: &str) {
    for _ in 0..100 {
        work(&site.ctx).await.unwrap();
        let desktop = site.get(name).await.desktop;
        if desktop.order.is_none() && desktop.doing.is_none() {
            return;
        }
        site.clock.advance(1);
    }
    panic!("{:#?}", site.get(name).await);
}

pub(super) async fn a_desktop_is_made_switched_made_anew_and_deleted(engine: Engine) {
    let site = Site::new(engine, 1).await;
    let ordered = site.order("ann-desk").await;
    assert_eq!((ordered.desktop.state, ordered.journal.len()), (DesktopState::Creating, 0));
    let made = site.until("ann-desk", DesktopState::Ready).await;
    let one = Left { machines: 1, volumes: 1, addresses: 0, forwardings: 1, firewall: 1, egress: 1 };
    assert_eq!(site.left(), one);
    assert_eq!(made.reached.len(), 1);
    assert!(made.reached[0].at.ends_with(":20000") && made.reached[0].port == 22, "{:?}", made.reached);
    let machine = site.clouds[0].machines().remove(0);
    assert_eq!((machine.state.as_str(), machine.iso.is_some()), ("Running", true));
    assert!(machine.name.starts_with("ann-desk-lotse-"), "{}", machine.name);
    // The machine can become this client, and nobody else can.
    let text = String::from_utf8(machine.user_data).unwrap();
    assert!(text.starts_with("#lotse-v1\n") && text.len() < 2048, "{text}");
    let token = text.lines().find_map(|line| line.strip_prefix("token=")).unwrap();
    let mut tx = site.ctx.db.read().await.unwrap();
    let known = db::identities::find_token(&mut tx, &token::hash(token)).await.unwrap().unwrap();
    assert_eq!(Some(known.client), made.desktop.client);
    drop(tx);

    for (order, state) in
        [(PowerOrder::Stop, "Stopped"), (PowerOrder::Start, "Running"), (PowerOrder::Reboot, "Running")]
    {
        desktops::power(&site.ctx, "ann-desk", order, "test").await.unwrap();
        settle(&site, "ann-desk").await;
        assert_eq!(site.clouds[0].machines()[0].state, state);
        assert_eq!(site.get("ann-desk").await.desktop.power, state);
    }

    desktops::rebuild(&site.ctx, "ann-desk", "test").await.unwrap();
    site.until("ann-desk", DesktopState::Ready).await;
    assert_eq!(site.left(), one);
    assert_ne!(site.clouds[0].machines()[0].id, machine.id);

    // A client is not taken away from under its machine.
    let refused = clients::delete(&site.ctx, "ann-desk", "test").await.unwrap_err();
    assert!(
        matches!(&refused, Error::Conflict { remedy, .. } if remedy.contains("lotse desktop delete")),
        "{refused}"
    );
    desktops::delete(&site.ctx, "ann-desk", "test").await.unwrap();
    let gone = site.until("ann-desk", DesktopState::Deleted).await;
    assert_eq!(site.left(), Left::default());
    assert!(gone.journal.iter().all(|part| part.state == PartState::Gone));
    let mut tx = site.ctx.db.read().await.unwrap();
    assert!(db::clients::find_by_name(&mut tx, "ann-desk").await.unwrap().is_none());
    drop(tx);
    site.order("ann-desk").await;
    assert_eq!(site.state("ann-desk").await, DesktopState::Creating, "the name is free again");
}

pub(super) async fn what_would_be_made_is_shown_first_and_each_way_to_it_has_its_port(engine: Engine) {
    let site = Site::new(engine, 2).await;
    site.clouds[0].load_image(40);
    let mut new = wanted("desk");
    let rdp = DesktopChoice { environment: DesktopEnvironment::Xfce, remote: RemoteAccess::Xrdp };
    new.client.config.desktop = Some(rdp);
    new.client.config.users = vec![User { name: "ann".to_owned(), ..User::default() }];
    let plan = desktops::plan(&site.ctx, &new, "test").await.unwrap();
    assert_eq!(plan.places[0].problems, ["the ISO image lotse is not ready: 40% Downloaded"]);
    let second = &plan.places[1];
    assert_eq!((second.provider.as_str(), second.problems.len()), ("cloud-1", 0));
    assert_eq!(
        (second.offering.as_str(), second.disk.as_str()),
        ("medium (2 CPU, 4096 MiB)", "custom (20 GiB)")
    );
    assert_eq!((second.network.as_str(), second.image.as_str()), ("desktops", "lotse"));
    assert_eq!(second.ports, [22, 3389], "the one by which it is used is always among them");
    assert_eq!(
        (plan.jobs.first().unwrap().as_str(), plan.jobs.last().unwrap().as_str()),
        ("storage", "desktop")
    );
    let mut tx = site.ctx.db.read().await.unwrap();
    assert!(desktops::list(&mut tx, &Sees::Everything).await.unwrap().is_empty(), "it was only shown");
    drop(tx);
    assert_eq!(site.left(), Left::default());

    desktops::create(&site.ctx, &new, "test").await.unwrap();
    site.until("desk", DesktopState::Ready).await;
    let mut tx = site.ctx.db.read().await.unwrap();
    let view = desktops::view(&site.ctx, &mut tx, "desk").await.unwrap();
    drop(tx);
    let ways: Vec<_> =
        view.connections.iter().map(|way| (way.by.as_str(), way.port, way.user.as_str())).collect();
    assert_eq!(ways, [("rdp", 20_001, "ann"), ("ssh", 20_000, "ann")]);

    // A network of one's own choice; where nothing is forwarded, the machine's own address counts, once it has told it.
    let mut open = wanted("open");
    open.network = Some("open".to_owned());
    assert!(desktops::plan(&site.ctx, &open, "test").await.unwrap().places[1].ports.is_empty());
    open.network = Some("none".to_owned());
    let missing = desktops::plan(&site.ctx, &open, "test").await.unwrap().places.remove(1).problems;
    assert_eq!(missing, ["there is no network `none`"]);
}

pub(super) async fn the_next_provider_is_tried_and_the_trials_are_shown(engine: Engine) {
    let site = Site::new(engine, 3).await;
    site.clouds[0].limit(0);
    site.clouds[1].next("startVirtualMachine", Fault::JobFails(533));
    site.order("desk").await;
    let made = site.until("desk", DesktopState::Ready).await;
    let trials: Vec<_> =
        made.trials.iter().map(|trial| (trial.provider.as_str(), trial.state, trial.class)).collect();
    assert_eq!(
        trials,
        [
            ("cloud-0", TrialState::Failed, Some(FaultClass::Quota)),
            ("cloud-1", TrialState::Failed, Some(FaultClass::Capacity)),
            ("cloud-2", TrialState::Succeeded, None),
        ]
    );
    assert!(made.trials[0].reason.contains("user_vm"), "{}", made.trials[0].reason);
    assert_eq!(site.clouds[1].left(), Left::default(), "what was made there is removed");
    assert_eq!(site.left().machines, 1);

    // Whoever asks for what is wrong is told so, and nobody else is asked.
    let mut wrong = wish(&site.clouds[0]);
    wrong.hypervisor = String::new();
    site.clouds[0].limit(usize::MAX);
    let change = ProviderChange { wish: wrong, keys: None };
    providers::update(&site.ctx, "cloud-0", &change, None).await.unwrap();
    site.order("wrong").await;
    let failed = site.until("wrong", DesktopState::Failed).await;
    assert_eq!(failed.trials.len(), 1);
    assert!(failed.desktop.reason.contains("hypervisor"), "{}", failed.desktop.reason);
}

pub(super) async fn desktops_share_an_address_and_the_last_one_gives_it_back(engine: Engine) {
    let site = Site::new(engine, 1).await;
    site.clouds[0].without_own_address();
    for name in ["a", "b"] {
        site.order(name).await;
    }
    let mut reached = Vec::new();
    for name in ["a", "b"] {
        reached.extend(site.until(name, DesktopState::Ready).await.reached);
    }
    assert_ne!(reached[0].at, reached[1].at, "each has a port of its own");
    assert_eq!(site.left().addresses, 1);
    desktops::delete(&site.ctx, "a", "test").await.unwrap();
    site.until("a", DesktopState::Deleted).await;
    assert_eq!((site.left().machines, site.left().addresses), (1, 1));
    assert_eq!(site.left().forwardings, 1, "the other one is still reached");
    desktops::delete(&site.ctx, "b", "test").await.unwrap();
    site.until("b", DesktopState::Deleted).await;
    assert_eq!(site.left(), Left::default());
}

pub(super) async fn what_is_lost_or_unknown_at_a_provider_is_seen(engine: Engine) {
    let site = Site::new(engine, 1).await;
    site.order("desk").await;
    let made = site.until("desk", DesktopState::Ready).await;
    let name = made.journal.iter().find(|part| part.kind == PartKind::Vm).unwrap().tag.clone();
    site.clock.advance(61);
    compare(&site.ctx).await.unwrap();
    assert_eq!(site.state("desk").await, DesktopState::Ready);
    site.clouds[0].lose(&name);
    site.clock.advance(61);
    compare(&site.ctx).await.unwrap();
    assert_eq!(site.state("desk").await, DesktopState::Lost);
    desktops::rebuild(&site.ctx, "desk", "test").await.unwrap();
    site.until("desk", DesktopState::Ready).await;
    assert_eq!(
        site.left(),
        Left { machines: 1, volumes: 1, addresses: 0, forwardings: 1, firewall: 1, egress: 1 }
    );

    // Another server of ours, or one that was set back: named, and left alone.
    let mut other = Site::new(engine, 0).await;
    other.clouds = site.clouds;
    let new = providers::NewProvider { name: "same".to_owned(), wish: wish(&other.clouds[0]), keys: keys() };
    providers::create(&other.ctx, &new).await.unwrap();
    compare(&other.ctx).await.unwrap();
    let mut tx = other.ctx.db.read().await.unwrap();
    let record = providers::get(&mut tx, "same").await.unwrap();
    assert_eq!(
        (
            record.differences.iter().filter(|found| found.kind == ThereKind::Vm).count(),
            other.left().machines
        ),
        (1, 1)
    );
}

pub(super) async fn a_provider_is_registered_tested_changed_and_removed(engine: Engine) {
    let site = Site::new(engine, 1).await;
    let (ctx, cloud) = (&site.ctx, &site.clouds[0]);
    let test = providers::test(ctx, "cloud-0").await.unwrap();
    assert!(test.good, "{test:?}");
    assert_eq!(test.answer.unwrap().version, "4.19.1.0");
    cloud.load_image(40);
    let test = providers::test(ctx, "cloud-0").await.unwrap();
    assert_eq!(test.problems, ["the ISO image lotse is not ready: 40% Downloaded"]);
    cloud.load_image(100);
    let offers = providers::offers(ctx, "cloud-0").await.unwrap();
    assert_eq!(
        offers.offerings.iter().map(|offer| offer.name.as_str()).collect::<Vec<_>>(),
        ["small", "medium"]
    );

    let named = ProviderChange { wish: ProviderWish { iso: "new".to_owned(), ..wish(cloud) }, keys: None };
    providers::update(ctx, "cloud-0", &named, None).await.unwrap();
    let test = providers::test(ctx, "cloud-0").await.unwrap();
    assert_eq!(test.problems, ["there is no ISO image `new`"]);
    let image = IsoWish { url: "http://192.0.2.1/boot.iso".to_owned(), sha256: None };
    providers::register_iso(ctx, "cloud-0", &image).await.unwrap();
    assert!(providers::test(ctx, "cloud-0").await.unwrap().good, "it is fetched within some calls");
    assert!(matches!(providers::register_iso(ctx, "cloud-0", &image).await, Err(Error::Conflict { .. })));

    let wrong = ProviderKeys { api_key: "a".to_owned(), secret_key: "b".to_owned() };
    let change = ProviderChange { wish: wish(cloud), keys: Some(wrong) };
    providers::update(ctx, "cloud-0", &change, None).await.unwrap();
    let test = providers::test(ctx, "cloud-0").await.unwrap();
    assert!(!test.good && test.problems[0].contains("keys"), "{test:?}");
    site.order("desk").await;
    work(ctx).await.unwrap();
    let waits = site.get("desk").await;
    assert!(waits.desktop.reason.contains("tried again soon"), "{waits:#?}");
    let change = ProviderChange { wish: wish(cloud), keys: Some(keys()) };
    providers::update(ctx, "cloud-0", &change, None).await.unwrap();
    site.until("desk", DesktopState::Ready).await;

    assert!(
        matches!(providers::delete(ctx, "cloud-0").await, Err(Error::Conflict { .. })),
        "a desktop is there"
    );
    desktops::delete(ctx, "desk", "test").await.unwrap();
    site.until("desk", DesktopState::Deleted).await;
    assert!(
        matches!(providers::delete(ctx, "cloud-0").await, Err(Error::Conflict { .. })),
        "a pool names it"
    );
    providers::delete_pool(ctx, "cloud").await.unwrap();
    providers::delete(ctx, "cloud-0").await.unwrap();
    let mut tx = ctx.db.read().await.unwrap();
    assert!(providers::list(&mut tx).await.unwrap().is_empty());
}

pub(super) async fn the_boot_image_leaves_the_drive_when_the_installation_needs_it_no_more(engine: Engine) {
    let site = Site::new(engine, 1).await;
    site.order("desk").await;
    let made = site.until("desk", DesktopState::Ready).await;
    site.clock.advance(5);
    work(&site.ctx).await.unwrap();
    assert!(site.clouds[0].machines()[0].iso.is_some(), "the installation has not begun");
    let mut tx = site.ctx.db.write().await.unwrap();
    db::clients::set_stage(&mut tx, made.desktop.client.unwrap(), Stage::Installed).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..10 {
        site.clock.advance(2);
        work(&site.ctx).await.unwrap();
    }
    assert!(site.clouds[0].machines()[0].iso.is_none());
    assert!(!site.get("desk").await.desktop.iso_attached);
}
