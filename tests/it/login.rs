//! Logins as an attacker looks at them: cookies, forms of other sites, guessing, codes that are used twice, sessions that should be over.

use harness::{
    cookies::{Browser, cookie, form},
    server::{Engine, TestServer, answer},
    telephone::code_of,
};
use reqwest::{Method, header};
use server::{
    clock::Clock,
    domain::people::{Rights, Role},
    http::pages::ROUTES,
};

const PASSWORD: &str = "correct horse battery";

async fn start() -> (TestServer, Clock) {
    let clock = Clock::fixed(Clock::system().now());
    (TestServer::start_with(Engine::Sqlite, clock.clone()).await.unwrap(), clock)
}

/// Somebody who has logged in by link and set a password.
async fn ann(server: &TestServer, role: Role) -> Browser {
    let browser = Browser::of_new_account(server, "ann", role.into()).await.unwrap();
    let set = [("password", PASSWORD), ("again", PASSWORD)];
    assert_eq!(browser.post("/account/password", &set).await.unwrap().status, 303);
    browser
}

async fn is_in(browser: &Browser) -> bool {
    browser.get("/account").await.unwrap().status == 200
}

#[tokio::test]
async fn the_cookie_goes_over_tls_only_and_no_script_sees_it() {
    let (server, _) = start().await;
    ann(&server, Role::Viewer).await;
    let mut browser = Browser::new(&server).unwrap();
    let answer = browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    let set = answer.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(set.starts_with("__Host-lotse=lotse_"), "{set}");
    for word in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
        assert!(set.contains(word), "{set}");
    }
    assert!(!set.contains("Domain"), "{set}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_that_a_browser_brings_along_is_never_taken_over() {
    let (server, _) = start().await;
    ann(&server, Role::Viewer).await;
    let mut browser = Browser::new(&server).unwrap();
    browser.secret = Some("lotse_chosen-by-an-attacker".to_owned());
    browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    assert!(is_in(&browser).await);
    let first = browser.secret.replace("lotse_chosen-by-an-attacker".to_owned()).unwrap();
    assert!(!is_in(&browser).await);
    // Nor does a login go on with a session that was there before.
    browser.secret = Some(first.clone());
    browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    assert_ne!(browser.secret, Some(first));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_leads_to_pages_of_our_own_only() {
    let (server, _) = start().await;
    ann(&server, Role::Viewer).await;
    for (next, leads) in [
        ("/clients?stage=installed", "/clients?stage=installed"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example/", "/"),
        ("/\t/evil.example/", "/"),
        ("javascript:alert(1)", "/"),
    ] {
        let mut browser = Browser::new(&server).unwrap();
        let sent = [("name", "ann"), ("password", PASSWORD), ("next", next)];
        let answer = browser.login(&sent).await.unwrap();
        assert_eq!(
            (answer.status.as_u16(), &answer.headers[header::LOCATION]),
            (303, &leads.parse().unwrap())
        );
        let sent = [("lang", "de"), ("back", next)];
        let answer = browser.post("/language", &sent).await.unwrap();
        assert_eq!(answer.headers[header::LOCATION], leads, "{next}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let (server, _) = start().await;
    let browser = ann(&server, Role::Admin).await;
    let sent = [("name", "mallory"), ("role", "admin")];
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request = form(browser.request(Method::POST, "/accounts"), &sent).header(name, value);
        assert_eq!(answer(request).await.unwrap().status, 403, "{name}: {value}");
    }
    assert!(server.get("/api/v1/accounts/mallory").await.unwrap().is_problem(404));
    let own = form(browser.request(Method::POST, "/accounts"), &sent).header("sec-fetch-site", "same-origin");
    assert_eq!(answer(own).await.unwrap().status, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_page_tells_the_browser_what_it_may_do() {
    let (server, _) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    let stranger = Browser::new(&server).unwrap();
    for (who, path, status) in [
        (&stranger, "/login", 200),
        (&stranger, "/accounts", 303),
        (&browser, "/", 200),
        (&browser, "/accounts", 403),
        (&browser, "/clients/nobody", 404),
    ] {
        let answer = who.get(path).await.unwrap();
        assert_eq!(answer.status, status, "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.headers[name], value, "{path}");
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn every_page_needs_a_login_and_its_role() {
    let (server, _) = start().await;
    let mut browsers = Vec::new();
    for role in [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin] {
        let browser =
            Browser::of_new_account(&server, &format!("a-{}", role.as_str()), Rights::everything(role))
                .await
                .unwrap();
        browsers.push((role, browser));
    }
    let stranger = Browser::new(&server).unwrap();
    for (method, path, needed) in ROUTES {
        if *path == "/live" || path.ends_with("/output") {
            continue;
        }
        let concrete =
            path.replace("{name}", "nobody").replace("{client}", "nobody").replace("{id}", "999999");
        let without = answer(stranger.request((*method).clone(), &concrete)).await.unwrap();
        assert_eq!(without.status, 303, "{method} {path} without a login");
        assert!(without.headers[header::LOCATION].to_str().unwrap().starts_with("/login"), "{path}");
        for (role, browser) in &browsers {
            let got = answer(form(browser.request((*method).clone(), &concrete), &[])).await.unwrap();
            let refused = got.status == 403;
            assert_eq!(refused, *role < *needed, "{method} {path} as {role:?}: {}", got.status);
            assert!(got.status != 500 && got.status != 401, "{method} {path} as {role:?}: {}", got.text);
        }
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_in_any_case_after_its_limit() {
    let (server, clock) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    clock.advance(12 * 3600 - 60);
    assert!(is_in(&browser).await);
    clock.advance(12 * 3600 + 1);
    assert!(!is_in(&browser).await);
    let mut browser = Browser::new(&server).unwrap();
    browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    for _ in 0..7 * 3 - 1 {
        clock.advance(8 * 3600);
        assert!(is_in(&browser).await);
    }
    clock.advance(8 * 3600 + 1);
    assert!(!is_in(&browser).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_guesses_is_locked_out_for_a_quarter_of_an_hour() {
    let (server, clock) = start().await;
    ann(&server, Role::Viewer).await;
    let mut browser = Browser::new(&server).unwrap();
    for guess in 0..10 {
        let answer = browser.login(&[("name", "ann"), ("password", &guess.to_string())]).await.unwrap();
        assert_eq!(answer.status, 401);
    }
    let right = [("name", "ann"), ("password", PASSWORD)];
    assert_eq!(browser.login(&right).await.unwrap().status, 429);
    clock.advance(15 * 60 + 1);
    assert_eq!(browser.login(&right).await.unwrap().status, 303);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_works_once() {
    let (server, clock) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    let page = browser.post("/account/second-factor", &[]).await.unwrap();
    assert!(page.text.contains("<svg class=\"qr\""), "{}", page.text);
    let secret = page.text.split_once("<code>").unwrap().1.split_once("</code>").unwrap().0.replace(' ', "");
    assert!(!is_asked(&server).await, "before it is confirmed");
    let wrong = browser.post("/account/second-factor", &[("code", "000000x")]).await.unwrap();
    assert!(wrong.text.contains("The code is wrong"));
    let code = code_of(&secret, clock.now()).unwrap();
    let on = browser.post("/account/second-factor", &[("code", &code)]).await.unwrap();
    let recovery = on.text.split("<li><code>").nth(1).unwrap().split_once("</code>").unwrap().0.to_owned();

    let mut login = Browser::new(&server).unwrap();
    let right = [("name", "ann"), ("password", PASSWORD)];
    let asked = login.login(&right).await.unwrap();
    assert!(asked.status == 200 && cookie(&asked).is_none());
    let step =
        asked.text.split_once("name=\"step\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    // The code that turned it on is used up.
    assert_eq!(login.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 401);
    clock.advance(30);
    let code = code_of(&secret, clock.now()).unwrap();
    assert_eq!(login.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 303);
    assert!(is_in(&login).await);
    // Neither the step nor the code is good for another session.
    let mut thief = Browser::new(&server).unwrap();
    assert_eq!(thief.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 401);
    let step = step_of(&mut thief).await;
    assert_eq!(thief.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 401);
    assert_eq!(thief.login(&[("step", &step), ("code", &recovery)]).await.unwrap().status, 303);
    let step = step_of(&mut thief).await;
    assert_eq!(thief.login(&[("step", &step), ("code", &recovery)]).await.unwrap().status, 401);
    // Five codes a step, whatever they are.
    for _ in 0..4 {
        thief.login(&[("step", &step), ("code", "123456")]).await.unwrap();
    }
    clock.advance(30);
    let code = code_of(&secret, clock.now()).unwrap();
    let over = thief.login(&[("step", &step), ("code", &code)]).await.unwrap();
    assert!(over.status == 401 && over.text.contains("Begin again"), "{}", over.text);
    server.stop().await.unwrap();
}

/// What the database holds of a second factor: the one that is asked for, and the one that was shown.
async fn kept(server: &TestServer) -> (String, String) {
    let mut tx = server.ctx.db.read().await.unwrap();
    let (_, known) = server::db::accounts::find(&mut tx, "ann").await.unwrap().unwrap();
    (known.totp_secret.unwrap_or_default(), known.totp_offered.unwrap_or_default())
}

#[tokio::test]
async fn a_second_factor_is_sealed_in_the_database_and_an_open_one_is_sealed_at_the_next_start() {
    let (server, clock) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    let page = browser.post("/account/second-factor", &[]).await.unwrap();
    let secret = page.text.split_once("<code>").unwrap().1.split_once("</code>").unwrap().0.replace(' ', "");
    assert!(kept(&server).await.1.starts_with("sealed1."));
    let code = code_of(&secret, clock.now()).unwrap();
    browser.post("/account/second-factor", &[("code", &code)]).await.unwrap();
    let (sealed, _) = kept(&server).await;
    assert!(sealed.starts_with("sealed1.") && !sealed.contains(&secret), "{sealed}");
    // As an older server has kept it.
    let open =
        format!("UPDATE users SET totp_secret = '{secret}', totp_offered = '{secret}' WHERE name = 'ann'");
    server.meddle(&open).await.unwrap();
    server::app::second_factors::seal_all(&server.ctx).await.unwrap();
    let (again, offered) = kept(&server).await;
    assert!(again.starts_with("sealed1.") && offered.starts_with("sealed1.") && again != sealed);
    server::app::second_factors::seal_all(&server.ctx).await.unwrap();
    assert_eq!(kept(&server).await.0, again);
    clock.advance(30);
    let mut login = Browser::new(&server).unwrap();
    let step = step_of(&mut login).await;
    let code = code_of(&secret, clock.now()).unwrap();
    assert_eq!(login.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 303);
    // Another's does not open in its place.
    let sql = "UPDATE users SET totp_secret = (SELECT totp_secret FROM users WHERE name = 'ann') WHERE name = 'admin'";
    server.meddle(sql).await.unwrap();
    let link = server.first_login.split_once('#').unwrap().1.to_owned();
    let mut admin = Browser::new(&server).unwrap();
    let asked = admin.login(&[("link", &link)]).await.unwrap().text;
    let step = asked.split_once("name=\"step\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    clock.advance(30);
    let code = code_of(&secret, clock.now()).unwrap();
    assert_eq!(admin.login(&[("step", &step), ("code", &code)]).await.unwrap().status, 500);
    server.stop().await.unwrap();
}

async fn step_of(browser: &mut Browser) -> String {
    let asked = browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    asked.text.split_once("name=\"step\" value=\"").unwrap().1.split_once('"').unwrap().0.to_owned()
}

async fn is_asked(server: &TestServer) -> bool {
    let mut browser = Browser::new(server).unwrap();
    browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap().status == 200
}

#[tokio::test]
async fn logins_are_listed_and_ended_by_their_owner_and_by_an_admin() {
    let (server, _) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    let mut others = Vec::new();
    for _ in 0..3 {
        let mut other = Browser::new(&server).unwrap();
        other.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
        others.push(other);
    }
    let logins = server.get("/api/v1/accounts/ann/logins").await.unwrap().ok().unwrap();
    assert_eq!(logins.as_array().unwrap().len(), 4);
    assert!(!logins.to_string().contains(browser.secret.as_ref().unwrap()));
    let page = browser.get("/account").await.unwrap().text;
    let id = page.split("name=\"id\" value=\"").nth(1).unwrap().split_once('"').unwrap().0.to_owned();
    assert_eq!(browser.post("/account/logins/end", &[("id", &id)]).await.unwrap().status, 303);
    let mut inside = 0;
    for other in &others {
        inside += u32::from(is_in(other).await);
    }
    assert_eq!(inside, 2);
    // Somebody else's login is none of one's own.
    let bob = Browser::of_new_account(&server, "bob", Role::Operator.into()).await.unwrap();
    let foreign = logins[0]["id"].as_str().unwrap();
    assert_eq!(bob.post("/account/logins/end", &[("id", foreign)]).await.unwrap().status, 404);
    let ended = server.send(Method::DELETE, "/api/v1/accounts/ann/logins", &serde_json::json!({})).await;
    assert_eq!(ended.unwrap().status, 204);
    assert!(!is_in(&browser).await && is_in(&bob).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_new_password_ends_other_logins_and_needs_the_old_one() {
    let (server, _) = start().await;
    let browser = ann(&server, Role::Viewer).await;
    let mut other = Browser::new(&server).unwrap();
    other.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    let new = [("old", "a wrong password"), ("password", "another good one"), ("again", "another good one")];
    assert!(
        browser.post("/account/password", &new).await.unwrap().text.contains("present password is wrong")
    );
    assert!(is_in(&other).await);
    let new = [("old", PASSWORD), ("password", "another good one"), ("again", "another good one")];
    assert_eq!(browser.post("/account/password", &new).await.unwrap().status, 303);
    assert!(is_in(&browser).await && !is_in(&other).await);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_is_disabled_is_out_at_once_and_stays_out() {
    let (server, _) = start().await;
    let mut browser = ann(&server, Role::Admin).await;
    let disabled = serde_json::json!({ "disabled": true });
    server.send(Method::PATCH, "/api/v1/accounts/ann", &disabled).await.unwrap().ok().unwrap();
    assert!(!is_in(&browser).await);
    let answer = browser.login(&[("name", "ann"), ("password", PASSWORD)]).await.unwrap();
    assert!(answer.status == 401 && answer.text.contains("This account is disabled."));
    // Whoever does not know the password does not learn that.
    let answer = browser.login(&[("name", "ann"), ("password", "guess")]).await.unwrap();
    assert!(answer.text.contains("do not belong together"));
    server.stop().await.unwrap();
}
