//! System tests that need no machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod api;
mod bad_days;
mod boot;
mod database;
mod directory;
mod fleet;
mod login;
mod races;
mod tidy;
