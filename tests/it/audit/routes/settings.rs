//! Changes of tokens, settings, requests for approval and channels.

use super::*;

pub(super) async fn about_people_and_settings(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let token = json!({ "name": "x", "role": "viewer" });
    let made =
        walk.step(p(Method::POST, "/api/v1/tokens"), &[], &token, ("token.create", "token ", NEW)).await;
    let number = made["token"]["id"].to_string();
    walk.step(
        p(Method::DELETE, "/api/v1/tokens/{id}"),
        &[("id", &number)],
        none,
        ("token.revoke", "token ", CHANGED),
    )
    .await;
    let wanted = json!({ "retention.events": 1000 });
    walk.step(
        p(Method::POST, "/api/v1/cache/clean"),
        &[],
        &json!({ "unused_days": 1 }),
        ("cache.clean", "package cache", GONE),
    )
    .await;
    walk.step(
        p(Method::PATCH, "/api/v1/settings"),
        &[],
        &wanted,
        ("setting.change", "setting retention.events", CHANGED),
    )
    .await;
    about_channels(walk).await;
    about_report_mails(walk).await;
    for (route, action) in [
        ("/api/v1/approvals/{id}/approve", "approval.approve"),
        ("/api/v1/approvals/{id}/refuse", "approval.refuse"),
    ] {
        let number = waiting(server).await.to_string();
        walk.seen = entries(server).await.len();
        walk.step(p(Method::POST, route), &[("id", &number)], none, (action, "approval ", CHANGED)).await;
    }
}

async fn about_channels(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let p = |method, route| (method, route);
    let hook = &[("name", "hook")];
    let wish = json!({ "name": "hook", "kind": "webhook", "url": "https://hooks.example/x" });
    walk.step(p(Method::POST, "/api/v1/channels"), &[], &wish, ("channel.create", "channel hook", NEW)).await;
    let off = json!({ "kind": "webhook", "url": "https://hooks.example/x", "enabled": false });
    walk.step(
        p(Method::PUT, "/api/v1/channels/{name}"),
        hook,
        &off,
        ("channel.change", "channel hook", CHANGED),
    )
    .await;
    walk.step(
        p(Method::POST, "/api/v1/channels/{name}/secret"),
        hook,
        none,
        ("channel.new-secret", "channel hook", NEW),
    )
    .await;
    // It does not arrive, and that, too, is an entry.
    let test = server.send(Method::POST, "/api/v1/channels/hook/test", none).await.unwrap();
    assert!(test.is_problem(503), "{test:?}");
    walk.used.insert("POST /api/v1/channels/{name}/test".to_owned());
    let all = entries(server).await;
    assert_eq!(all.last().unwrap()["action"], "channel.test");
    walk.seen = all.len();
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = channels::find(&mut tx, "hook").await.unwrap().unwrap().id;
    let notice = Notice::test("n".to_owned(), "hook", server.ctx.now());
    let posted = channels::post(&mut tx, id, &notice, server.ctx.now()).await.unwrap();
    channels::finish(&mut tx, posted, "given-up", "nobody there", server.ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    let number = posted.to_string();
    walk.step(
        p(Method::POST, "/api/v1/notices/{id}/retry"),
        &[("id", &number)],
        none,
        ("notice.retry", "notice ", CHANGED),
    )
    .await;
    walk.step(
        p(Method::DELETE, "/api/v1/channels/{name}"),
        hook,
        none,
        ("channel.delete", "channel hook", GONE),
    )
    .await;
}

/// A request by somebody else that waits for a second person.
async fn waiting(server: &TestServer) -> i64 {
    let other = super::super::Person::new(server, "ann", Role::Admin).await;
    register(server, &format!("old-{}", other.number)).await;
    let wish = json!({ "action": "retire", "client": format!("old-{}", other.number) });
    let approval = Approval {
        id: 0,
        wish,
        summary: "retire".to_owned(),
        risk: Risk::Retire,
        role: Role::Operator,
        asked_by: "ann".to_owned(),
        person: "ann".to_owned(),
        pass: format!("token {}", other.number),
        asked_at: server.ctx.now(),
        expires_at: i64::MAX,
        state: ApprovalState::Pending,
        decided_by: None,
        decided_at: None,
        reason: String::new(),
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    let id = approvals::create(&mut tx, &approval).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn about_report_mails(walk: &mut Walk<'_>) {
    let (server, none) = (walk.server, &json!({}));
    let p = |method, route| (method, route);
    let (mail, object) = (&[("name", "month")], "report mail month");
    let mut wish = json!({ "name": "month", "report": "updates", "every": "monthly", "to": ["a@b.example"] });
    let route = "/api/v1/report-mails";
    walk.step(p(Method::POST, route), &[], &wish, ("report-mail.create", object, NEW)).await;
    wish["enabled"] = json!(false);
    let route = "/api/v1/report-mails/{name}";
    walk.step(p(Method::PUT, route), mail, &wish, ("report-mail.change", object, CHANGED)).await;
    // Nothing is sent without a mail server, and that, too, is an entry.
    let sent = server.send(Method::POST, "/api/v1/report-mails/month/send", none).await.unwrap();
    assert!(sent.is_problem(503), "{sent:?}");
    walk.used.insert("POST /api/v1/report-mails/{name}/send".to_owned());
    let all = entries(server).await;
    assert_eq!(all.last().unwrap()["action"], "report-mail.send");
    walk.seen = all.len();
    walk.step(p(Method::DELETE, route), mail, none, ("report-mail.delete", object, GONE)).await;
}
