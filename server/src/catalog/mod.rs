//! Stub.
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};
use wire::{enrol::Realm, problem::FieldProblem};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
pub struct Catalog;
pub struct Retry {
    pub attempts: i64,
    pub after_s: i64,
}
pub struct Params;
impl Params {
    pub fn check(&self, v: &Value) -> Result<Value, Vec<FieldProblem>> {
        Ok(v.clone())
    }
}
pub struct JobType {
    pub params: Params,
    pub realm: Option<Realm>,
    pub priority: i64,
    pub retry: Retry,
    pub title: BTreeMap<String, String>,
}
impl Catalog {
    pub fn load(_: &Path, _: Option<&Path>) -> Result<Self, Error> {
        Ok(Self)
    }
    pub fn job_type(&self, _: &str) -> Option<&JobType> {
        None
    }
    pub fn layout(&self, _: &str) -> Option<&str> {
        None
    }
}
