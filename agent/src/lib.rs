//! The Lotse agent: asks the server for its next plan, carries it out, reports every line of it.
//!
//! Reading order: [`host`] (the one door to the machine), [`server`] (the one door to the server), [`steps`] (what a plan
//! can do); then [`config`], [`metadata`], [`trust`] and [`identity`] (who speaks to whom), [`journal`] and [`spool`] (what survives),
//! [`report`] and [`runner`] (one attempt), [`session`] (the whole life), [`upgrade`] (how an agent is replaced), `vm` (machines that
//! this one hosts).

pub mod backoff;
pub mod cli;
pub mod config;
pub mod disk;
pub mod facts;
pub mod host;
pub mod identity;
pub mod journal;
pub mod metadata;
pub mod pace;
pub mod packages;
pub mod plan;
pub mod report;
pub mod runner;
pub mod server;
pub mod session;
pub mod spool;
pub mod steps;
pub mod survey;
pub mod tools;
pub mod trust;
pub mod upgrade;
mod vm;
pub mod voice;
