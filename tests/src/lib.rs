//! What system tests share: the lab of real machines, and whole sites with a server.

pub mod lab;
pub mod site;
