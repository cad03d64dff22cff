//! Archives of packages that this server makes: what is in a package (`deb.rs`), packages made of files (`build.rs`, `tree.rs`), and the
//! indices of a suite (`index.rs`).
//!
//! Knows nothing of databases and of who may do what; verifying other people's archives is in `cache`.

pub mod build;
pub mod deb;
pub mod index;
mod packing;
pub mod tree;
