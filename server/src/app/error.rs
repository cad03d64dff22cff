//! How a use case ends badly: the same for pages, API and command line.

use wire::problem::FieldProblem;

use crate::{
    db,
    domain::{job::IllegalTransition, layout::LayoutProblem},
    planner,
};

/// Why a use case did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request is wrong, and the caller can mend it.
    #[error("{title}")]
    Invalid {
        /// What was attempted, on which object, and what is wrong.
        title: String,
        /// The wrong fields.
        fields: Vec<FieldProblem>,
        /// What to do next.
        remedy: String,
    },
    /// Who asks is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// Who asks may not do it.
    #[error("{0}")]
    Forbidden(String),
    /// It does not exist.
    #[error("{what} does not exist")]
    NotFound {
        /// Kind and name, such as `client lab-01`.
        what: String,
    },
    /// It is not possible in the present state.
    #[error("{title}")]
    Conflict {
        /// What was attempted and what stands against it.
        title: String,
        /// What to do next.
        remedy: String,
    },
    /// It was changed since whoever asks has read it.
    #[error("{what} was changed by somebody else")]
    Stale {
        /// Kind and name.
        what: String,
    },
    /// It was not carried out: a second person has to approve it first.
    #[error("{summary}: this needs the approval of a second person")]
    AwaitsApproval {
        /// Number of the request that waits.
        approval: i64,
        /// What was asked for.
        summary: String,
    },
    /// The server cannot do it now; trying again later may help.
    #[error("{title}")]
    Unavailable {
        /// What is missing.
        title: String,
        /// What to do next.
        remedy: String,
    },
    /// The server's own fault; the chain is logged, people see only the request's number.
    #[error(transparent)]
    Internal(anyhow::Error),
}

impl Error {
    /// Something does not exist.
    pub fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    /// Something stands against it.
    pub fn conflict(title: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Conflict { title: title.into(), remedy: remedy.into() }
    }

    /// The request is wrong as a whole.
    pub fn invalid(title: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::Invalid { title: title.into(), fields: Vec::new(), remedy: remedy.into() }
    }

    /// Fields of the request are wrong.
    pub fn fields(title: impl Into<String>, fields: Vec<FieldProblem>) -> Self {
        Self::Invalid {
            title: title.into(),
            fields,
            remedy: "mend the fields and send the request again".to_owned(),
        }
    }
}

impl From<db::Error> for Error {
    fn from(error: db::Error) -> Self {
        match error {
            db::Error::Exists(what) => Self::Conflict {
                title: format!("{what} exists already"),
                remedy: "choose another value, or change the one that exists".to_owned(),
            },
            db::Error::Repeated(_) => Self::conflict(
                error.to_string(),
                "send the very same request again to get its answer, or use a fresh key to do it once more",
            ),
            db::Error::Full(source) => {
                tracing::error!(error = %source, "the disk of the database is full");
                Self::Unavailable {
                    title: "the disk of the server's database is full; nothing was changed".to_owned(),
                    remedy:
                        "make room on it (with SQLite, that is the server's data directory), and try again"
                            .to_owned(),
                }
            }
            db::Error::Busy(source) => {
                tracing::warn!(error = %source, "nobody got a connection to the database in time");
                Self::Unavailable {
                    title: "the server has more to do than its database can; nothing was changed".to_owned(),
                    remedy: "try again in a minute; if it stays so, PostgreSQL carries more".to_owned(),
                }
            }
            db::Error::Open { .. }
            | db::Error::Migrate { .. }
            | db::Error::Newer { .. }
            | db::Error::Statement { .. }
            | db::Error::Value { .. } => Self::Internal(error.into()),
        }
    }
}

/// What is wrong with a layout, as fields of a request.
pub(super) fn layout_fields(name: &str, problems: &[LayoutProblem]) -> Vec<FieldProblem> {
    let field = format!("layout {name}");
    problems
        .iter()
        .map(|problem| FieldProblem { field: field.clone(), message: problem.to_string() })
        .collect()
}

impl From<planner::Error> for Error {
    fn from(error: planner::Error) -> Self {
        let title = error.to_string();
        match error {
            planner::Error::UnknownJobType(_)
            | planner::Error::UnknownDistribution(_)
            | planner::Error::UnknownLayout(_)
            | planner::Error::Params(_) => Self::invalid(title, "choose one that exists"),
            planner::Error::NeedsFacts => {
                Self::conflict(title, "boot the machine over the network first, or wait until it has")
            }
            planner::Error::NoImage(name) => {
                Self::conflict(title, format!("run `lotse image build {name}` on the server"))
            }
            planner::Error::Layout { name, problems } => Self::Invalid {
                title,
                fields: layout_fields(&name, &problems),
                remedy: "change the layout, choose another one, or change the machine's disks".to_owned(),
            },
            planner::Error::Render { .. } => {
                Self::invalid(title, "mend the job script or the client's configuration")
            }
        }
    }
}

impl From<IllegalTransition> for Error {
    fn from(error: IllegalTransition) -> Self {
        Self::conflict(error.to_string(), "look at the job's state first: `lotse job show`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_has_too_much_to_do_is_no_fault_of_the_server() {
        let error = Error::from(db::Error::Busy(sqlx::Error::PoolTimedOut));
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
}
