//! Every page, as everybody sees it: light and dark, German and English, wide and narrow. Accessible, whole, without complaint.
//!
//! Pictures are kept in `TARGET/lotse/screenshots/NAME-{light,dark,phone,german,german-phone}.png`.

use std::path::PathBuf;

use harness::{
    browser::{Look, Page, Stop, stops},
    sample,
    server::{Engine, TestServer},
};

use super::logged_in;

const LOOKS: [(&str, Look); 5] = [
    ("light", Look::DESK),
    ("dark", Look::DARK),
    ("phone", Look::PHONE),
    ("german", Look::GERMAN),
    ("german-phone", Look { language: "de", ..Look::PHONE }),
];

fn pictures() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let target = own.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file()).unwrap();
    target.join("lotse/screenshots")
}

/// The layout editor draws what the server has answered.
const DRAWN: &str = "document.querySelector('#layout-picture')?.hidden !== true";

/// Everything that is wrong with a page in one look.
async fn faults(page: &mut Page, stop: &Stop, name: &str) -> Vec<String> {
    page.until(DRAWN, "everything is drawn").await.unwrap();
    let mut faults = Vec::new();
    faults.extend(page.overhang().await.unwrap().map(|out| format!("is wider than the window by {out}")));
    faults.extend(page.barriers().await.unwrap());
    let texts =
        page.eval("document.title.length > 3 && document.querySelectorAll('h1').length === 1").await.unwrap();
    if texts != true {
        faults.push("has no title or not one first heading".to_owned());
    }
    page.picture(&pictures().join(format!("{}-{name}.png", stop.name))).await.unwrap();
    faults.into_iter().map(|fault| format!("{} ({name}): {fault}", stop.address)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_blind_person_would_miss_is_found() {
    let server = TestServer::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look::DESK).await;
    assert_eq!(page.barriers().await.unwrap(), Vec::<String>::new());
    page.eval("document.querySelector('main').append(new Image(), document.createElement('input')), true")
        .await
        .unwrap();
    let found = page.barriers().await.unwrap();
    assert!(found.iter().any(|told| told.starts_with("image-alt")), "{found:?}");
    assert!(found.iter().any(|told| told.starts_with("label")), "{found:?}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_in_every_look_and_complains_of_nothing() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let _cloud = sample::desktops::add(&server.ctx).await.unwrap();
    let https = &server.ctx.addresses.https;
    let (browser, mut page) = logged_in(&server, Look::DESK).await;
    page.forgive("404");
    let mut faults_found = Vec::new();
    let mut seen = 0;
    for stop in stops(&sample).unwrap() {
        let url = format!("{https}{}", stop.address);
        // Streams and files are no pages.
        let probe = format!(
            "(async () => {{ const stop = new AbortController(); const got = await fetch({url:?}, {{ signal: stop.signal }}); \
             stop.abort(); return got.headers.get('content-type') ?? ''; }})()"
        );
        if !page.eval(&probe).await.unwrap().as_str().unwrap().starts_with("text/html") {
            continue;
        }
        seen += 1;
        for (name, look) in LOOKS {
            page.look(look).await.unwrap();
            page.goto(&url).await.unwrap();
            assert_eq!(page.eval("document.documentElement.lang").await.unwrap(), look.language, "{url}");
            faults_found.extend(faults(&mut page, &stop, name).await);
        }
    }
    assert!(seen > 8, "only {seen} pages were seen");
    let stranger = Stop { name: "login".to_owned(), address: "/login".to_owned() };
    let mut outside = browser.page(Look::DESK).await.unwrap();
    for (name, look) in LOOKS {
        outside.look(look).await.unwrap();
        outside.goto(&format!("{https}/login")).await.unwrap();
        faults_found.extend(faults(&mut outside, &stranger, name).await);
    }
    faults_found.extend(page.complaints().iter().map(|text| format!("a page complains: {text}")));
    assert!(faults_found.is_empty(), "{}", faults_found.join("\n"));
    outside.close().await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
