//! Settings are checked, counted and noted.

use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::json;
use server::{
    app::{
        login::{self, Begun},
        sessions::{self, Origin},
    },
    clock::Clock,
    db::people,
    identity::token::Token,
};

use super::{entries, set};

pub(super) async fn a_setting_is_checked_and_changed_and_its_change_is_an_entry(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let wrong = json!({ "session.valid-days": 0, "approval.mass-above": 10 });
    let refused = server.send(Method::PATCH, "/api/v1/settings", &wrong).await.unwrap();
    assert!(refused.is_problem(422), "{refused:?}");
    assert_eq!(refused.json()["fields"][0]["field"], "session.valid-days");
    let unknown = server.send(Method::PATCH, "/api/v1/settings", &json!({ "nothing": 1 })).await.unwrap();
    assert!(unknown.is_problem(404));
    let value = async |name: &str| {
        let all = server.get("/api/v1/settings").await.unwrap().ok().unwrap();
        let all = all["settings"].as_array().unwrap().clone();
        all.into_iter().find(|setting| setting["name"] == name).unwrap()
    };
    assert_eq!(value("approval.mass-above").await["value"], 50, "nothing of a wrong request counts");
    set(&server, json!({ "session.valid-days": 3 })).await;
    assert_eq!(value("session.valid-days").await["changed_by"], "admin");
    // The same again changes nothing.
    set(&server, json!({ "session.valid-days": 3 })).await;
    set(&server, json!({ "session.valid-days": null })).await;
    assert_eq!(value("session.valid-days").await["changed_at"], json!(null));
    let noted: Vec<_> = entries(&server)
        .await
        .into_iter()
        .filter(|entry| entry["action"] == "setting.change")
        .map(|entry| format!("{} {} {}", entry["object"], entry["before"], entry["after"]))
        .collect();
    assert_eq!(
        noted,
        [
            r#""setting session.valid-days" "{\"value\":7}" "{\"value\":3}""#,
            r#""setting session.valid-days" "{\"value\":3}" "{\"value\":7}""#
        ]
    );
    server.stop().await.unwrap();
}

pub(super) async fn a_session_ends_when_the_settings_say_so(engine: Engine) {
    let clock = Clock::fixed(Clock::system().now());
    let server = TestServer::start_with(engine, clock.clone()).await.unwrap();
    set(&server, json!({ "session.idle-hours": 2, "session.valid-days": 1 })).await;
    let ctx = &server.ctx;
    let begin = async || {
        let mut tx = ctx.db.write().await.unwrap();
        let (user, _) = server::db::accounts::find(&mut tx, "admin").await.unwrap().unwrap();
        let link = Token::new();
        people::create_link(&mut tx, &link.hash(), user.id, i64::MAX, ctx.now()).await.unwrap();
        tx.commit().await.unwrap();
        let origin = Origin { address: [127, 0, 0, 1].into(), browser: "test".to_owned() };
        match login::by_link(ctx, link.reveal(), &origin).await.unwrap() {
            Begun::Session(session) => session,
            Begun::SecondFactor(_) => panic!("the account has no second factor"),
        }
    };
    let session = begin().await;
    let is_in =
        async |session: &Token| sessions::authenticate(ctx, session.reveal()).await.unwrap().is_some();
    clock.advance(2 * 3600 - 10);
    assert!(is_in(&session).await);
    clock.advance(2 * 3600 + 10);
    assert!(!is_in(&session).await, "it was idle for more than two hours");
    let session = begin().await;
    for _ in 0..23 {
        clock.advance(3600);
        assert!(is_in(&session).await);
    }
    clock.advance(3601);
    assert!(!is_in(&session).await, "it is older than a day");
    server.stop().await.unwrap();
}
