//! The screen: who is let in, what goes through, and how it ends.

use std::time::Duration;

use harness::{
    server::Engine,
    vnc::{COLOUR, Manner, SIZE},
};
use reqwest::Method;
use server::{app::people, domain::people::Role};
use tokio_tungstenite::tungstenite::Error;

use super::site::Site;

/// Waits until something holds; nothing takes longer, however slow the computer.
async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.unwrap();
}

pub(super) async fn a_screen_is_seen_through_the_agent_of_its_host(engine: Engine) {
    let site = Site::new(engine, Manner::Polite).await;
    let helper = site.server.token(Role::Helpdesk).to_owned();
    let mut looker = site.look(&helper).await;
    looker.greet().await;
    // The whole picture comes.
    looker.write(&[3, 0, 0, 0, 0, 0, 1, 64, 0, 200]).await;
    let (width, height) = (usize::from(SIZE.0), usize::from(SIZE.1));
    let picture = looker.read(16 + 4 * width * height).await;
    let pixel = [COLOUR[2], COLOUR[1], COLOUR[0], 0];
    assert!(picture[16..].chunks(4).all(|found| found == pixel));
    // A key arrives.
    looker.write(&[4, 1, 0, 0, 0, 0, 0, b'x', 4, 0, 0, 0, 0, 0, 0, b'x']).await;
    until(async || site.vnc.keys() == [(true, u32::from(b'x')), (false, u32::from(b'x'))]).await;
    // Who opened it stands in the audit.
    let opened = site.opened().await;
    assert_eq!(opened.len(), 1);
    assert_eq!((&opened[0]["object"], &opened[0]["actor"]), (&"client ann-desk".into(), &"helpdesk".into()));
    assert!(opened[0].to_string().contains(&site.machine), "{opened:?}");
    // The machine's screen ends.
    let Site { server, attic, vnc, .. } = site;
    drop(vnc);
    let (code, reason) = looker.end().await;
    assert_eq!(code, 4010, "{reason}");
    attic.end().await;
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_lets_in_whoever_asked_for_it_once_and_soon() {
    let site = Site::new(Engine::Sqlite, Manner::Polite).await;
    let helper = site.server.token(Role::Helpdesk).to_owned();
    let admin = site.server.token(Role::Admin).to_owned();
    let used = site.ticket(&helper).await;
    let mut first = site.connect(&helper, &used, None).await.unwrap();
    first.greet().await;
    let other = site.ticket(&helper).await;
    for (token, ticket, why) in [
        (&helper, used.as_str(), "used already"),
        (&admin, other.as_str(), "somebody else"),
        (&helper, other.as_str(), "used already"),
        (&helper, "lotse_nonsense", "unknown"),
        (&helper, "", "unknown"),
    ] {
        let (code, reason) = site.connect(token, ticket, None).await.unwrap().end().await;
        assert!(code == 4003 && reason.contains(why), "{code} {reason}, not {why}");
    }
    // Pages of other sites are not let in at all, nor is a role that is not enough.
    let ticket = site.ticket(&helper).await;
    let foreign = site.connect(&helper, &ticket, Some("https://evil.example")).await.err().unwrap();
    assert!(matches!(foreign, Error::Http(response) if response.status() == 403));
    let viewer = site.server.token(Role::Viewer).to_owned();
    let lesser = site.connect(&viewer, &ticket, None).await.err().unwrap();
    assert!(matches!(lesser, Error::Http(response) if response.status() == 403));
    let refused = site.server.request(Some(Role::Viewer), Method::POST, "/api/v1/clients/ann-desk/console");
    assert_eq!(harness::server::answer(refused).await.unwrap().status, 403);
    // Nobody has used it, so it still counts for whoever has asked for it.
    let mut second = site.connect(&helper, &ticket, None).await.unwrap();
    second.greet().await;
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_in_no_more_sees_nothing_more() {
    let site = Site::new(Engine::Sqlite, Manner::Polite).await;
    let ctx = &site.server.ctx;
    let mut tx = ctx.db.write().await.unwrap();
    let shown =
        people::create_token(&mut tx, "short", Role::Helpdesk, None, "test", ctx.now()).await.unwrap();
    tx.commit().await.unwrap();
    let mut looker = site.look(&shown.secret).await;
    looker.greet().await;
    people::revoke_token(ctx, shown.token.id, "test").await.unwrap();
    assert_eq!(looker.end().await.0, 4001);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_or_an_agent_that_is_gone_is_said_to_be() {
    let site = Site::new(Engine::Sqlite, Manner::Polite).await;
    let helper = site.server.token(Role::Helpdesk).to_owned();
    let domain = format!("--domain={}", site.machine);
    assert!(site.attic.libvirt.ask(&["destroy", &domain], None).unwrap().0);
    let (code, reason) = site.look(&helper).await.end().await;
    assert!(code == 4004 && reason.contains("switched off"), "{code} {reason}");
    assert!(site.attic.libvirt.ask(&["undefine", &domain], None).unwrap().0);
    let (code, reason) = site.look(&helper).await.end().await;
    assert!(code == 4004 && reason.contains("there is no machine"), "{code} {reason}");
    // It was heard a moment ago, so nobody knows before it does not answer.
    let Site { server, attic, vnc, machine } = site;
    attic.end.cancel();
    let site = Site { server, attic, vnc, machine };
    let (code, reason) = site.look(&helper).await.end().await;
    assert!(code == 4005, "{code} {reason}");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_slowly_holds_up_the_machine_and_nobody_else() {
    let site = Site::new(Engine::Sqlite, Manner::Floods).await;
    let helper = site.server.token(Role::Helpdesk).to_owned();
    let mut slow = site.look(&helper).await;
    slow.greet().await;
    // It stops when everything on the way is full.
    let mut before = 0;
    until(async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = site.vnc.sent();
        let stands = now == before && now > 0;
        before = now;
        stands
    })
    .await;
    assert!(site.vnc.sent() < 64 << 20, "{} bytes are on the way", site.vnc.sent());
    // The host does its work meanwhile, and shows the screen to others.
    site.attic.carries_out(&site.server, "hardware-detection", serde_json::json!({})).await;
    let mut quick = site.look(&helper).await;
    quick.greet().await;
    for _ in 0..16 {
        quick.read(1 << 20).await;
    }
    // Whoever goes on reading loses nothing.
    slow.read(usize::try_from(before).unwrap()).await;
    site.end().await;
}
