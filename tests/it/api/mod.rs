//! The API over real HTTPS, on a real database.

mod access;
mod clients;
mod errors;
mod jobs;
mod streams;
