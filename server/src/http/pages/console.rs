//! The console of a client that is a virtual machine: its screen, and what it prints on its serial line.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use wire::problem::Problem;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page},
    moment::Moment,
};
use crate::{
    app::{
        clients,
        consoles::{self, OpenedConsole, Place},
        serial::{self, SerialOutput},
    },
    context::Ctx,
    domain::serial::SerialLine,
    http::{
        console::{Upgrade, relayed},
        problem,
    },
    novnc,
};

/// Lines that a page begins with.
const LINES: usize = 1000;

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}/console", get(show).post(open_there))
        .route("/clients/{name}/console/ticket", post(ticket))
        .route("/clients/{name}/console/screen", get(screen))
        .route("/clients/{name}/console/lines", get(lines))
        .route("/clients/{name}/console/text", get(text))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    name: String,
    /// Where the screen is; none when the client is no virtual machine of ours.
    place: Option<PlaceView>,
    /// noVNC is installed on this server.
    novnc: bool,
    /// The screen at the provider, just opened.
    url: Option<String>,
    problem: Option<Problem>,
    search: String,
    printed: Option<PrintedView>,
}

#[derive(Serialize)]
struct PlaceView {
    /// Name of the host or of the provider.
    at: String,
    machine: String,
    on_host: bool,
    /// The agent of the host is heard.
    heard: bool,
}

#[derive(Serialize)]
struct PrintedView {
    heard: Option<Moment>,
    lines: Vec<SerialLine>,
    unfinished: String,
    next: i64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Wanted {
    after: i64,
    search: String,
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Page, Rejection> {
    shown(&ctx, &visitor, &name, &wanted.search, Ok(None)).await
}

/// Opens the console at the provider, and leads there.
async fn open_there(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Page, Rejection> {
    let opened = match consoles::open(&ctx, &name, &visitor.actor()?).await {
        Ok(OpenedConsole::Provider { url }) => Ok(Some(url)),
        Ok(OpenedConsole::Server { .. }) => Ok(None),
        Err(error) => Err(problem::shown(error)),
    };
    shown(&ctx, &visitor, &name, "", opened).await
}

async fn shown(
    ctx: &Ctx,
    visitor: &Visitor,
    name: &str,
    search: &str,
    opened: Result<Option<String>, Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    clients::get(&mut tx, name).await?;
    let place = consoles::place(&mut tx, name).await?;
    let printed = match &place {
        Some(Place::OnHost { .. }) => Some(newest(&mut tx, name, search).await?),
        _ => None,
    };
    drop(tx);
    let place = place.map(|place| match place {
        Place::OnHost { host, host_name, machine } => {
            PlaceView { at: host_name, machine, on_host: true, heard: consoles::is_heard(ctx, host) }
        }
        Place::AtProvider { provider, machine } => {
            PlaceView { at: provider, machine, on_host: false, heard: true }
        }
    });
    let (url, problem) = match opened {
        Ok(url) => (url, None),
        Err(problem) => (None, Some(problem)),
    };
    let view = View {
        page: visitor.frame("/clients"),
        name: name.to_owned(),
        place,
        novnc: novnc::is_there(),
        url,
        problem,
        search: search.to_owned(),
        printed: printed.map(|printed| PrintedView {
            heard: printed.heard_at.map(|at| Moment::new(at, ctx.now(), visitor.language)),
            lines: printed.lines,
            unfinished: printed.unfinished,
            next: printed.next,
        }),
    };
    page(ctx, visitor, "pages/console.html", &view)
}

/// The newest lines, or the newest of those with a text.
async fn newest(tx: &mut crate::db::Tx, name: &str, search: &str) -> Result<SerialOutput, Rejection> {
    let mut all = serial::output(tx, name, 0, search).await?;
    while all.more {
        let mut more = serial::output(tx, name, all.next, search).await?;
        all.lines.append(&mut more.lines);
        all = SerialOutput { lines: all.lines, ..more };
    }
    all.lines.drain(..all.lines.len().saturating_sub(LINES));
    Ok(all)
}

async fn ticket(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
) -> Result<Json<OpenedConsole>, Rejection> {
    Ok(Json(consoles::open(&ctx, &name, &visitor.actor()?).await?))
}

async fn screen(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    upgrade: Upgrade,
) -> Result<Response, Rejection> {
    relayed(ctx, visitor.actor()?, name, visitor.language, (&headers, upgrade))
}

async fn lines(
    State(ctx): State<Ctx>,
    Path(name): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<SerialOutput>, Rejection> {
    let mut tx = ctx.db.read().await?;
    Ok(Json(serial::output(&mut tx, &name, wanted.after, &wanted.search).await?))
}

async fn text(State(ctx): State<Ctx>, Path(name): Path<String>) -> Result<impl IntoResponse, Rejection> {
    let mut tx = ctx.db.read().await?;
    let text = serial::text(&mut tx, &name).await?;
    let file = format!("attachment; filename=\"{name}-console.txt\"");
    Ok((
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, file)],
        text,
    ))
}
