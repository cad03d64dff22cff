//! The Lotse agent: asks the server for its next plan, carries it out, reports every line of it.
//!
//! Reading order: [`host`] (the one door to the machine), [`server`] (the one door to the server), [`steps`] (what a plan can do).

pub mod host;
pub mod server;
pub mod steps;
