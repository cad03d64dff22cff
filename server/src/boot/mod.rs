//! Booting machines: what each is told over HTTP and TFTP, and the timeline of every contact.

pub mod mirror;
pub mod neighbour;
pub mod script;
pub mod tftp;
pub mod timeline;
pub mod wake;
