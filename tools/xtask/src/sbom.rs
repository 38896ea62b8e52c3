//! `sbom`: what the release is made of, as CycloneDX has it: each crate with its version, its licence and
//! where it comes from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::{Failure, Result};
use crate::process::{capture, cargo, run_and_quote, tool};
use crate::release::target;

/// What is released: each package, and its folder.
const RELEASE: [(&str, &str); 3] = [
    ("strongroom-pkcs11", "pkcs11-module"),
    ("strongroom-keytool", "tools/keytool"),
    ("strongroomd", "tools/strongroomd"),
];

/// How the lists are called that cargo-cyclonedx puts beside the manifest of each package.
const BESIDE: &str = "strongroom-sbom";

/// Writes a list for each of them, and says where.
pub(crate) fn make() -> Result {
    tool("cargo-cyclonedx")?;
    let command = &mut cargo(["cyclonedx", "--format=json", "--spec-version=1.5"]);
    let written = run_and_quote(command.args(["--quiet", "--override-filename", BESIDE]));
    let moved = written.and_then(|()| RELEASE.iter().try_for_each(|&(name, at)| keep(name, at)));
    remove_beside(Path::new("."))?;
    moved
}

/// Writes the lists, and holds them against what cargo links.
pub(crate) fn check() -> Result {
    make()?;
    RELEASE.iter().try_for_each(|(package, _)| hold(package))
}

fn place(package: &str) -> PathBuf {
    target().join("sbom").join(format!("{package}.cdx.json"))
}

/// Takes the list of a package to where it stays. Where the tree lies on this machine is nobody's business.
fn keep(package: &str, folder: &str) -> Result {
    let beside = Path::new(folder).join(format!("{BESIDE}.json"));
    let text = fs::read_to_string(&beside).map_err(|error| Failure::file(&beside, &error))?;
    let root = fs::canonicalize(".").map_err(|error| Failure::file(Path::new("."), &error))?;
    let text = text.replace(&format!("{}/", root.display()), "");
    let place = place(package);
    let written =
        fs::create_dir_all(place.with_file_name("")).and_then(|()| fs::write(&place, text));
    written.map_err(|error| Failure::file(&place, &error))?;
    println!("{}", place.display());
    Ok(())
}

/// Every package of the workspace gets a list, whichever was asked for.
fn remove_beside(folder: &Path) -> Result {
    let failed = |error| Failure::file(folder, &error);
    let list = format!("{BESIDE}.json");
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let own = name != "target" && !name.to_string_lossy().starts_with('.');
        if own && entry.file_type().map_err(failed)?.is_dir() {
            remove_beside(&entry.path())?;
        } else if name == list.as_str() {
            fs::remove_file(entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

/// Fails if a crate is missing in the list of a package, or has no licence there.
fn hold(package: &str) -> Result {
    let place = place(package);
    let text = fs::read_to_string(&place).map_err(|error| Failure::file(&place, &error))?;
    let crates = linked(package)?;
    // Behind a version the name ends, or goes on with where a crate of ours lies.
    let is_named = |it: &&String| {
        ['"', '?'].iter().any(|end| text.contains(&format!("\"pkg:cargo/{it}{end}")))
    };
    let missing: Vec<&String> = crates.iter().filter(|it| !is_named(it)).collect();
    let components = text.matches("\"bom-ref\": ").count();
    let licensed = text.matches("\"licenses\": ").count();
    // Nothing but a crate has a licence.
    if crates.is_empty() || !missing.is_empty() || licensed < crates.len() {
        return Err(Failure::new(
            format!(
                "{} has {components} entries, {licensed} licences, and not {missing:?}.",
                place.display()
            ),
            format!("Hold it against `cargo tree --package {package}`."),
        ));
    }
    println!("{package}: {} crates, each with its licence", crates.len());
    Ok(())
}

/// The crates that a package is linked from and built by: `name@version`.
fn linked(package: &str) -> Result<BTreeSet<String>> {
    let command = ["tree", "--locked", "--package", package, "--prefix=none"];
    let output = capture(cargo(command).args(["--edges=normal,build", "--format={p}"]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = |line: &str| {
        let mut words = line.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        Some(format!("{name}@{version}"))
    };
    Ok(text.lines().filter_map(named).collect())
}
