//! In which groups somebody is, through groups in groups. Bounded in depth and number, so that no circle and no giant directory holds it up.

use std::collections::BTreeSet;

use ldap3::{Ldap, Scope, SearchEntry, ldap_escape};

use super::{Error, Membership, Settings, search, settings::same_form};

/// Groups in groups are followed so far.
const DEEPEST: usize = 16;
/// And so many groups of one person.
const MOST: usize = 500;
/// `LDAP_MATCHING_RULE_IN_CHAIN` of Active Directory (MS-ADTS 3.1.1.3.4.4.3): the server follows groups in groups.
const IN_CHAIN: &str = "1.2.840.113556.1.4.1941";
const ANY: &str = "(objectClass=*)";

/// DNs of all groups of a person, in one form of writing.
pub(super) async fn of(
    ldap: &mut Ldap,
    settings: &Settings,
    person: &SearchEntry,
) -> Result<BTreeSet<String>, Error> {
    match settings.membership {
        Membership::InChain => {
            let filter = format!("(member:{IN_CHAIN}:={})", ldap_escape(person.dn.as_str()));
            let found = below(ldap, settings, &filter).await?;
            Ok(found.iter().map(|dn| same_form(dn)).collect())
        }
        Membership::MemberOf | Membership::Member => walk(ldap, settings, person).await,
    }
}

async fn walk(ldap: &mut Ldap, settings: &Settings, person: &SearchEntry) -> Result<BTreeSet<String>, Error> {
    let mut known = BTreeSet::new();
    let mut level = match settings.membership {
        Membership::MemberOf => search::values(person, "memberOf").to_vec(),
        _ => holding(ldap, settings, &person.dn).await?,
    };
    for _ in 0..DEEPEST {
        let mut next = Vec::new();
        for group in level {
            if known.len() >= MOST || !known.insert(same_form(&group)) {
                continue;
            }
            next.extend(match settings.membership {
                Membership::MemberOf => member_of(ldap, &group).await?,
                _ => holding(ldap, settings, &group).await?,
            });
        }
        if next.is_empty() {
            return Ok(known);
        }
        level = next;
    }
    tracing::warn!(dn = person.dn, "groups in groups are deeper than {DEEPEST}; the rest is left out");
    Ok(known)
}

/// Groups that a group says it is in. One that cannot be read is in none.
async fn member_of(ldap: &mut Ldap, group: &str) -> Result<Vec<String>, Error> {
    let read = search::entries(ldap, group, Scope::Base, ANY, &["memberOf"], "reading a group").await;
    match read {
        Ok(entries) => {
            Ok(entries.first().map(|entry| search::values(entry, "memberOf").to_vec()).unwrap_or_default())
        }
        Err(Error::Ask { source: ldap3::LdapError::LdapResult { result }, .. }) => {
            tracing::debug!(group, code = result.rc, "a group cannot be read");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// Groups that hold an entry as their member.
async fn holding(ldap: &mut Ldap, settings: &Settings, dn: &str) -> Result<Vec<String>, Error> {
    let dn = ldap_escape(dn);
    below(ldap, settings, &format!("(|(member={dn})(uniqueMember={dn}))")).await
}

async fn below(ldap: &mut Ldap, settings: &Settings, filter: &str) -> Result<Vec<String>, Error> {
    let base = settings.group_base.as_deref().unwrap_or(&settings.user_base);
    // No attribute is wanted (RFC 4511, 4.5.1.8).
    let found = search::entries(ldap, base, Scope::Subtree, filter, &["1.1"], "looking for groups").await?;
    Ok(found.into_iter().map(|entry| entry.dn).collect())
}
