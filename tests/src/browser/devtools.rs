//! The `DevTools` protocol over a pair of pipes: requests and their answers, and what pages complain about meanwhile.
//!
//! Messages are JSON, each ended by a zero byte (`--remote-debugging-pipe`). Knows nothing of pages; see [`super::page`].

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::ChildStdin,
    sync::oneshot,
};

/// No request takes longer, however slow the computer.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection to a browser.
pub(super) struct DevTools {
    requests: tokio::sync::Mutex<ChildStdin>,
    shared: Arc<Shared>,
    next: AtomicU64,
}

#[derive(Default)]
struct Shared {
    /// Who waits for which answer; `None` once the browser is gone.
    waiting: Mutex<Option<HashMap<u64, oneshot::Sender<Value>>>>,
    /// What pages complained about, with the session of the page.
    complaints: Mutex<Vec<(String, String)>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl DevTools {
    /// Takes the browser's pipes.
    pub(super) fn new(requests: ChildStdin, answers: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let shared = Arc::new(Shared { waiting: Mutex::new(Some(HashMap::new())), ..Shared::default() });
        tokio::spawn(read(answers, Arc::clone(&shared)));
        Self { requests: tokio::sync::Mutex::new(requests), shared, next: AtomicU64::new(1) }
    }

    /// Sends a request and waits for its answer. `session`: the page that it is for.
    ///
    /// # Errors
    /// The browser refuses, is gone, or does not answer.
    pub(super) async fn call(&self, session: Option<&str>, method: &str, params: Value) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        let (answered, answer) = oneshot::channel();
        match locked(&self.shared.waiting).as_mut() {
            Some(waiting) => waiting.insert(id, answered),
            None => bail!("Chromium has ended"),
        };
        let mut text = serde_json::to_vec(&request)?;
        text.push(0);
        {
            let mut requests = self.requests.lock().await;
            requests.write_all(&text).await.context("Chromium has ended")?;
            requests.flush().await?;
        }
        let answer = tokio::time::timeout(PATIENCE, answer)
            .await
            .with_context(|| format!("Chromium does not answer {method} within {PATIENCE:?}"))?
            .with_context(|| format!("Chromium ended while it was asked {method}"))?;
        match answer.get("error") {
            Some(error) => bail!("Chromium refuses {method}: {}", error["message"].as_str().unwrap_or("?")),
            None => Ok(answer["result"].clone()),
        }
    }

    /// Forgets complaints of a page that have these words in them; true when there were some.
    pub(super) fn forget_complaints(&self, session: &str, words: &str) -> bool {
        let mut complaints = locked(&self.shared.complaints);
        let before = complaints.len();
        complaints.retain(|(of, text)| of != session || !text.contains(words));
        complaints.len() < before
    }

    /// What a page has complained about since the last time it was asked.
    pub(super) fn take_complaints(&self, session: &str) -> Vec<String> {
        let mut complaints = locked(&self.shared.complaints);
        let (mine, others) = std::mem::take(&mut *complaints).into_iter().partition(|(of, _)| of == session);
        *complaints = others;
        let mine: Vec<(String, String)> = mine;
        mine.into_iter().map(|(_, text)| text).collect()
    }
}

async fn read(answers: impl AsyncRead + Unpin, shared: Arc<Shared>) {
    let mut answers = BufReader::new(answers);
    let mut text = Vec::new();
    loop {
        text.clear();
        match answers.read_until(0, &mut text).await {
            Ok(length) if length > 0 => {}
            _ => break,
        }
        text.pop();
        let Ok(message) = serde_json::from_slice::<Value>(&text) else { continue };
        if let Some(id) = message["id"].as_u64() {
            let waiting = locked(&shared.waiting).as_mut().and_then(|waiting| waiting.remove(&id));
            // Whoever asked may have given up.
            waiting.map(|waiting| waiting.send(message).ok());
        } else if let Some(text) = complaint(&message) {
            let session = message["sessionId"].as_str().unwrap_or_default().to_owned();
            locked(&shared.complaints).push((session, text));
        }
    }
    locked(&shared.waiting).take();
}

/// What an event complains about; `None` when it does not.
fn complaint(message: &Value) -> Option<String> {
    let params = &message["params"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match message["method"].as_str()? {
        "Runtime.exceptionThrown" => {
            let details = &params["exceptionDetails"];
            let said = text(&details["exception"]["description"]).or_else(|| text(&details["text"]));
            Some(format!("a script threw: {}", said.unwrap_or_default()))
        }
        "Runtime.consoleAPICalled" if ["error", "assert", "warning"].contains(&params["type"].as_str()?) => {
            let words: Vec<_> =
                params["args"].as_array()?.iter().map(|word| word["value"].to_string()).collect();
            Some(format!("a script says {}: {}", params["type"].as_str()?, words.join(" ")))
        }
        // Violations of the content security policy, and files that cannot be loaded.
        "Log.entryAdded" if ["error", "warning"].contains(&params["entry"]["level"].as_str()?) => {
            let entry = &params["entry"];
            Some(format!("{} ({})", text(&entry["text"])?, text(&entry["url"]).unwrap_or_default()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_scripts_files_and_policy_are_complaints_and_mere_talk_is_not() {
        let thrown = json!({ "method": "Runtime.exceptionThrown", "params": { "exceptionDetails": { "text": "Uncaught x" } } });
        assert_eq!(complaint(&thrown).unwrap(), "a script threw: Uncaught x");
        let said = |kind: &str| json!({ "method": "Runtime.consoleAPICalled", "params": { "type": kind, "args": [{ "value": "x" }] } });
        assert!(complaint(&said("error")).is_some());
        assert_eq!(complaint(&said("log")), None);
        let logged = json!({ "method": "Log.entryAdded", "params": { "entry": { "level": "error", "text": "Refused to apply inline style", "url": "/" } } });
        assert_eq!(complaint(&logged).unwrap(), "Refused to apply inline style (/)");
        assert_eq!(complaint(&json!({ "method": "Page.loadEventFired", "params": {} })), None);
    }
}
