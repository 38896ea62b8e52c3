//! Tells the linker what makes a shared library that any process can load, fork and leave.

/// How the assembler of an architecture jumps to a symbol.
const JUMPS: &[(&str, &str)] =
    &[("x86_64", "jmp"), ("aarch64", "b"), ("riscv64", "tail"), ("s390x", "jg")];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    match JUMPS.iter().find(|(architecture, _)| *architecture == target) {
        Some((_, jump)) => println!("cargo::rustc-env=JUMP={jump}"),
        None => println!("cargo::error=JUMPS in build.rs has no jump for {target}: add it there"),
    }
    for argument in [
        // Handlers for forks and for the ends of threads lead into the module: it stays.
        "-Wl,-z,nodelete",
        // The function lists can not be written once the module is loaded.
        "-Wl,-z,relro,-z,now",
        // A process may have several modules, all with the same names: each keeps to its own.
        "-Wl,-Bsymbolic",
        // AWS-LC's locks are those that a fork waits for: see src/abi/brief.rs.
        "-Wl,--wrap=pthread_rwlock_rdlock",
        "-Wl,--wrap=pthread_rwlock_wrlock",
        "-Wl,--wrap=pthread_rwlock_unlock",
        // AWS-LC gives its memory back by what it finds of these in the process, if anything, and a
        // process may have one without the `malloc` that the module has: programs with jemalloc, where
        // a module is loaded with `RTLD_DEEPBIND`. Under other names there is none, and it is `free`.
        "-Wl,--wrap=sdallocx",
        "-Wl,--wrap=OPENSSL_memory_alloc",
        "-Wl,--wrap=OPENSSL_memory_free",
        "-Wl,--wrap=OPENSSL_memory_get_size",
        "-Wl,--wrap=OPENSSL_memory_realloc",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
    // Nothing is looked up that the module does not name; but what watches it while it is fuzzed is in
    // the program.
    if std::env::var_os("CARGO_CFG_FUZZING").is_none() {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,defs");
    }
}
