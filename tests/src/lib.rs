//! What system tests share: a server in the test's own process, the lab of real machines, and whole sites with a server.

pub mod archive;
pub mod browser;
pub mod cloudstack;
pub mod cookies;
pub mod directory;
pub mod fleet;
pub mod lab;
pub mod libvirt;
pub mod postgres;
pub mod room;
pub mod sample;
pub mod server;
pub mod site;
pub mod story;
pub mod telephone;
pub mod told;
pub mod vnc;
