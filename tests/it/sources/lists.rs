//! Lists are checked before they are kept, and reach the clients that shall have them.

use harness::{archive::Manner, server::Engine};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Apt, SUITE, Site};

const LIST: &str = "/api/v1/source-lists/vendor";

/// What stands against a list that is not kept.
async fn refused(site: &Site, wish: &Value) -> String {
    let answer = site.server.send(Method::PUT, LIST, wish).await.unwrap();
    assert!(answer.is_problem(422), "{answer:?}");
    answer.json()["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["message"].as_str().unwrap())
        .collect()
}

pub(super) async fn a_list_is_kept_once_its_archives_are_what_it_says(engine: Engine) {
    let site = Site::new(engine, &["hello"]).await;
    let key = site.key();
    site.archive.make_key("stranger").unwrap();
    let stranger = site.archive.armoured_key("stranger").unwrap();
    assert!(refused(&site, &site.list(&stranger)).await.contains("is signed by a key that is in no keyring"));
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut list = site.list(&key);
        change(&mut list);
        list
    };
    let component = changed(&|list| list["sources"][0]["components"] = json!(["main", "extra"]));
    assert!(refused(&site, &component).await.contains("has no component extra; it has main"));
    let architecture = changed(&|list| list["architecture"] = json!("riscv64"));
    assert!(refused(&site, &architecture).await.contains("has nothing for riscv64; it has amd64"));
    let suite = changed(&|list| list["sources"][0]["suites"] = json!([SUITE, "trixie"]));
    assert!(refused(&site, &suite).await.contains("has no dists/trixie/"));
    let away = changed(&|list| list["sources"][0]["uris"] = json!(["http://127.0.0.1:9/x"]));
    assert!(refused(&site, &away).await.contains("does not answer"));
    let keyless = changed(&|list| list["sources"][0]["key"] = json!(""));
    assert!(refused(&site, &keyless).await.contains("no key"));
    let option = changed(&|list| list["sources"][0]["suites"] = json!(["x\nTrusted: yes"]));
    assert!(refused(&site, &option).await.contains("must be names such as bookworm"));
    site.mirror.set(
        &format!("dists/{SUITE}/InRelease"),
        Manner::Gives(b"-----BEGIN PGP SIGNED MESSAGE-----\nx".to_vec()),
    );
    assert!(refused(&site, &site.list(&key)).await.contains("not signed"));
    site.mirror.mend();
    assert_eq!(site.server.get(LIST).await.unwrap().status, 404, "nothing of all this was kept");
    let checks =
        site.server.send(Method::POST, "/api/v1/source-list-checks", &suite).await.unwrap().ok().unwrap();
    assert!(checks[0]["problem"].is_null() && checks[0]["dated_at"].is_i64(), "{checks}");
    assert!(checks[1]["problem"].is_string(), "{checks}");
    let kept = site.server.send(Method::PUT, LIST, &site.list(&key)).await.unwrap();
    let etag = kept.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(kept.ok().unwrap()["origin"], "own");
    // Whoever has read it before somebody else changed it does not overwrite that.
    let described = changed(&|list| list["description"] = json!("for the lab"));
    site.server.send(Method::PUT, LIST, &described).await.unwrap().ok().unwrap();
    let stale = site
        .server
        .request(Some(server::domain::people::Role::Admin), Method::PUT, LIST)
        .header("if-match", etag);
    assert!(harness::server::answer(stale.json(&site.list(&key))).await.unwrap().is_problem(412));
    assert_eq!(site.server.send(Method::DELETE, LIST, &json!({})).await.unwrap().status, 204);
    assert_eq!(site.server.send(Method::DELETE, LIST, &json!({})).await.unwrap().status, 404);
    site.stop().await;
}

/// The files that the job would write on a client, by path.
async fn files(site: &Site, client: &str) -> Vec<(String, String)> {
    let path = format!("/api/v1/clients/{client}/jobs");
    let order = json!({ "job_type": "package-sources" });
    let job = site.server.send(Method::POST, &path, &order).await.unwrap().ok().unwrap();
    let id = job["id"].as_i64().unwrap_or_else(|| job.as_i64().unwrap());
    let plan = site.server.get(&format!("/api/v1/jobs/{id}/plan")).await.unwrap().ok().unwrap();
    let step = plan["steps"].as_array().unwrap().iter().find(|step| step["id"] == "files").unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    step["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (text(&file["path"]), text(&file["content"])))
        .collect()
}

fn named(files: &[(String, String)], list: &str) -> Option<String> {
    let end = format!("/lotse-{list}.sources");
    files.iter().find(|(path, _)| path.ends_with(&end)).map(|(_, content)| content.clone())
}

pub(super) async fn a_client_has_the_lists_of_its_distribution_and_of_its_groups(engine: Engine) {
    let site = Site::new(engine, &["hello"]).await;
    let send = |method: Method, path: &'static str, body: Value| {
        let server = &site.server;
        async move { server.send(method, path, &body).await.unwrap().ok().unwrap() }
    };
    for name in ["lab-01", "lab-02"] {
        send(Method::POST, "/api/v1/clients", json!({ "name": name })).await;
    }
    send(Method::POST, "/api/v1/groups", json!({ "name": "lab" })).await;
    send(Method::POST, "/api/v1/groups", json!({ "name": "found", "query": "name:lab-02" })).await;
    send(Method::PUT, "/api/v1/groups/lab/members/lab-01", json!({})).await;
    send(Method::POST, "/api/v1/repositories", json!({ "name": "ours" })).await;
    let key = site.key();
    send(Method::PUT, LIST, site.list(&key)).await;
    let mut other = site.list(&key);
    other["distribution"] = json!("debian-13");
    send(Method::PUT, "/api/v1/source-lists/for-13", other).await;
    send(Method::PUT, "/api/v1/source-lists/vendor/groups/lab", json!({})).await;
    send(Method::PUT, "/api/v1/source-lists/for-13/groups/lab", json!({})).await;
    send(Method::PUT, "/api/v1/source-lists/ours/groups/found", json!({})).await;
    send(Method::PUT, "/api/v1/source-lists/ours-testing/clients/lab-01", json!({})).await;
    let first = files(&site, "lab-01").await;
    let boot = &site.server.ctx.addresses.boot;
    let own = named(&first, "debian-12").unwrap();
    assert!(
        own.contains(&format!("URIs: {boot}/mirror/debian\n"))
            && own.contains("Signed-By: /usr/share/keyrings/"),
        "{own}"
    );
    let vendor = named(&first, "vendor").unwrap();
    assert!(vendor.contains(&format!("URIs: {}\n", site.mirror.url)), "{vendor}");
    let (path, content) =
        first.iter().find(|(path, _)| vendor.contains(&format!("Signed-By: {path}\n"))).unwrap();
    assert!(path.starts_with("/etc/apt/keyrings/lotse-") && content.trim() == key.trim(), "{path}");
    assert!(named(&first, "for-13").is_none(), "a list of another distribution was written");
    let testing = named(&first, "ours-testing").unwrap();
    assert!(testing.contains(&format!("URIs: {boot}/repository/ours\nSuites: testing\n")), "{testing}");
    let second = files(&site, "lab-02").await;
    assert!(
        named(&second, "vendor").is_none()
            && named(&second, "ours").unwrap().contains("Suites: production\n")
    );
    // An own list in place of the distribution's.
    let mut mine = site.list(&key);
    mine["distribution"] = json!("debian-12");
    send(Method::PUT, "/api/v1/source-lists/debian-12", mine).await;
    let third = files(&site, "lab-02").await;
    assert!(named(&third, "debian-12").unwrap().contains(&site.mirror.url));
    send(Method::DELETE, "/api/v1/source-lists/vendor/groups/lab", json!({})).await;
    assert!(named(&files(&site, "lab-01").await, "vendor").is_none());
    let gone =
        site.server.send(Method::PUT, "/api/v1/source-lists/vendor/groups/nobody", &json!({})).await.unwrap();
    assert!(gone.is_problem(404));
    site.stop().await;
}

pub(super) async fn a_list_through_the_cache_is_verified_with_its_own_key(engine: Engine) {
    let site = Site::new(engine, &["hello"]).await;
    let vendor = harness::archive::Archive::new().unwrap();
    let package = vendor.package("vendored", "1", 1000).unwrap();
    vendor.release("stable").unwrap();
    let mirror = harness::archive::Mirror::serve(&vendor.root()).await.unwrap();
    let key = vendor.armoured_key("archive").unwrap();
    let source = json!({ "uris": [mirror.url], "suites": ["stable"], "components": ["main"], "key": key, "cached": true });
    site.server.send(Method::PUT, LIST, &json!({ "sources": [source] })).await.unwrap().ok().unwrap();
    site.server
        .send(Method::POST, "/api/v1/clients", &json!({ "name": "lab-01" }))
        .await
        .unwrap()
        .ok()
        .unwrap();
    site.server.send(Method::PUT, &format!("{LIST}/clients/lab-01"), &json!({})).await.unwrap();
    let written = named(&files(&site, "lab-01").await, "vendor").unwrap();
    let uri = written.lines().find_map(|line| line.strip_prefix("URIs: ")).unwrap();
    assert!(uri.starts_with(&format!("{}/mirror/", site.server.ctx.addresses.boot)), "{uri}");
    for client in 0..2 {
        let apt = Apt::new(uri, "stable", &key);
        apt.well(&["update"]).await;
        apt.well(&["--download-only", "install", "vendored"]).await;
        assert_eq!(
            fs_err::read(apt.archives().join("vendored_1_all.deb")).unwrap(),
            package.content,
            "{client}"
        );
    }
    assert_eq!(mirror.count(&package.path), 1, "the cache fetched it once");
    // What the list names is known no more when the list is gone.
    site.server.send(Method::DELETE, LIST, &json!({})).await.unwrap();
    let answer = site.server.http.get(format!("{uri}/dists/stable/InRelease")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    site.stop().await;
}
