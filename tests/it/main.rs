//! System tests that need no machine.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

/// Runs each of these tests on SQLite and on PostgreSQL, as `sqlite::NAME` and `postgres::NAME`: those of the module that says it, or of
/// modules below it.
macro_rules! on_both_engines {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(harness::server::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(harness::server::Engine::Postgres).await;
            })*
        }
    };
    ($($module:ident::$test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$module::$test(harness::server::Engine::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$module::$test(harness::server::Engine::Postgres).await;
            })*
        }
    };
    ($($module:ident { $($test:ident,)* })*) => {
        mod sqlite {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::super::$module::$test(harness::server::Engine::Sqlite).await;
                })*
            })*
        }
        mod postgres {
            $(mod $module {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    super::super::$module::$test(harness::server::Engine::Postgres).await;
                })*
            })*
        }
    };
}

mod api;
mod audit;
mod backup;
mod bad_days;
mod boot;
mod browser;
mod cache;
mod console;
mod database;
mod directory;
mod fleet;
mod integration;
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
