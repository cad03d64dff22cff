//! What a machine prints: kept, read, searched, and gone on with after restarts.

use std::{path::Path, time::Duration};

use agent::host::Host as _;
use harness::{server::Engine, vnc::Manner};
use reqwest::Method;
use serde_json::Value;
use server::domain::people::Role;

use super::site::Site;

const PATH: &str = "/api/v1/clients/ann-desk/console/output";

fn texts(output: &Value) -> Vec<&str> {
    output["lines"].as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect()
}

/// Asks until a line has come.
async fn until_printed(site: &Site, line: &str) -> Value {
    let waiting = async {
        loop {
            let output = site.server.get(PATH).await.unwrap().json();
            if texts(&output).contains(&line) || output["unfinished"] == line {
                return output;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .unwrap_or_else(|_| panic!("{line} is missing"))
}

pub(super) async fn what_a_machine_prints_is_kept_and_read(engine: Engine) {
    let site = Site::new(engine, Manner::Polite).await;
    let log = format!("/var/lib/lotse-vms/{}-serial.log", site.machine);
    let print = |text: &str| site.attic.host.append(Path::new(&log), text.as_bytes()).unwrap();
    print("\u{1b}[0;32m  OK  \u{1b}[0m Grüße vom Installer\r\nReached target\r\nlogin: ");
    let output = until_printed(&site, "login: ").await;
    assert_eq!(texts(&output), ["  OK   Grüße vom Installer", "Reached target"]);
    assert_eq!((&output["host"], &output["machine"]), (&"attic".into(), &site.machine.as_str().into()));
    // From where somebody has read to the end.
    let next = output["next"].as_i64().unwrap();
    print("root\r\nPassword:\r\n");
    until_printed(&site, "Password:").await;
    let rest = site.server.get(&format!("{PATH}?after={next}")).await.unwrap().json();
    assert_eq!(texts(&rest), ["login: root", "Password:"]);
    let found = site.server.get(&format!("{PATH}?search=TARGET")).await.unwrap().json();
    assert_eq!(texts(&found), ["Reached target"]);
    // It is nothing for everybody's eyes: people type before such screens.
    let viewer = site.server.request(Some(Role::Viewer), Method::GET, PATH);
    assert_eq!(harness::server::answer(viewer).await.unwrap().status, 403);

    // A log that is given away, as libvirt's log daemon does; and what is too much is dropped from its beginning.
    site.attic.host.rename(&log, &format!("{log}.0"));
    let long = (0..40_000)
        .fold(String::new(), |text, number| text + &format!("number {number:05}, and more behind it\n"));
    print(&long);
    let newest = "number 39999, and more behind it";
    let waiting = async {
        loop {
            let found = site.server.get(&format!("{PATH}?search=39999")).await.unwrap().json();
            if texts(&found) == [newest] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
    let gone = site.server.get(&format!("{PATH}?search=number%2000000")).await.unwrap().json();
    assert_eq!(texts(&gone), Vec::<&str>::new());
    // Page by page there is each line once, and not more than a mebibyte.
    let (mut after, mut all) = (0, Vec::new());
    loop {
        let part = site.server.get(&format!("{PATH}?after={after}")).await.unwrap().json();
        all.extend(texts(&part).into_iter().map(str::to_owned));
        after = part["next"].as_i64().unwrap();
        if part["more"] == false {
            break;
        }
    }
    let numbers: Vec<u32> = all.iter().filter_map(|line| line.get(7..12)?.parse().ok()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "a line is missing or doubled");
    assert_eq!(numbers.last(), Some(&39_999));
    let bytes: usize = all.iter().map(|line| line.len() + 1).sum();
    assert!((900_000..=(1 << 20) + 65_536).contains(&bytes), "{bytes}");
    site.end().await;
}
