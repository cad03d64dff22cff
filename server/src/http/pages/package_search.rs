//! Looking for a package in what archives offer, with results while somebody types; each leads to the form that installs it.

use axum::{
    Router,
    extract::{Query, State},
    routing::get,
};
use serde::{Deserialize, Serialize};

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
};
use crate::{
    app::{
        clients,
        package_search::{self, FoundPackage, SearchWish, SearchedIndex},
        reach::{self, About},
        source_lists,
    },
    context::Ctx,
    domain::{layout::size::human, people::Role},
};

/// Rows of the page.
const ROWS: i64 = 100;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/packages", get(show))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    q: String,
    list: String,
    client: String,
}

#[derive(Serialize)]
struct View {
    page: Frame,
    q: String,
    list: String,
    client: String,
    lists: Vec<String>,
    rows: Vec<Row>,
    more: bool,
    indices: Vec<IndexView>,
    /// Some index is not read yet.
    reading: bool,
    may_install: bool,
}

#[derive(Serialize)]
struct Row {
    name: String,
    version: String,
    section: String,
    size: String,
    installed: String,
    description: String,
    place: String,
    href: String,
}

#[derive(Serialize)]
struct IndexView {
    place: String,
    packages: i64,
    dated: Option<Moment>,
    read: Option<Moment>,
    problem: String,
}

fn size(bytes: i64) -> String {
    if bytes > 0 { human(u64::try_from(bytes).unwrap_or(0)) } else { String::new() }
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    if !asked.client.is_empty() {
        reach::require(&mut tx, &visitor.actor()?.reach, About::Client(&asked.client), Role::Viewer).await?;
        clients::get(&mut tx, &asked.client).await?;
    }
    let lists: Vec<String> =
        source_lists::list(&ctx, &mut tx).await?.into_iter().map(|list| list.name).collect();
    drop(tx);
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let wish = SearchWish {
        words: asked.q.clone(),
        list: some(&asked.list).filter(|list| lists.contains(list)),
        client: some(&asked.client),
        limit: ROWS,
    };
    let found = package_search::search(&ctx, &wish).await?;
    let row = |package: FoundPackage| {
        let named = query_encoded(&package.name);
        let href = if asked.client.is_empty() {
            format!("/new-rollout?packages={named}")
        } else {
            format!("/clients/{}?packages={named}#packages-of", asked.client)
        };
        Row {
            place: format!("{} {}", package.suite, package.component),
            href,
            size: size(package.size_bytes),
            installed: size(package.installed_bytes),
            name: package.name,
            version: package.version,
            section: package.section,
            description: package.description,
        }
    };
    let now = ctx.now();
    let moment = |at| Moment::new(at, now, visitor.language);
    let index = |index: &SearchedIndex| IndexView {
        place: format!("{} {} {} {}", index.archive, index.suite, index.component, index.architecture),
        packages: index.packages.unwrap_or(0),
        dated: index.dated_at.map(moment),
        read: index.read_at.map(moment),
        problem: index.problem.clone().unwrap_or_default(),
    };
    let is_unread = |index: &SearchedIndex| index.packages.is_none() && index.problem.is_none();
    let view = View {
        page: visitor.frame("/packages"),
        rows: found.packages.into_iter().map(row).collect(),
        more: found.more,
        reading: found.indices.iter().any(is_unread),
        indices: found.indices.iter().map(index).collect(),
        q: asked.q,
        list: wish.list.unwrap_or_default(),
        client: asked.client,
        lists,
        may_install: visitor.may(Role::Operator),
    };
    page(&ctx, &visitor, "pages/package-search.html", &view)
}
