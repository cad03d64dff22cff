//! Tries an archive out before anybody depends on it: whether it answers, whether a key fits, and what it announces. Nothing is kept.

use std::{path::PathBuf, sync::Arc};

use super::{
    Cache,
    failure::Failure,
    refresh::{Answer, ask, pair},
    release::Release,
    signature::{self, Verdict},
    upstream::Mirror,
};
use crate::clock;

/// What an archive says of a suite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// When it was signed.
    pub dated_at: i64,
    /// Its components; some archives name none.
    pub components: Vec<String>,
    /// Its architectures.
    pub architectures: Vec<String>,
}

impl Cache {
    /// What an archive that need not be known says of a suite, verified with a keyring.
    ///
    /// # Errors
    /// It does not answer, has no such suite, or what it gives is not signed by the key or not of this suite.
    pub async fn try_out(&self, url: &str, suite: &str, keyring: PathBuf) -> Result<Announced, Failure> {
        let url = url.trim_end_matches('/');
        // Reports of its own: that an archive nobody uses yet is away is nobody's news.
        let mirror = Mirror::new(url, url, self.client.clone(), self.clock.clone(), Arc::default());
        if !keyring.is_file() {
            return Err(Failure::NoKeyring(url.into()));
        }
        let keyrings = [keyring];
        let root = format!("dists/{suite}");
        let path = format!("{root}/InRelease");
        let verdict = match ask(&mirror, &root, "InRelease", None).await? {
            Answer::Document(document) => signature::inline(&document.content, &keyrings).await?,
            Answer::NotThere | Answer::Unchanged => {
                let (release, signature) = pair(&mirror, &root).await?;
                signature::detached(&release.content, &signature.content, &keyrings).await?
            }
        };
        let unfit =
            |why: String| Failure::Unfit { mirror: url.into(), path: path.as_str().into(), why: why.into() };
        let text = match verdict {
            Verdict::Good(text) => text,
            Verdict::Bad(why) => return Err(unfit(why)),
        };
        let release = Release::parse(&text).map_err(|error| unfit(format!("is no release: {error}")))?;
        if !release.is_of(&root) {
            return Err(unfit(format!("belongs to the suite {} ({})", release.suite, release.codename)));
        }
        if let Some(until) = release.valid_until.filter(|until| *until < self.clock.now()) {
            return Err(unfit(format!("was valid until {} only", clock::rfc3339(until))));
        }
        Ok(announced(&release))
    }

    /// What a mirror of this cache says of a suite.
    ///
    /// # Errors
    /// As for whoever asks for its `InRelease`.
    pub async fn announced(&self, mirror: &str, suite: &str) -> Result<Announced, Failure> {
        let mirror = self.mirror(mirror)?;
        let suite = self.suites.suite(&mirror.name, &format!("dists/{suite}"));
        let (generation, _) = self.generation(&suite).await?;
        Ok(announced(&generation.release))
    }
}

fn announced(release: &Release) -> Announced {
    Announced {
        dated_at: release.dated_at,
        components: release.components.clone(),
        architectures: release.architectures.clone(),
    }
}
