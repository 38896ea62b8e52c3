//! Finding and loading the PKCS#11 module.

use std::path::{Path, PathBuf};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};

use crate::errors::{During, Failure, Result};
use crate::exit::Exit;

/// The file name of Strongroom's own module.
const FILE_NAME: &str = "libstrongroom_pkcs11.so";

/// Whether this is Strongroom's own module: by its name, or because no other was named.
pub(crate) fn is_ours(named: Option<&Path>) -> bool {
    named.is_none_or(|path| path.file_name().is_some_and(|name| name == FILE_NAME))
}

/// Where modules are, relative to the program that is installed with them.
const NEAR: &[&str] = &["", "../lib", "../lib/pkcs11"];

/// Where the system keeps modules, once Strongroom is installed.
const SYSTEM: &[&str] = &[
    "/usr/local/lib/pkcs11",
    "/usr/local/lib",
    "/usr/lib/pkcs11",
    "/usr/lib64/pkcs11",
    "/usr/lib/x86_64-linux-gnu/pkcs11",
    "/usr/lib/aarch64-linux-gnu/pkcs11",
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
];

/// A loaded and initialised module; dropping it finalises it.
pub(crate) struct Module {
    pkcs11: Pkcs11,
    /// The file it came from.
    pub(crate) path: PathBuf,
}

impl Module {
    /// Loads the module that was named, or Strongroom's own from where it is installed.
    pub(crate) fn load(named: Option<&Path>) -> Result<Self> {
        let path = path(named)?;
        let what = || format!("cannot use the PKCS#11 module {}", path.display());
        let pkcs11 = Pkcs11::new(&path).map_err(|error| {
            Failure::new(Exit::Module, what())
                .cause(error)
                .help("check --module and STRONGROOM_MODULE; the file must be a PKCS#11 library")
        })?;
        pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).map_err(
            |error| {
                Failure::new(Exit::Module, what()).cause(error).help(
                    "check that the module's configuration exists and that your account may use \
                     its store; `strongroom check` looks at Strongroom's",
                )
            },
        )?;
        Ok(Self { pkcs11, path })
    }

    /// What the module calls itself.
    pub(crate) fn description(&self) -> Result<String> {
        let info = self.pkcs11.get_library_info().during("cannot ask the module what it is")?;
        Ok(format!(
            "{} {} {} (PKCS#11 {})",
            info.manufacturer_id(),
            info.library_description(),
            info.library_version(),
            info.cryptoki_version()
        ))
    }
}

impl std::ops::Deref for Module {
    type Target = Pkcs11;

    fn deref(&self) -> &Pkcs11 {
        &self.pkcs11
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        // The process ends here; a module that cannot finalise changes nothing.
        let _ended = self.pkcs11.clone().finalize();
    }
}

/// The module that was named, or Strongroom's own from where it is installed.
pub(crate) fn path(named: Option<&Path>) -> Result<PathBuf> {
    named.map_or_else(find, |path| Ok(path.to_owned()))
}

fn find() -> Result<PathBuf> {
    let near = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let near = near.iter().flat_map(|folder| NEAR.iter().map(|part| folder.join(part)));
    let candidates: Vec<PathBuf> =
        near.chain(SYSTEM.iter().map(PathBuf::from)).map(|folder| folder.join(FILE_NAME)).collect();
    candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(Exit::Module, format!("cannot find {FILE_NAME}"))
            .cause("it is neither near this program nor in the library directories of the system")
            .help("name the module with --module FILE or in STRONGROOM_MODULE")
    })
}
