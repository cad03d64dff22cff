//! `lotse-agent`.
fn main() {}
