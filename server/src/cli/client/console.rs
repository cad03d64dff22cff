//! `lotse client console`: what a machine prints on its serial line.

use std::time::Duration;

use super::super::{
    api::{Api, Name, Query},
    output::{note, say},
};
use crate::app::serial::SerialOutput;

/// New lines are looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Prints what is kept, then what comes.
pub(super) async fn console(api: &Api, name: &Name, follow: bool, search: &str) -> anyhow::Result<()> {
    let path = |after: i64| {
        let search = Some(search).filter(|search| !search.is_empty());
        Query::new(&format!("/clients/{name}/console/output"))
            .with("after", Some(after))
            .with("search", search)
    };
    let mut found: SerialOutput = api.get(&path(0).0).await?;
    if !follow && api.wrote_json(&found)? {
        return Ok(());
    }
    if found.heard_at.is_none() {
        note(&format!("Nothing has come from {} on {} yet.", found.machine, found.host));
    }
    loop {
        for line in &found.lines {
            say(&line.text);
        }
        if !found.more {
            if !follow {
                if !found.unfinished.is_empty() {
                    say(&found.unfinished);
                }
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        found = api.get(&path(found.next).0).await?;
    }
}
