//! What the server knows of the world: plain types and pure functions. No IO, no clock, no randomness.

pub mod boot;
pub mod client;
pub mod client_status;
pub mod image;
pub mod job;
pub mod layout;
pub mod people;
pub mod reach;
