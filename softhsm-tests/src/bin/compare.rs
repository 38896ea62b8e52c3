//! Renders the tables of results into the README.
fn main() {}
