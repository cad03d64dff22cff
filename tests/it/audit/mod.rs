//! Audit, settings, approvals and notices over real HTTPS, on real databases: each test runs on SQLite and on PostgreSQL.

use harness::server::{Answer, TestServer, answer};
use reqwest::Method;
use serde_json::{Value, json};
use server::{app::people, domain::people::Role};

mod approvals;
mod chain;
mod notices;
mod report_mails;
mod routes;
mod settings;

on_both_engines! {
    routes {
        every_changing_route_leaves_an_entry_with_before_and_after,
        what_nobody_notes_is_noted_as_the_request_itself,
        failed_logins_are_entries_and_secrets_are_not,
        what_was_not_carried_out_leaves_no_entry,
    }
    chain {
        many_writers_at_once_make_one_chain,
        whatever_is_done_to_the_chain_is_found_and_the_first_bad_entry_named,
        an_export_holds_everything_and_filters_find,
    }
    settings {
        a_setting_is_checked_and_changed_and_its_change_is_an_entry,
        a_session_ends_when_the_settings_say_so,
    }
    notices {
        five_hundred_failures_are_one_mail,
        a_mail_server_that_is_not_trusted_or_refuses_gets_nothing_and_is_named,
        a_webhook_is_signed_and_tried_again_under_the_same_id,
        a_webhook_never_goes_to_this_machine_unless_allowed,
        a_channel_hears_of_its_groups_and_of_changed_health,
        what_does_not_arrive_is_given_up_and_can_be_sent_again,
    }
    report_mails {
        a_report_comes_once_a_period_with_its_table,
        what_may_have_left_is_not_sent_again_and_what_did_not_is,
        two_servers_send_one_report,
        a_report_mail_is_checked_by_field,
    }
    approvals {
        a_second_person_approves_and_whoever_asks_cannot,
        two_who_decide_at_once_decide_once,
        who_was_demoted_meanwhile_gets_nothing_carried_out,
        a_request_expires_and_can_be_asked_again,
        what_cannot_be_carried_out_stays_undecided,
        many_clients_at_once_need_a_second_person,
    }
}

/// Somebody with a token of their own.
struct Person<'a> {
    server: &'a TestServer,
    token: String,
    number: i64,
}

impl<'a> Person<'a> {
    /// A token that this person has made.
    async fn new(server: &'a TestServer, name: &str, role: Role) -> Self {
        let mut tx = server.ctx.db.write().await.unwrap();
        let shown =
            people::create_token(&mut tx, &format!("{name}'s"), role, None, name, server.ctx.now()).await;
        tx.commit().await.unwrap();
        let shown = shown.unwrap();
        Self { server, token: shown.secret, number: shown.token.id }
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.server.request(None, method, path).bearer_auth(&self.token);
        answer(request.json(body)).await.unwrap()
    }

    async fn post(&self, path: &str) -> Answer {
        self.send(Method::POST, path, &json!({})).await
    }
}

/// All entries, oldest first.
async fn entries(server: &TestServer) -> Vec<Value> {
    let text = server.get("/api/v1/audit/export").await.unwrap();
    assert!(text.status.is_success(), "{text:?}");
    text.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn verdict(server: &TestServer) -> Value {
    server.get("/api/v1/audit/verify").await.unwrap().ok().unwrap()
}

async fn set(server: &TestServer, settings: Value) {
    server.send(Method::PATCH, "/api/v1/settings", &settings).await.unwrap().ok().unwrap();
}

async fn register(server: &TestServer, name: &str) {
    server.send(Method::POST, "/api/v1/clients", &json!({ "name": name })).await.unwrap().ok().unwrap();
}
