//! Both databases keep the same promises: one suite, run on SQLite and on a real PostgreSQL.

mod work;

use std::collections::BTreeMap;

use harness::postgres;
use serde_json::json;
use server::{
    blobs,
    db::{
        Db, Error, Location, Tx, accounts, attempts, boot, clients, events, groups,
        identities::{self, TokenUse},
        images, jobs, layouts, people,
    },
    domain::{
        boot::BootEventKind,
        client::{ClientConfig, Stage},
        image::Image,
        job::{AttemptState, JobEvent, JobState, NewJob},
        people::{ApiToken, Role, Source},
        reach::Sees,
    },
    queue,
};
use wire::{
    AttemptId, ClientId, JobId, Mac,
    enrol::Realm,
    event::{Event, EventKind, Outcome, Stream, Verdict},
    plan::SignedPlan,
};

use self::work::{claims_of_many, dependencies, output_without_end, queue_of_one_client, reports};

const NOW: i64 = 1_800_000_000_000_000;
const SECOND: i64 = 1_000_000;

#[tokio::test]
async fn sqlite_keeps_its_promises() {
    let directory = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(directory.path().join("lotse.sqlite"));
    exercise(&location).await;
}

#[tokio::test]
async fn postgresql_keeps_the_same_promises() {
    exercise(&postgres::database().await.unwrap()).await;
}

async fn exercise(location: &Location) {
    let db = Db::open(location, NOW).await.unwrap();
    clients_and_groups(&db).await;
    queue_of_one_client(&db).await;
    reports(&db).await;
    output_without_end(&db).await;
    dependencies(&db).await;
    identities_and_people(&db).await;
    images_layouts_and_timelines(&db).await;
    claims_of_many(&db).await;
    db.close().await;
    // Opening again finds the schema as it is.
    let again = Db::open(location, NOW).await.unwrap();
    let mut tx = again.read().await.unwrap();
    assert!(clients::find_by_name(&mut tx, "pc-1").await.unwrap().is_some());
}

fn mac(last: u8) -> Mac {
    Mac::from_bytes([0x52, 0x54, 0, 0, 0, last])
}

async fn client(db: &Db, name: &str, last: u8) -> ClientId {
    let mut tx = db.write().await.unwrap();
    let id = clients::create(&mut tx, name, Stage::Registered, &ClientConfig::default(), &[mac(last)], NOW)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

async fn clients_and_groups(db: &Db) {
    let id = client(db, "pc-1", 1).await;
    client(db, "pc-2", 2).await;
    let mut tx = db.write().await.unwrap();
    let taken = clients::create(&mut tx, "pc-1", Stage::Registered, &ClientConfig::default(), &[], NOW).await;
    assert!(matches!(taken, Err(Error::Exists(_))), "{taken:?}");
    drop(tx);
    let mut tx = db.write().await.unwrap();
    assert!(matches!(clients::add_mac(&mut tx, id, mac(2)).await, Err(Error::Exists(_))));
    drop(tx);

    let mut tx = db.write().await.unwrap();
    let lab = groups::create(&mut tx, "lab", "a room", NOW).await.unwrap();
    groups::add_member(&mut tx, lab, id).await.unwrap();
    groups::add_member(&mut tx, lab, id).await.unwrap();
    assert_eq!(groups::list(&mut tx).await.unwrap()[0].members, 1);
    assert_eq!(groups::find(&mut tx, "lab").await.unwrap(), Some(lab));
    let in_lab = clients::members(&mut tx, lab).await.unwrap();
    assert_eq!(in_lab.iter().map(|client| client.name.as_str()).collect::<Vec<_>>(), ["pc-1"]);
    let other = clients::find_by_name(&mut tx, "pc-2").await.unwrap().unwrap().id;
    let both = clients::find_many(&mut tx, &[other, ClientId(-7), id]).await.unwrap();
    assert_eq!(both.iter().map(|client| client.name.as_str()).collect::<Vec<_>>(), ["pc-2", "pc-1"]);
    groups::remove_member(&mut tx, lab, id).await.unwrap();
    assert!(groups::delete(&mut tx, lab).await.unwrap() && !groups::delete(&mut tx, lab).await.unwrap());

    let mut found = clients::find_by_mac(&mut tx, mac(1)).await.unwrap().unwrap();
    assert_eq!((found.id, found.version, found.alarm.clone()), (id, 1, None));
    "Europe/Berlin".clone_into(&mut found.config.timezone);
    assert!(clients::update(&mut tx, &found).await.unwrap());
    assert!(!clients::update(&mut tx, &found).await.unwrap(), "an old version was written");
    let key = blobs::hash(b"key");
    clients::set_announced_key(&mut tx, id, &key).await.unwrap();
    clients::set_adopted_key(&mut tx, id, Some(&key)).await.unwrap();
    clients::set_stage(&mut tx, id, Stage::Installed).await.unwrap();
    clients::set_seen(&mut tx, id, "boot-1", Realm::System, "0.1.0", NOW).await.unwrap();
    clients::set_alarm(&mut tx, id, Some("look")).await.unwrap();
    let found = clients::find(&mut tx, id).await.unwrap().unwrap();
    assert_eq!(
        (found.stage, found.realm, found.alarm.as_deref()),
        (Stage::Installed, Some(Realm::System), Some("look"))
    );
    assert_eq!((found.adopted_key.as_ref(), found.announced_key.as_ref()), (Some(&key), Some(&key)));
    clients::set_alarm(&mut tx, id, None).await.unwrap();
    clients::set_adopted_key(&mut tx, id, None).await.unwrap();
    clients::set_secret(&mut tx, id, "s", "one", NOW).await.unwrap();
    clients::set_secret(&mut tx, id, "s", "two", NOW).await.unwrap();
    assert_eq!(clients::find_secret(&mut tx, id, "s").await.unwrap().as_deref(), Some("two"));
    tx.commit().await.unwrap();

    let gone = client(db, "pc-3", 3).await;
    let mut tx = db.write().await.unwrap();
    assert!(clients::delete(&mut tx, gone).await.unwrap());
    assert!(clients::find_by_mac(&mut tx, mac(3)).await.unwrap().is_none());
    tx.commit().await.unwrap();
}

/// A client's identities: each realm's newest counts once it is used.
async fn certificates(tx: &mut server::db::Tx, id: wire::ClientId, key: &wire::Sha256) {
    let (other, third) = (blobs::hash(b"other key"), blobs::hash(b"third key"));
    let (installer, system) = (Realm::Installer, Realm::System);
    for (serial, realm, fingerprint, at) in [
        ("aa", system, &other, NOW - 5),
        ("bb", system, key, NOW - 4),
        ("cc", installer, &third, NOW - 3),
        ("dd", installer, &other, NOW - 2),
        ("ee", system, &other, NOW - 1),
    ] {
        let certificate = identities::Certificate {
            serial: serial.to_owned(),
            client: id,
            fingerprint: fingerprint.clone(),
            expires_at: NOW,
            revoked_at: None,
        };
        identities::create_certificate(tx, &certificate, realm, "b", at).await.unwrap();
    }
    let good = async |tx: &mut server::db::Tx| {
        let mut good = String::new();
        for serial in ["aa", "bb", "cc", "dd", "ee"] {
            let found = identities::find_certificate(tx, serial).await.unwrap().unwrap();
            if found.revoked_at.is_none() {
                good += serial;
            }
        }
        good
    };
    assert!(!identities::has_replaced(tx, "cc").await.unwrap(), "an installer replaces no system");
    assert!(identities::has_replaced(tx, "dd").await.unwrap());
    assert_eq!(identities::revoke_in_realm(tx, id, installer, &third, "", NOW).await.unwrap(), 1);
    assert_eq!(good(tx).await, "aabbccee");
    identities::revoke_replaced(tx, "bb", "", NOW).await.unwrap();
    assert_eq!(good(tx).await, "bbee", "a system replaces what is older, and installers");
    assert!(!identities::has_replaced(tx, "bb").await.unwrap());
    assert_eq!(identities::revoke(tx, id, "gone", NOW).await.unwrap(), 2);
}

async fn identities_and_people(db: &Db) {
    let id = client(db, "identity", 40).await;
    let (token, key) = (blobs::hash(b"token"), blobs::hash(b"key"));
    let mut tx = db.write().await.unwrap();
    identities::create_token(
        &mut tx,
        &blobs::hash(b"old"),
        id,
        Some(mac(40)),
        TokenUse::Once,
        NOW + SECOND,
        NOW,
    )
    .await
    .unwrap();
    identities::create_token(&mut tx, &token, id, Some(mac(40)), TokenUse::Once, NOW + SECOND, NOW)
        .await
        .unwrap();
    assert!(
        identities::find_token(&mut tx, &blobs::hash(b"old")).await.unwrap().is_none(),
        "only the newest boot counts"
    );
    assert!(!identities::use_token(&mut tx, &token, &key, NOW + SECOND).await.unwrap(), "it has expired");
    assert!(identities::use_token(&mut tx, &token, &key, NOW).await.unwrap());
    assert!(!identities::use_token(&mut tx, &token, &key, NOW).await.unwrap(), "it works once");
    let used = identities::find_token(&mut tx, &token).await.unwrap().unwrap();
    assert_eq!((used.client, used.mac, used.used_by.as_deref()), (id, Some(mac(40)), Some(key.as_str())));
    certificates(&mut tx, id, &key).await;

    assert!(!people::any_user(&mut tx).await.unwrap());
    let admin =
        accounts::create(&mut tx, "admin", "", Source::Local, None, &Role::Admin.into(), NOW).await.unwrap();
    people::create_link(&mut tx, &token, admin, NOW + 1, NOW).await.unwrap();
    assert_eq!(people::use_link(&mut tx, &token, NOW).await.unwrap(), Some(admin));
    assert_eq!(people::use_link(&mut tx, &token, NOW).await.unwrap(), None);
    let record = ApiToken {
        id: 0,
        name: "t".to_owned(),
        role: Some(Role::Viewer),
        groups: Vec::new(),
        read_only: false,
        account: None,
        created_at: NOW,
        created_by: "x".to_owned(),
        expires_at: Some(NOW + 1),
        last_used_at: None,
        revoked_at: None,
    };
    let number = people::create_token(&mut tx, &key, &record, None).await.unwrap();
    people::touch_token(&mut tx, number, NOW).await.unwrap();
    assert_eq!(people::find_token(&mut tx, &key, NOW).await.unwrap().unwrap().last_used_at, Some(NOW));
    assert_eq!(people::find_token(&mut tx, &key, NOW + 1).await.unwrap(), None);
    assert!(
        people::revoke_token(&mut tx, number, NOW).await.unwrap()
            && !people::revoke_token(&mut tx, number, NOW).await.unwrap()
    );
    assert_eq!(people::find_token(&mut tx, &key, NOW).await.unwrap(), None);
    assert_eq!(people::list_tokens(&mut tx).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}

async fn images_layouts_and_timelines(db: &Db) {
    let mut tx = db.write().await.unwrap();
    for content in [b"one".as_slice(), b"two"] {
        let blob = wire::enrol::BlobRef { sha256: blobs::hash(content), size_bytes: 3 };
        let image = Image {
            id: 0,
            name: "installer".to_owned(),
            recipe: blobs::hash(content),
            parts: BTreeMap::from([("tools".to_owned(), blob)]),
            built_at: NOW,
            version: String::new(),
        };
        images::create(&mut tx, &image).await.unwrap();
    }
    assert_eq!(images::list(&mut tx).await.unwrap().len(), 1);
    assert_eq!(images::find(&mut tx, "installer").await.unwrap().unwrap().recipe, blobs::hash(b"two"));

    layouts::set(&mut tx, "own", "a", NOW).await.unwrap();
    layouts::set(&mut tx, "own", "b", NOW).await.unwrap();
    assert_eq!(layouts::find(&mut tx, "own").await.unwrap().as_deref(), Some("b"));
    assert_eq!(layouts::list(&mut tx).await.unwrap(), [("own".to_owned(), "b".to_owned())]);
    assert!(layouts::delete(&mut tx, "own").await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = db.write().await.unwrap();
    // A line from before the machine was known belongs to its client as soon as there is one.
    boot::add(&mut tx, mac(50), BootEventKind::Dhcp, "before", NOW).await.unwrap();
    tx.commit().await.unwrap();
    let id = client(db, "timeline", 50).await;
    let mut tx = db.write().await.unwrap();
    boot::add(&mut tx, mac(50), BootEventKind::Script, "after", NOW).await.unwrap();
    let lines = boot::of_client(&mut tx, id, 10).await.unwrap();
    boot::add(&mut tx, mac(51), BootEventKind::Dhcp, "nobody's, old", NOW).await.unwrap();
    boot::add(&mut tx, mac(51), BootEventKind::Script, "nobody's, new", NOW).await.unwrap();
    assert_eq!(boot::prune(&mut tx, 1, 100).await.unwrap(), 1);
    assert_eq!(boot::of_client(&mut tx, id, 10).await.unwrap(), lines, "lines of clients stay longer");
    assert_eq!(boot::of_mac(&mut tx, mac(51), 10).await.unwrap().len(), 1);
    assert_eq!(boot::prune(&mut tx, 1, 2).await.unwrap(), 2, "all but the newest two go");
    assert_eq!(lines.iter().map(|line| line.detail.as_str()).collect::<Vec<_>>(), ["before", "after"]);
    assert_eq!(clients::count(&mut tx, Stage::Discovered).await.unwrap(), 0);
    tx.commit().await.unwrap();
}
