//! Packages of one client, chosen and looked at before anything changes: search, preselect, preview, allow, accept.
//!
//! Invariant: what is accepted is the list of changes that was shown; the agent makes exactly these or none (`PackageWork::accepted`).
//! What is chosen is kept in the address and in the form, nowhere else.

use std::collections::BTreeMap;

use axum::{
    Form, Router,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};
use wire::{
    JobId,
    event::EventKind,
    package_work::{ChangeKind, Transaction, TransactionChange},
    packages::Package,
    problem::Problem,
};

use super::super::{
    super::problem,
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    words::WaitView,
};
use crate::{
    app::{
        Error, clients,
        inventory::{self, Only, PackageWish},
        job_records,
        jobs::{self, JobOrder},
    },
    context::Ctx,
    db::Tx,
    domain::{job::JobState, layout::size::human},
};

/// Packages that are offered at once.
const OFFERED: usize = 200;
/// Events of an attempt that are looked through for what would change.
const EVENTS: i64 = 5_000;
const JOB_TYPE: &str = "package-change";
/// What can be done with chosen packages, and where they are written then.
const LISTS: [&str; 4] = ["packages", "remove", "hold", "unhold"];
const SWITCHES: [&str; 4] = ["purge", "removals", "downgrades", "held"];
/// Fields of ticked packages begin so; the name follows.
const PICK: &str = "pick:";

pub(super) fn router() -> Router<Ctx> {
    Router::new()
        .route("/clients/{name}/packages/change", get(choose).post(preview))
        .route("/clients/{name}/packages/previews/{id}", get(show).post(accept))
}

type Fields = BTreeMap<String, String>;

/// What was chosen.
#[derive(Clone, Default, Serialize)]
struct Choice {
    /// Names with spaces between them, by list.
    lists: BTreeMap<&'static str, String>,
    /// By switch.
    switches: BTreeMap<&'static str, bool>,
}

fn words(text: &str) -> Vec<&str> {
    text.split([' ', '\n', '\r', '\t', ',']).filter(|word| !word.is_empty()).collect()
}

impl Choice {
    fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
        Self {
            lists: LISTS.map(|name| (name, words(text(name)).join(" "))).into(),
            switches: SWITCHES.map(|name| (name, !text(name).is_empty())).into(),
        }
    }

    /// Adds ticked packages to a list; each stands in one list for what comes or goes.
    fn add(&mut self, list: &'static str, names: &[String]) {
        for (other, text) in &mut self.lists {
            let rivals: &[&str] = match list {
                "packages" | "remove" => &["packages", "remove"],
                _ => &["hold", "unhold"],
            };
            if !rivals.contains(other) {
                continue;
            }
            let bare = |word: &str| word.split(['=', ':', '/']).next().unwrap_or(word).to_owned();
            let added: Vec<String> = names.iter().map(|name| bare(name)).collect();
            let mut kept: Vec<String> = words(text)
                .into_iter()
                .filter(|word| !added.contains(&bare(word)))
                .map(str::to_owned)
                .collect();
            if *other == list {
                kept.extend_from_slice(names);
            }
            *text = kept.join(" ");
        }
    }

    fn of_params(params: &Value) -> Self {
        let list = |name: &str| {
            let entries = params[name].as_array().map(Vec::as_slice).unwrap_or_default();
            entries.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        };
        Self {
            lists: LISTS.map(|name| (name, list(name))).into(),
            switches: SWITCHES.map(|name| (name, params[name].as_bool().unwrap_or(false))).into(),
        }
    }

    fn params(&self) -> Value {
        let mut params = json!({});
        for (name, text) in &self.lists {
            params[*name] = json!(words(text));
        }
        for (name, on) in &self.switches {
            params[*name] = json!(on);
        }
        params
    }

    fn query(&self) -> String {
        let lists = self.lists.iter().map(|(name, text)| format!("{name}={}", query_encoded(text)));
        let switches = self.switches.iter().filter(|(_, on)| **on).map(|(name, _)| format!("{name}=yes"));
        lists.chain(switches).collect::<Vec<_>>().join("&")
    }
}

#[derive(Serialize)]
struct Offer {
    name: String,
    architecture: String,
    version: String,
    update: String,
    security: bool,
    held: bool,
}

#[derive(Serialize)]
struct ChooseView {
    page: Frame,
    name: String,
    q: String,
    only: Only,
    choices: [Only; Only::ALL.len()],
    offers: Vec<Offer>,
    searched: bool,
    more: bool,
    choice: Choice,
    problem: Option<Problem>,
}

fn offer(package: Package) -> Offer {
    let (update, security) =
        package.update.map(|update| (update.version, update.security)).unwrap_or_default();
    Offer {
        name: package.key.name,
        architecture: package.key.architecture,
        version: package.key.version,
        held: package.held,
        update,
        security,
    }
}

async fn choose(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Query(fields): Query<Fields>,
) -> Result<Page, Rejection> {
    chosen(&ctx, &visitor, name, &fields, None).await
}

async fn chosen(
    ctx: &Ctx,
    visitor: &Visitor,
    name: String,
    fields: &Fields,
    problem: Option<Problem>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    clients::get(&mut tx, &name).await?;
    let q = fields.get("q").map(|text| text.trim().to_owned()).unwrap_or_default();
    let only = fields.get("only").and_then(|word| word.parse().ok()).unwrap_or_default();
    let searched = !q.is_empty() || only != Only::All;
    let wish = PackageWish { name: q.clone(), only };
    let found = inventory::of_client(&mut tx, &name, &wish).await?.packages;
    let mut choice = Choice::read(fields);
    let picked: Vec<String> =
        fields.keys().filter_map(|field| field.strip_prefix(PICK)).map(str::to_owned).collect();
    match fields.get("as").map(String::as_str).unwrap_or_default() {
        "update" => choice.add("packages", &picked),
        "remove" => choice.add("remove", &picked),
        "hold" => choice.add("hold", &picked),
        "unhold" => choice.add("unhold", &picked),
        "pin" => {
            let versions = picked.iter().filter_map(|name| {
                let package = found.iter().find(|package| package.key.name == *name)?;
                Some(format!("{name}={}", package.key.version))
            });
            choice.add("packages", &versions.collect::<Vec<_>>());
            choice.add("hold", &picked);
        }
        _ => {}
    }
    let view = ChooseView {
        page: visitor.frame("/clients"),
        more: searched && found.len() > OFFERED,
        offers: if searched { found.into_iter().take(OFFERED).map(offer).collect() } else { Vec::new() },
        q,
        only,
        choices: Only::ALL,
        searched,
        choice,
        problem,
        name,
    };
    page(ctx, visitor, "pages/package-change.html", &view)
}

async fn preview(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path(name): Path<String>,
    Form(fields): Form<Fields>,
) -> Result<Response, Rejection> {
    let mut params = Choice::read(&fields).params();
    params["preview"] = true.into();
    match queue(&ctx, &name, params, visitor.name()).await {
        Ok(job) => Ok(Redirect::to(&format!("/clients/{name}/packages/previews/{job}")).into_response()),
        Err(error) => {
            let problem = problem::mendable(error)?;
            Ok(chosen(&ctx, &visitor, name, &fields, Some(problem)).await?.into_response())
        }
    }
}

async fn queue(ctx: &Ctx, name: &str, params: Value, actor: &str) -> Result<JobId, Error> {
    let is_empty = LISTS.iter().all(|list| params[*list].as_array().is_none_or(Vec::is_empty));
    if is_empty {
        return Err(Error::invalid("nothing is chosen", "name a package in one of the lists"));
    }
    let mut tx = ctx.db.read().await?;
    let id = clients::get(&mut tx, name).await?.id;
    drop(tx);
    let order = JobOrder { job_type: JOB_TYPE.to_owned(), params, ..JobOrder::default() };
    jobs::create(ctx, id, &order, actor).await
}

#[derive(Serialize)]
struct Row {
    change: &'static str,
    package: String,
    architecture: String,
    from: String,
    to: String,
    security: bool,
    needed: bool,
    unasked: bool,
}

#[derive(Serialize)]
struct PreviewView {
    page: Frame,
    name: String,
    job: i64,
    /// Nothing is known yet.
    waiting: bool,
    waits: Option<WaitView>,
    /// Why the package manager refuses it.
    why: String,
    rows: Vec<Row>,
    known: bool,
    fetched: String,
    more_disk: String,
    less_disk: String,
    /// Packages that go although nobody asked for that; they have to be allowed by name.
    removals: String,
    downgrades: String,
    can_accept: bool,
    /// The way back to the choice.
    query: String,
}

/// What a preview has found.
struct Found {
    params: Value,
    state: JobState,
    why: String,
    waits: Option<WaitView>,
    transaction: Option<Transaction>,
}

async fn find(ctx: &Ctx, visitor: &Visitor, tx: &mut Tx, name: &str, id: JobId) -> Result<Found, Error> {
    let record = job_records::whole(ctx, tx, id).await?;
    let is_preview = record.job.job_type == JOB_TYPE && record.job.params["preview"] == true;
    if record.client_name != name || !is_preview {
        return Err(Error::not_found(format!("preview {id} of client {name}")));
    }
    let mut transaction = None;
    if let Some(attempt) = record.attempts.last() {
        for event in job_records::output(tx, attempt.id, 0, EVENTS).await? {
            if let EventKind::Transaction { transaction: found, .. } = event.kind {
                transaction = Some(found);
            }
        }
    }
    Ok(Found {
        waits: record.waits_for.map(|wait| WaitView::new(ctx, &wait, visitor.language)),
        state: record.job.state,
        why: record.job.reason,
        params: record.job.params,
        transaction,
    })
}

fn goes(change: &TransactionChange) -> bool {
    matches!(change.change, ChangeKind::Remove | ChangeKind::Purge)
}

fn row(change: &TransactionChange) -> Row {
    Row {
        change: change.change.as_str(),
        package: change.package.clone(),
        architecture: change.architecture.clone(),
        from: change.from.clone(),
        to: change.to.clone(),
        security: change.is_security,
        needed: change.is_dependency && !goes(change),
        unasked: change.is_dependency && goes(change),
    }
}

async fn show(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, id)): Path<(String, JobId)>,
) -> Result<Page, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = find(&ctx, &visitor, &mut tx, &name, id).await?;
    let is_over = found.state.is_final();
    let transaction = found.transaction.filter(|_| is_over);
    let known = transaction.is_some();
    let Transaction { changes, download_bytes, disk_bytes } = transaction.unwrap_or_default();
    let names = |wanted: &dyn Fn(&TransactionChange) -> bool| {
        changes.iter().filter(|it| wanted(it)).map(|it| it.package.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (removals, downgrades) =
        (names(&|it| goes(it) && it.is_dependency), names(&|it| it.change == ChangeKind::Downgrade));
    // A refusal for want of a permission can be lifted here: the changes are known. Any other failure has none.
    let is_for_want = !removals.is_empty() || !downgrades.is_empty();
    let view = PreviewView {
        page: visitor.frame("/clients"),
        job: id.0,
        waiting: !is_over,
        waits: found.waits,
        why: if is_over && found.state != JobState::Succeeded { found.why } else { String::new() },
        fetched: human(download_bytes),
        more_disk: u64::try_from(disk_bytes).ok().filter(|bytes| *bytes > 0).map(human).unwrap_or_default(),
        less_disk: if disk_bytes < 0 { human(disk_bytes.unsigned_abs()) } else { String::new() },
        can_accept: known && !changes.is_empty() && (found.state == JobState::Succeeded || is_for_want),
        rows: changes.iter().map(row).collect(),
        known,
        removals,
        downgrades,
        query: Choice::of_params(&found.params).query(),
        name,
    };
    page(&ctx, &visitor, "pages/package-preview.html", &view)
}

async fn accept(
    State(ctx): State<Ctx>,
    visitor: Visitor,
    Path((name, id)): Path<(String, JobId)>,
    Form(fields): Form<Fields>,
) -> Result<Response, Rejection> {
    let mut tx = ctx.db.read().await?;
    let found = find(&ctx, &visitor, &mut tx, &name, id).await?;
    drop(tx);
    let Some(transaction) = found.transaction.filter(|_| found.state.is_final()) else {
        return Err(Error::conflict(
            format!("the preview {id} has not said what would change"),
            "wait for it, or make a new one",
        )
        .into());
    };
    let mut params = found.params;
    for permission in ["removals", "downgrades"] {
        if fields.get(permission).is_some_and(|word| !word.is_empty()) {
            params[permission] = true.into();
        }
    }
    params["preview"] = false.into();
    // What was looked at are these lists; newer ones could say something else.
    params["refresh"] = false.into();
    params["accepted"] =
        json!(transaction.changes.iter().map(TransactionChange::in_words).collect::<Vec<_>>());
    let job = queue(&ctx, &name, params, visitor.name()).await?;
    Ok(Redirect::to(&format!("/jobs/{job}")).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_chosen_anew_leaves_the_list_that_it_contradicts() {
        let fields = [("packages", "vim nano=1"), ("remove", "mc"), ("hold", "vim"), ("purge", "yes")];
        let fields: Fields = fields.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        let mut choice = Choice::read(&fields);
        choice.add("remove", &["nano".to_owned(), "htop".to_owned()]);
        choice.add("unhold", &["vim".to_owned()]);
        assert_eq!(choice.lists["packages"], "vim");
        assert_eq!(choice.lists["remove"], "mc nano htop");
        assert_eq!((choice.lists["hold"].as_str(), choice.lists["unhold"].as_str()), ("", "vim"));
        let params = choice.params();
        assert_eq!((&params["purge"], &params["removals"]), (&json!(true), &json!(false)));
        assert_eq!(Choice::of_params(&params).params(), params);
        assert_eq!(choice.query(), "hold=&packages=vim&remove=mc%20nano%20htop&unhold=vim&purge=yes");
    }
}
