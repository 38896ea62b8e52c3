//! What a signature costs by each way to a key, in one run.
//!
//! `trips MODULE DAEMON` makes a store and starts the daemon, p11-kit's server and this program anew
//! for each way, in turns, and prints a table. A signature is `C_SignInit` and `C_Sign`.

#![allow(
    clippy::as_conversions,
    clippy::cast_precision_loss,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that can not be made fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_OBJECT_HANDLE, CKA_EC_PARAMS, CKA_MODULUS_BITS, CKA_SIGN, CKF_RW_SESSION,
    CKM_EC_KEY_PAIR_GEN, CKM_ECDSA, CKM_RSA_PKCS_KEY_PAIR_GEN, CKM_SHA256_RSA_PKCS, CKU_USER,
};
use strongroom_softhsm_tests::world::{blank_slot, set_user_pin, slot_of};
use strongroom_softhsm_tests::{InitArgs, LABEL, Module, Room, Rv, SO_PIN, Session, USER_PIN, t};

const SOFTHSM2: &str = "/usr/lib/softhsm/libsofthsm2.so";
const P256: &[u8] = &[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const ROUNDS: usize = 3;
const TIME: Duration = Duration::from_millis(700);
const CALLERS: usize = 8;

fn main() {
    let arguments: Vec<_> = env::args_os().skip(1).map(PathBuf::from).collect();
    match arguments.as_slice() {
        [one, module] if one == Path::new("--one") => measure(module),
        [module, daemon] => compare(&absolute(module), &absolute(daemon)),
        _ => println!("trips MODULE DAEMON"),
    }
}

fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().expect("a file")
}

/// A program that is stopped when nobody needs it any more.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, socket: &Path) -> Self {
        let server = Self(command.stdin(Stdio::null()).spawn().expect("the server starts"));
        let start = Instant::now();
        while !socket.exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "{} is not there", socket.display());
            thread::sleep(Duration::from_millis(10));
        }
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Measures all ways, in turns, and prints the best of each.
fn compare(module: &Path, daemon: &Path) {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    let write = |name: &str, text: String| fs::write(at(name), text).expect("a file");
    write("here.toml", "[store]\npath = 'here'\n".into());
    write(
        "there.toml",
        "[store]\npath = 'there'\n[daemon]\nsocket = 'our.sock'\np11kit = 'p11kit.sock'\n".into(),
    );
    fs::create_dir(at("tokens")).expect("a directory");
    write("softhsm2.conf", format!("directories.tokendir = {}\n", at("tokens").display()));
    let softhsm2_conf = ("SOFTHSM2_CONF", at("softhsm2.conf").display().to_string());
    let client = fs::read_dir("/usr/lib")
        .expect("/usr/lib")
        .filter_map(|entry| Some(entry.ok()?.path().join("pkcs11/p11-kit-client.so")))
        .find(|path| path.exists())
        .expect("p11-kit-modules is installed");
    let socket = |name: &str| at(name).display().to_string();
    let p11kit = |name: &str| ("P11_KIT_SERVER_ADDRESS", format!("unix:path={}", socket(name)));
    let ways = [
        ("Strongroom in process", module, ("STRONGROOM_CONF", socket("here.toml"))),
        ("Strongroom, its own wire", module, ("STRONGROOM_SOCKET", socket("our.sock"))),
        ("Strongroom, p11-kit's client", client.as_path(), p11kit("p11kit.sock")),
        ("SoftHSM2 in process", Path::new(SOFTHSM2), softhsm2_conf.clone()),
        ("SoftHSM2, p11-kit's client and server", client.as_path(), p11kit("softhsm2.sock")),
    ];
    let _daemon = Server::start(
        Command::new(daemon).arg("--config").arg(at("there.toml")),
        &at("p11kit.sock"),
    );
    let mut server = None;
    let mut best = BTreeMap::new();
    for round in 0..ROUNDS {
        for (way, (_, module, (name, value))) in ways.iter().enumerate() {
            if way + 1 == ways.len() && round == 0 {
                // By now there is a token for it to show.
                server = Some(Server::start(
                    Command::new("p11-kit")
                        .args(["server", "--foreground", "--provider", SOFTHSM2, "--name"])
                        .arg(at("softhsm2.sock"))
                        .arg(format!("pkcs11:token={}", LABEL.replace(' ', "%20")))
                        .env(softhsm2_conf.0, &softhsm2_conf.1)
                        .stdout(Stdio::null()),
                    &at("softhsm2.sock"),
                ));
            }
            let mut command = Command::new(env::current_exe().expect("this program"));
            command.arg("--one").arg(module).env(name, value);
            let output = command.stderr(Stdio::inherit()).output().expect("this program");
            assert!(output.status.success(), "{}", module.display());
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let figures =
                text.split_whitespace().map(|word| word.parse::<f64>().expect("a number"));
            for (what, figure) in figures.enumerate() {
                let kept = best.entry((way, what)).or_insert(figure);
                *kept = if what == 0 { kept.min(figure) } else { kept.max(figure) };
            }
        }
    }
    drop(server);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    println!(
        "| A key's way, {processors} processors | P-256, median µs | RSA 2048 with SHA-256, one caller, per s | {CALLERS} callers, per s |"
    );
    println!("|---|---:|---:|---:|");
    for (way, (name, ..)) in ways.iter().enumerate() {
        let figure = |what| best.get(&(way, what)).copied().unwrap_or_default();
        println!("| {name} | {:.1} | {:.0} | {:.0} |", figure(0), figure(1), figure(2));
    }
}

/// Measures one way.
fn measure(path: &Path) {
    let module = &Module::load(path);
    assert_eq!(module.initialize(InitArgs::Flags(cryptoki_sys::CKF_OS_LOCKING_OK)), Rv::OK);
    let slot = slot_of(module, LABEL).unwrap_or_else(|| {
        let blank = blank_slot(module);
        assert_eq!(module.init_token(blank, SO_PIN.into(), LABEL), Rv::OK, "C_InitToken");
        let slot = slot_of(module, LABEL).expect("the new token is in a slot");
        set_user_pin(module, slot);
        slot
    });
    let open = || Session::open(module, slot, CKF_RW_SESSION);
    let session = open();
    assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "C_Login");
    let sign = t![CKA_SIGN => true];
    let ec = t![CKA_EC_PARAMS => P256];
    let (_, ec) = session.pair(CKM_EC_KEY_PAIR_GEN, &ec, &sign).expect("an EC key");
    let rsa = t![CKA_MODULUS_BITS => 2048];
    let (_, rsa) = session.pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &rsa, &sign).expect("an RSA key");

    let mut times = signatures(&session, CKM_ECDSA, ec, 64);
    times.sort();
    let median = times.get(times.len() / 2).expect("a signature").as_secs_f64() * 1e6;
    let rate = |callers: usize| -> f64 {
        thread::scope(|scope| {
            let one = || signatures(&open(), CKM_SHA256_RSA_PKCS, rsa, 256).len() as f64;
            let callers: Vec<_> = (0..callers).map(|_| scope.spawn(one)).collect();
            callers.into_iter().map(|caller| caller.join().expect("a caller")).sum()
        })
    };
    let [alone, together] = [1, CALLERS].map(|callers| rate(callers) / TIME.as_secs_f64());
    println!("{median} {alone} {together}");
}

/// How long each signature took of those that were made in the time that there is.
fn signatures(
    session: &Session<'_>,
    mechanism: CK_MECHANISM_TYPE,
    key: CK_OBJECT_HANDLE,
    len: usize,
) -> Vec<Duration> {
    let data = &[0x5a; 32];
    let mut times = Vec::new();
    let start = Instant::now();
    while start.elapsed() < TIME {
        let begun = Instant::now();
        assert_eq!(session.sign_init(mechanism, key), Rv::OK, "C_SignInit");
        let signed = session.module.sign(session.handle, data.into(), Room::Bytes(len));
        assert_eq!(signed.rv, Rv::OK, "C_Sign");
        times.push(begun.elapsed());
    }
    times
}
