//! Who somebody is, by the claims of a token that is believed.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{super::mapping, Settings};
use crate::domain::people::Rights;

/// Somebody as the login service knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// Issuer and subject.
    pub id: String,
    /// What an account is called that is made for them, in small letters.
    pub name: String,
    /// How people call them.
    pub full_name: String,
    /// What the groups they are in give them; nothing when no group has a role.
    pub rights: Rights,
}

/// Who the claims of a token are about.
pub(super) fn read(settings: &Settings, claims: &Map<String, Value>) -> Person {
    let text = |name: &str| claim(claims, name).and_then(Value::as_str).unwrap_or_default();
    let groups: BTreeSet<&str> = match claim(claims, &settings.groups_claim) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => BTreeSet::from([one.as_str()]),
        _ => BTreeSet::new(),
    };
    let full_name = text(&settings.full_name_claim);
    Person {
        id: format!("{} {}", settings.issuer, text("sub")),
        name: text(&settings.name_claim).to_lowercase(),
        full_name: full_name.chars().filter(|letter| !letter.is_control()).take(100).collect(),
        rights: mapping::rights(&settings.roles, |group| groups.contains(group)),
    }
}

/// A claim by its name, or by the way that leads to it.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::people::Role;

    #[test]
    fn a_claim_is_found_by_its_name_or_by_the_way_to_it() {
        let claims = json!({ "a": { "b": ["x"] }, "https://x.example/groups": "y" });
        let claims = claims.as_object().unwrap();
        assert_eq!(claim(claims, "a.b"), Some(&json!(["x"])));
        assert_eq!(claim(claims, "https://x.example/groups"), Some(&json!("y")));
        assert_eq!(claim(claims, "a.c"), None);
        assert_eq!(claim(claims, "b"), None);
    }

    #[test]
    fn a_person_is_who_the_subject_says_and_has_the_roles_of_their_groups() {
        let settings = "title = 'S'\nissuer = 'https://a.example'\nclient-id = 'l'\n\
                        [[roles]]\ngroup = 'it'\nrole = 'admin'";
        let settings: Settings = toml::from_str(settings).unwrap();
        let claims = json!({ "sub": "7", "preferred_username": "Ann", "name": "Ann\nLee", "groups": ["it", 3], "email": "x@y" });
        let person = read(&settings, claims.as_object().unwrap());
        assert_eq!((person.id.as_str(), person.name.as_str()), ("https://a.example 7", "ann"));
        assert_eq!((person.full_name.as_str(), person.rights), ("AnnLee", Role::Admin.into()));
        let nobody = read(&settings, json!({ "sub": "7", "groups": "staff" }).as_object().unwrap());
        assert_eq!((nobody.name.as_str(), nobody.rights), ("", Rights::default()));
    }
}
