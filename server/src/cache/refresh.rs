//! Brings a suite up to date: asks its mirror, verifies what comes, and lets it count only when all of it fits together.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{StatusCode, header};

use super::{
    Cache,
    failure::Failure,
    flight::blocking,
    release::{Release, Wanted},
    signature::{self, Verdict},
    suites::{Generation, Kept, Suite},
    upstream::Mirror,
};
use crate::clock::{self, SECOND};

/// A suite is not asked for more often.
const FRESH_FOR: i64 = 15 * SECOND;
/// A client waits no longer for news of a suite that is there already.
const PATIENCE: Duration = Duration::from_secs(20);
/// No document is larger.
const LARGEST: usize = 32 << 20;
/// Indices of a new generation that are fetched at once.
const AT_ONCE: usize = 4;

/// A document as the mirror gave it.
pub(super) struct Document {
    pub(super) content: Bytes,
    etag: Option<String>,
    last_modified: Option<String>,
}

/// What a mirror says when it is asked for a document.
pub(super) enum Answer {
    Document(Document),
    Unchanged,
    NotThere,
}

impl Cache {
    /// The generation of a suite that clients get now, and why it may not be the newest.
    ///
    /// # Errors
    /// There is none, and why.
    pub(super) async fn generation(
        &self,
        suite: &Arc<Suite>,
    ) -> Result<(Arc<Generation>, Option<Failure>), Failure> {
        let current = suite.current();
        let fresh = self.clock.now() - suite.asked_at.load(Ordering::Relaxed) < FRESH_FOR;
        if let (Some(current), true) = (&current, fresh) {
            return Ok((Arc::clone(current), None));
        }
        if self.is_offline() {
            let offline = Failure::Offline(suite.root.as_str().into());
            return current.map(|current| (current, Some(offline.clone()))).ok_or(offline);
        }
        if let Some(failure) = self.failed_before(suite) {
            return current.map(|current| (current, Some(failure.clone()))).ok_or(failure);
        }
        let (cache, asked) = (self.clone(), Arc::clone(suite));
        // It goes on when whoever asked goes away: others will ask, too.
        let mut refreshing = tokio::spawn(async move { cache.refresh(&asked).await });
        let refreshed = match &current {
            None => (&mut refreshing).await,
            Some(current) => {
                let Ok(refreshed) = tokio::time::timeout(PATIENCE, &mut refreshing).await else {
                    let mirror = suite.mirror.as_str().into();
                    let slow = Failure::Down { mirror, why: "is slow".into() };
                    return Ok((Arc::clone(current), Some(slow)));
                };
                refreshed
            }
        };
        match (refreshed.map_err(|error| Failure::broken("asking for a suite", &error))?, suite.current()) {
            (Ok(()), Some(current)) => Ok((current, None)),
            (Err(failure), Some(current)) => Ok((current, Some(failure))),
            (Err(failure), None) => Err(failure),
            (Ok(()), None) => Err(Failure::NotThere {
                mirror: suite.mirror.as_str().into(),
                path: suite.root.as_str().into(),
            }),
        }
    }

    /// Why it failed a moment ago: hundreds of clients do not make a mirror that lies be asked, and verified, hundreds of times.
    fn failed_before(&self, suite: &Suite) -> Option<Failure> {
        let failed = suite.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, failure) = failed.as_ref().filter(|(at, _)| self.clock.now() - at < FRESH_FOR)?;
        Some(failure.clone())
    }

    async fn refresh(&self, suite: &Arc<Suite>) -> Result<(), Failure> {
        let _asking = suite.asking.lock().await;
        if let Some(failure) = self.failed_before(suite) {
            return Err(failure);
        }
        let refreshed = self.ask_anew(suite).await;
        let failed = refreshed.clone().err().map(|failure| (self.clock.now(), failure));
        *suite.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        refreshed
    }

    async fn ask_anew(&self, suite: &Arc<Suite>) -> Result<(), Failure> {
        let now = self.clock.now();
        if suite.current().is_some() && now - suite.asked_at.load(Ordering::Relaxed) < FRESH_FOR {
            return Ok(());
        }
        let mirror = self.mirror(&suite.mirror)?;
        let keyrings = self.keyrings(&mirror)?;
        let current = suite.current();
        let inline = current.as_ref().filter(|current| current.documents.contains_key("InRelease"));
        let mut documents = BTreeMap::new();
        let (first, verdict) =
            match ask(&mirror, &suite.root, "InRelease", inline.map(|current| &current.kept)).await? {
                Answer::Unchanged => {
                    mirror.fits(&format!("{}/InRelease", suite.root));
                    suite.asked_at.store(now, Ordering::Relaxed);
                    return Ok(());
                }
                Answer::Document(document)
                    if inline.is_some_and(|current| {
                        current.documents.get("InRelease") == Some(&document.content)
                    }) =>
                {
                    // A mirror that knows no conditions.
                    mirror.fits(&format!("{}/InRelease", suite.root));
                    suite.asked_at.store(now, Ordering::Relaxed);
                    return Ok(());
                }
                Answer::Document(document) => {
                    let verdict = signature::inline(&document.content, &keyrings).await?;
                    documents.insert("InRelease".to_owned(), document.content.clone());
                    (document, verdict)
                }
                Answer::NotThere => {
                    let (release, signature) = pair(&mirror, &suite.root).await?;
                    let verdict =
                        signature::detached(&release.content, &signature.content, &keyrings).await?;
                    documents.insert("Release".to_owned(), release.content.clone());
                    documents.insert("Release.gpg".to_owned(), signature.content);
                    (release, verdict)
                }
            };
        let path = format!("{}/{}", suite.root, documents.keys().next().map_or("", String::as_str));
        let unfit = |why: &str| mirror.is_unfit(&path, why);
        let text = match verdict {
            Verdict::Good(text) => text,
            Verdict::Bad(why) => return Err(unfit(&why)),
        };
        let release = Release::parse(&text).map_err(|error| unfit(&format!("is no release: {error}")))?;
        self.check(&release, current.as_deref(), &suite.root).map_err(|why| unfit(&why))?;
        if current.as_ref().is_none_or(|current| current.text != text) {
            if let Some(current) = &current {
                self.fetch_used(&mirror, suite, &current.release, &release).await?;
            }
            let kept = Kept {
                accepted_at: now,
                replaced_at: None,
                etag: first.etag,
                last_modified: first.last_modified,
            };
            let (suite, generation) = (Arc::clone(suite), Generation { release, text, documents, kept });
            blocking("keeping the documents of a suite", move || suite.accept(generation)).await?;
        }
        mirror.fits(&path);
        suite.asked_at.store(now, Ordering::Relaxed);
        Ok(())
    }

    /// Whether a release may follow the one that counts.
    fn check(&self, release: &Release, current: Option<&Generation>, root: &str) -> Result<(), String> {
        if !release.is_of(root) {
            return Err(format!("belongs to the suite {} ({})", release.suite, release.codename));
        }
        if let Some(until) = release.valid_until.filter(|until| *until < self.clock.now()) {
            return Err(format!("was valid until {} only", clock::rfc3339(until)));
        }
        match current {
            Some(current) if release.dated_at < current.release.dated_at => Err(format!(
                "is of {}, older than the one of {} that came before",
                clock::rfc3339(release.dated_at),
                clock::rfc3339(current.release.dated_at)
            )),
            _ => Ok(()),
        }
    }

    /// Fetches the new version of every index that clients use: a mirror that is in the middle of an update has not all of them.
    async fn fetch_used(
        &self,
        mirror: &Arc<Mirror>,
        suite: &Suite,
        before: &Release,
        new: &Release,
    ) -> Result<(), Failure> {
        let used = before.files().filter(|(_, wanted)| self.store.has(&wanted.sha256));
        let changed: Vec<(String, Wanted)> = used
            .filter_map(|(name, _)| Some((name.to_owned(), new.file(name)?.clone())))
            .filter(|(_, wanted)| !self.store.has(&wanted.sha256))
            .collect();
        let fetches = changed.into_iter().map(|(name, wanted)| async move {
            let path = format!("{}/{name}", suite.root);
            let places = places(&path, &wanted, new.by_hash);
            match self.fetch_whole(mirror, &path, places, wanted).await {
                // It is listed, but not offered in this form any more.
                Err(Failure::NotThere { .. }) => Ok(()),
                other => other,
            }
        });
        stream::iter(fetches).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// A document that the mirror has beside the one by which the suite was verified.
    ///
    /// # Errors
    /// It has none, or one that does not belong to the generation that counts.
    pub(super) async fn attach(&self, suite: &Arc<Suite>, name: &str) -> Result<Arc<Generation>, Failure> {
        let path = format!("{}/{name}", suite.root);
        let not_there =
            || Failure::NotThere { mirror: suite.mirror.as_str().into(), path: path.as_str().into() };
        if self.is_offline() {
            return Err(Failure::Offline(path.as_str().into()));
        }
        let _asking = suite.asking.lock().await;
        let current = suite.current().ok_or_else(not_there)?;
        if current.documents.contains_key(name) {
            return Ok(current);
        }
        let mirror = self.mirror(&suite.mirror)?;
        if name == "InRelease" {
            return Err(not_there());
        }
        let (release, signature) = pair(&mirror, &suite.root).await?;
        let text = match signature::detached(&release.content, &signature.content, &self.keyrings(&mirror)?)
            .await?
        {
            Verdict::Good(text) => text,
            Verdict::Bad(why) => return Err(mirror.is_unfit(&path, &why)),
        };
        if text.trim_end() != current.text.trim_end() {
            return Err(mirror.is_unfit(&path, "does not belong to the InRelease beside it"));
        }
        let mut documents = current.documents.clone();
        documents.insert("Release".to_owned(), release.content);
        documents.insert("Release.gpg".to_owned(), signature.content);
        let generation = Generation {
            release: current.release.clone(),
            text: current.text.clone(),
            documents,
            kept: current.kept.clone(),
        };
        let keeping = Arc::clone(suite);
        blocking("keeping the documents of a suite", move || keeping.accept(generation)).await?;
        suite.current().ok_or_else(not_there)
    }
}

/// Where an index may be: under its hash it is the right one also when the mirror is in the middle of an update.
pub(super) fn places(path: &str, wanted: &Wanted, by_hash: bool) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let under_hash = by_hash.then(|| format!("{folder}/by-hash/SHA256/{}", wanted.sha256));
    under_hash.into_iter().chain([path.to_owned()]).collect()
}

pub(super) async fn pair(mirror: &Mirror, root: &str) -> Result<(Document, Document), Failure> {
    let mut found = Vec::new();
    for name in ["Release", "Release.gpg"] {
        match ask(mirror, root, name, None).await? {
            Answer::Document(document) => found.push(document),
            Answer::Unchanged | Answer::NotThere => {
                let path = format!("{root}/{name}").into();
                return Err(Failure::NotThere { mirror: Arc::clone(&mirror.name), path });
            }
        }
    }
    let signature = found.pop();
    found.pop().zip(signature).ok_or_else(|| Failure::Broken("two documents are not two".into()))
}

pub(super) async fn ask(
    mirror: &Mirror,
    root: &str,
    name: &str,
    before: Option<&Kept>,
) -> Result<Answer, Failure> {
    let path = format!("{root}/{name}");
    let mut headers = header::HeaderMap::new();
    // Neither from a cache on the way: what it keeps may be of another time than what lies beside it.
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("max-age=0"));
    let known = before.map(|kept| {
        [
            (header::IF_NONE_MATCH, kept.etag.as_deref()),
            (header::IF_MODIFIED_SINCE, kept.last_modified.as_deref()),
        ]
    });
    for (name, value) in known.into_iter().flatten() {
        if let Some(value) = value.and_then(|value| value.parse().ok()) {
            headers.insert(name, value);
        }
    }
    let answer = mirror.ask(&path, headers).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_MODIFIED if before.is_some() => return Ok(Answer::Unchanged),
        StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(Answer::NotThere),
        status => return Err(mirror.is_down(&path, format!("answers {status}"))),
    }
    let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (etag, last_modified) = (text(header::ETAG), text(header::LAST_MODIFIED));
    let mut content = BytesMut::new();
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece =
            piece.map_err(|_| mirror.is_down(&path, "breaks off in the middle of a file".to_owned()))?;
        content.extend_from_slice(&piece);
        if content.len() > LARGEST {
            return Err(mirror.is_unfit(&path, "is larger than any signed text"));
        }
    }
    mirror.counts.fetched.fetch_add(content.len() as u64, Ordering::Relaxed);
    Ok(Answer::Document(Document { content: content.freeze(), etag, last_modified }))
}
