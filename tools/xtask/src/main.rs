//! Checks, benchmarks and generated tables.

fn main() {}
