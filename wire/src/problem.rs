//! Errors over HTTP: `application/problem+json` (RFC 9457), on every listener that speaks JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong with a request, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// HTTP status code.
    pub status: u16,
    /// A stable word for programs, such as `invalid`, `not-found`, `conflict`, `forbidden`.
    pub code: String,
    /// What was attempted, on which object, and why it did not work.
    pub title: String,
    /// What to do next; empty when nothing sensible can be said.
    #[serde(default)]
    pub remedy: String,
    /// The fields of the request that are wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldProblem>,
    /// Finds the request in the server's log.
    #[serde(default)]
    pub request_id: String,
}

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// Path of the field, such as `network.interfaces[0].address`.
    pub field: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}
