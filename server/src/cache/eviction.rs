//! What is given up to make room: the least recently used, never what is being read. Pure.

use wire::Sha256;

/// A stored file, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its content.
    pub sha256: Sha256,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last asked for.
    pub used_at: i64,
    /// Somebody is reading it.
    pub held: bool,
}

/// Which files to give up so that at least `bytes` become free, the least recently used first; `None` when that cannot be reached, in
/// which case nothing is given up in vain.
pub(super) fn choose(mut stored: Vec<Candidate>, bytes: u64) -> Option<Vec<Sha256>> {
    stored.retain(|file| !file.held);
    stored.sort_by(|a, b| a.used_at.cmp(&b.used_at).then_with(|| a.sha256.as_str().cmp(b.sha256.as_str())));
    let (mut freed, mut chosen) = (0, Vec::new());
    for file in stored {
        if freed >= bytes {
            break;
        }
        freed += file.size;
        chosen.push(file.sha256);
    }
    (freed >= bytes).then_some(chosen)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored() -> impl Strategy<Value = Vec<Candidate>> {
        prop::collection::vec((0_u64..1000, 0_i64..20, any::<bool>()), 0..40).prop_map(|files| {
            let candidate = |(number, (size, used_at, held)): (usize, _)| Candidate {
                sha256: format!("{number:064x}").parse().unwrap(),
                size,
                used_at,
                held,
            };
            files.into_iter().enumerate().map(candidate).collect()
        })
    }

    proptest! {
        #[test]
        fn enough_is_given_up_and_no_more_and_nothing_that_is_read_or_was_used_later(
            stored in stored(),
            bytes in 0_u64..10_000,
        ) {
            let free: u64 = stored.iter().filter(|file| !file.held).map(|file| file.size).sum();
            let Some(chosen) = choose(stored.clone(), bytes) else {
                prop_assert!(free < bytes, "it was possible, and not done");
                return Ok(());
            };
            let of = |sha256: &Sha256| stored.iter().find(|file| file.sha256 == *sha256).unwrap();
            let sizes: Vec<_> = chosen.iter().map(|sha256| of(sha256).size).collect();
            prop_assert!(sizes.iter().sum::<u64>() >= bytes);
            if let Some((_, before)) = sizes.split_last() {
                prop_assert!(before.iter().sum::<u64>() < bytes, "more than needed");
            }
            prop_assert!(chosen.iter().all(|sha256| !of(sha256).held));
            let newest = chosen.iter().map(|sha256| of(sha256).used_at).max();
            let kept = stored.iter().filter(|file| !file.held && !chosen.contains(&file.sha256));
            for file in kept {
                prop_assert!(newest.is_none_or(|newest| file.used_at >= newest));
            }
        }
    }
}
