//! What people and agents can ask for. Pages, API and command line call the same functions; each is one transaction or says why not.

pub mod error;

pub use error::Error;
