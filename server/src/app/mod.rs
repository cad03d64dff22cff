//! What people and agents can ask for. Pages, API and command line call the same functions; each is one transaction or says why not.

pub mod agents;
mod error;
pub mod installation;
pub mod jobs;
pub mod planning;

pub use error::Error;
