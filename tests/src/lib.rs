//! What system tests share: a whole server in the test's own process.

pub mod server;
