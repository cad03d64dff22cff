//! With a real login service, through its own pages.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use regex::Regex;

use super::*;

/// A login service that runs.
struct Service {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    issuer: String,
    http: reqwest::Client,
}

impl Service {
    #[expect(clippy::disallowed_methods, reason = "a process of the test")]
    fn start(trust: &Trust) -> Self {
        let tools = std::env::var("LOTSE_TOOLS").unwrap_or_else(|_| {
            let home = std::env::var("XDG_DATA_HOME")
                .unwrap_or_else(|_| format!("{}/.local/share", std::env::var("HOME").unwrap()));
            format!("{home}/lotse-tools")
        });
        let mut child = Command::new(format!("{tools}/login-service/bin/python"))
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/it/oidc/provider.py"))
            .args([trust.path("certificate.pem"), trust.path("key.pem")])
            .arg(SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("packaging/setup.sh installs Canaille");
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let ca = fs_err::read(trust.path("ca.pem")).unwrap();
        let http = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { child, input, output, issuer: line.trim().to_owned(), http }
    }

    /// From now on Lotse is known there.
    fn knows(&mut self, server: &TestServer) {
        writeln!(self.input.as_mut().unwrap(), "{}/login/oidc/answer", server.ctx.addresses.https).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
    }

    /// Asks as a browser: follows within the service, and gives the first address that leads elsewhere, or the last page.
    async fn walk(
        &self,
        jar: &mut Jar,
        mut request: reqwest::RequestBuilder,
    ) -> Result<reqwest::Url, String> {
        for _ in 0..10 {
            let cookies: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let response = request.header(header::COOKIE, cookies.join("; ")).send().await.unwrap();
            for set in response.headers().get_all(header::SET_COOKIE) {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                jar.insert(name.to_owned(), value.to_owned());
            }
            let here = response.url().clone();
            let Some(to) = response.headers().get(header::LOCATION) else {
                return Err(format!("{here}\n{}", response.text().await.unwrap()));
            };
            let to = here.join(to.to_str().unwrap()).unwrap();
            if to.origin() != here.origin() {
                return Ok(to);
            }
            request = self.http.get(to);
        }
        panic!("the login service redirects without end");
    }

    /// Logs in on its pages; gives what comes back to Lotse.
    async fn log_in(&self, jar: &mut Jar, address: reqwest::Url, name: &str) -> String {
        let token = Regex::new(r#"name="csrf_token" value="([^"]+)""#).unwrap();
        let mut reached = self.walk(jar, self.http.get(address)).await;
        for (path, field, value) in
            [("login", "login", name.to_owned()), ("auth/password", "password", format!("{name}'s password"))]
        {
            let Err(page) = reached else { break };
            let token = &token.captures(&page).unwrap_or_else(|| panic!("no form: {page}"))[1];
            let request =
                self.http.post(format!("{}/{path}", self.issuer)).header(header::REFERER, &self.issuer);
            let form =
                harness::cookies::form(request, &[("csrf_token", token), (field, &value), ("answer", "y")]);
            reached = self.walk(jar, form).await;
        }
        reached.unwrap_or_else(|page| panic!("not sent back: {page}")).query().unwrap().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().ok();
    }
}

async fn both() -> (Service, TestServer, Clock, Trust) {
    let trust = Trust::new();
    let mut service = Service::start(&trust);
    let (server, clock) = server_with(settings(&service.issuer, &trust)).await;
    service.knows(&server);
    (service, server, clock, trust)
}

/// Somebody goes there, logs in, and comes back.
async fn log_in(service: &Service, server: &TestServer, name: &str) -> (Away, Answer) {
    let mut away = Away::begin(server, "/account").await;
    let query = service.log_in(&mut Jar::new(), away.address.clone(), name).await;
    let answer = away.come_back(&query).await;
    (away, answer)
}

#[tokio::test]
async fn somebody_of_the_login_service_gets_the_roles_of_their_groups() {
    let (service, server, _, _trust) = both().await;
    let (away, answer) = log_in(&service, &server, "Ann").await;
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::LOCATION]),
        (303, &"/account".parse().unwrap())
    );
    assert_eq!(away.browser.get("/accounts").await.unwrap().status, 200);
    let ann = account(&server, "ann").await.ok().unwrap();
    assert_eq!((&ann["source"], &ann["full_name"]), (&"oidc".into(), &"Ann Lee".into()));
    assert_eq!(ann["rights"]["role"], "admin");
    let (away, answer) = log_in(&service, &server, "bob").await;
    assert_eq!(answer.status, 303);
    assert_eq!(away.browser.get("/accounts").await.unwrap().status, 403);
    let bob = account(&server, "bob").await.ok().unwrap();
    assert_eq!(
        (&bob["rights"]["role"], &bob["rights"]["groups"][0]["group"]),
        (&serde_json::Value::Null, &"room-101".into())
    );
    let (_, answer) = log_in(&service, &server, "eve").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("The login service gives you no role here."), "{}", answer.text);
    assert!(account(&server, "eve").await.is_problem(404));
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_account_of_the_service_takes_over_no_local_one() {
    let (service, server, _, _trust) = both().await;
    let (away, answer) = log_in(&service, &server, "admin").await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("Another account has your name already."), "{}", answer.text);
    assert!(away.browser.secret.is_none());
    assert_eq!(account(&server, "admin").await.ok().unwrap()["source"], "local");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_answer_counts_once_and_only_in_the_browser_that_asked() {
    let (service, server, _, _trust) = both().await;
    let mut jar = Jar::new();
    let mut away = Away::begin(&server, "/").await;
    let query = service.log_in(&mut jar, away.address.clone(), "Ann").await;
    // Another browser has not asked.
    let mut other = Away::begin(&server, "/").await;
    assert_eq!(other.come_back(&query).await.status, 401);
    let mut without = Away { kept: String::new(), ..Away::begin(&server, "/").await };
    assert_eq!(without.come_back(&query).await.status, 401);
    assert_eq!(away.come_back(&query).await.status, 303);
    assert_eq!(away.come_back(&query).await.status, 401);
    // A code that was given to one browser is put into the answer for another: it was made for another question.
    let mut victim = Away::begin(&server, "/").await;
    let attacker = Away::begin(&server, "/").await;
    let stolen = service.log_in(&mut jar, attacker.address.clone(), "Ann").await;
    let (theirs, own) = (attacker.asked("state"), victim.asked("state"));
    assert!(stolen.contains(&theirs), "{stolen}");
    let answer = victim.come_back(&stolen.replace(&theirs, &own)).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("does not count"), "{}", answer.text);
    assert!(victim.browser.secret.is_none());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_takes_too_long_or_is_denied_is_not_let_in() {
    let (service, server, clock, _trust) = both().await;
    let mut away = Away::begin(&server, "/").await;
    let query = service.log_in(&mut Jar::new(), away.address.clone(), "Ann").await;
    clock.advance(900);
    let answer = away.come_back(&query).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("took too long"), "{}", answer.text);
    let mut away = Away::begin(&server, "/").await;
    let (state, iss) = (away.asked("state"), &service.issuer);
    // It always says who it is, so an answer that does not is of somebody else (RFC 9207).
    let unsigned = format!("state={state}&error=access_denied");
    assert!(away.come_back(&unsigned).await.text.contains("does not count"));
    let mut away = Away::begin(&server, "/").await;
    let answer =
        away.come_back(&format!("state={}&error=access_denied&iss={iss}", away.asked("state"))).await;
    assert_eq!(answer.status, 401);
    assert!(answer.text.contains("has let nobody in"), "{}", answer.text);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_login_counts_for_as_long_as_the_configuration_says() {
    let (service, server, clock, _trust) = both().await;
    let (away, _) = log_in(&service, &server, "Ann").await;
    clock.advance(3599);
    assert_eq!(away.browser.get("/account").await.unwrap().status, 200);
    clock.advance(1);
    let answer = away.browser.get("/account").await.unwrap();
    assert_eq!(
        (answer.status.as_u16(), &answer.headers[header::LOCATION]),
        (303, &"/login?next=/account".parse().unwrap())
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_link_of_ones_own_logs_the_command_line_in_for_as_long() {
    let (service, server, clock, _trust) = both().await;
    let (away, _) = log_in(&service, &server, "Ann").await;
    let page = away.browser.post("/account/command-line", &[]).await.unwrap();
    let link =
        Regex::new("login#(lotse_[A-Za-z0-9_-]+)").unwrap().captures(&page.text).unwrap()[1].to_owned();
    let login =
        server.request(None, Method::POST, "/api/v1/login").json(&serde_json::json!({ "link": link }));
    let secret = answer(login).await.unwrap().ok().unwrap()["secret"].as_str().unwrap().to_owned();
    let ask = async || {
        answer(server.request(None, Method::GET, "/api/v1/accounts").bearer_auth(&secret)).await.unwrap()
    };
    assert_eq!(ask().await.status, 200);
    clock.advance(3600);
    assert!(ask().await.is_problem(401));
    // Who has a password needs no link.
    let bob = Browser::of_new_account(&server, "carl", Role::Viewer.into()).await.unwrap();
    assert_eq!(bob.post("/account/command-line", &[]).await.unwrap().status, 409);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn who_logs_out_is_told_how_to_log_out_of_the_service() {
    let (service, server, _, _trust) = both().await;
    let (away, _) = log_in(&service, &server, "Ann").await;
    let left = away.browser.post("/logout", &[]).await.unwrap();
    assert_eq!(left.headers[header::LOCATION], "/login?left=oidc");
    assert_eq!(away.browser.get("/account").await.unwrap().status, 303);
    let page = away.browser.get("/login?left=oidc").await.unwrap().text;
    assert!(
        page.contains(
            &format!("{}/oauth/end_session?client_id=lotse", service.issuer).replace('/', "&#x2F;")
        ) || page.contains("/oauth/end_session?client_id=lotse"),
        "{page}"
    );
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_service_leaves_local_accounts_able_to_log_in_and_the_page_says_so() {
    let (service, server, clock, _trust) = both().await;
    let browser = Browser::new(&server).unwrap();
    assert!(!browser.get("/login").await.unwrap().text.contains("does not answer at the moment"));
    drop(service);
    clock.advance(61);
    let answer = browser.get("/login/oidc").await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.text.contains("The login service cannot be reached."), "{}", answer.text);
    assert!(browser.get("/login").await.unwrap().text.contains("School does not answer at the moment"));
    let health = server.get("/api/v1/health").await.unwrap().ok().unwrap();
    let part =
        health["parts"].as_array().unwrap().iter().find(|part| part["name"] == "login service").unwrap();
    assert_eq!(part["condition"], "bad");
    let mut admin = Browser::new(&server).unwrap();
    let link = server.first_login.split_once('#').unwrap().1.to_owned();
    assert_eq!(admin.login(&[("link", &link)]).await.unwrap().status, 303);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_with_the_certificate_of_somebody_else_is_not_asked() {
    let trust = Trust::new();
    let service = Service::start(&trust);
    let right = settings(&service.issuer, &trust);
    let (server, _) = server_with(Settings { ca_file: Some(trust.path("other-ca.pem")), ..right }).await;
    assert_eq!(Browser::new(&server).unwrap().get("/login/oidc").await.unwrap().status, 503);
    server.stop().await.unwrap();
}
