//! The settings of `softhsm2.conf`, on modules that find no other configuration.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes};
use strongroom_softhsm_tests::raw::{Ended, Forked, set_variable};
use strongroom_softhsm_tests::world::{blank_slot, set_user_pin, slot_of, slots};
use strongroom_softhsm_tests::{
    InitArgs, LABEL, Module, Rv, SO_PIN, Session, USER_PIN, World, case_as_softhsm2, t,
    table_as_softhsm2,
};

use crate::keys;

/// Where the tokens lie, unless a line says otherwise.
fn tokens(world: &World) -> PathBuf {
    world.directory().join("tokens")
}

/// Starts the module with a `softhsm2.conf` of these lines; stops it first, if it was started.
fn started_with<'w>(world: &'w World, lines: &str) -> &'w Module {
    assert_eq!(start_with(world, lines), Rv::OK, "C_Initialize");
    world.module()
}

fn start_with(world: &World, lines: &str) -> Rv {
    let tokens = tokens(world);
    fs::create_dir_all(&tokens).expect("a directory for tokens");
    let text = format!("directories.tokendir = {}\n{lines}\n", tokens.display());
    let file = std::env::var_os("SOFTHSM2_CONF").expect("a configuration");
    fs::write(file, text).expect("the configuration is written");
    start(world)
}

fn start(world: &World) -> Rv {
    let stopped = world.module().finalize();
    assert!(stopped == CKR_OK || stopped == CKR_CRYPTOKI_NOT_INITIALIZED, "{stopped:?}");
    world.module().initialize(InitArgs::Flags(CKF_OS_LOCKING_OK))
}

/// Makes a token with both PINs, and tells its slot.
fn make_token(module: &Module, label: &str) -> CK_SLOT_ID {
    assert_eq!(module.init_token(blank_slot(module), SO_PIN.into(), label), Rv::OK, "C_InitToken");
    let slot = slot_of(module, label).expect("the new token is in a slot");
    set_user_pin(module, slot);
    slot
}

/// All that lies below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            all.extend(files(&path));
        }
        all.push(path);
    }
    all
}

fn mechanisms(module: &Module) -> Vec<CK_MECHANISM_TYPE> {
    let slot = blank_slot(module);
    let (rv, count, _) = module.mechanism_list(slot, None);
    assert_eq!(rv, Rv::OK, "C_GetMechanismList");
    let (rv, _, list) = module.mechanism_list(slot, Some(count));
    assert_eq!(rv, Rv::OK, "C_GetMechanismList");
    list
}

#[test]
fn tokens_lie_in_tokendir() {
    case_as_softhsm2(Passes, |world| {
        let other = world.directory().join("other tokens");
        fs::create_dir(&other).expect("a directory");
        let elsewhere = format!("directories.tokendir = {}/", other.display());
        let module = started_with(world, &elsewhere);
        assert!(files(&other).is_empty(), "nothing is made before a token is");
        make_token(module, "elsewhere");
        assert!(!files(&other).is_empty());
        assert!(files(&tokens(world)).is_empty());

        let module = started_with(world, "");
        assert_eq!(slot_of(module, "elsewhere"), None);
        make_token(module, "here");
        let module = started_with(world, &elsewhere);
        assert_eq!(slot_of(module, "here"), None);
        let slot = slot_of(module, "elsewhere").expect("the token of before");
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "C_Login");
    });
}

#[test]
fn slots_may_be_removable() {
    let rows = &[
        ("not said", Passes, ("", false)),
        ("false", Passes, ("slots.removable = false", false)),
        ("true", Passes, ("slots.removable = true", true)),
        ("True", Passes, ("slots.removable = True", true)),
        ("neither", Passes, ("slots.removable = yes", false)),
    ];
    table_as_softhsm2(rows, |world, (lines, removable)| {
        let module = started_with(world, lines);
        for slot in slots(module) {
            let flags = module.slot_info(slot).expect("C_GetSlotInfo").flags;
            let expected = if *removable { CKF_REMOVABLE_DEVICE } else { 0 };
            assert_eq!(flags & CKF_REMOVABLE_DEVICE, expected);
            assert_eq!(flags & CKF_TOKEN_PRESENT, CKF_TOKEN_PRESENT);
        }
    });
}

#[test]
fn the_list_of_mechanisms() {
    const UNTRIMMED: &str = "a name with a space before it is not known to it";
    let rows = &[
        ("one", Passes, ("CKM_SHA256", vec![CKM_SHA256])),
        ("two", Passes, ("CKM_RSA_X_509,CKM_RSA_PKCS", vec![CKM_RSA_X_509, CKM_RSA_PKCS])),
        (
            "with spaces",
            Fails(UNTRIMMED),
            ("CKM_RSA_X_509, CKM_RSA_PKCS", vec![CKM_RSA_X_509, CKM_RSA_PKCS]),
        ),
        ("a name that is none", Passes, ("CKM_RSA_PKCS,CKM_NO_SUCH", vec![CKM_RSA_PKCS])),
        ("names that are none", Passes, ("CKM_NO_SUCH", vec![])),
        ("a comma at the end", Passes, ("CKM_RSA_PKCS,", vec![CKM_RSA_PKCS])),
        ("in small letters", Passes, ("ckm_sha256", vec![])),
    ];
    table_as_softhsm2(rows, |world, (names, expected)| {
        let module = started_with(world, &format!("slots.mechanisms = {names}"));
        let found: BTreeSet<_> = mechanisms(module).into_iter().collect();
        assert_eq!(found, expected.iter().copied().collect());
    });
}

#[test]
fn the_list_of_mechanisms_that_are_not_there() {
    const FIRST: &str = "the sign is taken for a part of the first name; mended since";
    let rows = &[
        ("ALL", Passes, ("ALL", vec![])),
        ("one", Fails(FIRST), ("-CKM_SHA256", vec![CKM_SHA256])),
        ("two", Fails(FIRST), ("-CKM_RSA_X_509,CKM_RSA_PKCS", vec![CKM_RSA_X_509, CKM_RSA_PKCS])),
        (
            "with spaces",
            Fails(FIRST),
            ("- CKM_RSA_X_509, CKM_RSA_PKCS", vec![CKM_RSA_X_509, CKM_RSA_PKCS]),
        ),
        ("the sign by itself", Passes, ("-,CKM_SHA256", vec![CKM_SHA256])),
        ("a name that is none", Passes, ("-CKM_NO_SUCH,CKM_SHA512", vec![CKM_SHA512])),
        ("twice", Passes, ("-CKM_SHA512,CKM_SHA512", vec![CKM_SHA512])),
    ];
    table_as_softhsm2(rows, |world, (names, missing)| {
        let all: BTreeSet<_> = mechanisms(started_with(world, "")).into_iter().collect();
        assert!(missing.iter().all(|mechanism| all.contains(mechanism)));
        let module = started_with(world, &format!("slots.mechanisms = {names}"));
        let found: BTreeSet<_> = mechanisms(module).into_iter().collect();
        let expected: BTreeSet<_> =
            all.into_iter().filter(|mechanism| !missing.contains(mechanism)).collect();
        assert_eq!(found, expected);
    });
}

#[test]
fn a_mechanism_off_the_list_is_not_used() {
    const NOT_ASKED: &str = "the list is not asked when keys are generated or data is digested";
    let rows = &[
        ("a key is used", Passes, 0),
        ("a key is generated", Fails(NOT_ASKED), 1),
        ("data is digested", Fails(NOT_ASKED), 2),
        ("it is asked for", Fails("C_GetMechanismInfo tells of it"), 3),
    ];
    table_as_softhsm2(rows, |world, case| {
        let list = "slots.mechanisms = -CKM_AES_KEY_GEN,CKM_AES_CBC,CKM_SHA256";
        let module = started_with(world, list);
        let slot = slot_of(module, LABEL).unwrap_or_else(|| make_token(module, LABEL));
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        let answer = match case {
            0 => {
                let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
                let cbc = strongroom_softhsm_tests::Mechanism::iv(CKM_AES_CBC, &[0; 16]);
                session.encrypt_init(cbc, key)
            }
            1 => session.generate(CKM_AES_KEY_GEN, &keys::aes()).err().unwrap_or(Rv::OK),
            2 => session.digest(CKM_SHA256, b"data").err().unwrap_or(Rv::OK),
            _ => module.mechanism_info(slot, CKM_SHA256).err().unwrap_or(Rv::OK),
        };
        assert_eq!(answer, CKR_MECHANISM_INVALID);
    });
}

#[test]
fn files_are_for_their_owner() {
    const LATER: &str = "objectstore.umask came with 2.7; it is always 077";
    let rows = &[
        ("not said", Passes, ("", 0o077, 0)),
        ("0077", Passes, ("objectstore.umask = 0077", 0o077, 0)),
        ("0027", Fails(LATER), ("objectstore.umask = 0027", 0o027, 0o040)),
        ("0007", Fails(LATER), ("objectstore.umask = 0007", 0o007, 0o060)),
        ("nonsense", Passes, ("objectstore.umask = rw", 0o077, 0)),
    ];
    table_as_softhsm2(rows, |world, (lines, never, granted)| {
        let directory = world.directory().join(format!("tokens {never:o}"));
        fs::create_dir_all(&directory).expect("a directory");
        // What the directory does not grant, no file in it does.
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o770)).expect("its mode");
        let place = format!("directories.tokendir = {}", directory.display());
        let module = started_with(world, &format!("{place}\n{lines}"));
        let slot = make_token(module, "masked");
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        session.create(&[keys::data("data"), t![CKA_TOKEN => true]].concat()).expect("an object");
        let mut files = files(&directory);
        // Empty: whoever may have tokens in the directory waits there in line.
        files.retain(|file| !file.ends_with("pin.lock"));
        assert!(!files.is_empty());
        let mut union = 0;
        for file in files {
            let mode = fs::metadata(&file).expect("a file").permissions().mode() & 0o777;
            assert_eq!(mode & never, 0, "{} has mode {mode:o}", file.display());
            // The key to the store is nobody's business but the owner's.
            union |= if file.extension().is_some_and(|end| end == "key") { 0 } else { mode };
        }
        assert_eq!(union & granted, *granted, "the modes together are {union:o}");
        assert_eq!(module.finalize(), Rv::OK);
        fs::remove_dir_all(&directory).expect("removed");
    });
}

#[test]
fn the_log_goes_to_a_file() {
    const LATER: &str = "log.file came with 2.7";
    let rows = &[
        ("DEBUG", Fails(LATER), ("log.level = DEBUG", true, true)),
        ("WARNING", Fails(LATER), ("log.level = WARNING", false, true)),
        ("ERROR", Passes, ("log.level = ERROR", false, false)),
    ];
    table_as_softhsm2(rows, |world, (level, calls, refusals)| {
        let log = world.directory().join(level.replace(' ', "_"));
        let module = started_with(world, &format!("{level}\nlog.file = {}", log.display()));
        // A call that succeeds, and one that is refused.
        module.info().expect("C_GetInfo");
        assert_eq!(module.slot_info(0x8000_0000).map(|_| ()), Err(Rv(CKR_SLOT_ID_INVALID)));
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(text.contains("C_GetInfo"), *calls, "{text}");
        assert_eq!(text.contains("C_GetSlotInfo"), *refusals, "{text}");
    });
}

#[test]
fn the_log_tells_no_pin() {
    case_as_softhsm2(Passes, |world| {
        let log = world.directory().join("log");
        let module =
            started_with(world, &format!("log.level = DEBUG\nlog.file = {}", log.display()));
        make_token(module, LABEL);
        let text = fs::read_to_string(&log).unwrap_or_default();
        assert!(!text.contains(SO_PIN) && !text.contains(USER_PIN), "{text}");
    });
}

#[test]
fn a_level_that_is_none() {
    case_as_softhsm2(Passes, |world| {
        assert_eq!(start_with(world, "log.level = LOUD"), CKR_GENERAL_ERROR);
        assert_eq!(start_with(world, "log.level = ERROR"), Rv::OK);
    });
}

#[test]
fn the_back_end() {
    let rows = &[
        ("not said", Passes, ("", Rv::OK)),
        ("file", Passes, ("objectstore.backend = file", Rv::OK)),
        ("db", Fails("Debian's is built without a database"), ("objectstore.backend = db", Rv::OK)),
        ("neither", Passes, ("objectstore.backend = tape", Rv(CKR_GENERAL_ERROR))),
    ];
    table_as_softhsm2(rows, |world, (line, answer)| {
        assert_eq!(start_with(world, line), *answer);
        if *answer == Rv::OK {
            make_token(world.module(), LABEL);
            assert_eq!(world.module().finalize(), Rv::OK);
            fs::remove_dir_all(tokens(world)).expect("removed");
        }
    });
}

#[test]
fn a_child_starts_anew_where_reset_on_fork_says_so() {
    let rows = &[
        ("not said", Passes, ("", false)),
        ("false", Passes, ("library.reset_on_fork = false", false)),
        ("true", Passes, ("library.reset_on_fork = true", true)),
        ("neither", Passes, ("library.reset_on_fork = 1", false)),
    ];
    table_as_softhsm2(rows, |world, (lines, reset)| {
        let module = started_with(world, lines);
        let slot = slot_of(module, LABEL).unwrap_or_else(|| make_token(module, LABEL));
        let session = Session::open(module, slot, CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
        let child = Forked::start(|| {
            let goes_on = module.session_info(session.handle).map(|info| info.state);
            let starts = module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK));
            if *reset {
                assert_eq!(goes_on, Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)));
                assert_eq!(starts, Rv::OK);
                let slot = slot_of(module, LABEL).expect("the token");
                let session = Session::open(module, slot, CKF_RW_SESSION);
                assert_eq!(session.state(), CKS_RW_PUBLIC_SESSION, "nobody is logged in");
                assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK);
            } else {
                assert_eq!(goes_on, Ok(CKS_RW_USER_FUNCTIONS));
                assert_eq!(starts, CKR_CRYPTOKI_ALREADY_INITIALIZED);
            }
            0
        });
        assert_eq!(child.wait(), Ended::Exit(0));
        assert_eq!(session.state(), CKS_RW_USER_FUNCTIONS, "the parent goes on");
    });
}

#[test]
fn lines_that_say_nothing_are_passed_over() {
    let rows = &[
        ("comments", Passes, "# slots.removable = false\n\n   \t\nslots.removable = true # yes"),
        ("no spaces", Passes, "slots.removable=true"),
        ("many spaces", Passes, "  slots.removable   =\ttrue  "),
        ("names that are none", Passes, "slots.colour = red\nslots.removable = true"),
        ("no value", Passes, "slots.removable\nslots.removable =\nslots.removable = true"),
        ("no list of mechanisms", Passes, "slots.mechanisms =\nslots.removable = true"),
        ("the last one counts", Passes, "slots.removable = false\nslots.removable = true"),
    ];
    table_as_softhsm2(rows, |world, lines| {
        let module = started_with(world, lines);
        let info = module.slot_info(blank_slot(module)).expect("C_GetSlotInfo");
        assert_eq!(info.flags & CKF_REMOVABLE_DEVICE, CKF_REMOVABLE_DEVICE);
        assert!(mechanisms(module).contains(&CKM_RSA_PKCS));
    });
}

#[test]
fn the_file_below_the_home_directory() {
    case_as_softhsm2(Passes, |world| {
        let (home, place) = (world.directory().join("home"), world.directory().join("place"));
        fs::create_dir_all(home.join(".config/softhsm2")).expect("a home");
        fs::create_dir(&place).expect("a directory");
        fs::write(
            home.join(".config/softhsm2/softhsm2.conf"),
            format!("directories.tokendir = {}\nslots.removable = true\n", place.display()),
        )
        .expect("a configuration");
        set_variable("HOME", Some(&home));
        set_variable("SOFTHSM2_CONF", None);
        assert_eq!(start(world), Rv::OK);
        let module = world.module();
        let slot = make_token(module, LABEL);
        let flags = module.slot_info(slot).expect("C_GetSlotInfo").flags;
        assert_eq!(flags & CKF_REMOVABLE_DEVICE, CKF_REMOVABLE_DEVICE);
        assert!(!files(&place).is_empty());
    });
}

#[test]
fn a_file_that_is_not_there() {
    case_as_softhsm2(Passes, |world| {
        set_variable("SOFTHSM2_CONF", Some(&world.directory().join("nowhere.conf")));
        assert_eq!(start(world), CKR_GENERAL_ERROR);
        assert_eq!(world.module().info().map(|_| ()), Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)));
    });
}

#[test]
fn a_directory_of_tokens_that_is_not_there() {
    case_as_softhsm2(Fails("CKR_GENERAL_ERROR until somebody makes it"), |world| {
        let nowhere = world.directory().join("no/such/directory");
        let line = format!("directories.tokendir = {}", nowhere.display());
        let module = started_with(world, &line);
        assert!(!nowhere.exists());
        make_token(module, LABEL);
        let mode = fs::metadata(&nowhere).expect("made with the token").permissions().mode();
        assert_eq!(mode & 0o077, 0, "mode {mode:o}");
    });
}
