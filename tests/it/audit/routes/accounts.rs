//! Changes of accounts, and of one's own.

use super::*;

pub(super) async fn about_accounts(walk: &mut Walk<'_>) {
    let ann = &[("name", "ann")];
    let none = &json!({});
    let account = "account ann";
    let p = |method, route| (method, route);
    let new = json!({ "name": "ann", "rights": { "role": "viewer" } });
    let made =
        walk.step(p(Method::POST, "/api/v1/accounts"), &[], &new, ("account.create", account, NEW)).await;
    let change = json!({ "rights": { "role": "operator" } });
    let route = "/api/v1/accounts/{name}";
    walk.step(p(Method::PATCH, route), ann, &change, ("account.change", account, CHANGED)).await;
    let log_in = async |link: &Value| {
        let link = link["link"].as_str().unwrap().split_once('#').unwrap().1;
        let request = walk.server.request(None, Method::POST, "/api/v1/login").json(&json!({ "link": link }));
        answer(request).await.unwrap().ok().unwrap()
    };
    let shown = log_in(&made).await;
    walk.seen = entries(walk.server).await.len();
    let login = format!("token-{}", shown["token"]["id"]);
    let one = &[("name", "ann"), ("id", login.as_str())];
    let route = "/api/v1/accounts/{name}/logins/{id}";
    walk.step(p(Method::DELETE, route), one, none, ("session.end", "login ", GONE)).await;
    let route = "/api/v1/accounts/{name}/logins";
    walk.step(p(Method::DELETE, route), ann, none, ("session.end", account, GONE)).await;
    let route = "/api/v1/accounts/{name}/login-link";
    walk.step(p(Method::POST, route), ann, none, ("account.link", account, NEW)).await;
    {
        let mut tx = walk.server.ctx.db.write().await.unwrap();
        let (found, _) = account_rows::find(&mut tx, "ann").await.unwrap().unwrap();
        account_rows::offer_totp(&mut tx, found.id, &totp::new_secret()).await.unwrap();
        account_rows::begin_totp(&mut tx, found.id, 1, &[]).await.unwrap();
        tx.commit().await.unwrap();
    }
    let route = "/api/v1/accounts/{name}/second-factor";
    walk.step(p(Method::DELETE, route), ann, none, ("account.second-factor", account, CHANGED)).await;
    let route = "/api/v1/accounts/{name}";
    walk.step(p(Method::DELETE, route), ann, none, ("account.delete", account, GONE)).await;
}

pub(super) async fn about_ones_own_account(walk: &mut Walk<'_>) {
    let server = walk.server;
    let none = &json!({});
    let account = "account admin";
    let p = |method, route| (method, route);
    let log_in = async |order: &Value| {
        let request = server.request(None, Method::POST, "/api/v1/login").json(order);
        answer(request).await.unwrap().ok().unwrap()
    };
    let link = server.first_login.split_once('#').unwrap().1;
    let shown = log_in(&json!({ "link": link })).await;
    walk.login = Some(shown["secret"].as_str().unwrap().to_owned());
    walk.seen = entries(server).await.len();
    let new = json!({ "new": "a good password" });
    let route = "/api/v1/account/password";
    walk.step(p(Method::POST, route), &[], &new, ("password.change", account, NEW)).await;
    let language = json!({ "language": "de" });
    let route = "/api/v1/account/language";
    walk.step(p(Method::POST, route), &[], &language, ("account.language", account, NEW)).await;
    let route = "/api/v1/account/prolong";
    walk.step(p(Method::POST, route), &[], none, ("token.prolong", "token ", CHANGED)).await;
    let other = log_in(&json!({ "name": "admin", "password": "a good password" })).await;
    walk.seen = entries(server).await.len();
    let id = format!("token-{}", other["token"]["id"]);
    let route = "/api/v1/account/logins/{id}";
    walk.step(p(Method::DELETE, route), &[("id", &id)], none, ("session.end", "login ", GONE)).await;
    let route = "/api/v1/account/logins";
    walk.step(p(Method::DELETE, route), &[], none, ("session.end", account, GONE)).await;
    let route = "/api/v1/account/second-factor";
    let offered =
        walk.step(p(Method::POST, route), &[], none, ("account.offer-second-factor", account, NEW)).await;
    let secret = offered["secret"].as_str().unwrap();
    let code = code_of(secret, server.ctx.now()).unwrap();
    let route = "/api/v1/account/second-factor/confirm";
    let code = json!({ "code": code });
    let on = walk.step(p(Method::POST, route), &[], &code, ("account.second-factor", account, CHANGED)).await;
    let code = json!({ "code": on["codes"][0] });
    let route = "/api/v1/account/second-factor/end";
    walk.step(p(Method::POST, route), &[], &code, ("account.second-factor", account, CHANGED)).await;
    walk.login = None;
    walk.seen = entries(server).await.len();
}
