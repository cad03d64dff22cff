//! The first page: what needs somebody now, what is running, what has happened.

use axum::{Router, extract::State, routing::get};
use serde::Serialize;

use super::{
    Rejection,
    frame::{Frame, Page, Visitor, page, query_encoded},
    moment::Moment,
    words::{event_detail, job_title, step_title, told},
};
use crate::{
    app::overview::{self, Concern, Day, Happened, Overview},
    clock::date,
    context::Ctx,
};

/// Height of the chart of jobs, in its own units.
const HEIGHT: f64 = 100.0;

pub(super) fn router() -> Router<Ctx> {
    Router::new().route("/", get(show))
}

#[derive(Serialize)]
struct View {
    page: Frame,
    stages: Vec<StageView>,
    all: i64,
    concerns: Vec<ConcernView>,
    concerned: i64,
    running: Vec<RunningView>,
    running_count: i64,
    happened: Vec<HappenedView>,
    days: Vec<DayView>,
    jobs: i64,
    most: i64,
}

#[derive(Serialize)]
struct StageView {
    stage: &'static str,
    count: i64,
    /// Width of its bar in per cent of the longest.
    width: f64,
}

#[derive(Serialize)]
struct ConcernView {
    kind: &'static str,
    severe: bool,
    count: i64,
    more: i64,
    href: String,
    first: Vec<LineView>,
}

#[derive(Serialize)]
struct LineView {
    client: String,
    reason: String,
    at: Option<Moment>,
}

#[derive(Serialize)]
struct RunningView {
    client: String,
    job: i64,
    job_type: String,
    step: String,
    percent: i64,
    message: String,
    since: Moment,
}

#[derive(Serialize)]
struct HappenedView {
    at: Moment,
    kind: String,
    client: Option<String>,
    /// Title of the job.
    job: String,
    detail: String,
}

/// A day of the chart: its bar is made of parts that stand on each other.
#[derive(Serialize)]
struct DayView {
    x: f64,
    label: String,
    succeeded: i64,
    failed: i64,
    other: i64,
    parts: Vec<BarPart>,
}

#[derive(Serialize)]
struct BarPart {
    kind: &'static str,
    y: f64,
    height: f64,
}

async fn show(State(ctx): State<Ctx>, visitor: Visitor) -> Result<Page, Rejection> {
    let overview = overview::look(&ctx, &visitor.actor()?.sees()).await?;
    page(&ctx, &visitor, "pages/overview.html", &view(&ctx, &visitor, overview))
}

fn view(ctx: &Ctx, visitor: &Visitor, overview: Overview) -> View {
    let (language, now) = (visitor.language, ctx.now());
    let moment = |at| Moment::new(at, now, visitor.language);
    let longest = overview.stages.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let total = |day: &Day| day.ended.succeeded + day.ended.failed + day.ended.other;
    let most = overview.days.iter().map(total).max().unwrap_or(0);
    View {
        page: visitor.frame("/"),
        all: overview.stages.iter().map(|(_, count)| count).sum(),
        stages: overview
            .stages
            .into_iter()
            .map(|(stage, count)| StageView {
                stage: stage.as_str(),
                count,
                width: part_of(count, longest, 100.0),
            })
            .collect(),
        concerned: overview.concerns.iter().map(|concern| concern.few.count).sum(),
        concerns: overview
            .concerns
            .into_iter()
            .map(|concern| concern_view(ctx, language, concern, &moment))
            .collect(),
        running_count: overview.running_count,
        running: overview
            .running
            .into_iter()
            .map(|running| RunningView {
                client: running.client,
                job: running.attempt.job.0,
                step: step_title(ctx, language, &running.job_type, &running.attempt.step),
                job_type: job_title(ctx, language, &running.job_type),
                percent: running.attempt.percent,
                message: running.attempt.message,
                since: moment(running.attempt.started_at),
            })
            .collect(),
        happened: overview
            .happened
            .into_iter()
            .map(|Happened { event, client, job_type }| HappenedView {
                at: moment(event.at),
                client,
                job: job_type.map(|job_type| job_title(ctx, language, &job_type)).unwrap_or_default(),
                detail: event_detail(ctx, language, &event.kind, event.detail),
                kind: event.kind.replace('.', "-"),
            })
            .collect(),
        jobs: overview.days.iter().map(total).sum(),
        most,
        days: overview.days.iter().zip(0_i32..).map(|(day, at)| day_view(day, at, most, language)).collect(),
    }
}

fn concern_view(ctx: &Ctx, language: &str, concern: Concern, moment: &impl Fn(i64) -> Moment) -> ConcernView {
    use overview::ConcernKind::{Alarm, Broken, Discovered, Failed, Held, Offline, OldAgent, Stuck};
    let first: Vec<LineView> = concern
        .few
        .first
        .into_iter()
        .map(|(client, reason, at)| {
            let reason = concern_reason(ctx, language, &reason);
            LineView { client, reason, at: at.map(moment) }
        })
        .collect();
    ConcernView {
        kind: concern.kind.as_str(),
        severe: match concern.kind {
            Alarm | Broken | Stuck | Failed => true,
            Held | Discovered | Offline | OldAgent => false,
        },
        count: concern.few.count,
        more: concern.few.count - i64::try_from(first.len()).unwrap_or(0),
        href: format!("/clients?q={}", query_encoded(&concern.search)),
        first,
    }
}

/// The type of a job, and what is said of it: each in the reader's language.
fn concern_reason(ctx: &Ctx, language: &str, reason: &str) -> String {
    let (job_type, rest) = reason.split_once(": ").unwrap_or((reason, ""));
    match (ctx.catalog.job_type(job_type).is_some(), rest) {
        (false, _) => told(ctx, language, reason),
        (true, "") => job_title(ctx, language, job_type),
        (true, rest) => format!("{}: {}", job_title(ctx, language, job_type), told(ctx, language, rest)),
    }
}

/// A share of a length; to two digits, which is enough for a picture.
fn part_of(count: i64, whole: i64, length: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a length in a picture")]
    let share = if whole > 0 { count as f64 / whole as f64 } else { 0.0 };
    (share * length * 100.0).round() / 100.0
}

fn day_view(day: &Day, at: i32, most: i64, language: &str) -> DayView {
    let mut top = HEIGHT;
    let mut parts = Vec::new();
    for (kind, count) in [("good", day.ended.succeeded), ("bad", day.ended.failed), ("calm", day.ended.other)]
    {
        if count > 0 {
            // What is there is seen, however little it is.
            let height = part_of(count, most, HEIGHT).max(1.0);
            top -= height;
            parts.push(BarPart { kind, y: top, height });
        }
    }
    let day_of = date(day.at);
    DayView {
        x: f64::from(at),
        label: if language == "de" {
            format!("{}.{}.", day_of.day(), u8::from(day_of.month()))
        } else {
            format!("{:02}-{:02}", u8::from(day_of.month()), day_of.day())
        },
        succeeded: day.ended.succeeded,
        failed: day.ended.failed,
        other: day.ended.other,
        parts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::overview::Ended;

    #[test]
    fn parts_of_a_bar_stand_on_each_other_and_the_smallest_is_seen() {
        let day = Day { at: 0, ended: Ended { succeeded: 50_000, failed: 1, other: 0 } };
        let view = day_view(&day, 3, 100_000, "en");
        let parts: Vec<_> = view.parts.iter().map(|part| (part.kind, part.y, part.height)).collect();
        assert_eq!(parts, [("good", 50.0, 50.0), ("bad", 49.0, 1.0)]);
        assert_eq!(view.label, "01-01");
        assert_eq!(day_view(&day, 3, 100_000, "de").label, "1.1.");
    }
}
