//! Tells the linker what makes a shared library that any process can load, fork and leave.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        // Handlers for forks and for the ends of threads lead into the module: it stays.
        "-Wl,-z,nodelete",
        // The function lists can not be written once the module is loaded.
        "-Wl,-z,relro,-z,now",
        // A process may have several modules, all with the same names: each keeps to its own.
        "-Wl,-Bsymbolic",
        // Nothing is looked up that the module does not name.
        "-Wl,-z,defs",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}
