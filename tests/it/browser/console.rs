//! The console in a real browser: the picture of a machine, a text that is typed, what the machine prints, and the end of it.

use std::{path::Path, time::Duration};

use agent::host::Host as _;
use harness::{
    browser::Look,
    server::Engine,
    vnc::{COLOUR, Manner},
};
use serde_json::json;

use super::logged_in;
use crate::console::site::Site;

/// The colour in the middle of the screen.
const PIXEL: &str = "(() => { const canvas = document.querySelector('#console-screen canvas'); if (!canvas) return null; \
     return [...canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3).join() })()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_seen_and_typed_to() {
    let site = Site::new(Engine::Sqlite, Manner::Polite).await;
    let (_browser, mut page) = logged_in(&site.server, Look::DESK).await;
    // What noVNC says of a screen that is refused.
    page.forgive("Failed when connecting");
    // What Chromium says of this test's own looking at the picture.
    page.forgive("Canvas2D: Multiple readback");
    let https = &site.server.ctx.addresses.https;
    page.goto(&format!("{https}/desktops/ann-desk")).await.unwrap();
    page.follow("Console").await.unwrap();
    assert_eq!(page.path().await.unwrap(), "/clients/ann-desk/console");
    page.until_shown("Connected").await.unwrap();
    let colour = COLOUR.map(|part| part.to_string()).join(",");
    page.until(&format!("{PIXEL} === '{colour}'"), "the picture is shown").await.unwrap();
    // Key by key, with Shift where it is needed.
    page.fill("#paste-text", "Root \u{e4}~1\nok").await.unwrap();
    page.choose("#paste-layout", "de").await.unwrap();
    page.click("[data-do='paste']").await.unwrap();
    let typed = async {
        while site.vnc.typed() != "Root \u{e4}~1\nok" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let late = tokio::time::timeout(Duration::from_secs(30), typed).await;
    assert!(late.is_ok(), "{:?}", site.vnc.typed());
    let shift = site.vnc.keys().iter().filter(|(down, key)| *down && *key == 0xffe1).count();
    assert_eq!(shift, 1, "for one capital");
    page.click("[data-do='ctrl-alt-del']").await.unwrap();
    let pressed = async {
        while !site.vnc.keys().contains(&(true, 0xffff)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), pressed).await.unwrap();
    // What it prints comes by itself; nothing in it is more than text.
    let log = format!("/var/lib/lotse-vms/{}-serial.log", site.machine);
    let print = |text: &[u8]| site.attic.host.append(Path::new(&log), text).unwrap();
    print(b"\x1b[1mUnpacking\x1b[0m <b>linux-image</b>\r\nlogin: ");
    page.until_shown("Unpacking <b>linux-image</b>").await.unwrap();
    page.until_shown("login:").await.unwrap();
    // The machine is switched off: the page says so, and connects again when it is asked to.
    let domain = format!("--domain={}", site.machine);
    assert!(site.attic.libvirt.ask(&["destroy", &domain], None).unwrap().0);
    site.vnc.hang_up();
    page.until_shown("it was switched off, or its host stopped").await.unwrap();
    page.click_text("Connect again").await.unwrap();
    page.until_shown("is switched off").await.unwrap();
    assert!(site.attic.libvirt.ask(&["start", &domain], None).unwrap().0);
    page.click_text("Connect again").await.unwrap();
    page.until_shown("Connected").await.unwrap();
    assert_eq!(page.complaints(), Vec::<String>::new());
    page.goto(&format!("{https}/clients/ann-desk/console?search=unpack")).await.unwrap();
    page.until_shown("Unpacking <b>linux-image</b>").await.unwrap();
    assert_eq!(
        page.eval("document.querySelector('#serial-lines').textContent.includes('login')").await.unwrap(),
        json!(false)
    );
    for look in [Look::DESK, Look::DARK, Look::PHONE, Look::GERMAN] {
        page.look(look).await.unwrap();
        page.goto(&format!("{https}/clients/ann-desk/console")).await.unwrap();
        page.until("document.querySelector('#console-state').className === 'chip good'", "it is open")
            .await
            .unwrap();
        assert_eq!(page.overhang().await.unwrap(), None, "{look:?}");
        assert_eq!(page.barriers().await.unwrap(), Vec::<String>::new(), "{look:?}");
    }
    page.close().await.unwrap();
    site.end().await;
}
