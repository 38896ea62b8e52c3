//! What the OCI image of the daemon is made of.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::process::{cargo, run};
use crate::release::target;

/// What is in the image: the package and its program.
const PROGRAMS: [(&str, &str); 2] =
    [("strongroomd", "strongroomd"), ("strongroom-keytool", "strongroom")];

/// How it is put together.
const CONTAINERFILE: &str = "tools/strongroomd/deploy/oci/Containerfile";

/// Puts it together, and says what to do with it.
pub(crate) fn make() -> Result {
    let context = context()?;
    println!("podman build --tag localhost/strongroomd {}", context.display());
    Ok(())
}

/// The directory to build the image of.
pub(crate) fn context() -> Result<PathBuf> {
    let context = target().join("image");
    let empty = context.join("empty");
    fs::create_dir_all(&empty).map_err(|error| Failure::file(&empty, &error))?;
    copy(Path::new(CONTAINERFILE), &context.join("Containerfile"))?;
    for (package, program) in PROGRAMS {
        // Nothing but the last step differs from the release.
        let build = ["rustc", "--release", "--locked", "--package", package, "--bin", program];
        run(cargo(build).args(["--", "-C", "target-feature=+crt-static"]))?;
        copy(&target().join("release").join(program), &context.join(program))?;
    }
    Ok(context)
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::copy(from, to).map(drop).map_err(|error| Failure::file(from, &error))
}
