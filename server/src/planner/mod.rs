//! Stub.
use crate::domain::{client::Client, image::Image};
use serde_json::Value;
use std::collections::BTreeMap;
use wire::{JobId, facts::Facts, plan::Plan};
pub struct ServerView {
    pub https_url: String,
    pub agents_url: String,
    pub boot_url: String,
    pub ca: String,
}
pub struct PlanRequest<'a> {
    pub job: JobId,
    pub job_type: &'a str,
    pub params: &'a Value,
    pub client: &'a Client,
    pub facts: Option<&'a Facts>,
    pub images: &'a BTreeMap<String, Image>,
    pub server: &'a ServerView,
    pub layout: Option<&'a str>,
}
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct Error;
impl From<Error> for crate::app::Error {
    fn from(_: Error) -> Self {
        Self::conflict("x", "")
    }
}
pub fn plan(_: &PlanRequest<'_>, _: &crate::catalog::Catalog) -> Result<Plan, Error> {
    Err(Error)
}
pub struct ChainEntry {
    pub job_type: String,
    pub params: Value,
    pub needs: Vec<usize>,
}
pub fn installation(_: &Client) -> Vec<ChainEntry> {
    vec![]
}
