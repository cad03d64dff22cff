//! Pages in a real browser, on a real server: what people do with them, from the login to the output of a job.
//!
//! `make screenshots` runs [`tour`] alone; its pictures are kept in any run.

mod approval;
mod console;
mod desktops;
mod keyboard;
mod layouts;
mod login;
mod machines;
mod mass;
mod output;
mod search;
mod tour;

use harness::{
    browser::{Browser, Look, Page},
    server::TestServer,
};
use server::{
    db::{Db, accounts, people},
    identity::token::Token,
};

/// A browser and a page in it, logged in by the first admin's link.
async fn logged_in(server: &TestServer, look: Look) -> (Browser, Page) {
    let browser = Browser::start(server.ctx.authority.ca_pem()).await.unwrap();
    let page = browser.page(look).await.unwrap();
    page.goto(&server.first_login).await.unwrap();
    page.until("location.pathname === '/account'", "the link has logged in").await.unwrap();
    (browser, page)
}

/// A one-time link for somebody, made where the server keeps its data.
async fn login_link(db: &Db, https: &str, name: &str, now: i64) -> String {
    let secret = Token::new();
    let mut tx = db.write().await.unwrap();
    let (user, _) = accounts::find(&mut tx, name).await.unwrap().unwrap();
    people::create_link(&mut tx, &secret.hash(), user.id, now + 3_600_000_000, now).await.unwrap();
    tx.commit().await.unwrap();
    format!("{https}/login#{}", secret.reveal())
}
