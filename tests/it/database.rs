//! Both databases keep the same promises: one suite, run on SQLite and on a real PostgreSQL.

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

fn job(client: ClientId, job_type: &str) -> NewJob {
    NewJob {
        client,
        job_type: job_type.to_owned(),
        params: json!({ "a": ["b"] }),
        realm: Some(Realm::System),
        priority: 25,
        held: None,
        not_before: None,
        expires_at: None,
        max_attempts: 2,
        retry_after_s: 60,
        created_by: "test".to_owned(),
        needs: Vec::new(),
    }
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

async fn queue_of_one_client(db: &Db) {
    let id = client(db, "queue", 10).await;
    let mut tx = db.write().await.unwrap();
    let later =
        queue::enqueue(&mut tx, &NewJob { not_before: Some(NOW + 1000 * SECOND), ..job(id, "later") }, NOW)
            .await
            .unwrap();
    let second = queue::enqueue(&mut tx, &job(id, "second"), NOW).await.unwrap();
    let first = queue::enqueue(&mut tx, &NewJob { priority: 5, ..job(id, "first") }, NOW).await.unwrap();
    let held = queue::enqueue(
        &mut tx,
        &NewJob { held: Some("why".to_owned()), priority: 0, ..job(id, "held") },
        NOW,
    )
    .await
    .unwrap();
    assert!(!jobs::wants_installer(&mut tx, id).await.unwrap());
    assert!(jobs::clients_with_work(&mut tx, NOW).await.unwrap().contains(&id));

    assert!(
        queue::claim(&mut tx, id, Realm::Installer, "b", 60, NOW).await.unwrap().is_none(),
        "claimed in the wrong realm"
    );
    let (claimed, attempt) = queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await.unwrap().unwrap();
    assert_eq!((claimed.id, claimed.attempts, claimed.state), (first, 1, JobState::Running));
    assert!(
        queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await.unwrap().is_none(),
        "two run at once"
    );
    let waiting = jobs::find(&mut tx, second).await.unwrap().unwrap();
    let around = jobs::surroundings(&mut tx, &waiting).await.unwrap();
    assert_eq!(around.running, Some((first, "first".to_owned())));

    let plan = SignedPlan { text: "{}".to_owned(), sha256: blobs::hash(b"{}"), signature: "s".to_owned() };
    jobs::set_plan(&mut tx, first, &plan, NOW).await.unwrap();
    assert_eq!(jobs::find_plan(&mut tx, first).await.unwrap(), Some(plan));

    // The lease runs out: the attempt is lost, the job waits for another try.
    assert!(queue::reap(&mut tx, NOW + 59 * SECOND).await.unwrap().is_empty());
    assert_eq!(queue::reap(&mut tx, NOW + 61 * SECOND).await.unwrap(), [id]);
    let lost = attempts::find(&mut tx, attempt).await.unwrap().unwrap();
    assert_eq!(lost.state, AttemptState::Lost);
    let again = jobs::find(&mut tx, first).await.unwrap().unwrap();
    assert_eq!((again.state, again.not_before), (JobState::Queued, Some(NOW + 121 * SECOND)));

    let (claimed, _) =
        queue::claim(&mut tx, id, Realm::System, "b", 60, NOW + 62 * SECOND).await.unwrap().unwrap();
    assert_eq!(claimed.id, second, "what is not due yet keeps nobody waiting");
    queue::cancel(&mut tx, &claimed, "test", "enough", NOW).await.unwrap();
    assert_eq!(jobs::find(&mut tx, second).await.unwrap().unwrap().cancel_reason.as_deref(), Some("enough"));
    let held = jobs::find(&mut tx, held).await.unwrap().unwrap();
    queue::transition(&mut tx, &held, JobEvent::Accept, "test", "accepted", None, NOW).await.unwrap();
    assert!(
        queue::transition(&mut tx, &held, JobEvent::Accept, "test", "twice", None, NOW).await.is_err(),
        "an old version was written"
    );

    let open: Vec<JobId> = jobs::open(&mut tx, id).await.unwrap().into_iter().map(|job| job.id).collect();
    assert_eq!(open, [held.id, first, later, second]);
    let queued = jobs::Filter { client: Some(id), state: Some(JobState::Queued), ..jobs::Filter::default() };
    let listed: Vec<JobId> = jobs::list(&mut tx, &Sees::Everything, &queued, i64::MAX, 2)
        .await
        .unwrap()
        .into_iter()
        .map(|job| job.id)
        .collect();
    assert_eq!(listed, [held.id, first]);
    let history: Vec<_> =
        jobs::history(&mut tx, first).await.unwrap().into_iter().map(|line| line.to).collect();
    assert_eq!(history, [JobState::Queued, JobState::Running, JobState::Queued]);
    tx.commit().await.unwrap();
}

fn output(seq: u64) -> Event {
    let kind =
        EventKind::Output { step: "s".to_owned(), stream: Stream::Stdout, line: format!("line {seq}") };
    Event { seq, at: NOW, kind }
}

async fn report(
    db: &Db,
    client: ClientId,
    attempt: AttemptId,
    events: &[Event],
) -> wire::event::ReportResponse {
    let mut tx = db.write().await.unwrap();
    let response = queue::report(&mut tx, client, attempt, events, 60, NOW).await.unwrap();
    tx.commit().await.unwrap();
    response
}

async fn reports(db: &Db) {
    let id = client(db, "reports", 20).await;
    let mut tx = db.write().await.unwrap();
    let number = queue::enqueue(&mut tx, &job(id, "report"), NOW).await.unwrap();
    let (_, attempt) = queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await.unwrap().unwrap();
    assert_eq!(attempts::running(&mut tx, id).await.unwrap().unwrap().id, attempt);
    tx.commit().await.unwrap();
    silence(db, attempt).await;

    assert_eq!(report(db, id, attempt, &[output(1), output(2)]).await.stored_seq, 2);
    assert_eq!(
        report(db, id, attempt, &[output(1), output(2), output(3)]).await.stored_seq,
        3,
        "repeated numbers are skipped"
    );
    assert_eq!(report(db, id, attempt, &[output(5)]).await.stored_seq, 3, "what follows a gap is left");
    let mut tx = db.read().await.unwrap();
    let lines: Vec<u64> =
        attempts::events(&mut tx, attempt, 1, 10).await.unwrap().into_iter().map(|event| event.seq).collect();
    assert_eq!(lines, [2, 3]);
    drop(tx);
    let mut tx = db.write().await.unwrap();
    assert!(
        queue::report(&mut tx, ClientId(id.0 + 1), attempt, &[], 60, NOW).await.is_err(),
        "another client's attempt"
    );
    drop(tx);

    let done = Event { seq: 4, at: NOW, kind: EventKind::Finished { outcome: Outcome::Succeeded } };
    assert_eq!(report(db, id, attempt, std::slice::from_ref(&done)).await.stored_seq, 4);
    let repeated = report(db, id, attempt, &[done]).await;
    assert_eq!(
        (repeated.stored_seq, repeated.verdict),
        (4, Verdict::Continue),
        "the answer may have been lost"
    );
    assert!(matches!(report(db, id, attempt, &[output(5)]).await.verdict, Verdict::Superseded { .. }));
    let mut tx = db.read().await.unwrap();
    assert_eq!(jobs::find(&mut tx, number).await.unwrap().unwrap().state, JobState::Succeeded);
    assert_eq!(attempts::list(&mut tx, number).await.unwrap().len(), 1);
    assert_eq!(jobs::last_failed(&mut tx, id).await.unwrap(), None);
}

/// An agent that is replaced may be silent for longer than its lease; neither a report nor a look at leases takes that away.
async fn silence(db: &Db, attempt: AttemptId) {
    let mut tx = db.write().await.unwrap();
    attempts::set_silence(&mut tx, attempt, 100 * SECOND).await.unwrap();
    let until = async |tx: &mut Tx| attempts::find(tx, attempt).await.unwrap().unwrap().leased_until - NOW;
    assert_eq!(until(&mut tx).await, 160 * SECOND);
    attempts::extend(&mut tx, attempt, NOW + 30 * SECOND).await.unwrap();
    assert_eq!(until(&mut tx).await, 130 * SECOND);
    attempts::shorten(&mut tx, NOW + 40 * SECOND).await.unwrap();
    assert_eq!(until(&mut tx).await, 130 * SECOND);
    attempts::shorten(&mut tx, NOW + 20 * SECOND).await.unwrap();
    assert_eq!(until(&mut tx).await, 120 * SECOND);
    // As the other tests expect it.
    attempts::set_silence(&mut tx, attempt, 0).await.unwrap();
    tx.commit().await.unwrap();
}

async fn output_without_end(db: &Db) {
    let id = client(db, "endless", 21).await;
    let mut tx = db.write().await.unwrap();
    queue::enqueue(&mut tx, &job(id, "endless"), NOW).await.unwrap();
    let (_, attempt) = queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let long = usize::try_from(attempts::OUTPUT_LIMIT / 4).unwrap();
    for seq in 1..=6 {
        let line = "x".repeat(long);
        let kind = EventKind::Output { step: "s".to_owned(), stream: Stream::Stdout, line };
        let said = report(db, id, attempt, &[Event { seq, at: NOW, kind }]).await;
        assert_eq!((said.stored_seq, said.verdict), (seq, Verdict::Continue));
    }
    let done = Event { seq: 7, at: NOW, kind: EventKind::Finished { outcome: Outcome::Succeeded } };
    report(db, id, attempt, &[done]).await;
    assert_eq!(
        seqs_and_notes(db, attempt).await,
        [(1, false), (2, false), (3, false), (4, true), (7, false)]
    );

    let mut tx = db.write().await.unwrap();
    assert_eq!(attempts::remove_output(&mut tx, NOW, NOW).await.unwrap(), 0, "it is not older than that");
    while attempts::remove_output(&mut tx, NOW + 1, NOW).await.unwrap() > 0 {}
    tx.commit().await.unwrap();
    assert_eq!(seqs_and_notes(db, attempt).await, [(7, true)], "a reader that resumes still gets to the end");
    let mut tx = db.read().await.unwrap();
    assert_eq!(attempts::find(&mut tx, attempt).await.unwrap().unwrap().state, AttemptState::Succeeded);
}

/// The numbers of the events that are kept, and which of them are the server's own words.
async fn seqs_and_notes(db: &Db, attempt: AttemptId) -> Vec<(u64, bool)> {
    let mut tx = db.read().await.unwrap();
    let events = attempts::events(&mut tx, attempt, 0, 100).await.unwrap();
    let is_note = |kind: &EventKind| matches!(kind, EventKind::Output { stream: Stream::Agent, .. });
    events.iter().map(|event| (event.seq, is_note(&event.kind))).collect()
}

async fn dependencies(db: &Db) {
    let id = client(db, "chain", 30).await;
    let mut tx = db.write().await.unwrap();
    let first = queue::enqueue(
        &mut tx,
        &NewJob { max_attempts: 1, realm: Some(Realm::Installer), ..job(id, "first") },
        NOW,
    )
    .await
    .unwrap();
    let second =
        queue::enqueue(&mut tx, &NewJob { needs: vec![first], priority: 0, ..job(id, "second") }, NOW)
            .await
            .unwrap();
    let third =
        queue::enqueue(&mut tx, &NewJob { needs: vec![second], ..job(id, "third") }, NOW).await.unwrap();
    assert!(jobs::wants_installer(&mut tx, id).await.unwrap());
    assert_eq!(jobs::dependents(&mut tx, first).await.unwrap(), [second]);
    assert!(
        queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await.unwrap().is_none(),
        "it needs another job"
    );
    let (_, attempt) = queue::claim(&mut tx, id, Realm::Installer, "b", 60, NOW).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let outcome = Outcome::Failed { step: "s".to_owned(), reason: "no disk".to_owned(), transient: false };
    report(db, id, attempt, &[Event { seq: 1, at: NOW, kind: EventKind::Finished { outcome } }]).await;
    let mut tx = db.write().await.unwrap();
    for job in [second, third] {
        let job = jobs::find(&mut tx, job).await.unwrap().unwrap();
        assert_eq!(job.state, JobState::Cancelled);
        assert!(job.reason.contains("needs job"), "{}", job.reason);
    }
    assert_eq!(jobs::last_failed(&mut tx, id).await.unwrap().unwrap().0, first);
    let expiring = queue::enqueue(&mut tx, &NewJob { expires_at: Some(NOW + 1), ..job(id, "expiring") }, NOW)
        .await
        .unwrap();
    assert_eq!(jobs::overdue(&mut tx, NOW + 1).await.unwrap(), [expiring]);
    queue::reap(&mut tx, NOW + 1).await.unwrap();
    assert_eq!(jobs::find(&mut tx, expiring).await.unwrap().unwrap().state, JobState::Expired);
    assert!(!events::after(&mut tx, &Sees::Everything, 0, 1000).await.unwrap().is_empty());
    assert!(events::newest(&mut tx).await.unwrap() > 0);
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

/// Eight agents of one client ask at once, again and again: each job goes to exactly one, and never two at a time.
async fn claims_of_many(db: &Db) {
    let id = client(db, "many", 60).await;
    let mut tx = db.write().await.unwrap();
    for _ in 0..20 {
        queue::enqueue(&mut tx, &job(id, "one of many"), NOW).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let db = db.clone();
        asking.spawn(async move {
            let mut mine = Vec::new();
            loop {
                let mut tx = db.write().await.unwrap();
                if jobs::open(&mut tx, id).await.unwrap().is_empty() {
                    break;
                }
                let claimed = queue::claim(&mut tx, id, Realm::System, "b", 60, NOW).await;
                // On PostgreSQL the unique index may say no where two ask in the same moment; on SQLite there is one writer.
                let Ok(Some((job, attempt))) = claimed else { continue };
                if tx.commit().await.is_err() {
                    continue;
                }
                mine.push(job.id);
                let done =
                    Event { seq: 1, at: NOW, kind: EventKind::Finished { outcome: Outcome::Succeeded } };
                report(&db, id, attempt, &[done]).await;
            }
            mine
        });
    }
    let mut all: Vec<JobId> = asking.join_all().await.into_iter().flatten().collect();
    all.sort();
    let claimed = all.len();
    all.dedup();
    assert_eq!(all.len(), claimed, "a job was claimed twice");
    assert_eq!(claimed, 20, "jobs were left");
}
