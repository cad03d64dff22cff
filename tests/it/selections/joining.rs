//! Package jobs that wait one behind the other: one attempt for all, an end for each.

use harness::fleet::dice::Dice;
use server::clock::SECOND;
use wire::step::StepKind;

use super::*;

async fn order(server: &TestServer, name: &str, body: &Value) -> i64 {
    let job = ok(server, Method::POST, &format!("clients/{name}/jobs"), body).await;
    job["id"].as_i64().or(job.as_i64()).unwrap()
}

fn install(names: &[&str]) -> Value {
    json!({ "job_type": "package-install", "params": { "packages": names } })
}

async fn job(server: &TestServer, id: i64) -> Value {
    get(server, &format!("jobs/{id}")).await
}

async fn states(server: &TestServer, ids: &[i64]) -> Vec<String> {
    let mut states = Vec::new();
    for id in ids {
        states.push(job(server, *id).await["state"].as_str().unwrap().to_owned());
    }
    states
}

fn packages(plan: &Plan) -> Vec<String> {
    match &plan.steps.last().unwrap().kind {
        StepKind::Packages(work) => work.packages.clone(),
        other => panic!("{other:?}"),
    }
}

fn failed(reason: &str, transient: bool) -> Outcome {
    Outcome::Failed { step: "packages".to_owned(), reason: reason.to_owned(), transient }
}

async fn three(server: &TestServer) -> (ClientId, [i64; 3]) {
    let pc = client(server, "pc-1", Stage::Installed).await;
    let mut ids = [0; 3];
    for (id, name) in ids.iter_mut().zip(["aa", "bb", "cc"]) {
        *id = order(server, "pc-1", &install(&[name])).await;
    }
    (pc, ids)
}

pub(super) async fn what_waits_is_carried_out_together(engine: Engine) {
    let server = site(engine).await;
    let (pc, ids) = three(&server).await;
    let (attempt, plan) = poll(&server, pc, None).await.unwrap();
    assert_eq!(packages(&plan), ["aa", "bb", "cc"]);
    assert_eq!(plan.job.0, ids[0]);
    assert_eq!(states(&server, &ids).await, ["running"; 3]);
    // An answer that was lost is given again, with the same plan.
    assert_eq!(poll(&server, pc, None).await.unwrap(), (attempt, plan.clone()));
    assert_eq!(poll(&server, pc, Some(attempt)).await.unwrap(), (attempt, plan));
    ends(&server, pc, attempt, Outcome::Succeeded).await;
    assert_eq!(states(&server, &ids).await, ["succeeded"; 3]);
    let first = job(&server, ids[0]).await;
    assert_eq!(first["joined"], json!([ids[1], ids[2]]));
    assert_eq!(first["attempts_made"].as_array().unwrap().len(), 1);
    let second = job(&server, ids[1]).await;
    assert_eq!(second["joined_to"], ids[0]);
    assert!(second["reason"].as_str().unwrap().contains(&format!("together with job {}", ids[0])));
    let history: Vec<_> =
        second["history"].as_array().unwrap().iter().map(|line| line["to"].clone()).collect();
    assert_eq!(history, [json!("queued"), json!("running"), json!("succeeded")]);
    assert!(poll(&server, pc, None).await.is_none());
    server.stop().await.unwrap();
}

pub(super) async fn one_broken_package_fails_its_own_job_only(engine: Engine) {
    let server = site(engine).await;
    let (pc, ids) = three(&server).await;
    let (attempt, _) = poll(&server, pc, None).await.unwrap();
    ends(&server, pc, attempt, failed("package bb could not be configured", false)).await;
    assert_eq!(states(&server, &ids).await, ["queued"; 3], "nobody has failed by it");
    let told = get(&server, &format!("attempts/{}", attempt.0)).await["reason"].as_str().unwrap().to_owned();
    assert!(told.contains("could not be configured") && told.contains("now each is run by itself"), "{told}");
    for name in ["aa", "bb", "cc"] {
        let (attempt, plan) = poll(&server, pc, None).await.unwrap();
        assert_eq!(packages(&plan), [name]);
        let outcome = if name == "bb" {
            failed("package bb could not be configured", false)
        } else {
            Outcome::Succeeded
        };
        ends(&server, pc, attempt, outcome).await;
    }
    assert_eq!(states(&server, &ids).await, ["succeeded", "failed", "succeeded"]);
    let all = jobs_of(&server, "pc-1").await;
    assert!(all.iter().all(|job| job["attempts"].as_i64() <= job["max_attempts"].as_i64()), "{all:?}");
    server.stop().await.unwrap();
}

pub(super) async fn a_lost_attempt_is_nobodys_own(engine: Engine) {
    let server = site(engine).await;
    let (pc, ids) = three(&server).await;
    poll(&server, pc, None).await.unwrap();
    // The lease runs out; the agent is not heard any more.
    server.ctx.clock.advance(3600);
    server::reconcile::queue(&server.ctx).await.unwrap();
    assert_eq!(states(&server, &ids).await, ["queued"; 3]);
    server.ctx.clock.advance(3600);
    // The power is cut in the middle of the next one, which is the first job by itself.
    let (attempt, plan) = poll(&server, pc, None).await.unwrap();
    assert_eq!(packages(&plan), ["aa"]);
    let request = PollRequest {
        boot_id: "another boot".to_owned(),
        realm: Realm::System,
        agent_version: "0.1.0".to_owned(),
        working: None,
        wait_s: 0,
    };
    let next = agents::poll(&server.ctx, pc, &request).await.unwrap().order;
    assert_eq!(get(&server, &format!("attempts/{}", attempt.0)).await["state"], "lost");
    let Order::Run(lease) = next else { panic!("{next:?}") };
    let plan: Plan = serde_json::from_str(&lease.plan.text).unwrap();
    assert_eq!(packages(&plan), ["bb"], "the first one pauses; the others go on by themselves");
    server.stop().await.unwrap();
}

pub(super) async fn what_differs_or_stands_between_is_not_joined(engine: Engine) {
    let server = site(engine).await;
    let script = json!({ "job_type": "script", "params": { "text": "true" } });
    let needs =
        |id: i64| json!({ "job_type": "package-install", "params": { "packages": ["cc"] }, "needs": [id] });
    let with = |name: &str, value: Value| {
        let mut order = install(&["bb"]);
        order["params"][name] = value;
        order
    };
    let cases: Vec<(&str, Vec<Value>, Vec<&str>)> = vec![
        ("other options", vec![install(&["aa"]), with("removals", json!(true))], vec!["aa"]),
        ("a preview", vec![install(&["aa"]), with("preview", json!(true))], vec!["aa"]),
        (
            "another action",
            vec![install(&["aa"]), json!({ "job_type": "package-remove", "params": { "packages": ["bb"] } })],
            vec!["aa"],
        ),
        ("other versions", vec![install(&["aa=1"]), install(&["aa=2"])], vec!["aa=1"]),
        ("something in between", vec![install(&["aa"]), script.clone(), install(&["bb"])], vec!["aa"]),
        (
            "held ones are left out",
            vec![
                install(&["aa"]),
                json!({ "job_type": "package-install", "params": { "packages": ["bb"] }, "hold": true }),
                install(&["cc"]),
            ],
            vec!["aa", "cc"],
        ),
        (
            "later ones are left out",
            vec![
                install(&["aa"]),
                json!({ "job_type": "package-install", "params": { "packages": ["bb"] }, "not_before": server.ctx.now() + 60 * SECOND }),
                install(&["cc"]),
            ],
            vec!["aa", "cc"],
        ),
    ];
    for (at, (what, orders, expected)) in cases.into_iter().enumerate() {
        let name = format!("pc-{at}");
        let pc = client(&server, &name, Stage::Installed).await;
        for body in &orders {
            order(&server, &name, body).await;
        }
        let (_, plan) = poll(&server, pc, None).await.unwrap();
        assert_eq!(packages(&plan), expected, "{what}");
    }
    // What needs the first one comes after it, and what stands behind that is not drawn before it.
    let pc = client(&server, "pc-chain", Stage::Installed).await;
    let first = order(&server, "pc-chain", &install(&["aa"])).await;
    order(&server, "pc-chain", &needs(first)).await;
    order(&server, "pc-chain", &install(&["dd"])).await;
    let (_, plan) = poll(&server, pc, None).await.unwrap();
    assert_eq!(packages(&plan), ["aa"]);
    server.stop().await.unwrap();
}

pub(super) async fn cancelling_one_leaves_the_others(engine: Engine) {
    let server = site(engine).await;
    let (pc, ids) = three(&server).await;
    let (attempt, _) = poll(&server, pc, None).await.unwrap();
    let because = json!({ "reason": "not wanted" });
    ok(&server, Method::POST, &format!("jobs/{}/cancel", ids[0]), &because).await;
    ends(&server, pc, attempt, Outcome::Cancelled).await;
    assert_eq!(states(&server, &ids).await, ["cancelled", "queued", "queued"]);
    let (attempt, plan) = poll(&server, pc, None).await.unwrap();
    assert_eq!(packages(&plan), ["bb", "cc"]);
    ok(&server, Method::POST, &format!("jobs/{}/cancel", ids[2]), &because).await;
    assert_eq!(states(&server, &ids[2..]).await, ["running"], "the run goes on for the other one");
    ends(&server, pc, attempt, failed("E: broken", false)).await;
    assert_eq!(states(&server, &ids).await, ["cancelled", "queued", "cancelled"]);
    server.stop().await.unwrap();
}

/// Random orders, ends, losses and cancellations: one attempt at a time, and in the end each job has ended once, with its history.
pub(super) async fn whatever_happens_every_job_ends_once(engine: Engine) {
    let server = site(engine).await;
    for seed in 0..4 {
        let mut dice = Dice::new(seed, "joining");
        let name = format!("pc-{seed}");
        let pc = client(&server, &name, Stage::Installed).await;
        let mut ids = Vec::new();
        for step in 0..60 {
            let choice = dice.between(0, 9);
            match choice {
                0..=3 if step < 40 => {
                    let package = format!("p{}", dice.between(0, 5));
                    let body = if dice.hits(700) {
                        install(&[&package])
                    } else {
                        json!({ "job_type": "package-remove", "params": { "packages": [package] } })
                    };
                    ids.push(order(&server, &name, &body).await);
                }
                4 => {
                    let at = usize::try_from(dice.between(0, 100)).unwrap();
                    if let Some(id) = ids.get(at % ids.len().max(1)) {
                        let path = format!("/api/v1/jobs/{id}/cancel");
                        server.send(Method::POST, &path, &json!({ "reason": "no" })).await.unwrap();
                    }
                }
                5 => {
                    server.ctx.clock.advance(3600);
                    server::reconcile::queue(&server.ctx).await.unwrap();
                }
                _ => {
                    if let Some((attempt, plan)) = poll(&server, pc, None).await {
                        let outcome = match dice.between(0, 9) {
                            0 => Outcome::Cancelled,
                            1 => failed("lock", true),
                            2 => Outcome::Refused { reason: "old".to_owned() },
                            // A broken package is broken however it comes.
                            _ if packages(&plan).contains(&"p0".to_owned()) => failed("p0 is broken", false),
                            _ => Outcome::Succeeded,
                        };
                        ends(&server, pc, attempt, outcome).await;
                    }
                }
            }
            let running: Vec<_> =
                jobs_of(&server, &name).await.into_iter().filter(|job| job["state"] == "running").collect();
            let leaders = running.iter().filter(|job| job["joined_to"].is_null()).count();
            assert!(leaders <= 1, "{running:?}");
            assert!(running.is_empty() || leaders == 1, "somebody is carried out by nobody: {running:?}");
        }
        for _ in 0..200 {
            server.ctx.clock.advance(3600);
            server::reconcile::queue(&server.ctx).await.unwrap();
            match poll(&server, pc, None).await {
                Some((attempt, _)) => ends(&server, pc, attempt, Outcome::Succeeded).await,
                None => break,
            }
        }
        for id in &ids {
            let job = job(&server, *id).await;
            let history = job["history"].as_array().unwrap();
            let ends =
                history.iter().filter(|line| line["to"] != "queued" && line["to"] != "running").count();
            assert_eq!(ends, 1, "seed {seed}: {job:#}");
            assert!(job["attempts"].as_i64() <= job["max_attempts"].as_i64(), "seed {seed}: {job:#}");
        }
    }
    server.stop().await.unwrap();
}
