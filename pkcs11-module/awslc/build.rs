//! Finds the prefix that `aws-lc-sys` gives to the symbols of the library: it has the version in
//! it, and its bindings leave out the functions that `src/ml_dsa.rs` calls.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // `aws-lc-sys` tells the crates that depend on it what its library is called: the prefix and
    // "crypto". A library without a prefix is one of the system's.
    let told = std::env::vars()
        .find(|(name, _)| name.starts_with("DEP_AWS_LC_") && name.ends_with("_LIBCRYPTO"));
    let library = told.map(|(_, library)| library).unwrap_or_default();
    let prefix = library.strip_suffix("crypto").unwrap_or_default();
    println!("cargo::rustc-env=AWS_LC_PREFIX={prefix}");
}
