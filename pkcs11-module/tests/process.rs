//! The module in a host process: how it is loaded, asked by many threads, forked, and left. A C
//! program plays the host, one run for each case.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod library;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

macro_rules! cases {
    ($($name:ident $(prints $word:literal)?;)*) => {$(
        #[test]
        fn $name() {
            let printed = run(stringify!($name));
            assert_eq!(printed.trim(), concat!($($word)?));
        }
    )*};
}

cases! {
    exit_handler_before prints "refused";
    exit_handler_after prints "refused";
    exit_of_a_thread prints "refused\nrefused";
    thread_ends;
    exit_of_a_thread_that_never_called prints "refused";
    exit_after_unloading prints "refused";
    exit_after_finalizing prints "refused";
    exit_during_calls prints "refused";
    main_thread_leaves prints "stayed";
    forks;
    forks_during_calls;
    forks_during_starts;
    forks_during_failing_starts;
    threads_start_it_once;
    ends_during_calls;
    initialize_arguments;
    interfaces;
    names_of_the_host;
    hostile_arguments;
}

/// Runs a case with a store of its own, and gives what it printed.
fn run(case: &str) -> String {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(case);
    drop(fs::remove_dir_all(&store));
    fs::create_dir_all(&store).unwrap();
    let config = store.join("strongroom.toml");
    fs::write(&config, format!("[store]\npath = {:?}\n", store.join("tokens"))).unwrap();
    let output = Command::new(host())
        .arg(library::path())
        .arg(case)
        .env("STRONGROOM_CONF", config)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The host, compiled once in each process of tests. It gets its name when it is whole: another
/// process may be about to run it. Its own symbols are exported, as those of many hosts are.
fn host() -> &'static Path {
    static HOST: OnceLock<PathBuf> = OnceLock::new();
    HOST.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/process.c");
        let draft = program.with_extension(std::process::id().to_string());
        let compiled = Command::new("cc")
            .args(["-std=gnu11", "-O1", "-g", "-rdynamic", "-pthread", "-o"])
            .args([&draft, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler, which AWS-LC needs as well");
        assert!(compiled.success());
        fs::rename(&draft, &program).unwrap();
        program
    })
}
