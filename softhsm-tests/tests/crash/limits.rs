//! Too little memory for a login, or for what a call is given: an answer, and the process lives on.

use std::fmt::Display;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::raw::{Ended, Forked, limit_address_space, vast};
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, Memory, Module, Param, Rv, Session, USER_PIN, World, count, not_run,
    t, table,
};

use crate::model::{find_token, initialize};

const MIB: u64 = 1 << 20;

/// The codes of the standard for too little memory.
const NO_MEMORY: [CK_RV; 2] = [CKR_DEVICE_MEMORY, CKR_HOST_MEMORY];

/// A token, and a module that is not initialised.
fn token(world: &World) -> &Module {
    world.slot();
    assert_eq!(world.module().finalize(), Rv::OK, "C_Finalize");
    world.module()
}

/// What a process exits with whose login had enough memory, and one whose login was refused for it.
const ENOUGH: i32 = 0;
const REFUSED: i32 = 1;

/// Counts how a process has ended.
fn tell(end: Ended) {
    assert!(matches!(end, Ended::Exit(ENOUGH | REFUSED)), "{end:?}");
    count("little memory: logins", 1);
    count(
        "little memory: logins that were refused for it",
        usize::from(end == Ended::Exit(REFUSED)),
    );
}

/// A session, and how its login ends, which may be refused for want of memory.
fn log_in(module: &Module) -> (Session<'_>, Rv) {
    let session = Session::open(module, find_token(module).expect("the token"), CKF_RW_SESSION);
    let rv = session.login(CKU_USER, USER_PIN);
    assert!(rv == Rv::OK || NO_MEMORY.contains(&rv.0), "C_Login: {rv:?}");
    (session, rv)
}

#[test]
fn a_login_with_little_address_space() {
    let rows = [1, 2, 4, 8, 16, 18, 20, 64].map(|more| (format!("{more} MiB"), more));
    let rows: Vec<_> = rows.iter().map(|(name, more)| (&**name, Passes, *more)).collect();
    table(&rows, |world, more| {
        let module = token(world);
        let child = Forked::start(|| {
            initialize(module);
            let limit = limit_address_space(more * MIB);
            let (session, rv) = log_in(module);
            drop(limit);
            assert!(rv == Rv::OK || *more < 64, "64 MiB are plenty");
            if rv != Rv::OK {
                assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "with memory again");
            }
            // The refusal was no wrong PIN.
            let info = module.token_info(session.slot).expect("C_GetTokenInfo");
            assert_eq!(info.flags & CKF_USER_PIN_COUNT_LOW, 0);
            if rv == Rv::OK { ENOUGH } else { REFUSED }
        });
        tell(child.wait());
        initialize(module);
    });
}

/// How much data a call is given, all zeros: less than there is at the address, so that what is encrypted
/// has room there.
const MUCH: CK_ULONG = (1 << 28) - 4096;

/// How much more memory there is.
const MORE: u64 = 32 * MIB;

/// What a call may answer that can not keep its data, or what comes of it.
const TOO_MUCH: [CK_RV; 4] =
    [CKR_HOST_MEMORY, CKR_DEVICE_MEMORY, CKR_DATA_LEN_RANGE, CKR_ENCRYPTED_DATA_LEN_RANGE];

/// Keys, and what calls are given.
struct Desk<'m> {
    session: Session<'m>,
    aes: CK_OBJECT_HANDLE,
    generic: CK_OBJECT_HANDLE,
    edwards: CK_OBJECT_HANDLE,
    rsa: CK_OBJECT_HANDLE,
    /// Where the data is, and what comes of it goes.
    much: CK_ULONG,
}

impl<'m> Desk<'m> {
    fn new(module: &'m Module) -> Self {
        let (session, rv) = log_in(module);
        assert_eq!(rv, Rv::OK, "C_Login");
        let secret = |kind| {
            let key = t![
                CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind, CKA_VALUE => &[1; 32],
                CKA_ENCRYPT => true, CKA_DECRYPT => true, CKA_SIGN => true, CKA_VERIFY => true,
            ];
            session.create(&key).expect("C_CreateObject")
        };
        let pair = |generator, public: &[Attribute]| {
            let private = t![CKA_SIGN => true];
            session.pair(generator, public, &private).expect("C_GenerateKeyPair").1
        };
        Self {
            session,
            aes: secret(CKK_AES),
            generic: secret(CKK_GENERIC_SECRET),
            edwards: pair(CKM_EC_EDWARDS_KEY_PAIR_GEN, &t![CKA_EC_PARAMS => ED25519]),
            rsa: pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &t![CKA_MODULUS_BITS => 2048_u64]),
            much: vast(),
        }
    }

    fn encrypts(&self, mechanism: Mechanism<'_>) -> Rv {
        self.session.encrypt_init(mechanism, self.aes)
    }

    fn decrypts(&self, mechanism: Mechanism<'_>) -> Rv {
        self.session.decrypt_init(mechanism, self.aes)
    }

    fn digests(&self) -> Rv {
        let sha256 = Mechanism::plain(CKM_SHA256);
        self.session.module.digest_init(self.session.handle, Some(&sha256))
    }

    /// Calls a function that takes data and gives output.
    fn through(&self, name: &str) -> Rv {
        let mut memory = Memory::default();
        let room = memory.words(&[1 << 28]);
        self.call(name, &[self.much, MUCH, self.much, room])
    }

    /// Calls one that takes data.
    fn into(&self, name: &str) -> Rv {
        self.call(name, &[self.much, MUCH])
    }

    fn call(&self, name: &str, words: &[CK_ULONG]) -> Rv {
        let words = [&[self.session.handle], words].concat();
        self.session.module.call(name, &words).expect("a function of the module")
    }
}

/// The curve Ed25519.
const ED25519: &[u8] = &[0x06, 3, 0x2B, 101, 112];

/// What starts a call with much data, and the call.
type Much = (fn(&Desk<'_>) -> Rv, fn(&Desk<'_>) -> Rv);

fn cbc() -> Mechanism<'static> {
    Mechanism::iv(CKM_AES_CBC, &[1; 16])
}

fn cbc_pad() -> Mechanism<'static> {
    Mechanism::iv(CKM_AES_CBC_PAD, &[1; 16])
}

fn ctr() -> Mechanism<'static> {
    Mechanism::with(CKM_AES_CTR, Param::Ctr { bits: 64, block: [0; 16] })
}

fn gcm() -> Mechanism<'static> {
    let param = Param::Gcm { iv: In::Bytes(&[1; 12]), aad: In::NONE, tag_bits: 128 };
    Mechanism::with(CKM_AES_GCM, param)
}

/// Which of them need memory for their data depends on the module, and on whether a daemon has the keys.
const CALLS: &[(&str, Much)] = &[
    ("C_Encrypt by CKM_AES_CBC", (|d| d.encrypts(cbc()), |d| d.through("C_Encrypt"))),
    ("C_Encrypt by CKM_AES_CBC_PAD", (|d| d.encrypts(cbc_pad()), |d| d.through("C_Encrypt"))),
    ("C_Encrypt by CKM_AES_CTR", (|d| d.encrypts(ctr()), |d| d.through("C_Encrypt"))),
    ("C_Encrypt by CKM_AES_GCM", (|d| d.encrypts(gcm()), |d| d.through("C_Encrypt"))),
    ("C_EncryptUpdate by CKM_AES_CBC", (|d| d.encrypts(cbc()), |d| d.through("C_EncryptUpdate"))),
    ("C_EncryptUpdate by CKM_AES_GCM", (|d| d.encrypts(gcm()), |d| d.through("C_EncryptUpdate"))),
    ("C_Decrypt by CKM_AES_CBC_PAD", (|d| d.decrypts(cbc_pad()), |d| d.through("C_Decrypt"))),
    ("C_Decrypt by CKM_AES_GCM", (|d| d.decrypts(gcm()), |d| d.through("C_Decrypt"))),
    ("C_DecryptUpdate by CKM_AES_CBC", (|d| d.decrypts(cbc()), |d| d.through("C_DecryptUpdate"))),
    ("C_DecryptUpdate by CKM_AES_GCM", (|d| d.decrypts(gcm()), |d| d.through("C_DecryptUpdate"))),
    ("C_Digest", (|d| d.digests(), |d| d.through("C_Digest"))),
    ("C_DigestUpdate", (|d| d.digests(), |d| d.into("C_DigestUpdate"))),
    (
        "C_Sign by CKM_SHA256_HMAC",
        (|d| d.session.sign_init(CKM_SHA256_HMAC, d.generic), |d| d.through("C_Sign")),
    ),
    (
        "C_Sign by CKM_SHA256_RSA_PKCS",
        (|d| d.session.sign_init(CKM_SHA256_RSA_PKCS, d.rsa), |d| d.through("C_Sign")),
    ),
    (
        "C_SignUpdate by CKM_SHA256_RSA_PKCS",
        (|d| d.session.sign_init(CKM_SHA256_RSA_PKCS, d.rsa), |d| d.into("C_SignUpdate")),
    ),
    (
        "C_Sign by CKM_EDDSA",
        (|d| d.session.sign_init(CKM_EDDSA, d.edwards), |d| d.through("C_Sign")),
    ),
    ("C_SeedRandom", (|_| Rv::OK, |d| d.into("C_SeedRandom"))),
];

#[test]
fn much_data_with_little_address_space() {
    const ENDS: &str = "it ends the process";
    let rows: Vec<_> = CALLS.iter().map(|(name, much)| (*name, Fails(ENDS), *much)).collect();
    table(&rows, |world, (start, call)| {
        let module = token(world);
        let child = Forked::start(|| {
            initialize(module);
            let desk = Desk::new(module);
            assert_eq!(start(&desk), Rv::OK, "it starts");
            let limit = limit_address_space(MORE);
            let rv = call(&desk);
            drop(limit);
            assert!(rv == Rv::OK || TOO_MUCH.contains(&rv.0), "{rv:?}");
            // Nothing is broken by that.
            assert_eq!(desk.session.close(), Rv::OK);
            let session = Session::open(module, desk.session.slot, CKF_RW_SESSION);
            assert_eq!(session.digest(CKM_SHA256, b"data").map(|digest| digest.len()), Ok(32));
            if rv == Rv::OK { ENOUGH } else { REFUSED }
        });
        let end = child.wait();
        assert!(matches!(end, Ended::Exit(ENOUGH | REFUSED)), "{end:?}");
        count("little memory: calls with much data", 1);
        count(
            "little memory: calls with much data that were refused for it",
            usize::from(end == Ended::Exit(REFUSED)),
        );
        initialize(module);
    });
}

/// A control group of this test's own.
struct Group {
    /// Where all groups are.
    root: &'static Path,
    path: PathBuf,
}

impl Group {
    /// One that may have so many MiB, if the system lets us make it.
    fn new(mib: u64) -> Option<Self> {
        let name = format!("strongroom-test-{}-{mib}", process::id());
        let of = |root: &'static str, file: &str| {
            let root = Path::new(root);
            let group = Self { root, path: root.join(&name) };
            fs::create_dir(&group.path).ok()?;
            group.say(file, mib * MIB).ok()?;
            Some(group)
        };
        of("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            .or_else(|| of("/sys/fs/cgroup", "memory.max"))
    }

    /// Writes into a file that is there, or this is no group.
    fn say(&self, file: &str, number: impl Display) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path.join(file))?;
        file.write_all(number.to_string().as_bytes())
    }

    /// Puts the process that calls into the group. Says whether it is in there now and knows it: in a
    /// container its own name for the group may be another one.
    fn enter(&self) -> bool {
        if self.say("cgroup.procs", process::id()).is_err() {
            return false;
        }
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let path =
            |line: &str| Some(line.splitn(3, ':').nth(2)?.trim_start_matches('/').to_owned());
        groups.lines().filter_map(path).any(|path| self.root.join(path) == self.path)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// What a process exits with that can not enter its group.
const STAYS_OUTSIDE: i32 = 77;

#[test]
fn a_login_in_a_small_container() {
    let rows = [48, 24, 16].map(|mib| (format!("{mib} MiB"), mib));
    let rows: Vec<_> = rows.iter().map(|(name, mib)| (&**name, Passes, *mib)).collect();
    table(&rows, |world, mib| {
        let module = token(world);
        let Some(group) = Group::new(*mib) else {
            not_run("nobody here may make a control group with a limit on memory")
        };
        let child = Forked::start(|| {
            if !group.enter() {
                return STAYS_OUTSIDE;
            }
            initialize(module);
            let (_, rv) = log_in(module);
            assert!(rv == Rv::OK || *mib < 48, "48 MiB are enough");
            if rv == Rv::OK { ENOUGH } else { REFUSED }
        });
        let end = child.wait();
        drop(group);
        if end == Ended::Exit(STAYS_OUTSIDE) {
            not_run("nobody here may enter a control group of his own");
        }
        tell(end);
        initialize(module);
    });
}
