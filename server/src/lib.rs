//! The Lotse server: a job queue for every client, and the plans that its agents carry out.
//!
//! Reading order: [`domain`] (what there is), [`db`] (how it is kept), [`queue`] (who works on what), [`catalog`] and
//! [`planner`] (what a job does), [`boot`] (what a machine boots), [`identity`] and [`auth`] (who is who), [`app`] (what people and agents can
//! ask for), [`http`] (how they ask), [`startup`] (how it all comes together).

pub mod app;
pub mod archive;
pub mod auth;
pub mod backup;
pub mod blobs;
pub mod boot;
pub mod cache;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod consoles;
pub mod context;
pub mod db;
pub mod delivery;
pub mod domain;
pub mod http;
pub mod identity;
pub mod metrics;
pub mod notices;
pub mod novnc;
pub mod pages;
pub mod patience;
pub mod planner;
pub mod presence;
mod process;
pub mod queue;
pub mod reconcile;
pub mod startup;
pub mod vm;
