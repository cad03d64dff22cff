//! One's own account: password, second factor, where one is logged in, language.

use axum::{
    Form, Router,
    extract::{Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
    rights,
};
use crate::{
    app::{
        Error,
        accounts::{self, Login},
        second_factors, sessions,
    },
    auth::totp,
    context::Ctx,
    domain::people::Source,
    pages::LANGUAGES,
};

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/account", get(show))
        .route("/account/password", post(set_password))
        .route("/account/second-factor", post(second_factor))
        .route("/account/second-factor/end", post(end_second_factor))
        .route("/account/logins/end", post(end_login))
        .route("/account/command-line", post(command_line))
}

/// A login as a table shows it.
#[derive(Serialize)]
pub(super) struct LoginRow {
    id: String,
    current: bool,
    browser: String,
    address: String,
    is_token: bool,
    begun: Moment,
    used: Option<Moment>,
}

impl LoginRow {
    pub(super) fn new(login: Login, now: i64, language: &str) -> Self {
        let moment = |at| Moment::new(at, now, language);
        Self {
            is_token: login.id.starts_with("token-"),
            current: login.current,
            browser: browser(&login.browser),
            address: login.address,
            begun: moment(login.created_at),
            used: login.last_used_at.map(moment),
            id: login.id,
        }
    }
}

/// Program and system out of what a browser says of itself (`User-Agent`, RFC 9110, 10.1.5), as people call them.
fn browser(said: &str) -> String {
    let find = |words: &[(&str, &'static str)]| {
        words.iter().find(|(word, _)| said.contains(word)).map(|(_, name)| *name)
    };
    let program = find(&[
        ("Edg/", "Edge"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = find(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program}, {system}"),
        (Some(program), None) => program.to_owned(),
        _ => said.chars().take(60).collect(),
    }
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    full_name: String,
    is_local: bool,
    source: &'static str,
    rights: Vec<(&'static str, String)>,
    has_password: bool,
    has_second_factor: bool,
    recovery_codes: i64,
    logins: Vec<LoginRow>,
    languages: [&'static str; 2],
    language: &'static str,
    done: String,
    problem: Option<String>,
}

async fn account_page(
    ctx: &Ctx,
    visitor: &Visitor,
    done: &str,
    problem: Option<String>,
) -> Result<Page, Rejection> {
    let actor = visitor.actor()?;
    let account = accounts::own(ctx, &actor).await?;
    let logins = sessions::list(ctx, account.id, &actor).await?;
    let row = |login| LoginRow::new(login, ctx.now(), visitor.language);
    let view = View {
        page: visitor.frame("/account"),
        is_local: account.source == Source::Local,
        source: account.source.as_str(),
        rights: rights::shown(&account.rights),
        has_password: account.has_password,
        has_second_factor: account.has_second_factor,
        recovery_codes: second_factors::recovery_codes_left(ctx, account.id).await?,
        logins: logins.into_iter().map(row).collect(),
        languages: LANGUAGES,
        language: visitor.language,
        done: done.to_owned(),
        problem,
        name: account.name,
        full_name: account.full_name,
    };
    page(ctx, visitor, "pages/account.html", &view)
}

#[derive(Serialize)]
struct CommandLineView {
    page: Frame,
    link: String,
    until: Moment,
}

/// A link for the command line of somebody whose login service shows its pages in browsers only.
async fn command_line(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let made = accounts::own_link(&ctx, &visitor.actor()?).await?;
    let view = CommandLineView {
        page: visitor.frame("/account"),
        link: made.link,
        until: Moment::new(made.expires_at, ctx.now(), visitor.language),
    };
    page(&ctx, &visitor, "pages/command-line.html", &view)
}

#[derive(Default, Deserialize)]
struct Done {
    #[serde(default)]
    done: String,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(query): Query<Done>,
) -> Result<Page, Rejection> {
    let known = ["password", "second-factor-off", "login"];
    let done = known.into_iter().find(|word| *word == query.done).unwrap_or_default();
    account_page(&ctx, &visitor, done, None).await
}

fn done(word: &str) -> Response {
    Redirect::to(&format!("/account?done={word}")).into_response()
}

/// The page again with what was wrong, where the visitor can mend it.
async fn or_problem(
    ctx: &Ctx,
    visitor: &Visitor,
    result: Result<(), Error>,
    word: &str,
) -> Result<Response, Rejection> {
    match result {
        Ok(()) => Ok(done(word)),
        Err(Error::Invalid { title, remedy, .. } | Error::Unavailable { title, remedy }) => {
            let problem = Some(format!("{title}: {remedy}"));
            Ok(account_page(ctx, visitor, "", problem).await?.into_response())
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    old: String,
    password: String,
    again: String,
}

async fn set_password(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(new): Form<NewPassword>,
) -> Result<Response, Rejection> {
    let set = if new.password == new.again {
        accounts::set_password(&ctx, &visitor.actor()?, &new.old, &new.password).await
    } else {
        Err(Error::invalid("the two passwords differ", "type the same one twice"))
    };
    or_problem(&ctx, &visitor, set, "password").await
}

#[derive(Serialize)]
struct SecondFactorView {
    page: Frame,
    secret: String,
    side: usize,
    picture: String,
    wrong: bool,
    codes: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Code {
    #[serde(default)]
    code: String,
}

/// Offers a second factor; with a code of it, takes it into use and shows the recovery codes.
async fn second_factor(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(code): Form<Code>,
) -> Result<Page, Rejection> {
    let actor = visitor.actor()?;
    let mut view = SecondFactorView {
        page: visitor.frame("/account"),
        secret: String::new(),
        side: 0,
        picture: String::new(),
        wrong: false,
        codes: Vec::new(),
    };
    if !code.code.trim().is_empty() {
        match second_factors::confirm(&ctx, &actor, &code.code).await {
            Ok(found) => view.codes = found.codes,
            Err(Error::Invalid { .. }) => view.wrong = true,
            Err(error) => return Err(error.into()),
        }
    }
    if view.codes.is_empty() {
        let offered = second_factors::offer(&ctx, &actor).await?;
        (view.side, view.picture) =
            totp::picture(&offered.address).map_err(|error| Error::Internal(error.into()))?;
        let groups = offered.secret.as_bytes().chunks(4).map(String::from_utf8_lossy);
        view.secret = groups.collect::<Vec<_>>().join(" ");
    }
    page(&ctx, &visitor, "pages/second-factor.html", &view)
}

async fn end_second_factor(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(code): Form<Code>,
) -> Result<Response, Rejection> {
    let ended = second_factors::end(&ctx, &visitor.actor()?, &code.code).await;
    or_problem(&ctx, &visitor, ended, "second-factor-off").await
}

#[derive(Default, Deserialize)]
pub(super) struct Ended {
    /// Which; all others when it is absent.
    #[serde(default)]
    pub(super) id: String,
}

async fn end_login(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(ended): Form<Ended>,
) -> Result<Response, Rejection> {
    let actor = visitor.actor()?;
    let account = accounts::own(&ctx, &actor).await?;
    if ended.id.is_empty() {
        sessions::revoke_all(&ctx, &account, &actor).await?;
    } else {
        sessions::revoke(&ctx, account.id, &ended.id, &actor.name).await?;
    }
    Ok(done("login"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
        let edge = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0";
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Mobile Safari/604";
        assert_eq!(browser(firefox), "Firefox, Linux");
        assert_eq!(browser(edge), "Edge, Windows");
        assert_eq!(browser(phone), "Safari, iPhone");
        assert_eq!(browser("login of ann"), "login of ann");
    }
}
