//! How far somebody's roles go: over everything, or over the clients of some groups.
//!
//! Invariant: a role for one group says nothing about clients outside it, nor about what belongs to no client; there, whoever has
//! roles for groups only is a viewer of what is no secret (see `http::access`).

use std::collections::BTreeMap;

use wire::GroupId;

use super::people::Role;

/// What somebody may do, and with which clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// The role for everything.
    pub everywhere: Option<Role>,
    /// Roles for the clients of single groups.
    pub groups: BTreeMap<GroupId, Role>,
    /// Only looks, whatever the roles are.
    pub read_only: bool,
}

/// Which clients somebody sees in lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sees {
    /// All of them.
    Everything,
    /// The members of these groups.
    Groups(Vec<GroupId>),
}

impl Reach {
    /// A role for everything.
    pub fn everything(role: Role) -> Self {
        Self { everywhere: Some(role), ..Self::default() }
    }

    /// The role for a client that belongs to these groups; none when it is out of sight.
    pub fn on(&self, groups: &[GroupId]) -> Option<Role> {
        let here = groups.iter().filter_map(|group| self.groups.get(group)).copied();
        here.chain(self.everywhere).max()
    }

    /// The greatest role that it has anywhere.
    pub fn greatest(&self) -> Option<Role> {
        self.groups.values().copied().chain(self.everywhere).max()
    }

    /// Which clients lists show.
    pub fn sees(&self) -> Sees {
        match self.everywhere {
            Some(_) => Sees::Everything,
            None => Sees::Groups(self.groups.keys().copied().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_for_a_group_counts_for_its_clients_and_for_no_other() {
        let reach = Reach { groups: [(GroupId(1), Role::Operator)].into(), ..Reach::default() };
        assert_eq!(reach.on(&[GroupId(2), GroupId(1)]), Some(Role::Operator));
        assert_eq!(reach.on(&[GroupId(2)]), None);
        assert_eq!(reach.on(&[]), None);
        assert_eq!(reach.sees(), Sees::Groups(vec![GroupId(1)]));
    }

    #[test]
    fn the_greater_of_two_roles_counts() {
        let mut reach = Reach::everything(Role::Helpdesk);
        reach.groups = [(GroupId(1), Role::Viewer), (GroupId(2), Role::Admin)].into();
        assert_eq!(reach.on(&[GroupId(1)]), Some(Role::Helpdesk));
        assert_eq!(reach.on(&[GroupId(1), GroupId(2)]), Some(Role::Admin));
        assert_eq!(reach.greatest(), Some(Role::Admin));
        assert_eq!(reach.sees(), Sees::Everything);
    }

    #[test]
    fn nobody_without_any_role_sees_anything() {
        assert_eq!(Reach::default().sees(), Sees::Groups(Vec::new()));
        assert_eq!(Reach::default().greatest(), None);
    }
}
