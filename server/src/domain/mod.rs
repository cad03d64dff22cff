//! What the server knows of the world: plain types and pure functions. No IO, no clock, no randomness.

pub mod approval;
pub mod audit;
pub mod batch;
pub mod boot;
pub mod client;
pub mod client_status;
pub mod health;
pub mod image;
pub mod inventory;
pub mod job;
pub mod layout;
pub mod machine_changes;
pub mod naming;
pub mod notice;
pub mod people;
pub mod reach;
pub mod report;
pub mod report_mail;
pub mod repository;
pub mod rollout;
pub mod rule;
pub mod search;
pub mod settings;
pub mod sheet;
pub mod source_list;
