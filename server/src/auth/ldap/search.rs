//! Searches, and what entries hold.

use ldap3::{Ldap, Scope, SearchEntry};

use super::{Error, asked};

/// Entries that match; referrals to other directories are left out.
pub(super) async fn entries(
    ldap: &mut Ldap,
    base: &str,
    scope: Scope,
    filter: &str,
    attributes: &[&str],
    attempt: &'static str,
) -> Result<Vec<SearchEntry>, Error> {
    let answer = ldap.search(base, scope, filter, attributes.to_vec()).await;
    let (found, _) = answer.and_then(ldap3::SearchResult::success).map_err(asked(attempt))?;
    Ok(found
        .into_iter()
        .filter(|entry| !entry.is_ref() && !entry.is_intermediate())
        .map(SearchEntry::construct)
        .collect())
}

/// Values of an attribute, whose name is the same in small and capital letters (RFC 4512, 2.5).
pub(super) fn values<'a>(entry: &'a SearchEntry, attribute: &str) -> &'a [String] {
    let found = entry.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
    found.map_or(&[], |(_, values)| values.as_slice())
}
