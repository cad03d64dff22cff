//! The pages: a selection made, imported, given, mended; packages of a client chosen, previewed, allowed, accepted. Without scripts.

use harness::{cookies::Browser, server::Answer};
use server::domain::people::{Rights, Role};
use wire::package_work::{ChangeKind, Transaction, TransactionChange};

use super::*;

async fn browser(server: &TestServer) -> Browser {
    Browser::of_new_account(server, "anna", Rights::everything(Role::Admin)).await.unwrap()
}

async fn page(browser: &Browser, path: &str) -> String {
    let answer = browser.get(path).await.unwrap();
    assert!(answer.status.is_success(), "{path}: {answer:?}");
    answer.text
}

async fn send(browser: &Browser, path: &str, form: &[(&str, &str)]) -> Answer {
    browser.post(path, form).await.unwrap()
}

fn leads_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{answer:?}");
    answer.headers["location"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_selection_is_made_given_and_mended_on_its_page() {
    let server = site(Engine::Sqlite).await;
    let browser = browser(&server).await;
    let made = send(
        &browser,
        "/selections",
        &[("name", "office"), ("install", "mc\nvim=2"), ("remove", "games"), ("order", "4")],
    )
    .await;
    assert_eq!(leads_to(&made), "/selections/office");
    let again = send(&browser, "/selections", &[("name", "office"), ("install", "mc")]).await;
    assert!(again.text.contains("exists already"), "{again:?}");
    let wrong = send(&browser, "/selections", &[("name", "other"), ("install", "Not!")]).await;
    assert!(wrong.text.contains("install") && wrong.text.contains("Not!"), "what was typed is still there");
    group(&server, "room", None).await;
    let pc = client(&server, "pc-1", Stage::Installed).await;
    ok(&server, Method::PUT, "groups/room/members/pc-1", &json!({})).await;
    tells(&server, pc, &[package("vim", "2"), package("games", "1")]).await;
    leads_to(&send(&browser, "/selections/office/groups", &[("group", "room"), ("what", "attach")]).await);
    let text = page(&browser, "/selections/office").await;
    assert!(text.contains("mc is missing") && text.contains("games 1 is not to be there"), "{text}");
    assert!(text.contains("Nothing is removed when a client leaves the group"));
    assert!(page(&browser, "/clients/pc-1").await.contains("mc is missing"));
    assert!(page(&browser, "/clients/pc-1/comparison?selection=office").await.contains("differs from"));
    let form = [("client", "pc-1"), ("back", "job")];
    assert!(leads_to(&send(&browser, "/selections/office/repair", &form).await).starts_with("/jobs/"));
    let stale = [("install", "mc"), ("revision", "0")];
    assert!(send(&browser, "/selections/office", &stale).await.text.contains("has revision 1 already"));
    let yaml = page(&browser, "/selections/office/file").await;
    assert_eq!(
        leads_to(&send(&browser, "/selection-imports", &[("yaml", &yaml)]).await),
        "/selections/office"
    );
    leads_to(&send(&browser, "/selections/office/delete", &[]).await);
    server.stop().await.unwrap();
}

fn change(package: &str, change: ChangeKind, to: &str, is_dependency: bool) -> TransactionChange {
    TransactionChange {
        package: package.to_owned(),
        architecture: "amd64".to_owned(),
        change,
        from: if to.is_empty() { "1".to_owned() } else { String::new() },
        to: to.to_owned(),
        is_security: false,
        is_dependency,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_are_chosen_previewed_allowed_and_exactly_that_is_done() {
    let server = site(Engine::Sqlite).await;
    let browser = browser(&server).await;
    let pc = client(&server, "pc-1", Stage::Installed).await;
    tells(&server, pc, &[package("vim", "2"), package("games", "1")]).await;
    let base = "/clients/pc-1/packages/change";
    let text = page(&browser, &format!("{base}?q=i&pick%3Avim=yes&as=pin&remove=games")).await;
    assert!(text.contains("value=\"vim=2\"") && text.contains("value=\"games\""), "{text}");
    let nothing = send(&browser, base, &[]).await;
    assert!(nothing.text.contains("nothing is chosen"), "{nothing:?}");
    let chosen = [("packages", "hello"), ("remove", "games"), ("hold", "vim")];
    let to = leads_to(&send(&browser, base, &chosen).await);
    assert!(to.starts_with("/clients/pc-1/packages/previews/"), "{to}");
    assert!(page(&browser, &to).await.contains("has not answered yet"));
    let early = send(&browser, &to, &[]).await;
    assert_eq!(early.status, 409);

    let (attempt, plan) = poll(&server, pc, None).await.unwrap();
    assert_eq!(plan.job_type, "package-change");
    let transaction = Transaction {
        changes: vec![
            change("hello", ChangeKind::Install, "2.10", false),
            change("games", ChangeKind::Remove, "", false),
            change("games-data", ChangeKind::Remove, "", true),
        ],
        download_bytes: 9_496,
        disk_bytes: -2_000_000,
    };
    let step = "packages".to_owned();
    let at = server.ctx.now();
    let refusal = "this would also remove games-data, which was not allowed".to_owned();
    let kinds = [
        EventKind::Transaction { step: step.clone(), is_preview: true, transaction },
        EventKind::Finished { outcome: Outcome::Failed { step, reason: refusal, transient: false } },
    ];
    let events = kinds.into_iter().zip(1..).map(|(kind, seq)| Event { seq, at, kind }).collect();
    let request = ReportRequest { boot_id: "boot".to_owned(), events };
    agents::report(&server.ctx, pc, attempt, &request).await.unwrap();

    let text = page(&browser, &to).await;
    for part in ["games-data", "nobody asked for that", "less on the disk", "Yes, remove these as well"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let job = leads_to(&send(&browser, &to, &[("removals", "yes")]).await);
    let params = get(&server, &job[1..]).await["params"].clone();
    assert_eq!(
        params["accepted"],
        json!(["install hello:amd64 2.10", "remove games:amd64 1", "remove games-data:amd64 1"])
    );
    assert_eq!(
        (&params["removals"], &params["preview"], &params["hold"]),
        (&json!(true), &json!(false), &json!(["vim"]))
    );
    // A preview of another client is none of this one.
    client(&server, "pc-2", Stage::Installed).await;
    assert_eq!(browser.get(&to.replace("pc-1", "pc-2")).await.unwrap().status, 404);
    server.stop().await.unwrap();
}
