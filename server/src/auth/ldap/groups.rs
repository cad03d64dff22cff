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
            let found = below(ldap, settings, &in_chain(&person.dn)).await?;
            Ok(found.iter().map(|dn| same_form(dn)).collect())
        }
        Membership::MemberOf | Membership::Member => walk(ldap, settings, person).await,
    }
}

/// Every group in which an entry is, through groups in groups.
fn in_chain(dn: &str) -> String {
    format!("(member:{IN_CHAIN}:={})", ldap_escape(dn))
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
    let places: &[String] = match settings.group_base.as_slice() {
        [] => std::slice::from_ref(&settings.user_base),
        several => several,
    };
    let mut groups = Vec::new();
    for base in places {
        // No attribute is wanted (RFC 4511, 4.5.1.8).
        let found =
            search::entries(ldap, base, Scope::Subtree, filter, &["1.1"], "looking for groups").await?;
        groups.extend(found.into_iter().map(|entry| entry.dn));
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_change_the_question_for_groups() {
        let filter = in_chain("cn=Lee\\, Ann (IT)*,dc=x");
        assert_eq!(filter, r"(member:1.2.840.113556.1.4.1941:=cn=Lee\5c, Ann \28IT\29\2a,dc=x)");
    }
}
