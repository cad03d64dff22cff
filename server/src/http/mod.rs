//! How the server is reached: three listeners, each with its own routes, all with the same form of errors.

pub mod access;
pub mod agent;
pub mod api;
pub mod boot;
mod console;
mod extract;
pub mod metrics;
mod origin;
mod packages;
pub mod pages;
mod problem;
mod repository;
mod sent;
mod stream;

pub use problem::{Rejection, uniform};
