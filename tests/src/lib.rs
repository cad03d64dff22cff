//! What system tests share: the lab of real machines.

pub mod lab;
