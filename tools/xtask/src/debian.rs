//! What comes from Debian, and how it gets here.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;
use std::{env, io};

use crate::failure::{Failure, Result};
use crate::process::{find, run, succeeds};

/// A package, and how to see that it is there. The sight counts, not Debian's database: on other
/// systems, or with programs of your own, nothing needs to be installed.
#[derive(Debug)]
pub(crate) struct Package {
    name: &'static str,
    sign: Sign,
}

#[derive(Debug)]
enum Sign {
    /// A program in the search path, or among those for administrators.
    Program(&'static str),
    /// A file.
    File(&'static str),
    /// A file below a library directory of the system.
    Library(&'static str),
}

/// What `demo` needs. A C compiler is not in the list: without one, cargo could not have linked
/// this program.
pub(crate) const DEMO: &[Package] = &[
    Package { name: "openssl", sign: Sign::Program("openssl") },
    Package { name: "libengine-pkcs11-openssl", sign: Sign::Library("engines-3/pkcs11.so") },
];

/// What builds the modules that `bench --peers` compares with.
pub(crate) const PEERS: &[Package] = &[
    Package { name: "libclang-dev", sign: Sign::Library("libclang-14.so.1") },
    Package { name: "libsqlite3-dev", sign: Sign::File("/usr/include/sqlite3.h") },
    Package { name: "libssl-dev", sign: Sign::File("/usr/include/openssl/evp.h") },
    Package { name: "pkg-config", sign: Sign::Program("pkg-config") },
];

/// What `ci` and `bench` need beyond that: SoftHSM2 to compare with, and the clients.
pub(crate) const CI: &[Package] = &[
    Package { name: "binutils", sign: Sign::Program("nm") },
    Package { name: "procps", sign: Sign::Program("ps") },
    Package { name: "softhsm2", sign: Sign::Program("softhsm2-util") },
    Package { name: "libsofthsm2", sign: Sign::Library("softhsm/libsofthsm2.so") },
    Package { name: "libnss3-tools", sign: Sign::Program("certutil") },
    Package { name: "g++", sign: Sign::Program("g++") },
    Package { name: "libcppunit-dev", sign: Sign::Library("libcppunit.so") },
    Package { name: "opensc", sign: Sign::Program("pkcs11-tool") },
    Package { name: "gnutls-bin", sign: Sign::Program("p11tool") },
    Package { name: "p11-kit", sign: Sign::Program("p11-kit") },
    Package { name: "p11-kit-modules", sign: Sign::Library("pkcs11/p11-kit-client.so") },
    Package { name: "valgrind", sign: Sign::Program("valgrind") },
    Package { name: "iproute2", sign: Sign::Program("ip") },
    Package { name: "curl", sign: Sign::Program("curl") },
    Package { name: "openssh-client", sign: Sign::Program("ssh-agent") },
    Package { name: "openssh-server", sign: Sign::Program("sshd") },
    Package { name: "default-jdk-headless", sign: Sign::Program("javac") },
    Package { name: "libnss3-tools", sign: Sign::Program("modutil") },
    Package { name: "poppler-utils", sign: Sign::Program("pdfsig") },
    Package { name: "bind9-utils", sign: Sign::Program("dnssec-verify") },
    Package { name: "knot-dnssecutils", sign: Sign::Program("kzonesign") },
    Package { name: "knot", sign: Sign::Program("keymgr") },
    Package { name: "nginx-light", sign: Sign::Program("nginx") },
    Package { name: "osslsigncode", sign: Sign::Program("osslsigncode") },
    Package { name: "strongswan-pki", sign: Sign::Program("pki") },
    Package {
        name: "libstrongswan-extra-plugins",
        sign: Sign::Library("ipsec/plugins/libstrongswan-pkcs11.so"),
    },
    Package {
        name: "libstrongswan-standard-plugins",
        sign: Sign::Library("ipsec/plugins/libstrongswan-openssl.so"),
    },
    Package { name: "python3", sign: Sign::Program("python3") },
    Package {
        name: "python3-prometheus-client",
        sign: Sign::File("/usr/lib/python3/dist-packages/prometheus_client/openmetrics/parser.py"),
    },
    Package {
        name: "python3-kubernetes",
        sign: Sign::File(
            "/usr/lib/python3/dist-packages/kubernetes/client/models/v1_daemon_set.py",
        ),
    },
    Package { name: "python3-pip", sign: Sign::Program("pip3") },
    Package { name: "nodejs", sign: Sign::Program("node") },
    Package { name: "libnode-dev", sign: Sign::File("/usr/include/node/node.h") },
    Package { name: "npm", sign: Sign::Program("npm") },
    Package { name: "g++", sign: Sign::Program("g++") },
    Package { name: "make", sign: Sign::Program("make") },
    Package { name: "musl-tools", sign: Sign::Program("musl-gcc") },
    Package { name: "xz-utils", sign: Sign::Program("xz") },
    Package { name: "bubblewrap", sign: Sign::Program("bwrap") },
    Package { name: "podman", sign: Sign::Program("podman") },
    Package { name: "runc", sign: Sign::Program("runc") },
    Package { name: "systemd", sign: Sign::Program("systemd-analyze") },
    Package { name: "util-linux", sign: Sign::Program("setpriv") },
];

/// The library directories of Debian and of others.
const LIBRARIES: &[&str] =
    &["/usr/lib/{arch}-linux-gnu", "/usr/lib", "/usr/lib64", "/usr/local/lib"];

/// Installs the packages that are missing; without any, does nothing.
pub(crate) fn install(packages: &[&Package]) -> Result {
    let missing: Vec<&str> =
        packages.iter().filter(|package| !package.here()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Missing from this machine: {}.", missing.join(" "));
    let apt = || privileged(&missing);
    run(apt()?.args(["update", "--quiet"]))?;
    run(apt()?.args(["install", "--yes", "--no-install-recommends"]).args(&missing))
}

/// A file below one of the system's library directories.
pub(crate) fn library(name: &str) -> Option<std::path::PathBuf> {
    LIBRARIES
        .iter()
        .map(|folder| Path::new(&folder.replace("{arch}", env::consts::ARCH)).join(name))
        .find(|path| path.exists())
}

impl Package {
    fn here(&self) -> bool {
        match self.sign {
            Sign::Program(name) => {
                find(name).is_some() || Path::new("/usr/sbin").join(name).is_file()
            }
            Sign::File(path) => Path::new(path).is_file(),
            Sign::Library(name) => library(name).is_some(),
        }
    }
}

/// `apt-get` with the right to install.
fn privileged(missing: &[&str]) -> Result<Command> {
    let wanted = missing.join(" ");
    if find("apt-get").is_none() {
        return Err(Failure::new(
            "This is not Debian, and something is missing.",
            format!("Install what Debian calls {wanted}, then try again."),
        ));
    }
    let words = apt_get().ok_or_else(|| {
        Failure::new(
            "Packages are missing, and this account may not install any: it is not root, and \
             there is no sudo that lets it.",
            format!("Ask whoever may for: apt-get install {wanted}"),
        )
    })?;
    let mut command = Command::new("env");
    if let Some((first, rest)) = words.split_first() {
        command = Command::new(first);
        command.args(rest);
    }
    Ok(command)
}

/// As root, or by sudo; sudo may ask for a password where somebody can type it.
fn apt_get() -> Option<Vec<&'static str>> {
    const APT: &[&str] = &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    if is_root() {
        return Some(APT.to_vec());
    }
    find("sudo")?;
    let quiet = succeeds(Command::new("sudo").args(["-n", "true"]));
    (quiet || io::stdin().is_terminal()).then(|| [&["sudo"], APT].concat())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
