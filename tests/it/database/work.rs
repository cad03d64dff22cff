//! The queue: claims, reports, silence, needs.

use super::*;

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

pub(super) async fn queue_of_one_client(db: &Db) {
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

pub(super) async fn reports(db: &Db) {
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

pub(super) async fn output_without_end(db: &Db) {
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

pub(super) async fn dependencies(db: &Db) {
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

/// Eight agents of one client ask at once, again and again: each job goes to exactly one, and never two at a time.
pub(super) async fn claims_of_many(db: &Db) {
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
