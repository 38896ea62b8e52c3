//! The C edge: symbols, tables, interfaces, C_Initialize and C_Finalize, null pointers, exit.

use std::process::exit;
use std::sync::{Barrier, OnceLock};
use std::thread;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Passes, Races};
use strongroom_softhsm_tests::raw::{Ended, Forked, NullPointer, at_exit, exit_now};
use strongroom_softhsm_tests::{
    FUNCTIONS, In, InitArgs, Mechanism, Module, PLENTY, Room, Rv, SO_PIN, Template, World, case, t,
    table,
};

use crate::keys;

const NO_3: &str = "it has only the functions of 2.40 (#604, #874)";

#[test]
fn exports_every_function() {
    case(Fails(NO_3), |world| {
        assert_eq!(FUNCTIONS.len(), 104);
        let missing: Vec<_> =
            FUNCTIONS.iter().filter(|name| !world.module().exports(name)).collect();
        assert!(missing.is_empty(), "not exported: {missing:?}");
    });
}

#[test]
fn exports_the_functions_of_2_40() {
    case(Passes, |world| {
        let missing: Vec<_> =
            FUNCTIONS[..68].iter().filter(|name| !world.module().exports(name)).collect();
        assert!(missing.is_empty(), "not exported: {missing:?}");
    });
}

#[test]
fn function_list_is_the_table_of_2_40() {
    case(Passes, |world| assert_eq!(world.module().table(), ((2, 40), 68)));
}

#[test]
fn function_list_wants_a_pointer() {
    case(Passes, |world| assert_eq!(world.module().function_list_null(), CKR_ARGUMENTS_BAD));
}

#[test]
fn interface_by_name_and_version() {
    type Row = (Option<&'static str>, Option<(u8, u8)>, CK_FLAGS, Option<((u8, u8), usize)>);
    const NAME: Option<&str> = Some("PKCS 11");
    let rows: &[(&str, _, Row)] = &[
        ("3.2", Fails(NO_3), (NAME, Some((3, 2)), 0, Some(((3, 2), 104)))),
        ("3.0", Fails(NO_3), (NAME, Some((3, 0)), 0, Some(((3, 0), 92)))),
        ("2.40", Fails(NO_3), (NAME, Some((2, 40)), 0, Some(((2, 40), 68)))),
        ("default", Fails(NO_3), (None, None, 0, Some(((3, 2), 104)))),
        ("default by name", Fails(NO_3), (NAME, None, 0, Some(((3, 2), 104)))),
        ("3.0 without name", Fails(NO_3), (None, Some((3, 0)), 0, Some(((3, 0), 92)))),
        (
            "3.2 fork safe",
            Fails(NO_3),
            (NAME, Some((3, 2)), CKF_INTERFACE_FORK_SAFE, Some(((3, 2), 104))),
        ),
        (
            "3.0 fork safe",
            Fails(NO_3),
            (NAME, Some((3, 0)), CKF_INTERFACE_FORK_SAFE, Some(((3, 0), 92))),
        ),
        ("version 9.9", Fails(NO_3), (NAME, Some((9, 9)), 0, None)),
        ("another name", Fails(NO_3), (Some("Vendor"), None, 0, None)),
        ("a flag nobody knows", Fails(NO_3), (NAME, None, 1 << 30, None)),
    ];
    table(rows, |world, (name, version, flags, wanted)| {
        let found = world.module().interface(*name, *version, *flags).expect("C_GetInterface");
        match wanted {
            Some((version, functions)) => {
                let found = found.expect("an interface");
                assert_eq!(found.name, "PKCS 11");
                assert_eq!(found.version, *version);
                assert_eq!(found.functions, Some(*functions));
                assert_eq!(found.flags & flags, *flags, "the flags asked for");
            }
            None => assert!(found.is_err(), "{found:?}"),
        }
    });
}

#[test]
fn interface_list() {
    case(Fails(NO_3), |world| {
        let module = world.module();
        let (rv, count, _) = module.interface_list(None).expect("C_GetInterfaceList");
        assert_eq!(rv, Rv::OK);
        assert!(count >= 3, "{count} interfaces");
        let (rv, needed, _) = module.interface_list(Some(count - 1)).expect("C_GetInterfaceList");
        assert_eq!((rv, needed), (Rv(CKR_BUFFER_TOO_SMALL), count));
        let (rv, _, list) = module.interface_list(Some(count)).expect("C_GetInterfaceList");
        assert_eq!(rv, Rv::OK);
        for version in [(3, 2), (3, 0), (2, 40)] {
            assert!(
                list.iter().any(|one| one.name == "PKCS 11" && one.version == version),
                "{version:?} is not in {list:?}"
            );
        }
    });
}

#[test]
fn info_is_well_formed() {
    case(Passes, |world| {
        let info = world.started().info().expect("C_GetInfo");
        let version = (info.cryptokiVersion.major, info.cryptokiVersion.minor);
        assert!([(2, 40), (3, 0), (3, 1), (3, 2)].contains(&version), "{version:?}");
        assert_eq!(info.flags, 0);
        for field in [info.manufacturerID, info.libraryDescription] {
            assert!(!field.contains(&0), "padded with zero bytes");
            assert_ne!(field[0], b' ', "empty");
        }
    });
}

#[test]
fn initialize_arguments() {
    let rows = &[
        ("null", Passes, (InitArgs::Null, CKR_OK)),
        ("flags 0", Passes, (InitArgs::Flags(0), CKR_OK)),
        ("OS locking", Passes, (InitArgs::Flags(CKF_OS_LOCKING_OK), CKR_OK)),
        (
            "OS locking, no threads",
            Passes,
            (InitArgs::Flags(CKF_OS_LOCKING_OK | CKF_LIBRARY_CANT_CREATE_OS_THREADS), CKR_OK),
        ),
        ("four callbacks", Passes, (InitArgs::Mutexes([true; 4], 0), CKR_OK)),
        (
            "four callbacks and OS locking",
            Passes,
            (InitArgs::Mutexes([true; 4], CKF_OS_LOCKING_OK), CKR_OK),
        ),
        ("no create", Passes, (InitArgs::Mutexes([false, true, true, true], 0), CKR_ARGUMENTS_BAD)),
        (
            "no destroy",
            Passes,
            (InitArgs::Mutexes([true, false, true, true], 0), CKR_ARGUMENTS_BAD),
        ),
        ("no lock", Passes, (InitArgs::Mutexes([true, true, false, true], 0), CKR_ARGUMENTS_BAD)),
        ("no unlock", Passes, (InitArgs::Mutexes([true, true, true, false], 0), CKR_ARGUMENTS_BAD)),
        (
            "only lock, and OS locking",
            Passes,
            (InitArgs::Mutexes([false, false, true, false], CKF_OS_LOCKING_OK), CKR_ARGUMENTS_BAD),
        ),
        ("reserved", Passes, (InitArgs::Reserved, CKR_ARGUMENTS_BAD)),
    ];
    table(rows, |world, (args, wanted)| {
        let module = world.module();
        assert_eq!(module.initialize(*args), *wanted);
        if *wanted == CKR_OK {
            assert_eq!(module.initialize(*args), CKR_CRYPTOKI_ALREADY_INITIALIZED);
            assert!(module.info().is_ok(), "C_GetInfo");
            assert_eq!(module.slot_list(false, None).0, Rv::OK);
            assert_eq!(module.finalize(), Rv::OK);
        } else {
            assert_eq!(module.info().map(|_| ()), Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)));
        }
    });
}

#[test]
fn callbacks_serve_a_whole_token() {
    case(Passes, |world| {
        let module = world.module();
        assert_eq!(module.initialize(InitArgs::Mutexes([true; 4], 0)), Rv::OK);
        let slot = strongroom_softhsm_tests::world::blank_slot(module);
        assert_eq!(module.init_token(slot, SO_PIN.into(), "callbacks"), Rv::OK);
        let slot = strongroom_softhsm_tests::world::slot_of(module, "callbacks").expect("a token");
        let session = module.open_session(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION).expect("rw");
        module.create_object(session, &keys::data("x")).expect("C_CreateObject");
        assert_eq!(module.finalize(), Rv::OK);
    });
}

#[test]
fn only_one_of_two_threads_initialises() {
    let reason = "two threads in C_Initialize at once race (a double reset of its singleton)";
    case(Races(reason), |world| {
        let module = world.module();
        for round in 0..100 {
            let barrier = Barrier::new(2);
            let answers: Vec<Rv> = thread::scope(|scope| {
                let threads: Vec<_> = (0..2)
                    .map(|_| {
                        scope.spawn(|| {
                            barrier.wait();
                            module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK))
                        })
                    })
                    .collect();
                threads.into_iter().map(|thread| thread.join().expect("a thread")).collect()
            });
            let done = answers.iter().filter(|rv| **rv == Rv::OK).count();
            let late = answers.iter().filter(|rv| **rv == CKR_CRYPTOKI_ALREADY_INITIALIZED).count();
            assert_eq!((done, late), (1, 1), "round {round}: {answers:?}");
            assert_eq!(module.finalize(), Rv::OK);
        }
    });
}

type Call = fn(&Module) -> Rv;

fn rv<T>(answer: Result<T, Rv>) -> Rv {
    answer.err().unwrap_or(Rv::OK)
}

/// A call of each function that needs an initialised module.
const CALLS: &[(&str, Call)] = &[
    ("C_Finalize", |m| m.finalize()),
    ("C_GetInfo", |m| rv(m.info())),
    ("C_GetSlotList", |m| m.slot_list(false, None).0),
    ("C_GetSlotInfo", |m| rv(m.slot_info(0))),
    ("C_GetTokenInfo", |m| rv(m.token_info(0))),
    ("C_WaitForSlotEvent", |m| rv(m.wait_for_slot_event(CKF_DONT_BLOCK))),
    ("C_GetMechanismList", |m| m.mechanism_list(0, None).0),
    ("C_GetMechanismInfo", |m| rv(m.mechanism_info(0, CKM_SHA256))),
    ("C_InitToken", |m| m.init_token(0, SO_PIN.into(), "x")),
    ("C_InitPIN", |m| m.init_pin(1, SO_PIN.into())),
    ("C_SetPIN", |m| m.set_pin(1, SO_PIN.into(), SO_PIN.into())),
    ("C_OpenSession", |m| rv(m.open_session(0, CKF_SERIAL_SESSION))),
    ("C_CloseSession", |m| m.close_session(1)),
    ("C_CloseAllSessions", |m| m.close_all_sessions(0)),
    ("C_GetSessionInfo", |m| rv(m.session_info(1))),
    ("C_GetOperationState", |m| m.operation_state(1, PLENTY).rv),
    ("C_Login", |m| m.login(1, CKU_USER, SO_PIN.into())),
    ("C_Logout", |m| m.logout(1)),
    ("C_CreateObject", |m| rv(m.create_object(1, &t![CKA_CLASS => CKO_DATA]))),
    ("C_CopyObject", |m| rv(m.copy_object(1, 1, &[]))),
    ("C_DestroyObject", |m| m.destroy_object(1, 1)),
    ("C_GetObjectSize", |m| rv(m.object_size(1, 1))),
    ("C_GetAttributeValue", |m| m.attribute_value(1, 1, &[(CKA_LABEL, Room::Query)]).0),
    ("C_SetAttributeValue", |m| m.set_attribute_value(1, 1, &t![CKA_LABEL => "x"])),
    ("C_FindObjectsInit", |m| m.find_objects_init(1, &[])),
    ("C_FindObjects", |m| rv(m.find_objects(1, 1))),
    ("C_FindObjectsFinal", |m| m.find_objects_final(1)),
    ("C_EncryptInit", |m| m.encrypt_init(1, Some(&Mechanism::plain(CKM_AES_ECB)), 1)),
    ("C_Encrypt", |m| m.encrypt(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_EncryptUpdate", |m| m.encrypt_update(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_EncryptFinal", |m| m.encrypt_final(1, PLENTY).rv),
    ("C_DecryptInit", |m| m.decrypt_init(1, Some(&Mechanism::plain(CKM_AES_ECB)), 1)),
    ("C_Decrypt", |m| m.decrypt(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_DecryptUpdate", |m| m.decrypt_update(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_DecryptFinal", |m| m.decrypt_final(1, PLENTY).rv),
    ("C_DigestInit", |m| m.digest_init(1, Some(&Mechanism::plain(CKM_SHA256)))),
    ("C_Digest", |m| m.digest(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_DigestUpdate", |m| m.digest_update(1, In::Bytes(&[0; 16]))),
    ("C_DigestKey", |m| m.digest_key(1, 1)),
    ("C_DigestFinal", |m| m.digest_final(1, PLENTY).rv),
    ("C_SignInit", |m| m.sign_init(1, Some(&Mechanism::plain(CKM_SHA256_HMAC)), 1)),
    ("C_Sign", |m| m.sign(1, In::Bytes(&[0; 16]), PLENTY).rv),
    ("C_SignUpdate", |m| m.sign_update(1, In::Bytes(&[0; 16]))),
    ("C_SignFinal", |m| m.sign_final(1, PLENTY).rv),
    ("C_VerifyInit", |m| m.verify_init(1, Some(&Mechanism::plain(CKM_SHA256_HMAC)), 1)),
    ("C_Verify", |m| m.verify(1, In::Bytes(&[0; 16]), In::Bytes(&[0; 16]))),
    ("C_VerifyUpdate", |m| m.verify_update(1, In::Bytes(&[0; 16]))),
    ("C_VerifyFinal", |m| m.verify_final(1, In::Bytes(&[0; 16]))),
    ("C_GenerateKey", |m| {
        rv(m.generate_key(1, Some(&Mechanism::plain(CKM_AES_KEY_GEN)), &keys::aes()))
    }),
    ("C_GenerateKeyPair", |m| {
        let template = t![CKA_EC_PARAMS => keys::P256];
        rv(m.generate_key_pair(1, Some(&Mechanism::plain(CKM_EC_KEY_PAIR_GEN)), &template, &[]))
    }),
    ("C_WrapKey", |m| m.wrap_key(1, Some(&Mechanism::plain(CKM_AES_KEY_WRAP)), 1, 1, PLENTY).rv),
    ("C_UnwrapKey", |m| {
        let wrapped = In::Bytes(&[0; 24]);
        let template = keys::secret(CKK_AES, &[0; 16]);
        rv(m.unwrap_key(1, Some(&Mechanism::plain(CKM_AES_KEY_WRAP)), 1, wrapped, &template))
    }),
    ("C_DeriveKey", |m| {
        let template = keys::secret(CKK_AES, &[0; 16]);
        rv(m.derive_key(1, Some(&Mechanism::plain(CKM_ECDH1_DERIVE)), 1, &template))
    }),
    ("C_SeedRandom", |m| m.seed_random(1, In::Bytes(&[0; 16]))),
    ("C_GenerateRandom", |m| rv(m.generate_random(1, 16))),
];

#[test]
fn not_initialised() {
    let rows: Vec<_> = CALLS.iter().map(|(name, call)| (*name, Passes, *call)).collect();
    table(&rows, |world, call| {
        assert_eq!(call(world.module()), CKR_CRYPTOKI_NOT_INITIALIZED, "before C_Initialize");
    });
}

#[test]
fn not_initialised_any_more() {
    let rows: Vec<_> = CALLS.iter().map(|(name, call)| (*name, Passes, *call)).collect();
    table(&rows, |world, call| {
        let module = world.module();
        assert_eq!(module.initialize(InitArgs::Null), Rv::OK);
        assert_eq!(module.finalize(), Rv::OK);
        assert_eq!(call(module), CKR_CRYPTOKI_NOT_INITIALIZED, "after C_Finalize");
    });
}

#[test]
fn a_session_nobody_opened() {
    // The functions from C_InitPIN on whose first argument is a session.
    let rows: Vec<_> = CALLS
        .iter()
        .filter(|(name, _)| {
            !matches!(
                *name,
                "C_Finalize"
                    | "C_GetInfo"
                    | "C_GetSlotList"
                    | "C_GetSlotInfo"
                    | "C_GetTokenInfo"
                    | "C_WaitForSlotEvent"
                    | "C_GetMechanismList"
                    | "C_GetMechanismInfo"
                    | "C_InitToken"
                    | "C_OpenSession"
                    | "C_CloseAllSessions"
                    // A module may not support it, whatever the session.
                    | "C_GetOperationState"
            )
        })
        .map(|(name, call)| (*name, Passes, *call))
        .collect();
    table(&rows, |world, call| {
        let module = world.started();
        assert_eq!(call(module), CKR_SESSION_HANDLE_INVALID);
    });
}

#[test]
fn finalize_wants_no_argument() {
    case(Passes, |world| {
        let module = world.started();
        assert_eq!(module.finalize_reserved(), CKR_ARGUMENTS_BAD);
        assert!(module.info().is_ok(), "it must still be initialised");
    });
}

#[test]
fn parallel_functions_are_gone() {
    case(Fails("session 0 is CKR_SESSION_HANDLE_INVALID to it"), |world| {
        let session = world.public();
        for handle in [session.handle, 0] {
            assert_eq!(session.module.function_status(handle), CKR_FUNCTION_NOT_PARALLEL);
            assert_eq!(session.module.cancel_function(handle), CKR_FUNCTION_NOT_PARALLEL);
        }
    });
}

#[test]
fn no_slot_event() {
    case(Passes, |world| {
        let answer = world.started().wait_for_slot_event(CKF_DONT_BLOCK);
        assert_eq!(answer, Err(Rv(CKR_NO_EVENT)));
    });
}

#[test]
fn null_pointers_are_refused() {
    use NullPointer::*;
    let rows = &[
        ("C_GetInfo", Passes, GetInfo),
        ("C_GetSlotList, count", Passes, GetSlotListCount),
        ("C_GetSlotInfo", Passes, GetSlotInfo),
        ("C_GetTokenInfo", Passes, GetTokenInfo),
        ("C_GetMechanismList, count", Passes, GetMechanismListCount),
        ("C_GetMechanismInfo", Passes, GetMechanismInfo),
        ("C_OpenSession, handle", Passes, OpenSessionHandle),
        ("C_GetSessionInfo", Passes, GetSessionInfo),
        ("C_CreateObject, handle", Passes, CreateObjectHandle),
        ("C_FindObjects, handles", Passes, FindObjectsOutput),
        ("C_FindObjects, count", Passes, FindObjectsCount),
        ("C_GenerateRandom", Passes, GenerateRandom),
        ("C_GenerateKey, handle", Passes, GenerateKeyHandle),
        ("C_Digest, length", Passes, DigestLength),
    ];
    table(rows, |world, which| {
        let session = world.user();
        match which {
            FindObjectsOutput | FindObjectsCount => {
                assert_eq!(session.module.find_objects_init(session.handle, &[]), Rv::OK);
            }
            DigestLength => {
                let sha256 = Mechanism::plain(CKM_SHA256);
                assert_eq!(session.module.digest_init(session.handle, Some(&sha256)), Rv::OK);
            }
            _ => {}
        }
        let answer = session.module.null_pointer_call(*which, session.handle);
        assert_eq!(answer, CKR_ARGUMENTS_BAD);
    });
}

#[test]
fn init_token_wants_a_label() {
    case(Passes, |world| {
        let session = world.public();
        let rv = session.module.null_pointer_call(NullPointer::InitTokenLabel, session.handle);
        assert!(rv == CKR_ARGUMENTS_BAD || rv == CKR_SESSION_EXISTS, "{rv:?}");
    });
}

#[test]
fn null_with_a_length_is_refused() {
    type Row = fn(&strongroom_softhsm_tests::Session<'_>) -> Rv;
    let rows: &[(&str, _, Row)] = &[
        ("C_SeedRandom", Passes, |s| s.module.seed_random(s.handle, In::Null(8))),
        ("C_CreateObject", Passes, |s| rv(s.module.create_object(s.handle, Template::Null(3)))),
        ("C_CreateObject, 2^32 attributes", Passes, |s| {
            rv(s.module.create_object(s.handle, Template::Null(1 << 32)))
        }),
        ("C_FindObjectsInit", Passes, |s| s.module.find_objects_init(s.handle, Template::Null(3))),
        ("C_FindObjectsInit, 2^32 attributes", Passes, |s| {
            s.module.find_objects_init(s.handle, Template::Null(1 << 32))
        }),
        ("C_GenerateKey", Passes, |s| {
            let mechanism = Mechanism::plain(CKM_AES_KEY_GEN);
            rv(s.module.generate_key(s.handle, Some(&mechanism), Template::Null(2)))
        }),
        ("C_GenerateKeyPair", Passes, |s| {
            let mechanism = Mechanism::plain(CKM_EC_KEY_PAIR_GEN);
            let null = Template::Null(2);
            rv(s.module.generate_key_pair(s.handle, Some(&mechanism), null, null))
        }),
        ("C_SetPIN", Passes, |s| s.module.set_pin(s.handle, In::Null(8), SO_PIN.into())),
        ("C_DigestUpdate", Passes, |s| {
            s.module.digest_init(s.handle, Some(&Mechanism::plain(CKM_SHA256)));
            s.module.digest_update(s.handle, In::Null(8))
        }),
        ("C_Digest", Passes, |s| {
            s.module.digest_init(s.handle, Some(&Mechanism::plain(CKM_SHA256)));
            s.module.digest(s.handle, In::Null(8), PLENTY).rv
        }),
        ("C_Sign", Passes, |s| {
            let key = s.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
            s.sign_init(CKM_SHA256_HMAC, key);
            s.module.sign(s.handle, In::Null(8), PLENTY).rv
        }),
        ("C_Verify, signature", Passes, |s| {
            let key = s.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
            s.verify_init(CKM_SHA256_HMAC, key);
            s.module.verify(s.handle, b"data".into(), In::Null(32))
        }),
        ("C_Encrypt", Passes, |s| {
            let key = s.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
            s.encrypt_init(CKM_AES_ECB, key);
            s.module.encrypt(s.handle, In::Null(16), PLENTY).rv
        }),
        ("C_UnwrapKey", Passes, |s| {
            let key = s.create(&keys::secret(CKK_AES, &[1; 32])).expect("a key");
            let mechanism = Mechanism::plain(CKM_AES_KEY_WRAP);
            let template = t![CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_AES];
            rv(s.module.unwrap_key(s.handle, Some(&mechanism), key, In::Null(24), &template))
        }),
    ];
    table(rows, |world, call| {
        let session = world.user();
        assert_eq!(call(&session), CKR_ARGUMENTS_BAD);
    });
}

#[test]
fn random_numbers() {
    case(Passes, |world| {
        let session = world.public();
        assert_eq!(session.module.seed_random(session.handle, b"seed".into()), Rv::OK);
        let first = session.module.generate_random(session.handle, 1000).expect("random bytes");
        let second = session.module.generate_random(session.handle, 1000).expect("random bytes");
        assert_ne!(first, second);
        let ones: u32 = first.iter().map(|byte| byte.count_ones()).sum();
        assert!((3600..4400).contains(&ones), "{ones} of 8000 bits are set");
    });
}

static AT_EXIT: OnceLock<(Module, bool)> = OnceLock::new();

/// Calls the module while the process ends. A success is reported as exit status 77 where the
/// module must know that the process ends.
extern "C" fn call_at_exit() {
    let Some((module, must_fail)) = AT_EXIT.get() else { return };
    let answers = [
        rv(module.info()),
        module.sign(1, In::Bytes(b"data"), PLENTY).rv,
        rv(module.find_objects(1, 1)),
        module.close_session(1),
        module.close_all_sessions(0),
        module.finalize(),
    ];
    if *must_fail && answers.contains(&Rv::OK) {
        exit_now(77);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Registered {
    BeforeLoading,
    BeforeInitialize,
    AfterInitialize,
}

/// Uses the module, and has an exit handler call it once more. `knows`: whether the module must
/// know by then that the process ends.
fn use_and_call_at_exit(world: &World, when: Registered, knows: bool) {
    if when == Registered::BeforeLoading {
        at_exit(call_at_exit);
    }
    let _loaded = world.module();
    if when == Registered::BeforeInitialize {
        at_exit(call_at_exit);
    }
    let session = world.user();
    let key = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
    assert_eq!(session.sign_init(CKM_SHA256_HMAC, key), Rv::OK);
    assert!(AT_EXIT.set((Module::load(world.path()), knows)).is_ok());
    if when == Registered::AfterInitialize {
        at_exit(call_at_exit);
    }
}

/// Runs this in a child whose main thread it is, as in most programs; the child ends by `exit`.
fn in_a_program(body: impl FnOnce()) {
    let child = Forked::start(|| {
        body();
        exit(0)
    });
    assert_eq!(child.wait(), Ended::Exit(0));
}

const DESTROYED: &str = "signal 11: its C++ destructors have run (#553, #558, #635, #780)";

#[test]
fn exit_handler_registered_before_loading() {
    case(Fails(DESTROYED), |world| {
        in_a_program(|| use_and_call_at_exit(world, Registered::BeforeLoading, true));
    });
}

#[test]
fn exit_handler_registered_before_initialize() {
    case(Fails("it does not notice that the process ends"), |world| {
        in_a_program(|| use_and_call_at_exit(world, Registered::BeforeInitialize, true));
    });
}

#[test]
fn exit_handler_registered_after_initialize() {
    // What is registered last runs first: before the module need know that the process ends.
    case(Passes, |world| {
        in_a_program(|| use_and_call_at_exit(world, Registered::AfterInitialize, false));
    });
}

#[test]
fn exit_handler_where_only_another_thread_called() {
    case(Fails(DESTROYED), |world| {
        in_a_program(|| {
            thread::scope(|scope| {
                scope.spawn(|| use_and_call_at_exit(world, Registered::BeforeLoading, false));
            });
        });
    });
}
