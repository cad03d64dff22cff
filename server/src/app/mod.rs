//! What people and agents can ask for. Pages, API and command line call the same functions; each is one transaction or says why not.

pub mod agents;
pub mod approvals;
pub mod audit;
pub mod batches;
pub mod boot_timeline;
pub mod channels;
pub mod clients;
pub mod enrolment;
mod error;
pub mod filters;
pub mod groups;
pub mod happenings;
pub mod health;
pub mod helpdesk;
pub mod images;
pub mod installation;
pub mod job_records;
pub mod job_scripts;
pub mod jobs;
pub mod layouts;
pub mod measures;
pub mod notices;
pub mod overview;
pub mod passwords;
pub mod people;
pub mod planning;
pub mod reports;
pub mod retirement;
pub mod search;
pub mod sessions;
pub mod settings;
pub mod tag;

pub use error::Error;
