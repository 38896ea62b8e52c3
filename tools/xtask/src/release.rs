//! What is shipped: the module, the keytool and the daemon, built for release.

use std::fs;
use std::path::{Path, PathBuf};

use crate::debian;
use crate::failure::{Failure, Result};
use crate::process::{cargo, program, run};

/// The release, as built.
#[derive(Debug)]
pub(crate) struct Release {
    /// The module that applications load.
    pub(crate) module: PathBuf,
    /// The `strongroom` command.
    pub(crate) keytool: PathBuf,
    /// The daemon.
    pub(crate) daemon: PathBuf,
}

impl Release {
    fn files(&self) -> [&Path; 3] {
        [&self.module, &self.keytool, &self.daemon]
    }
}

const PACKAGES: &[&str] =
    &["--package=strongroom-pkcs11", "--package=strongroom-keytool", "--package=strongroomd"];

/// Builds it; without changes this takes no time.
pub(crate) fn build() -> Result<Release> {
    run(cargo(["build", "--release", "--locked"]).args(PACKAGES))?;
    Ok(release())
}

/// Builds it, and a program that measures it: in one go, so that all are compiled with the same
/// features of the same crates, and none of those twice.
pub(crate) fn build_with(package: &str) -> Result<(Release, PathBuf)> {
    let command = &mut cargo(["build", "--release", "--locked"]);
    run(command.args(PACKAGES).arg(format!("--package={package}")))?;
    Ok((release(), target().join("release").join(package)))
}

/// Builds Kryoptic's module, to be measured beside ours.
pub(crate) fn kryoptic() -> Result<PathBuf> {
    debian::install(&debian::PEERS.iter().collect::<Vec<_>>())?;
    let folder = target().join("peers");
    let package = "--manifest-path=tools/xtask/peers/Cargo.toml";
    let command = &mut cargo(["build", "--release", "--locked", "--package=kryoptic", package]);
    run(command.arg("--target-dir").arg(&folder))?;
    Ok(folder.join("release/libkryoptic_pkcs11.so"))
}

/// Builds what is committed here twice, from sources in two places, and compares the bytes.
pub(crate) fn reproduce() -> Result {
    let folder = target().join("reproducible");
    let one = rebuilt(&folder.join("here"))?;
    let other = rebuilt(&folder.join("and/elsewhere"))?;
    for (one, other) in one.files().into_iter().zip(other.files()) {
        let [bytes, others] =
            [one, other].map(|file| fs::read(file).map_err(|error| Failure::file(file, &error)));
        let (bytes, others) = (bytes?, others?);
        if bytes.is_empty() || bytes != others {
            return Err(Failure::new(
                format!("{} and {} differ.", one.display(), other.display()),
                "`diffoscope` shows where; a path or a time of the build is the usual reason.",
            ));
        }
        println!("{}: {} bytes, twice the same", one.display(), bytes.len());
    }
    Ok(())
}

/// Builds what is committed here from sources at a place, with nothing that was built before.
fn rebuilt(sources: &Path) -> Result<Release> {
    if sources.exists() {
        fs::remove_dir_all(sources).map_err(|error| Failure::file(sources, &error))?;
    }
    run(program("git", ["clone", "--quiet", "."]).arg(sources))?;
    let built = sources.join("target");
    let command = &mut cargo(["build", "--release", "--locked"]);
    run(command.args(PACKAGES).current_dir(sources).env("CARGO_TARGET_DIR", &built))?;
    Ok(release_in(&built))
}

fn release() -> Release {
    release_in(&target())
}

fn release_in(target: &Path) -> Release {
    let folder = target.join("release");
    Release {
        module: folder.join("libstrongroom_pkcs11.so"),
        keytool: folder.join("strongroom"),
        daemon: folder.join("strongroomd"),
    }
}

/// Where cargo builds: the whole path, because tests run in their package's folder and containers
/// in their own.
pub(crate) fn target() -> PathBuf {
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    // Refused for an empty name alone, which cargo refuses before us.
    std::path::absolute(&folder).unwrap_or(folder)
}
