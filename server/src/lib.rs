//! The Lotse server: a job queue for every client, and the plans that its agents carry out.
//!
//! Reading order: [`domain`] (what there is), [`db`] (how it is kept), [`queue`] (who works on what), [`catalog`] and
//! [`planner`] (what a job does), [`boot`] (what a machine boots), [`app`] (what people and agents can ask for), [`http`] (how).

pub mod clock;
pub mod db;
pub mod domain;
