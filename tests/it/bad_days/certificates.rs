//! Certificates that are not a client's own, on the listener for agents.

use super::{
    Machine, client, enrol, identity, installer, job, mac, order, poll, reaches, register, serves, showing,
    token_on_the_wire, until, wants_installer,
};
use agent::{host::fake::Answer as Does, identity::NewKey};
use harness::server::{Engine, TestServer, answer};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use reqwest::Method;
use serde_json::json;
use server::domain::people::Role;
use std::time::Duration;
use wire::{ClientId, enrol::Realm};

on_both_engines! {
    an_identity_that_was_replaced_or_whose_client_is_gone_is_refused_with_the_reason,
    a_client_reaches_neither_attempts_nor_secrets_of_another,
    a_certificate_of_the_ca_that_nobody_was_given_is_worth_nothing,
}

fn poll_url(server: &TestServer) -> String {
    format!("{}/agent/v1/poll", server.ctx.addresses.agents)
}

/// A certificate for clients with its key, signed by `issuer` or by itself.
fn made(issuer: Option<&Issuer<'_, KeyPair>>) -> String {
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let certificate = match issuer {
        Some(issuer) => params.signed_by(&key, issuer).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    certificate.pem() + &key.serialize_pem()
}

#[tokio::test]
async fn certificates_of_strangers_do_not_get_past_the_handshake() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Even with the very name of the server's own CA.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::OrganizationName, "Lotse");
    params.distinguished_name.push(rcgen::DnType::CommonName, "Lotse CA");
    let other = Issuer::new(params, key);
    let now = server.ctx.now();
    let expired = NewKey::generate().unwrap();
    let issued =
        server.ctx.authority.issue(&expired.csr_pem, ClientId(1), now - 100 * 86_400_000_000).unwrap();
    let enrolled: wire::enrol::Identity = serde_json::from_value(json!({
        "client": 1, "name": "x", "certificate_pem": issued.pem, "expires_at": 0, "ca_pem": "", "plan_key": "",
        "agents_url": "", "boot_url": "",
    }))
    .unwrap();
    let expired = issued.pem + &expired.into_credentials(enrolled, Realm::System, 0).key_pem;
    for (whose, pem) in
        [("self-signed", made(None)), ("of another CA", made(Some(&other))), ("expired", expired)]
    {
        let sent = showing(&server, &pem).post(poll_url(&server)).body("{}").send().await;
        assert!(sent.is_err(), "a certificate that is {whose} got the answer {sent:?}");
    }
    // An admin's token is for people, and does not stand in for a certificate.
    let admin = server.http.post(poll_url(&server)).bearer_auth(server.token(Role::Admin)).body("{}");
    assert!(admin.send().await.is_err());
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_certificate_of_the_ca_that_nobody_was_given_is_worth_nothing(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    register(&server, "lab-01", mac(1)).await;
    let key = NewKey::generate().unwrap();
    let issued = server.ctx.authority.issue(&key.csr_pem, ClientId(1), server.ctx.now()).unwrap();
    let enrolled: wire::enrol::Identity = serde_json::from_value(json!({
        "client": 1, "name": "x", "certificate_pem": issued.pem, "expires_at": 0, "ca_pem": "", "plan_key": "",
        "agents_url": "", "boot_url": "",
    }))
    .unwrap();
    let pem = issued.pem + &key.into_credentials(enrolled, Realm::System, 0).key_pem;
    let refused = poll(&server, &showing(&server, &pem)).await;
    assert!(refused.is_problem(401) && refused.text.contains("belongs to no client"), "{refused:?}");
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn an_identity_that_was_replaced_or_whose_client_is_gone_is_refused_with_the_reason(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    installer(&server, b"tools").await;
    register(&server, "lab-01", mac(1)).await;
    let mut agents = Vec::new();
    for _ in 0..2 {
        let token = token_on_the_wire(&server, mac(1)).await;
        let key = NewKey::generate().unwrap();
        let enrolled = enrol(&server, mac(1), &key, Some(&token), "a").await;
        agents.push(showing(&server, &identity(&enrolled, key)));
        poll(&server, agents.last().unwrap()).await.ok().unwrap();
        if agents.len() == 1 {
            wants_installer(&server, "lab-01").await;
        }
    }
    let replaced = poll(&server, &agents[0]).await;
    assert!(
        replaced.is_problem(401) && replaced.text.contains("replaced by a newer identity"),
        "{replaced:?}"
    );
    server.send(Method::DELETE, "/api/v1/clients/lab-01", &json!({})).await.unwrap().ok().unwrap();
    let gone = poll(&server, &agents[1]).await;
    assert!(gone.is_problem(401) && gone.text.contains("belongs to no client of this server"), "{gone:?}");
    serves(&server).await;
    server.stop().await.unwrap();
}

async fn a_client_reaches_neither_attempts_nor_secrets_of_another(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let mut victim = Machine::enrolled(&server, "lab-01", mac(1)).await;
    victim.host.answer("/bin/sh", Does::prints("working").after(Duration::from_mins(10)));
    let id = order(&server, "lab-01", &json!({ "job_type": "script", "params": { "text": "true" } })).await;
    let running = reaches(&server, id, "running").await;
    let attempts = server.get(&format!("/api/v1/jobs/{id}/attempts")).await.unwrap().ok().unwrap();
    let attempt = attempts[0]["id"].as_i64().unwrap_or_else(|| panic!("{attempts} of {running}"));

    installer(&server, b"tools").await;
    register(&server, "lab-02", mac(2)).await;
    let token = token_on_the_wire(&server, mac(2)).await;
    let key = NewKey::generate().unwrap();
    let thief = enrol(&server, mac(2), &key, Some(&token), "b").await;
    let thief = showing(&server, &identity(&thief, key));
    let base = format!("{}/agent/v1/attempts/{attempt}", server.ctx.addresses.agents);
    let end = json!({ "seq": 1, "at": 0, "event": "finished", "outcome": { "outcome": "succeeded" } });
    let report = json!({ "boot_id": "b", "events": [end] });
    let got = answer(thief.post(format!("{base}/report")).json(&report)).await.unwrap();
    assert!(got.is_problem(404) && got.text.contains("does not exist"), "{got:?}");
    let got = answer(thief.get(format!("{base}/secrets/root-password"))).await.unwrap();
    assert!(got.is_problem(403), "{got:?}");
    assert_eq!(job(&server, id).await["state"], "running");
    until(&server, "the victim is heard", async || {
        (client(&server, "lab-01").await["activity"]["state"] == "working").then_some(())
    })
    .await;
    victim.stop().await;
    serves(&server).await;
    server.stop().await.unwrap();
}
