//! The functions of PKCS#11 as safe Rust, from one table.
