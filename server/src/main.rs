//! `lotse`.
fn main() {}
