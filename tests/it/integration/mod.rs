//! Machines that somebody else has installed become clients as they are: with real agents over real HTTPS, on both databases.

use std::{sync::Arc, time::Duration};

use agent::{
    config::{Addresses, Config},
    host::fake::{Answer, FakeHost},
    server::https::Https,
    session::{self, Session},
};
use harness::{
    cookies::Browser,
    fleet::machine::hardware,
    server::{Engine, TestServer},
};
use reqwest::Method;
use serde_json::{Value, json};
use server::{
    clock::Clock,
    db::{clients as client_rows, images},
    domain::{
        client::Stage,
        image::{self, Image},
        people::Role,
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wire::{Mac, Sha256, enrol::BlobRef};

on_both_engines! {
    a_machine_becomes_a_client_as_it_is,
    what_was_changed_in_the_record_stays_when_the_machine_is_looked_at_again,
    what_a_group_brings_waits_for_somebody,
    only_machines_of_others_are_taken_over,
    another_host_key_than_the_pinned_one_is_refused_unless_somebody_knows_why,
    the_page_makes_the_command_and_shows_what_was_found,
}

/// Nothing takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_secs(60);
const GLANCE: Duration = Duration::from_millis(50);
const KEY: &str = "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU";
const OTHER_KEY: &str = "SHA256:uNiVztksCsDhcc0u9e8BrUjHs1pWfDPO3HyaGWfLQtg";

/// A server that has a package of the agent.
async fn site(engine: Engine) -> TestServer {
    let server = TestServer::start(engine).await.unwrap();
    let package = BlobRef { sha256: Sha256::from_bytes([7; 32]), size_bytes: 7 };
    let image = Image {
        id: 0,
        name: image::AGENT.to_owned(),
        recipe: Sha256::from_bytes([1; 32]),
        parts: [(image::PACKAGE.to_owned(), package)].into(),
        built_at: 0,
        version: "0.1.0".to_owned(),
    };
    let mut tx = server.ctx.db.write().await.unwrap();
    images::create(&mut tx, &image).await.unwrap();
    tx.commit().await.unwrap();
    server
}

async fn ordered(server: &TestServer, body: &Value) -> Value {
    server.send(Method::POST, "/api/v1/integrations", body).await.unwrap().ok().unwrap()
}

/// A machine with Debian 12, as its installer has left it.
fn machine() -> FakeHost {
    let host = hardware(Mac::from_bytes([0x52, 0x54, 0, 0x17, 0, 1]), Clock::system().now())
        .with_file("/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n")
        .with_file("/etc/hostname", "old-name\n")
        .with_file("/etc/hosts", "127.0.1.1 old-name.school.example old-name\n")
        .with_file("/etc/timezone", "Europe/Berlin\n")
        .with_file("/etc/default/locale", "LANG=de_DE.UTF-8\n")
        .with_file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nann:x:1000:1000:Ann Example,,,:/home/ann:/bin/bash\n")
        .with_file("/etc/group", "root:x:0:\nsudo:x:27:ann\nann:x:1000:\n")
        .with_file("/etc/apt/sources.list", "deb http://deb.example/debian bookworm main\ndeb https://ann:secret@other.example/apt stable main\n")
        .with_file(
            "/etc/network/interfaces",
            "auto eth0\niface eth0 inet static\n\taddress 192.168.1.50/24\n\tgateway 192.168.1.1\n",
        );
    let links = r#"[{"ifname":"eth0","link_type":"ether","address":"52:54:00:17:00:01","addr_info":[{"family":"inet","local":"192.168.1.50","prefixlen":24,"scope":"global"}]}]"#;
    host.answer("ip -j -d address", Answer::prints(links));
    host.answer("ip -j -4", Answer::prints(r#"[{"dst":"default","gateway":"192.168.1.1","dev":"eth0"}]"#));
    host
}

/// The agent of a machine, after the command was pasted there.
struct Running {
    end: CancellationToken,
    life: JoinHandle<()>,
}

impl Running {
    fn start(server: &TestServer, host: &FakeHost, made: &Value) -> Self {
        let command = made["command"].as_str().unwrap();
        let token = command.split('\'').find(|word| word.starts_with("lotse_")).unwrap().to_owned();
        let there = &server.ctx.addresses;
        for value in [&there.https, &there.boot, &there.ca] {
            assert!(command.contains(value.as_str()), "{value} is not in {command}");
        }
        let addresses = Addresses {
            server: there.https.clone(),
            agents: there.agents.clone(),
            boot: there.boot.clone(),
            ca: there.ca.parse().unwrap(),
        };
        let session = Session {
            config: Config::system(addresses, Some(token)),
            host: Arc::new(host.clone()),
            connect: Arc::new(Https),
            console: Arc::new(|_| {}),
        };
        let end = CancellationToken::new();
        let stop = end.clone();
        let life = tokio::spawn(async move {
            session::run(&session, &stop).await.unwrap();
        });
        Self { end, life }
    }

    async fn stop(self) {
        self.end.cancel();
        self.life.await.unwrap();
    }
}

/// What the server knows of a machine that was taken over, once its agent has told.
async fn surveyed(server: &TestServer, name: &str, after: i64) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let view = server.get(&format!("/api/v1/clients/{name}/integration")).await.unwrap().ok().unwrap();
        if view["surveyed_at"].as_i64().is_some_and(|at| at > after) {
            return view;
        }
        assert!(tokio::time::Instant::now() < deadline, "the agent has not told: {view}");
        tokio::time::sleep(GLANCE).await;
    }
}

async fn client(server: &TestServer, name: &str) -> Value {
    server.get(&format!("/api/v1/clients/{name}")).await.unwrap().ok().unwrap()
}

async fn a_machine_becomes_a_client_as_it_is(engine: Engine) {
    let server = site(engine).await;
    let made = ordered(&server, &json!({ "name": "pc-07", "groups": ["office"] })).await;
    let waiting = client(&server, "pc-07").await;
    assert_eq!((&waiting["stage"], &waiting["origin"]), (&json!("registered"), &json!("integrated")));
    let host = machine();
    let running = Running::start(&server, &host, &made);
    let view = surveyed(&server, "pc-07", 0).await;
    let known = client(&server, "pc-07").await;
    assert_eq!((&known["stage"], &known["origin"]), (&json!("installed"), &json!("integrated")));
    let config = &known["config"];
    assert_eq!(
        (&config["distribution"], &config["timezone"]),
        (&json!("debian-12"), &json!("Europe/Berlin"))
    );
    assert_eq!((&config["domain"], &config["locale"]), (&json!("school.example"), &json!("de_DE.UTF-8")));
    assert_eq!(config["users"][0]["name"], "ann");
    assert_eq!(config["network"]["interfaces"][0]["ipv4"]["address"], "192.168.1.50");
    let lists: Vec<&Value> =
        view["sources"].as_array().unwrap().iter().map(|source| &source["list"]).collect();
    assert_eq!(lists, [&json!("debian-12"), &Value::Null]);
    assert!(!view.to_string().contains("secret@"), "{view}");
    let differing: Vec<&str> =
        view["differences"].as_array().unwrap().iter().map(|it| it["part"].as_str().unwrap()).collect();
    assert_eq!(differing, ["name", "sources"]);
    // Nothing was asked of the machine but how it is.
    for command in host.command_lines() {
        let reads = ["ip ", "head -c ", "dpkg-query ", "apt-", "ps ", "systemctl ", "virsh ", "needrestart"];
        assert!(reads.iter().any(|read| command.contains(read)), "{command}");
    }
    running.stop().await;
    server.stop().await.unwrap();
}

async fn what_was_changed_in_the_record_stays_when_the_machine_is_looked_at_again(engine: Engine) {
    let server = site(engine).await;
    let made = ordered(&server, &json!({ "name": "pc-07" })).await;
    let running = Running::start(&server, &machine(), &made);
    let first = surveyed(&server, "pc-07", 0).await;
    let mut config = client(&server, "pc-07").await["config"].clone();
    config["timezone"] = json!("Etc/UTC");
    let change = json!({ "config": config });
    server.send(Method::PATCH, "/api/v1/clients/pc-07", &change).await.unwrap().ok().unwrap();
    let look = json!({ "job_type": "survey" });
    server.send(Method::POST, "/api/v1/clients/pc-07/jobs", &look).await.unwrap().ok().unwrap();
    let again = surveyed(&server, "pc-07", first["surveyed_at"].as_i64().unwrap()).await;
    assert_eq!(again["taken_over_at"], first["taken_over_at"]);
    assert_eq!(client(&server, "pc-07").await["config"]["timezone"], "Etc/UTC");
    let has =
        again["differences"].as_array().unwrap().iter().any(|it| {
            it["part"] == "timezone" && it["there"] == "Europe/Berlin" && it["recorded"] == "Etc/UTC"
        });
    assert!(has, "{again}");
    running.stop().await;
    server.stop().await.unwrap();
}

async fn what_a_group_brings_waits_for_somebody(engine: Engine) {
    let server = site(engine).await;
    let selection = json!({ "contents": { "install": ["vlc"], "remove": [] } });
    server.send(Method::PUT, "/api/v1/selections/media", &selection).await.unwrap().ok().unwrap();
    let made = ordered(&server, &json!({ "name": "pc-07", "groups": ["office"] })).await;
    server
        .send(Method::PUT, "/api/v1/selections/media/groups/office", &json!({}))
        .await
        .unwrap()
        .ok()
        .unwrap();
    let running = Running::start(&server, &machine(), &made);
    surveyed(&server, "pc-07", 0).await;
    server::app::selections::follow(&server.ctx).await.unwrap();
    let jobs = server.get("/api/v1/jobs?client=pc-07").await.unwrap().ok().unwrap();
    let brought = jobs["items"].as_array().unwrap().iter().find(|job| job["job_type"] == "package-selection");
    assert_eq!(brought.unwrap()["state"], "held", "{jobs}");
    running.stop().await;
    server.stop().await.unwrap();
}

async fn only_machines_of_others_are_taken_over(engine: Engine) {
    let server = TestServer::start(engine).await.unwrap();
    let order = json!({ "name": "pc-07" });
    let without = server.send(Method::POST, "/api/v1/integrations", &order).await.unwrap();
    assert!(without.is_problem(409) && without.text.contains("image build agent"), "{without:?}");
    assert!(server.get("/api/v1/clients/pc-07").await.unwrap().is_problem(404), "nothing is left of it");
    server.stop().await.unwrap();
    let server = site(engine).await;
    assert!(server.get("/api/v1/clients/pc-07/integration").await.unwrap().is_problem(404));
    for (stage, refused) in [
        (Stage::Discovered, true),
        (Stage::Installing, true),
        (Stage::Installed, true),
        (Stage::Retired, true),
        (Stage::Registered, false),
    ] {
        let name = format!("pc-{}", stage.as_str());
        let new = json!({ "name": name });
        server.send(Method::POST, "/api/v1/clients", &new).await.unwrap().ok().unwrap();
        let mut tx = server.ctx.db.write().await.unwrap();
        let id = client_rows::find_by_name(&mut tx, &name).await.unwrap().unwrap().id;
        client_rows::set_stage(&mut tx, id, stage).await.unwrap();
        tx.commit().await.unwrap();
        let answer = server.send(Method::POST, "/api/v1/integrations", &new).await.unwrap();
        assert_eq!(answer.is_problem(409), refused, "{name}: {answer:?}");
    }
    let wrong =
        server.send(Method::POST, "/api/v1/integrations", &json!({ "name": "No Name" })).await.unwrap();
    assert!(wrong.is_problem(422) && wrong.json()["fields"][0]["field"] == "name", "{wrong:?}");
    server.stop().await.unwrap();
}

async fn another_host_key_than_the_pinned_one_is_refused_unless_somebody_knows_why(engine: Engine) {
    let server = site(engine).await;
    let order = |key: &str, replaces: bool| json!({ "name": "pc-07", "ssh": { "address": "ann@pc-07:22", "host_key": key, "replaces": replaces } });
    let wrong =
        server.send(Method::POST, "/api/v1/integrations", &order("SHA256:short", false)).await.unwrap();
    assert!(wrong.is_problem(422), "{wrong:?}");
    let first = ordered(&server, &order(KEY, false)).await;
    let again = ordered(&server, &order(KEY, false)).await;
    assert_eq!(first["survey"], again["survey"], "one look is enough");
    let refused = server.send(Method::POST, "/api/v1/integrations", &order(OTHER_KEY, false)).await.unwrap();
    assert!(refused.is_problem(409) && refused.text.contains(KEY), "{refused:?}");
    // The copied command knows no host key, and forgets none.
    ordered(&server, &json!({ "name": "pc-07" })).await;
    let view = async |server: &TestServer| {
        server.get("/api/v1/clients/pc-07/integration").await.unwrap().ok().unwrap()["ssh_host_key"].clone()
    };
    assert_eq!(view(&server).await, KEY);
    ordered(&server, &order(OTHER_KEY, true)).await;
    assert_eq!(view(&server).await, OTHER_KEY);
    server.stop().await.unwrap();
}

async fn the_page_makes_the_command_and_shows_what_was_found(engine: Engine) {
    let server = site(engine).await;
    let browser = Browser::of_new_account(&server, "ann", Role::Operator.into()).await.unwrap();
    let form = browser.get("/take-over").await.unwrap();
    assert!(form.text.contains("Take over a machine"), "{}", form.text);
    let wrong = browser.post("/take-over", &[("name", "No Name"), ("group", "")]).await.unwrap();
    assert!(wrong.text.contains("must be a host name"), "{}", wrong.text);
    let made = browser.post("/take-over", &[("name", "pc-07"), ("group", "office")]).await.unwrap();
    assert!(made.text.contains("take_over &lt;"), "{}", made.text);
    let waiting = browser.get("/clients/pc-07/integration").await.unwrap();
    assert!(waiting.text.contains("The machine has not come yet"), "{}", waiting.text);
    // The token is shown once: this order replaces the page's.
    let made = ordered(&server, &json!({ "name": "pc-07" })).await;
    let running = Running::start(&server, &machine(), &made);
    surveyed(&server, "pc-07", 0).await;
    let found = browser.get("/clients/pc-07/integration").await.unwrap();
    for text in ["old-name", "192.168.1.50", "Ann Example", "other.example", "not known here"] {
        assert!(found.text.contains(text), "{text} is not in {}", found.text);
    }
    let shown = browser.get("/clients/pc-07").await.unwrap();
    assert!(shown.text.contains("/clients/pc-07/integration"), "the client leads there");
    running.stop().await;
    server.stop().await.unwrap();
}
