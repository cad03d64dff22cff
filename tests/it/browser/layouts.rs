//! A layout is drawn: the picture, the fields and the text follow each other, and what stands against it is named by its line.

use harness::{browser::Look, sample, server::Engine};

use super::logged_in;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_is_drawn_and_written_and_each_follows_the_other() {
    let (server, _) = sample::start(Engine::Sqlite).await.unwrap();
    let https = &server.ctx.addresses.https;
    let (_browser, page) = logged_in(&server, Look::DESK).await;
    page.goto(&format!("{https}/new-layout")).await.unwrap();
    page.until("document.querySelectorAll('.grip').length > 0", "the picture has borders").await.unwrap();
    // A border by the keyboard: what is left of it grows, and the text says so.
    let press = "(() => { const grip = [...document.querySelectorAll('.grip')].find((one) => one.dataset.key.endsWith('swap')); grip.focus(); \
                 grip.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true })); return true; })()";
    page.eval(press).await.unwrap();
    page.until(
        "document.querySelector('#yaml').value.includes('id: swap, size: 11%')",
        "the text has followed",
    )
    .await
    .unwrap();
    page.until("document.activeElement.dataset.key?.endsWith('swap')", "the border has kept the focus")
        .await
        .unwrap();
    // The text by hand: what stands against it is told with its line, and the way there selects it.
    let write = "(() => { const text = document.querySelector('#yaml'); text.value = text.value.replace('mount: / }', 'mount: relative }'); \
                 text.dispatchEvent(new Event('input', { bubbles: true })); return true; })()";
    page.eval(write).await.unwrap();
    page.until(
        "document.querySelector('#layout-problems a[data-line]')?.dataset.line === '10'",
        "the line is named",
    )
    .await
    .unwrap();
    page.eval("document.querySelector('#layout-problems a[data-line]').click(), true").await.unwrap();
    page.until("(() => { const text = document.querySelector('#yaml'); return text.value.slice(text.selectionStart, text.selectionEnd).includes('relative'); })()", "the line is selected")
        .await
        .unwrap();
    let mend = write.replace("'mount: / }', 'mount: relative }'", "'mount: relative }', 'mount: / }'");
    page.eval(&mend).await.unwrap();
    page.until("document.querySelector('#layout-problems').hidden", "nothing stands against it")
        .await
        .unwrap();
    page.fill("#name", "drawn").await.unwrap();
    page.follow("Keep the layout").await.unwrap();
    assert!(page.path().await.unwrap().starts_with("/layouts/drawn?"));
    page.until_shown("The layout is kept").await.unwrap();
    page.close().await.unwrap();
    server.stop().await.unwrap();
}
