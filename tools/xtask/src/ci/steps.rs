//! The steps, one row each.

use std::path::{Path, PathBuf};

use super::Step;
use crate::failure::{Failure, Result};
use crate::process::{
    LONG as FOR_LONG, capture, cargo, nightly, program, run_and_quote as run, succeeds, tool,
};
use crate::{bench, debian, demo, fuzz, image, release, sbom, tables};

/// SoftHSM2's module, for comparison.
const SOFTHSM2: &str = "softhsm/libsofthsm2.so";

/// Every step, in the order in which they run: what is quick to say no comes first.
pub(super) const STEPS: &[Step] = &[
    Step { name: "packages", about: "Debian's packages", needs: &[], run: packages },
    Step {
        name: "format",
        about: "rustfmt has nothing to change, and no file has two versions of itself",
        needs: &[],
        run: format,
    },
    Step { name: "clippy", about: "no warning in any target", needs: &[], run: clippy },
    Step { name: "deny", about: "licenses, sources, advisories", needs: &[], run: deny },
    Step {
        name: "sbom",
        about: "the list of what the release is made of names every crate, with its licence",
        needs: &[],
        run: sbom::check,
    },
    Step { name: "docs", about: "the documentation has no dead link", needs: &[], run: docs },
    Step { name: "tests", about: "unit and integration tests", needs: &["packages"], run: tests },
    Step {
        name: "units",
        about: "systemd's own judgement of the daemon's units: they are right, and 1.0 or less of 10",
        needs: &["packages"],
        run: units,
    },
    Step {
        name: "manifests",
        about: "the daemon's manifests hold to the schema of Kubernetes",
        needs: &["packages"],
        run: manifests,
    },
    Step {
        name: "examples",
        about: "the examples in the documentation",
        needs: &[],
        run: examples,
    },
    Step {
        name: "tables",
        about: "the tables in README.md, CONFORMANCE.md and PROTOCOL.md",
        needs: &[],
        run: tables::check,
    },
    Step {
        name: "release",
        about: "the module, the keytool and the daemon",
        needs: &[],
        run: build,
    },
    Step {
        name: "symbols",
        about: "the module exports the functions of the standard, and asks only the system's libraries",
        needs: &["packages", "release"],
        run: symbols,
    },
    Step {
        name: "softhsm2",
        about: "black-box tests and other people's programs, on SoftHSM2",
        needs: &["packages"],
        run: black_box_softhsm2,
    },
    Step {
        name: "strongroom",
        about: "the same on Strongroom",
        needs: &["packages", "release"],
        run: black_box_strongroom,
    },
    Step {
        name: "compare",
        about: "Strongroom passes whatever SoftHSM2 passes",
        needs: &["packages", "release", "softhsm2", "strongroom"],
        run: compare,
    },
    Step {
        name: "keytool",
        about: "the keytool's tests, which ran on SoftHSM2's module, on Strongroom's",
        needs: &["packages", "release"],
        run: keytool_strongroom,
    },
    Step {
        name: "daemon",
        about: "the black-box tests, and some programs, on Strongroom as the client of a daemon",
        needs: &["packages", "release"],
        run: black_box_daemon,
    },
    Step {
        name: "containers",
        about: "containers without a key use those of a daemon outside",
        needs: &["packages", "release"],
        run: containers,
    },
    Step {
        name: "image",
        about: "the daemon's OCI image, and a container that uses it",
        needs: &["packages", "release"],
        run: oci_image,
    },
    Step {
        name: "p11test-softhsm2",
        about: "SoftHSM2's own tests, on SoftHSM2",
        needs: &["packages"],
        run: own_tests_softhsm2,
    },
    Step {
        name: "p11test-strongroom",
        about: "the same on Strongroom, with SoftHSM2's configuration alone",
        needs: &["packages", "release"],
        run: own_tests_strongroom,
    },
    Step {
        name: "demo",
        about: "what the README promises",
        needs: &["packages", "release"],
        run: demo::run,
    },
    Step {
        name: "instructions",
        about: "the hot path executes no more instructions than it did",
        needs: &["packages", "release"],
        run: bench::check,
    },
    Step {
        name: "soak",
        about: "eight threads do everything at once, for seconds",
        needs: &["packages", "release"],
        run: bench::check_soak,
    },
    Step {
        name: "fuzz",
        about: "ten seconds of each target of the fuzzer, with --long a minute",
        needs: &["packages"],
        run: fuzz::check,
    },
    Step { name: "miri", about: "the unsafe code of the edge under Miri", needs: &[], run: miri },
];

/// Those that run with `--long` alone.
pub(super) const LONG: &[Step] = &[
    Step {
        name: "reproducible",
        about: "two builds of the release, in two places, have the same bytes",
        needs: &[],
        run: release::reproduce,
    },
    Step {
        name: "sanitizer",
        about: "no two threads meet at a place in memory, as LLVM's thread sanitizer sees it",
        needs: &[],
        run: sanitizer,
    },
];

fn packages() -> Result {
    debian::install(&debian::DEMO.iter().chain(debian::CI).collect::<Vec<_>>())
}

fn format() -> Result {
    // The lines that git leaves where two versions of a place do not fit.
    let halves = capture(&mut program("git", ["grep", "--line-number", "-E", "^(<{7}|>{7}) "]))?;
    if halves.status.code() != Some(1) {
        return Err(Failure::new(
            "A file was merged by halves, or git cannot look for one.",
            String::from_utf8_lossy(if halves.stdout.is_empty() {
                &halves.stderr
            } else {
                &halves.stdout
            }),
        ));
    }
    run(&mut cargo(["fmt", "--all", "--check"]))
}

fn clippy() -> Result {
    let command = ["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny=warnings"];
    run(&mut cargo(command))
}

fn docs() -> Result {
    run(cargo(["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"])
        .env("RUSTDOCFLAGS", "--deny=warnings"))
}

/// Everything but the black-box tests, which want a module.
fn tests() -> Result {
    tool("cargo-nextest")?;
    run(cargo(["nextest", "run", "--workspace", "--locked", "--no-fail-fast"])
        .arg("--exclude=strongroom-softhsm-tests"))
}

fn units() -> Result {
    run(&mut program("tools/strongroomd/tests/units", []))
}

fn manifests() -> Result {
    run(&mut program("tools/strongroomd/tests/kubernetes", []))
}

fn examples() -> Result {
    run(&mut cargo(["test", "--doc", "--workspace", "--locked", "--quiet"]))
}

fn build() -> Result {
    release::build().map(drop)
}

fn symbols() -> Result {
    let module = release::build()?.module;
    let exported = dynamic_symbols(&module, "--defined-only")?;
    let foreign: Vec<&String> = exported.iter().filter(|name| !name.starts_with("C_")).collect();
    let lists = ["C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];
    let missing: Vec<&str> =
        lists.into_iter().filter(|list| !exported.iter().any(|name| name == list)).collect();
    // What has no version comes from whoever in the process has such a name: none but the linker's own
    // may be asked for, which begin with a line.
    let asked = dynamic_symbols(&module, "--undefined-only")?;
    let anybody: Vec<&String> =
        asked.iter().filter(|name| !name.contains('@') && !name.starts_with('_')).collect();
    if foreign.is_empty() && missing.is_empty() && anybody.is_empty() {
        println!("{} functions and nothing else", exported.len());
        return Ok(());
    }
    Err(Failure::new(
        format!("The module exports {foreign:?}, lacks {missing:?}, and asks for {anybody:?}."),
        format!("Look at `nm -D {}`.", module.display()),
    ))
}

/// The names in a library that the dynamic linker sees.
fn dynamic_symbols(library: &Path, which: &str) -> Result<Vec<String>> {
    let output =
        capture(program("nm", ["--dynamic", which, "--format=just-symbols"]).arg(library))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

fn softhsm2() -> Result<PathBuf> {
    debian::library(SOFTHSM2).ok_or_else(|| {
        Failure::new("SoftHSM2's module is missing.", "Install what Debian calls libsofthsm2.")
    })
}

fn black_box_softhsm2() -> Result {
    black_box(&softhsm2()?, None)
}

fn black_box_strongroom() -> Result {
    black_box(&release::build()?.module, None)
}

/// The outcomes that the two steps before have written down.
fn compare() -> Result {
    let command = ["run", "--quiet", "--locked", "--package=strongroom-softhsm-tests"];
    run(cargo(command)
        .args(["--bin=compare", "--", "--check", "libsofthsm2"])
        .arg("libstrongroom_pkcs11"))
}

fn keytool_strongroom() -> Result {
    tool("cargo-nextest")?;
    run(cargo(["nextest", "run", "--package=strongroom-keytool", "--locked", "--no-fail-fast"])
        .args(
            ["certificates", "keys", "nss", "operations", "token"].map(|it| format!("--test={it}")),
        )
        .env("MODULE_UNDER_TEST", release::build()?.module))
}

fn black_box_daemon() -> Result {
    let release = release::build()?;
    black_box(&release.module, Some(&release.daemon))
}

/// Everything that is asked of a module from outside, by itself or as the client of a daemon.
fn black_box(module: &Path, daemon: Option<&Path>) -> Result {
    tool("cargo-nextest")?;
    run(program("softhsm-tests/run", []).arg(module).args(daemon))
}

fn containers() -> Result {
    let release = release::build()?;
    run(program("tools/strongroomd/tests/containers/run", [])
        .args([&release.module, &release.daemon])
        .arg(release::target().join("systems")))
}

fn oci_image() -> Result {
    run(program("tools/strongroomd/tests/containers/image", []).arg(image::context()?))
}

fn own_tests_softhsm2() -> Result {
    run(program("softhsm-tests/p11test", []).arg(softhsm2()?))
}

fn own_tests_strongroom() -> Result {
    run(program("softhsm-tests/p11test", []).arg(release::build()?.module))
}

/// Rust's own library is built anew, so that it is watched as well. AWS-LC and SQLite are not: what they
/// share they lock by the C library's functions, which are. And the system is called by them too, or
/// pages that are given back and come again would look like shared ones.
fn sanitizer() -> Result {
    nightly()?;
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let command =
        ["run", "nightly", "cargo", "test", "-Zbuild-std", "--locked", "--lib", "--tests"];
    let packages =
        ["functions", "keystore", "token"].map(|it| format!("--package=strongroom-{it}"));
    run(program("rustup", command)
        .args(["--no-fail-fast", "--target", &triple, "--target-dir"])
        .arg(release::target().join("sanitizer"))
        .args(packages)
        // Another damaged byte, or another kill, is no other meeting of threads.
        .env_remove(FOR_LONG)
        .env("RUSTFLAGS", "-Zsanitizer=thread --cfg=rustix_use_libc"))
}

/// The interpreter of Rust, which sees what no test can: wrong pointers.
fn miri() -> Result {
    nightly()?;
    let command = ["run", "nightly", "cargo", "miri", "test", "--locked", "--lib"];
    run(program("rustup", command).arg("--package=strongroom-pkcs11"))
}

/// The advisories come from a repository of their own; without it the rest is still checked.
fn deny() -> Result {
    tool("cargo-deny")?;
    run(&mut cargo(["deny", "--locked", "check", "bans", "licenses", "sources"]))?;
    if succeeds(&mut cargo(["deny", "fetch", "db"])) {
        return run(&mut cargo(["deny", "--locked", "check", "advisories"]));
    }
    println!("The advisory database cannot be reached from here: advisories were not checked.");
    Ok(())
}
