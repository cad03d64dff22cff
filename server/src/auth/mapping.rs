//! Which groups of a directory or a login service give which role.

use serde::Deserialize;

use crate::domain::people::{GroupRole, Rights, Role};

/// A group as its source names it, and the role that it gives.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Mapping {
    /// The group's DN, or its name in the claim.
    pub group: String,
    /// The role.
    pub role: Role,
    /// Groups of clients for which the role counts; none: for everything.
    #[serde(default)]
    pub client_groups: Vec<String>,
}

/// What the groups in which somebody is give together: the greatest role for everything, and for each group of clients.
pub(super) fn rights(mappings: &[Mapping], is_in: impl Fn(&str) -> bool) -> Rights {
    let mut rights = Rights::default();
    for mapping in mappings.iter().filter(|mapping| is_in(&mapping.group)) {
        if mapping.client_groups.is_empty() {
            rights.role = rights.role.max(Some(mapping.role));
        }
        for group in &mapping.client_groups {
            match rights.groups.iter_mut().find(|known| known.group == *group) {
                Some(known) => known.role = known.role.max(mapping.role),
                None => rights.groups.push(GroupRole { group: group.clone(), role: mapping.role }),
            }
        }
    }
    rights.groups.sort();
    rights
}
