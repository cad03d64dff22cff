//! System tests that need no machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod api;
mod audit;
mod bad_days;
mod boot;
mod browser;
mod cache;
mod database;
mod directory;
mod fleet;
mod inventory;
mod login;
mod metadata;
mod metrics;
mod oidc;
mod races;
mod rollouts;
mod search;
mod selections;
mod sources;
mod tidy;
mod upgrade;
mod vm;
