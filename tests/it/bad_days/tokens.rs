//! Enrolment tokens that are late, come again, or come from somebody else.

use super::{
    Machine, client, enrol, identity, installer, job, mac, order, poll, register, serves, showing, timeline,
    token_on_the_wire, wants_installer,
};
use agent::identity::NewKey;
use harness::server::{Engine, TestServer};
use reqwest::Method;
use serde_json::json;
use server::clock::Clock;
use wire::enrol::Realm;

on_both_engines! {
    an_expired_token_is_refused_and_the_next_boot_brings_a_good_one,
    a_used_token_is_good_for_the_same_key_only_and_a_second_key_stops_the_client,
    a_token_read_from_the_wire_does_not_help_another_machine_and_does_not_harm_the_first,
    a_token_that_was_used_long_ago_raises_an_alarm_and_takes_nothing_away,
    a_thief_who_comes_first_from_another_address_gets_nothing,
}

async fn site(engine: Engine, clock: Clock) -> TestServer {
    let server = TestServer::start_with(engine, clock).await.unwrap();
    installer(&server, b"tools").await;
    register(&server, "lab-01", mac(1)).await;
    server
}

fn now() -> Clock {
    Clock::fixed(Clock::system().now())
}

async fn clear(server: &TestServer) {
    server.send(Method::DELETE, "/api/v1/clients/lab-01/alarm", &json!({})).await.unwrap().ok().unwrap();
}

async fn alarm(server: &TestServer) -> String {
    let client = client(server, "lab-01").await;
    assert_eq!(client["health"]["state"], "critical", "{client}");
    client["health"]["reason"].as_str().unwrap().to_owned()
}

async fn an_expired_token_is_refused_and_the_next_boot_brings_a_good_one(engine: Engine) {
    let clock = now();
    let server = site(engine, clock.clone()).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    clock.advance(31 * 60);
    let late = enrol(&server, mac(1), &NewKey::generate().unwrap(), Some(&token), "a").await;
    assert!(late.is_problem(401) && late.text.contains("expired: restart the machine"), "{late:?}");
    assert!(timeline(&server, mac(1)).await.contains("refused: this enrolment token has expired"));
    assert_eq!(client(&server, "lab-01").await["health"]["state"], "ok");

    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    identity(&enrol(&server, mac(1), &key, Some(&token), "a").await, key);
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_used_token_is_good_for_the_same_key_only_and_a_second_key_stops_the_client(engine: Engine) {
    let server = site(engine, Clock::system()).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    enrol(&server, mac(1), &key, Some(&token), "a").await.ok().unwrap();
    // The answer was lost on the way.
    let first = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let first = showing(&server, &identity(&first, key));
    poll(&server, &first).await.ok().unwrap();
    let waiting = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;

    let second = enrol(&server, mac(1), &NewKey::generate().unwrap(), Some(&token), "a").await;
    assert!(second.is_problem(403) && second.text.contains("used a second time"), "{second:?}");
    let reason = alarm(&server).await;
    assert!(
        reason.contains("another key") && reason.contains("`lotse client clear-alarm lab-01`"),
        "{reason}"
    );
    let refused = poll(&server, &first).await;
    assert!(refused.is_problem(401) && refused.text.contains("used a second time"), "{refused:?}");
    let waits = job(&server, waiting).await;
    assert!(waits["waits_for"].as_str().unwrap().contains("alarm"), "{waits}");

    clear(&server).await;
    wants_installer(&server, "lab-01").await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    let again = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let agent = showing(&server, &identity(&again, key));
    assert!(poll(&server, &agent).await.text.contains("\"do\":\"run\""));
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_token_read_from_the_wire_does_not_help_another_machine_and_does_not_harm_the_first(
    engine: Engine,
) {
    let server = site(engine, Clock::system()).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    let first = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let first = showing(&server, &identity(&first, key));

    let mut thief = Machine::new(&server, mac(66), Realm::Installer, Some(token));
    thief.start();
    thief.shows(&server, "the server refused the enrolment").await;
    thief.shows(&server, "an admin has to adopt this machine").await;
    thief.stop().await;
    let reason = alarm(&server).await;
    assert!(
        reason.contains(&mac(66).to_string()) && reason.contains("`lotse client clear-alarm lab-01`"),
        "{reason}"
    );
    assert!(timeline(&server, mac(66)).await.contains(&mac(1).to_string()));

    // Nothing new begins until somebody has looked, and the first machine goes on afterwards as if nothing had been.
    let waiting = order(&server, "lab-01", &json!({ "job_type": "hardware-detection" })).await;
    assert!(poll(&server, &first).await.text.contains("\"do\":\"rest\""));
    clear(&server).await;
    assert!(poll(&server, &first).await.text.contains("\"do\":\"run\""));
    assert_eq!(job(&server, waiting).await["state"], "running");
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_token_that_was_used_long_ago_raises_an_alarm_and_takes_nothing_away(engine: Engine) {
    let clock = now();
    let server = site(engine, clock.clone()).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let key = NewKey::generate().unwrap();
    let first = enrol(&server, mac(1), &key, Some(&token), "a").await;
    let first = showing(&server, &identity(&first, key));
    clock.advance(3600);
    let replayed = enrol(&server, mac(1), &NewKey::generate().unwrap(), Some(&token), "a").await;
    assert!(replayed.is_problem(403), "{replayed:?}");
    assert!(alarm(&server).await.contains("long ago"));
    poll(&server, &first).await.ok().unwrap();
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_thief_who_comes_first_from_another_address_gets_nothing(engine: Engine) {
    let server = site(engine, Clock::system()).await;
    let token = token_on_the_wire(&server, mac(1)).await;
    let thief = enrol(&server, mac(66), &NewKey::generate().unwrap(), Some(&token), "z").await;
    assert!(thief.is_problem(403) && !thief.text.contains("BEGIN CERTIFICATE"), "{thief:?}");
    let key = NewKey::generate().unwrap();
    let stopped = enrol(&server, mac(1), &key, Some(&token), "a").await;
    assert!(stopped.is_problem(403) && stopped.text.contains("stopped by an alarm"), "{stopped:?}");
    clear(&server).await;
    identity(&enrol(&server, mac(1), &key, Some(&token), "a").await, key);
    serves(&server).await;
    server.stop().await.unwrap();
}
