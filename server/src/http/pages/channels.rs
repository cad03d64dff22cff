//! Who is told of what happens: channels, and the notices that go out by them.

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::FieldProblem;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        Error,
        channels::{self, NewChannel},
    },
    context::Ctx,
    domain::notice::{Channel, ChannelWish, Posted, Way},
};

/// Notices that are shown.
const NOTICES: i64 = 30;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/channels", get(list).post(create))
        .route("/channels/{name}", get(show).post(update))
        .route("/channels/{name}/test", post(test))
        .route("/channels/{name}/secret", post(renew_secret))
        .route("/channels/{name}/delete", post(delete))
        .route("/notices/{id}/retry", post(retry))
}

/// A channel as it is typed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ChannelForm {
    name: String,
    kind: String,
    to: String,
    language: String,
    url: String,
    events: String,
    groups: String,
    gather_s: String,
    enabled: String,
}

impl ChannelForm {
    fn of(channel: &Channel) -> Self {
        let wish = &channel.wish;
        let (to, language, url) = match &wish.way {
            Way::Mail { to, language } => (to.join(" "), language.clone(), String::new()),
            Way::Webhook { url } => (String::new(), String::new(), url.clone()),
        };
        Self {
            name: channel.name.clone(),
            kind: wish.way.as_str().to_owned(),
            to,
            language,
            url,
            events: wish.events.join(" "),
            groups: wish.groups.join(" "),
            gather_s: wish.gather_s.to_string(),
            enabled: if wish.enabled { "1".to_owned() } else { String::new() },
        }
    }

    fn empty(kind: &str, language: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            language: language.to_owned(),
            events: "job.failed client.alarm client.health approval.asked rollout.halted".to_owned(),
            gather_s: "60".to_owned(),
            enabled: "1".to_owned(),
            ..Self::default()
        }
    }

    fn wish(&self) -> Result<ChannelWish, Error> {
        let words = |text: &str| -> Vec<String> {
            text.split([' ', ',', '\n', '\r', '\t'])
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let gather_s = self.gather_s.trim().parse().map_err(|_| {
            let message = "must be 0 to 86400 seconds".to_owned();
            let field = FieldProblem { field: "gather_s".to_owned(), message };
            Error::fields("the channel cannot be used like this", vec![field])
        })?;
        let way = match self.kind.as_str() {
            "webhook" => Way::Webhook { url: self.url.trim().to_owned() },
            _ => Way::Mail { to: words(&self.to), language: self.language.clone() },
        };
        Ok(ChannelWish {
            way,
            events: words(&self.events),
            groups: words(&self.groups),
            gather_s,
            enabled: !self.enabled.is_empty(),
        })
    }
}

#[derive(Serialize)]
struct ListView {
    page: Frame,
    channels: Vec<Row>,
    notices: Vec<NoticeView>,
    form: ChannelForm,
    faults: std::collections::BTreeMap<String, String>,
    problem: Option<String>,
    secret: Option<String>,
    made: Option<String>,
}

#[derive(Serialize)]
struct Row {
    name: String,
    kind: &'static str,
    target: String,
    events: Vec<String>,
    groups: Vec<String>,
    enabled: bool,
}

#[derive(Serialize)]
struct NoticeView {
    id: i64,
    at: Moment,
    channel: String,
    state: String,
    kind: &'static str,
    attempts: i64,
    test: bool,
    counts: Vec<(String, i64)>,
    error: String,
}

fn notice_view(posted: Posted, now: i64, language: &str) -> NoticeView {
    NoticeView {
        id: posted.id,
        at: Moment::new(posted.created_at, now, language),
        channel: posted.notice.channel,
        kind: match posted.state.as_str() {
            "sent" => "good",
            "given-up" => "bad",
            _ if posted.attempts > 0 => "warn",
            _ => "",
        },
        state: posted.state,
        attempts: posted.attempts,
        test: posted.notice.test,
        counts: posted.notice.counts.into_iter().collect(),
        error: posted.error,
    }
}

fn target(way: &Way) -> String {
    match way {
        Way::Mail { .. } => way.target(),
        // The path of a webhook may hold a secret; it stands on the channel's own page.
        Way::Webhook { url } => url.splitn(4, '/').take(3).collect::<Vec<_>>().join("/"),
    }
}

#[derive(Default, Deserialize)]
struct Wanted {
    #[serde(default)]
    kind: String,
}

async fn list(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    let kind = if wanted.kind == "webhook" { "webhook" } else { "mail" };
    let form = ChannelForm::empty(kind, visitor.language);
    list_page(&ctx, &visitor, form, Vec::new(), None, None, None).await
}

async fn list_page(
    ctx: &Ctx,
    visitor: &Visitor,
    form: ChannelForm,
    faults: Vec<FieldProblem>,
    problem: Option<String>,
    secret: Option<String>,
    made: Option<String>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let row = |channel: Channel| Row {
        kind: channel.wish.way.as_str(),
        target: target(&channel.wish.way),
        name: channel.name,
        events: channel.wish.events,
        groups: channel.wish.groups,
        enabled: channel.wish.enabled,
    };
    let notices = channels::outbox(&mut tx, None, NOTICES).await?;
    let view = ListView {
        page: visitor.frame("/channels"),
        channels: channels::list(&mut tx).await?.into_iter().map(row).collect(),
        notices: notices.into_iter().map(|posted| notice_view(posted, ctx.now(), visitor.language)).collect(),
        form,
        faults: faults.into_iter().map(|fault| (fault.field, fault.message)).collect(),
        problem,
        secret,
        made,
    };
    page(ctx, visitor, "pages/channels.html", &view)
}

async fn create(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Form(form): Form<ChannelForm>,
) -> Result<Response, Rejection> {
    let made = match form.wish() {
        Ok(wish) => channels::create(&ctx, &NewChannel { name: form.name.trim().to_owned(), wish }).await,
        Err(error) => Err(error),
    };
    let (form, faults, problem, secret, made) = match made {
        Ok(shown) => {
            let empty = ChannelForm::empty("mail", visitor.language);
            (empty, Vec::new(), None, shown.secret, Some(shown.channel.name))
        }
        Err(Error::Invalid { title, fields, .. }) => (form, fields, Some(title), None, None),
        Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) => {
            (form, Vec::new(), Some(error.to_string()), None, None)
        }
        Err(error) => return Err(error.into()),
    };
    Ok(list_page(&ctx, &visitor, form, faults, problem, secret, made).await?.into_response())
}

#[derive(Serialize)]
struct ShowView {
    page: Frame,
    name: String,
    kind: String,
    form: ChannelForm,
    notices: Vec<NoticeView>,
    faults: std::collections::BTreeMap<String, String>,
    problem: Option<String>,
    secret: Option<String>,
    told: Option<&'static str>,
}

/// What has just happened on a channel's page.
#[derive(Default)]
struct News {
    form: Option<ChannelForm>,
    faults: Vec<FieldProblem>,
    problem: Option<String>,
    secret: Option<String>,
    told: Option<&'static str>,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    show_page(&ctx, &visitor, &name, News::default()).await
}

async fn show_page(ctx: &Ctx, visitor: &Visitor, name: &str, news: News) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let channel = channels::get(&mut tx, name).await?;
    let notices = channels::outbox(&mut tx, Some(name), NOTICES).await?;
    let view = ShowView {
        page: visitor.frame("/channels"),
        kind: channel.wish.way.as_str().to_owned(),
        form: news.form.unwrap_or_else(|| ChannelForm::of(&channel)),
        notices: notices.into_iter().map(|posted| notice_view(posted, ctx.now(), visitor.language)).collect(),
        faults: news.faults.into_iter().map(|fault| (fault.field, fault.message)).collect(),
        problem: news.problem,
        secret: news.secret,
        told: news.told,
        name: channel.name,
    };
    page(ctx, visitor, "pages/channel.html", &view)
}

async fn update(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(form): Form<ChannelForm>,
) -> Result<Page, Rejection> {
    let changed = match form.wish() {
        Ok(wish) => channels::update(&ctx, &name, &wish, None).await,
        Err(error) => Err(error),
    };
    let news = match changed {
        Ok(()) => News { told: Some("channel-saved"), ..News::default() },
        Err(Error::Invalid { title, fields, .. }) => {
            News { form: Some(form), faults: fields, problem: Some(title), ..News::default() }
        }
        Err(error @ (Error::Conflict { .. } | Error::NotFound { .. })) => {
            News { form: Some(form), problem: Some(error.to_string()), ..News::default() }
        }
        Err(error) => return Err(error.into()),
    };
    show_page(&ctx, &visitor, &name, news).await
}

async fn test(State(ctx): State<Ctx>, visitor: Visitor, Path(name): Path<String>) -> Result<Page, Rejection> {
    let news = match channels::test(&ctx, &name).await {
        Ok(()) => News { told: Some("channel-arrived"), ..News::default() },
        Err(error @ Error::Unavailable { .. }) => {
            News { problem: Some(error.to_string()), ..News::default() }
        }
        Err(error) => return Err(error.into()),
    };
    show_page(&ctx, &visitor, &name, news).await
}

async fn renew_secret(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let shown = channels::renew_secret(&ctx, &name).await?;
    show_page(&ctx, &visitor, &name, News { secret: shown.secret, ..News::default() }).await
}

async fn delete(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<Redirect, Rejection> {
    channels::delete(&ctx, &name).await?;
    Ok(Redirect::to("/channels"))
}

async fn retry(State(ctx): State<Ctx>, Path(id): Path<i64>) -> Result<Redirect, Rejection> {
    channels::retry(&ctx, id).await?;
    Ok(Redirect::to("/channels"))
}
