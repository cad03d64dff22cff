//! Fleets: hundreds of real agents on fake machines in one process, with a real server, and bad luck from one number.
//!
//! What is real: agents, HTTPS with client certificates, server, database. What is not: machines, and how long things take.
//! A run ends with a [`record::Record`] of what the database says and what the machines did; [`invariants`] compares the two.

pub mod dice;
pub mod invariants;
pub mod luck;
pub mod machine;
pub mod network;
pub mod program;
pub mod record;
pub mod run;
pub mod server;
