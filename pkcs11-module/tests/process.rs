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
    let store = directory(case);
    let output = command(case, &store).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// An empty directory, but for a configuration of a store in it.
fn directory(name: &str) -> PathBuf {
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&store));
    fs::create_dir_all(&store).unwrap();
    let config = store.join("strongroom.toml");
    fs::write(&config, format!("[store]\npath = {:?}\n", store.join("tokens"))).unwrap();
    store
}

/// A host that finds this configuration, and nothing of whoever runs the test.
fn command(case: &str, store: &Path) -> Command {
    let mut command = Command::new(host());
    command.arg(library::path()).arg(case).env("STRONGROOM_CONF", store.join("strongroom.toml"));
    for variable in ["SOFTHSM2_CONF", "STRONGROOM_LOG", "STRONGROOM_SOCKET"] {
        command.env_remove(variable);
    }
    command
}

#[test]
fn a_start_that_fails_is_in_the_log() {
    type Prepare = fn(&Path, &mut Command);
    let rows: &[(&str, &str, Prepare)] = &[
        ("no_file", "gone.toml cannot be read", |store, host| {
            host.env("STRONGROOM_CONF", store.join("gone.toml"));
        }),
        ("wrong_file", "strongroom.toml:1: ", |store, _| {
            fs::write(store.join("strongroom.toml"), "nonsense = 1").unwrap();
        }),
        ("wrong_level", "log.level", |store, host| {
            let file = store.join("softhsm2.conf");
            fs::write(
                &file,
                format!("directories.tokendir = {}\nlog.level = LOUD\n", store.display()),
            )
            .unwrap();
            host.env_remove("STRONGROOM_CONF").env("SOFTHSM2_CONF", file);
            for home in ["HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"] {
                host.env(home, store);
            }
        }),
        ("no_directory", "tokens", |store, _| fs::write(store.join("tokens"), "a file").unwrap()),
        ("no_daemon", "can not be reached", |store, host| {
            host.env("STRONGROOM_SOCKET", store.join("nobody.sock"));
        }),
    ];
    for (name, why, prepare) in rows {
        let store = directory(name);
        let mut host = command("start_fails", &store);
        host.env("STRONGROOM_LOG", "warning");
        prepare(&store, &mut host);
        let output = host.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{name}: {log}");
        let [arguments, start] = log.lines().collect::<Vec<_>>()[..] else {
            panic!("{name}: {log}")
        };
        assert!(arguments.ends_with("(CKR_ARGUMENTS_BAD)"), "{name}: {log}");
        assert!(start.contains(": C_Initialize: ") && start.contains(why), "{name}: {log}");
        assert!(start.contains(" (CKR_"), "{name}: {log}");
    }
}

#[test]
fn a_log_that_nobody_understands_is_told_once() {
    let store = directory("wrong_log");
    let output = command("starts_twice", &store).env("STRONGROOM_LOG", "debug:x").output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.contains("warning: STRONGROOM_LOG is \"debug:x\", and is ignored"), "{log}");
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
