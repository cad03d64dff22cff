//! People of a directory: a real slapd, real TLS, real pages.

use harness::{
    cookies::Browser,
    directory::Directory,
    server::{Engine, TestServer},
};
use server::{
    app::groups,
    auth::ldap::{Membership, Settings},
    clock::Clock,
};

const CACHE: i64 = 600;

async fn server_with(settings: Settings) -> (TestServer, Clock) {
    let clock = Clock::fixed(Clock::system().now());
    let adjust = |config: &mut server::config::Config| config.ldap = Some(settings);
    let server = TestServer::start_as(Engine::Sqlite, clock.clone(), adjust).await.unwrap();
    groups::create(&server.ctx, "room-101", "", None, "test").await.unwrap();
    (server, clock)
}

async fn login(server: &TestServer, name: &str, password: &str) -> (u16, Browser, String) {
    let mut browser = Browser::new(server).unwrap();
    let answer = browser.login(&[("name", name), ("password", password)]).await.unwrap();
    (answer.status.as_u16(), browser, answer.text)
}

async fn status(browser: &Browser, path: &str) -> u16 {
    browser.get(path).await.unwrap().status.as_u16()
}

#[tokio::test]
async fn somebody_of_the_directory_gets_the_role_of_groups_in_groups() {
    let directory = Directory::start().unwrap();
    let (server, _) = server_with(directory.settings().unwrap()).await;
    let (answered, browser, _) = login(&server, "Ann", "ann's password").await;
    assert_eq!((answered, status(&browser, "/accounts").await), (303, 200));
    let account = server.get("/api/v1/accounts/ann").await.unwrap().ok().unwrap();
    assert_eq!(account["rights"]["role"], "admin");
    assert_eq!((&account["source"], &account["full_name"]), (&"ldap".into(), &"Ann Lee".into()));
    let (answered, browser, _) = login(&server, "bob", "bob's password").await;
    assert_eq!((answered, status(&browser, "/accounts").await), (303, 403));
    let account = server.get("/api/v1/accounts/bob").await.unwrap().ok().unwrap();
    assert_eq!(account["rights"]["groups"][0]["group"], "room-101");
    assert!(account["rights"]["role"].is_null());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn membership_is_found_by_the_groups_members_as_well() {
    let directory = Directory::start().unwrap();
    let settings = Settings { membership: Membership::Member, ..directory.settings().unwrap() };
    let (server, _) = server_with(settings).await;
    assert_eq!(login(&server, "ann", "ann's password").await.0, 303);
    let account = server.get("/api/v1/accounts/ann").await.unwrap().ok().unwrap();
    assert_eq!(account["rights"]["role"], "admin");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn groups_of_several_places_count_together() {
    let directory = Directory::start().unwrap();
    let mut settings = Settings { membership: Membership::Member, ..directory.settings().unwrap() };
    settings.roles[0].group = format!("cn=room-102,ou=rooms,{}", harness::directory::BASE);
    let one_place = settings.group_base.clone();
    settings.group_base.push(format!("ou=rooms,{}", harness::directory::BASE));
    for (places, answered) in [(one_place, 401), (settings.group_base.clone(), 303)] {
        let (server, _) = server_with(Settings { group_base: places, ..settings.clone() }).await;
        assert_eq!(login(&server, "ann", "ann's password").await.0, answered);
        server.stop().await.unwrap();
    }
}

/// slapd does not know the rule of Active Directory: it answers that nothing fits, and that is no role and no failure.
#[tokio::test]
async fn a_directory_that_cannot_follow_groups_itself_gives_no_role() {
    let directory = Directory::start().unwrap();
    let settings = Settings { membership: Membership::InChain, ..directory.settings().unwrap() };
    let (server, _) = server_with(settings).await;
    let (answered, _, text) = login(&server, "ann", "ann's password").await;
    assert_eq!(answered, 401);
    assert!(text.contains("The directory gives you no role here."), "{text}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_has_a_wrong_password_or_no_role_is_not_let_in() {
    let directory = Directory::start().unwrap();
    let (server, _) = server_with(directory.settings().unwrap()).await;
    // An empty password would be an anonymous bind, which a directory lets succeed.
    for (name, password) in [("ann", "bob's password"), ("ann", ""), ("nobody", "ann's password")] {
        assert_eq!(login(&server, name, password).await.0, 401, "{name}");
    }
    let (answered, _, text) = login(&server, "eve", "eve's password").await;
    assert_eq!(answered, 401);
    assert!(text.contains("The directory gives you no role here."), "{text}");
    assert!(server.get("/api/v1/accounts/eve").await.unwrap().is_problem(404));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_name_cannot_change_the_question_to_the_directory() {
    let directory = Directory::start().unwrap();
    let (server, _) = server_with(directory.settings().unwrap()).await;
    for name in ["a*", "*", "ann)(objectClass=*", "ann*)(uid=ann", "ann\\2a", "ann)", "\\61nn"] {
        assert_eq!(login(&server, name, "ann's password").await.0, 401, "{name}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_local_account_is_not_taken_over_by_one_of_the_directory_with_its_name() {
    let directory = Directory::start().unwrap();
    let (server, _) = server_with(directory.settings().unwrap()).await;
    for name in ["admin", "ADMIN"] {
        assert_eq!(login(&server, name, "other's password").await.0, 401, "{name}");
    }
    assert_eq!(server.get("/api/v1/accounts/admin").await.unwrap().ok().unwrap()["source"], "local");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_directory_that_shows_a_certificate_of_somebody_else_gets_no_password() {
    let directory = Directory::start().unwrap();
    let other = directory.other_ca();
    for url in [directory.settings().unwrap().url, directory.ldaps()] {
        let start_tls = url.starts_with("ldap://");
        let right = Settings { url, start_tls, ..directory.settings().unwrap() };
        let wrong = Settings { ca_file: Some(other.clone()), ..right.clone() };
        let (server, _) = server_with(wrong).await;
        let (answered, _, text) = login(&server, "ann", "ann's password").await;
        assert_eq!(answered, 503);
        assert!(text.contains("The directory cannot be reached."), "{text}");
        server.stop().await.unwrap();
        let (server, _) = server_with(right).await;
        assert_eq!(login(&server, "ann", "ann's password").await.0, 303);
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn who_leaves_a_group_loses_its_role_within_the_cache_time() {
    let directory = Directory::start().unwrap();
    let (server, clock) = server_with(directory.settings().unwrap()).await;
    let (_, browser, _) = login(&server, "ann", "ann's password").await;
    let leave = "dn: cn=helpers,ou=groups,dc=school,dc=example\nchangetype: modify\ndelete: member\nmember: uid=ann,ou=people,dc=school,dc=example\n";
    directory.change("ldapmodify", leave).unwrap();
    clock.advance(CACHE / 2 - 1);
    assert_eq!(status(&browser, "/accounts").await, 200);
    clock.advance(CACHE / 2 + 1);
    assert_eq!(status(&browser, "/accounts").await, 303);
    let account = server.get("/api/v1/accounts/ann").await.unwrap().ok().unwrap();
    assert!(account["rights"]["role"].is_null());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_slow_directory_delays_nobody_while_its_answer_is_fresh() {
    let directory = Directory::start().unwrap();
    let (server, clock) = server_with(directory.settings().unwrap()).await;
    let (_, browser, _) = login(&server, "ann", "ann's password").await;
    directory.hold().unwrap();
    clock.advance(CACHE - 1);
    let begun = std::time::Instant::now();
    for _ in 0..5 {
        assert_eq!(status(&browser, "/accounts").await, 200);
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    // Too old to be used, and no answer: that is said, and it is not called a wrong password.
    clock.advance(2);
    assert_eq!(status(&browser, "/accounts").await, 503);
    directory.go_on().unwrap();
    clock.advance(16);
    assert_eq!(status(&browser, "/accounts").await, 200);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_directory_leaves_local_accounts_able_to_log_in() {
    let mut directory = Directory::start().unwrap();
    let (server, _) = server_with(directory.settings().unwrap()).await;
    assert_eq!(login(&server, "ann", "ann's password").await.0, 303);
    directory.end().unwrap();
    let (answered, _, text) = login(&server, "ann", "ann's password").await;
    assert_eq!(answered, 503);
    assert!(text.contains("local accounts can"), "{text}");
    let mut admin = Browser::new(&server).unwrap();
    let link = server.first_login.split_once('#').unwrap().1.to_owned();
    assert_eq!(admin.login(&[("link", &link)]).await.unwrap().status, 303);
    let set = [("password", "a good password"), ("again", "a good password")];
    assert_eq!(admin.post("/account/password", &set).await.unwrap().status, 303);
    assert_eq!(login(&server, "admin", "a good password").await.0, 303);
    server.stop().await.unwrap();
}
