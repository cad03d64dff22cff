//! Roles in forms and pages: one for everything, one for each group, in as many rows as are needed without a script.

use serde::Serialize;

use crate::{
    app::Error,
    domain::people::{GroupRole, Rights, Role},
};

/// Empty rows for further groups.
const FURTHER: usize = 2;
pub(super) const ROLES: [Role; 4] = [Role::Viewer, Role::Helpdesk, Role::Operator, Role::Admin];

/// The roles as a form shows them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RightsForm {
    roles: [&'static str; 4],
    groups: Vec<String>,
    everything: &'static str,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    group: String,
    role: &'static str,
}

impl RightsForm {
    /// The form for these roles, where these groups exist.
    pub(super) fn new(rights: &Rights, groups: Vec<String>) -> Self {
        let row = |one: &GroupRole| Row { group: one.group.clone(), role: one.role.as_str() };
        let mut rows: Vec<_> = rights.groups.iter().map(row).collect();
        let further = FURTHER.min(groups.len().saturating_sub(rows.len()));
        rows.extend(std::iter::repeat_n(Row { group: String::new(), role: "operator" }, further));
        let everything = rights.role.map_or("", Role::as_str);
        Self { roles: ROLES.map(Role::as_str), groups, everything, rows }
    }
}

/// Fields of a form, in their order.
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// What stands in a field; nothing when it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// The roles that were chosen: `role` for everything, `group` and `group_role` in pairs.
    pub(super) fn rights(&self) -> Result<Rights, Error> {
        let role = |word: &str| {
            word.parse::<Role>().map_err(|error| Error::invalid(error.to_string(), "choose one of the roles"))
        };
        let everything = match self.get("role") {
            "" => None,
            word => Some(role(word)?),
        };
        let mut groups = Vec::new();
        for (group, word) in self.all("group").zip(self.all("group_role")) {
            if !group.is_empty() && !word.is_empty() {
                groups.push(GroupRole { group: group.to_owned(), role: role(word)? });
            }
        }
        groups.sort();
        Ok(Rights { role: everything, groups })
    }
}

/// The roles of somebody as a list shows them: word of the role, and the group, which is empty for everything.
pub(super) fn shown(rights: &Rights) -> Vec<(&'static str, String)> {
    let everything = rights.role.map(|role| (role.as_str(), String::new()));
    let groups = rights.groups.iter().map(|one| (one.role.as_str(), one.group.clone()));
    everything.into_iter().chain(groups).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        Fields(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn roles_come_back_from_a_form_as_they_went_in() {
        let form = fields(&[
            ("role", ""),
            ("group", "room-102"),
            ("group_role", "viewer"),
            ("group", ""),
            ("group_role", "operator"),
            ("group", "room-101"),
            ("group_role", "operator"),
        ]);
        let rights = form.rights().unwrap();
        assert_eq!(rights.role, None);
        assert_eq!(shown(&rights), [("operator", "room-101".to_owned()), ("viewer", "room-102".to_owned())]);
        assert!(fields(&[("role", "root")]).rights().is_err());
    }

    #[test]
    fn there_are_rows_for_further_groups_as_long_as_there_are_groups() {
        let groups = vec!["a".to_owned(), "b".to_owned()];
        let rights =
            Rights { role: None, groups: vec![GroupRole { group: "a".to_owned(), role: Role::Viewer }] };
        assert_eq!(RightsForm::new(&rights, groups).rows.len(), 2);
        assert_eq!(RightsForm::new(&rights, Vec::new()).rows.len(), 1);
    }
}
