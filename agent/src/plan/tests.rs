//! Plans that may and may not run; and plans for the tests of others.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use wire::Sha256;

use super::*;
use crate::identity::tests::identity;

/// A server's plan key.
pub(crate) struct Signer(Ed25519KeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    pub(crate) fn identity(&self) -> Identity {
        Identity { plan_key: hex::encode(self.0.public_key().as_ref()), ..identity() }
    }

    pub(crate) fn sign(&self, plan: &Value) -> SignedPlan {
        let text = plan.to_string();
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let signature = BASE64_STANDARD.encode(self.0.sign(text.as_bytes()));
        SignedPlan { text, sha256: Sha256::from_bytes(hash), signature }
    }
}

/// A plan for the test client in the system realm.
pub(crate) fn plan(steps: &Value) -> Value {
    json!({ "job": 1, "client": 7, "job_type": "test", "realm": "system", "steps": steps })
}

fn step(id: &str, kind: &Value) -> Value {
    let mut step = json!({ "id": id, "title": { "en": id }, "timeout_s": 60 });
    step.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
    step
}

fn refusal(plan: &Value) -> Refusal {
    let server = Signer::new();
    verify(&server.sign(plan), &server.identity(), Realm::System).unwrap_err()
}

#[test]
fn a_plan_signed_by_the_own_server_for_this_client_and_realm_is_accepted() {
    let server = Signer::new();
    let signed = server.sign(&plan(&json!([step("a", &json!({ "kind": "facts" }))])));
    assert_eq!(verify(&signed, &server.identity(), Realm::System).unwrap().steps.len(), 1);
}

#[test]
fn a_changed_or_foreign_plan_is_refused() {
    let server = Signer::new();
    let signed = server.sign(&plan(&json!([])));
    let changed = SignedPlan { text: signed.text.replace("test", "tset"), ..signed.clone() };
    assert_eq!(verify(&changed, &server.identity(), Realm::System), Err(Refusal::Hash));
    assert_eq!(verify(&signed, &Signer::new().identity(), Realm::System), Err(Refusal::Signature));
}

#[test]
fn a_plan_for_another_client_or_realm_is_refused() {
    let server = Signer::new();
    let signed = server.sign(&plan(&json!([])));
    let other = Identity { client: ClientId(8), ..server.identity() };
    assert_eq!(
        verify(&signed, &other, Realm::System),
        Err(Refusal::Client { plan: ClientId(7), own: ClientId(8) })
    );
    assert_eq!(
        verify(&signed, &server.identity(), Realm::Installer),
        Err(Refusal::Realm { plan: "system", own: "installer" })
    );
}

#[test]
fn whatever_a_newer_server_invents_is_refused_before_anything_runs() {
    let disk = json!({ "disk": "d", "path": "/dev/vda", "serial": "", "size_bytes": 1, "sector_bytes": 512 });
    for (kind, what) in [
        (json!({ "kind": "teleport" }), "kind"),
        (json!({ "kind": "storage", "disks": [], "actions": [{ "action": "shrink" }] }), "storage work"),
        (json!({ "kind": "wipe-disk", "disk": disk, "method": "acid" }), "method"),
    ] {
        let refusal = refusal(&plan(&json!([step("good", &json!({ "kind": "facts" })), step("bad", &kind)])));
        assert_eq!(refusal, Refusal::Newer { step: "bad".into(), what });
    }
}

#[test]
fn a_plan_that_contradicts_itself_is_refused() {
    let facts = json!({ "kind": "facts" });
    let twice = refusal(&plan(&json!([step("a", &facts), step("a", &facts)])));
    assert!(matches!(twice, Refusal::Contradiction(_)), "{twice}");
    let after_reboot = refusal(&plan(&json!([step("a", &json!({ "kind": "reboot" })), step("b", &facts)])));
    assert!(matches!(after_reboot, Refusal::Contradiction(_)), "{after_reboot}");
}
