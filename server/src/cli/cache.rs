//! `lotse cache`

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::{
    api::{Api, Query},
    output::{note, say, table, time},
};
use crate::{
    app::cache::{CacheStatus, CachedFile, CleanWish, Cleaned, FetchedFile},
    domain::layout::size::human,
};

#[derive(Subcommand)]
pub(super) enum CacheCommand {
    /// Show how the package cache and its mirrors are
    Status,
    /// List stored files, the last used first
    List {
        /// Only files with this in mirror or path.
        contains: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Remove files; what clients read now stays
    Clean {
        /// Only of this mirror.
        #[arg(long)]
        mirror: Option<String>,
        /// Only what nobody has asked for in so many days.
        #[arg(long, value_name = "DAYS")]
        unused: Option<u32>,
        /// Only files with this in mirror or path.
        #[arg(long, value_name = "TEXT")]
        contains: Option<String>,
        /// Remove everything; without it one of the others has to be said.
        #[arg(long, required_unless_present_any = ["mirror", "unused", "contains"])]
        all: bool,
    },
    /// Fetch a file before a client asks for it
    Fetch {
        /// The mirror.
        mirror: String,
        /// Its path below the mirror; again for more.
        #[arg(required = true)]
        paths: Vec<String>,
    },
}

pub(super) async fn run(api: &Api, command: CacheCommand) -> anyhow::Result<()> {
    match command {
        CacheCommand::Status => status(api).await,
        CacheCommand::List { contains, limit } => {
            let query = Query::new("/cache/files").with("contains", contains).with("limit", Some(limit));
            let files: Vec<CachedFile> = api.get(&query.0).await?;
            if api.wrote_json(&files)? {
                return Ok(());
            }
            let row = |file: CachedFile| vec![time(file.used_at), human(file.size_bytes), file.name];
            table(&["last used", "size", "file"], &files.into_iter().map(row).collect::<Vec<_>>());
            Ok(())
        }
        CacheCommand::Clean { mirror, unused, contains, all: _ } => {
            let wish = CleanWish { mirror, unused_days: unused, contains };
            let cleaned: Cleaned = api.send_json(Method::POST, "/cache/clean", &json!(wish)).await?;
            if !api.wrote_json(&cleaned)? {
                say(&format!("{} files with {} are removed.", cleaned.files, human(cleaned.bytes)));
            }
            Ok(())
        }
        CacheCommand::Fetch { mirror, paths } => {
            for path in paths {
                let wish = json!({ "mirror": mirror, "path": path });
                let file: FetchedFile = api.send_json(Method::POST, "/cache/fetch", &wish).await?;
                if !api.wrote_json(&file)? {
                    let how = if file.was_there { "is there" } else { "is coming" };
                    say(&format!("{path} {how} ({}).", human(file.size_bytes)));
                }
            }
            Ok(())
        }
    }
}

async fn status(api: &Api) -> anyhow::Result<()> {
    let status: CacheStatus = api.get("/cache").await?;
    if api.wrote_json(&status)? {
        return Ok(());
    }
    let (limit, free) = (human(status.limit_bytes), human(status.free_bytes));
    say(&format!("{} files, {} of at most {limit}; {free} are free", status.files, human(status.bytes)));
    if status.offline {
        note("It is offline: no mirror is asked (`lotse setting set cache.offline off` ends that).");
    }
    let row = |mirror: &crate::app::cache::MirrorStatus| {
        let state = if mirror.lacks_keyring {
            "no keyring: nothing is passed on".to_owned()
        } else if let Some(why) = &mirror.down_why {
            why.clone()
        } else if let Some(unfit) = &mirror.unfit {
            format!("gave {} that {}", unfit.path, unfit.why)
        } else if mirror.answered_at.is_some() {
            "answers".to_owned()
        } else {
            "not asked yet".to_owned()
        };
        let asked = mirror.hits + mirror.misses + mirror.joined;
        vec![
            mirror.name.clone(),
            state,
            format!("{} of {asked}", mirror.hits + mirror.joined),
            human(mirror.served_bytes),
            human(mirror.fetched_bytes),
            mirror.refused.to_string(),
        ]
    };
    let rows: Vec<_> = status.mirrors.iter().map(row).collect();
    table(&["mirror", "state", "from the cache", "to clients", "from the mirror", "refused"], &rows);
    for mirror in &status.mirrors {
        for suite in &mirror.suites {
            say(&format!("{} {} of {}", mirror.name, suite.path, time(suite.dated_at)));
        }
    }
    Ok(())
}
