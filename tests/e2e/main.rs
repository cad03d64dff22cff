//! End-to-end tests on real machines.
fn main() {}
