//! A storage layout, changed as a picture by mouse and by keys, and as text: each follows the other, and the server has its say.

use harness::{browser::Look, sample, server::Engine};

use super::logged_in;

const TEXT: &str = "document.querySelector('#yaml').value";
const GRIP: &str = "[data-key='grip system root']";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_is_changed_in_the_picture_and_in_the_text_and_kept() {
    let (server, sample) = sample::start(Engine::Sqlite).await.unwrap();
    let (_browser, page) = logged_in(&server, Look::DESK).await;
    page.goto(&format!("{}/layouts/{}", server.ctx.addresses.https, sample.layout)).await.unwrap();
    page.until(&format!("document.querySelector({GRIP:?})"), "the picture is drawn").await.unwrap();
    assert!(page.eval(TEXT).await.unwrap().as_str().unwrap().contains("size: 40%"));

    page.eval(&format!("document.querySelector({GRIP:?}).focus(), true")).await.unwrap();
    page.press("ArrowRight").await.unwrap();
    page.until(&format!("{TEXT}.includes('41%')"), "the text follows the key").await.unwrap();
    page.drag(GRIP, 200.0).await.unwrap();
    page.until(&format!("/id: root.*\\bsize: (5|6)\\d%/s.test({TEXT})"), "the text follows the mouse")
        .await
        .unwrap();

    let text = page.eval(TEXT).await.unwrap().as_str().unwrap().to_owned();
    page.fill("#yaml", &text.replace("format: xfs", "format: btrfs")).await.unwrap();
    page.until(
        "document.querySelector(\"[data-key='format system 4']\")?.value === 'btrfs'",
        "the picture follows the text",
    )
    .await
    .unwrap();
    page.fill("#yaml", "disks: [").await.unwrap();
    page.until("!document.querySelector('#layout-problems').hidden", "what stands against it is told")
        .await
        .unwrap();
    page.fill("#yaml", &text).await.unwrap();
    page.until("document.querySelector('#layout-problems').hidden", "nothing stands against it")
        .await
        .unwrap();
    page.follow("Keep the layout").await.unwrap();
    page.until_shown("The layout is kept").await.unwrap();
    let kept = server.get(&format!("/api/v1/layouts/{}", sample.layout)).await.unwrap().ok().unwrap();
    assert_eq!(kept["yaml"].as_str().unwrap().trim(), text.trim());
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
