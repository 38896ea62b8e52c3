//! Many threads, many processes, and processes that are killed.

use std::fs;
use std::io::Write;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Passes, Races};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::world::slot_of;
use strongroom_softhsm_tests::{
    Attribute, InitArgs, LABEL, Module, Rv, Session, USER_PIN, World, case, count, long, merge, t,
};

use crate::keys;

/// Starts from the beginning in a forked child, on the token of the parent.
fn anew(module: &Module) -> CK_SLOT_ID {
    assert_eq!(module.initialize(InitArgs::Flags(CKF_OS_LOCKING_OK)), Rv::OK, "C_Initialize");
    slot_of(module, LABEL).expect("the token")
}

/// Has a token, and a module that is not initialised: so children start clean.
fn token(world: &World) -> &Module {
    world.slot();
    assert_eq!(world.module().finalize(), Rv::OK);
    world.module()
}

fn login(module: &Module, slot: CK_SLOT_ID) -> Session<'_> {
    let session = Session::open(module, slot, CKF_RW_SESSION);
    let rv = session.login(CKU_USER, USER_PIN);
    assert!(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN, "{rv:?}");
    session
}

/// Creates, finds, signs and destroys.
fn work(session: &Session<'_>, name: &str, rounds: usize) {
    for round in 0..rounds {
        let label = format!("{name} {round}");
        let template = t![CKA_TOKEN => true, CKA_LABEL => label.as_str(), CKA_PRIVATE => true];
        let secret = merge(&keys::secret(CKK_GENERIC_SECRET, &[round as u8; 64]), &template);
        let key = session.create(&secret).expect("C_CreateObject");
        assert_eq!(session.find(&t![CKA_LABEL => label.as_str()]), [key], "{label}");
        let mac = session.sign(CKM_SHA256_HMAC, key, label.as_str()).expect("C_Sign");
        assert_eq!(session.verify(CKM_SHA256_HMAC, key, label.as_str(), &mac), Rv::OK);
        assert_eq!(session.destroy(key), Rv::OK, "{label}");
        assert!(session.find(&t![CKA_LABEL => label.as_str()]).is_empty(), "{label} is back");
    }
}

#[test]
fn two_processes_of_four_threads() {
    let reason = "processes and threads trip over each other's files (#573, #358, #757)";
    case(Races(reason), |world| {
        let module = token(world);
        let children: Vec<_> = (0..2)
            .map(|process| {
                Forked::start(|| {
                    let slot = anew(module);
                    thread::scope(|scope| {
                        for number in 0..4 {
                            scope.spawn(move || {
                                let session = login(module, slot);
                                work(&session, &format!("p{process} t{number}"), 15);
                            });
                        }
                    });
                    assert_eq!(module.finalize(), Rv::OK);
                    0
                })
            })
            .collect();
        for child in children {
            assert_eq!(child.wait(), Ended::Exit(0));
        }
        let session = login(module, anew(module));
        assert!(session.find(&[]).is_empty(), "an object is left");
    });
}

#[test]
fn eight_threads_sign_with_one_key() {
    case(Passes, |world| {
        let session = world.user();
        let (public, private) = keys::ec(&session, keys::P256);
        thread::scope(|scope| {
            for number in 0..8_u8 {
                scope.spawn(move || {
                    let session = world.user();
                    for round in 0..50_u8 {
                        let hash = [number ^ round; 32];
                        let signature = session.sign(CKM_ECDSA, private, &hash).expect("C_Sign");
                        let rv = session.verify(CKM_ECDSA, public, &hash, &signature);
                        assert_eq!(rv, Rv::OK);
                    }
                });
            }
        });
    });
}

#[test]
fn sixteen_threads_change_one_object() {
    let reason = "of threads that change one object some are told CKR_GENERAL_ERROR";
    case(Races(reason), |world| {
        let session = world.user();
        let object = session.create(&merge(&keys::data("x"), &t![CKA_TOKEN => true]));
        let object = object.expect("C_CreateObject");
        thread::scope(|scope| {
            for number in 0..16 {
                scope.spawn(move || {
                    let session = world.user();
                    for round in 0..20 {
                        let label = format!("{number} {round}");
                        let rv = session.set(object, &t![CKA_LABEL => label.as_str()]);
                        assert_eq!(rv, Rv::OK, "{label}");
                    }
                });
            }
        });
    });
}

#[test]
fn sessions_come_and_go_in_eight_threads() {
    case(Passes, |world| {
        let _keep = world.user();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        let session = world.public();
                        session.create(&keys::data("x")).expect("C_CreateObject");
                        assert_eq!(session.close(), Rv::OK);
                    }
                });
            }
        });
        assert!(world.public().find(&[]).is_empty());
    });
}

/// Kills a process again and again while it creates objects. Whatever C_CreateObject has
/// acknowledged is there afterwards, whole; and at most one more for each that was killed.
#[test]
fn killed_while_creating_objects() {
    let reason = "objects are written in place, without a rename or an fsync";
    case(Races(reason), |world| {
        let module = token(world);
        let mut acknowledged = 0;
        for (round, killed) in (0..15_u32).zip(1..) {
            let path = world.directory().join(format!("acknowledged {round}"));
            let child = Forked::start(|| {
                let session = login(module, anew(module));
                let mut log = fs::File::create(&path).expect("a log");
                for number in 0..10_000 {
                    let label = format!("{round} {number}");
                    let template =
                        t![CKA_TOKEN => true, CKA_LABEL => label.as_str(), CKA_ID => &[7; 16]];
                    let secret = merge(&keys::secret(CKK_AES, &[number as u8; 32]), &template);
                    session.create(&secret).expect("C_CreateObject");
                    writeln!(log, "{number}").expect("the log");
                }
                0
            });
            let lines = || fs::read_to_string(&path).map_or(0, |text| text.matches('\n').count());
            let start = Instant::now();
            let enough = 2 + usize::try_from(round % 5).expect("small");
            while lines() < enough && start.elapsed() < Duration::from_secs(20) {
                thread::sleep(Duration::from_micros(300));
            }
            child.kill();
            assert_eq!(child.wait(), Ended::Signal(9));
            let number = lines();
            assert!(number >= enough, "round {round}: only {number} objects in 20 seconds");
            let session = login(module, anew(module));
            for number in 0..number {
                let label = format!("{round} {number}");
                let found = session.find(&t![CKA_LABEL => label.as_str()]);
                assert_eq!(found.len(), 1, "{label} was acknowledged");
                assert_eq!(session.get(found[0], CKA_VALUE), Ok(vec![number as u8; 32]));
                assert_eq!(session.get(found[0], CKA_ID), Ok(vec![7; 16]));
            }
            acknowledged += number;
            let all = session.find(&t![CKA_CLASS => CKO_SECRET_KEY]).len();
            assert!(all >= acknowledged, "{all} of {acknowledged}");
            // A daemon may come to the end of the last call of a round in the course of a later one.
            let most = acknowledged + killed;
            assert!(all <= most, "half an object: {all} of {acknowledged}, {killed} killed");
            assert_eq!(module.finalize(), Rv::OK);
        }
    });
}

/// What one thread of [`everything_at_once`] does again and again, and what it may be told.
type Part = (&'static str, fn(&World, usize) -> Rv, &'static [CK_RV]);

/// Opens a session, and closes it when the work is done: a thread that logs out, or sets a PIN, does not
/// wait for those of others.
fn in_session(world: &World, work: impl FnOnce(&Session<'_>) -> Result<(), Rv>) -> Rv {
    let session =
        match world.module().open_session(world.slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION) {
            Ok(handle) => Session { module: world.module(), slot: world.slot(), handle },
            Err(refused) => return refused,
        };
    let done = work(&session);
    assert_eq!(session.close(), Rv::OK, "C_CloseSession");
    done.err().unwrap_or(Rv::OK)
}

fn ok(rv: Rv) -> Result<(), Rv> {
    if rv == Rv::OK { Ok(()) } else { Err(rv) }
}

/// The objects of a template, by a search that another thread's logout may end.
fn search(session: &Session<'_>, template: &[Attribute]) -> Result<Vec<CK_OBJECT_HANDLE>, Rv> {
    let Session { module, handle, .. } = *session;
    ok(module.find_objects_init(handle, template))?;
    let found = module.find_objects(handle, 50)?;
    ok(module.find_objects_final(handle)).map(|()| found)
}

/// Somebody logs out, or destroys what was found, between any two calls of a thread.
const GONE: &[CK_RV] = &[
    CKR_OK,
    CKR_USER_NOT_LOGGED_IN,
    CKR_OBJECT_HANDLE_INVALID,
    CKR_KEY_HANDLE_INVALID,
    CKR_OPERATION_NOT_INITIALIZED,
];

const PARTS: &[Part] = &[
    (
        "login",
        |world, _| in_session(world, |session| ok(session.login(CKU_USER, USER_PIN))),
        // The PIN is always one of the two; a login waits for nobody, so it can meet the other.
        &[CKR_OK, CKR_USER_ALREADY_LOGGED_IN, CKR_PIN_INCORRECT],
    ),
    (
        "logout",
        |world, _| in_session(world, |session| ok(session.logout())),
        &[CKR_OK, CKR_USER_NOT_LOGGED_IN],
    ),
    (
        "sign",
        |world, _| {
            in_session(world, |session| {
                for key in search(session, &t![CKA_CLASS => CKO_SECRET_KEY])? {
                    session.sign(CKM_SHA256_HMAC, key, b"data")?;
                }
                Ok(())
            })
        },
        GONE,
    ),
    (
        "find",
        |world, _| {
            in_session(world, |session| {
                for object in search(session, &[])? {
                    session.get(object, CKA_LABEL)?;
                }
                Ok(())
            })
        },
        GONE,
    ),
    (
        "create and destroy",
        |world, round| {
            in_session(world, |session| {
                let private = round % 2 == 0;
                let more = t![CKA_TOKEN => round % 3 > 0, CKA_PRIVATE => private, CKA_LABEL => "x"];
                let secret = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 32]), &more);
                let key = session.create(&secret)?;
                session.set(key, &t![CKA_LABEL => "y"]).with(())?;
                ok(session.destroy(key))
            })
        },
        GONE,
    ),
    (
        "destroy what others made",
        |world, _| {
            in_session(world, |session| {
                let found = search(session, &t![CKA_LABEL => "y"])?;
                found.into_iter().try_for_each(|object| ok(session.destroy(object)))
            })
        },
        GONE,
    ),
    (
        "set the PIN",
        |world, _| {
            in_session(world, |session| {
                let set = |old: &str, new: &str| {
                    ok(world.module().set_pin(session.handle, old.into(), new.into()))
                };
                set(USER_PIN, "another-pin")?;
                // Whatever becomes of the session, the token has its PIN again.
                set("another-pin", USER_PIN)
            })
        },
        &[CKR_OK],
    ),
];

/// Login, logout, signatures, searches, objects that come and go, and a PIN that is set, all on one token
/// at once. Nobody waits for ever (the harness looks), and each is told what he may be told.
#[test]
fn everything_at_once() {
    let reason = "it was written for one thread at a time (#573, #757)";
    case(Races(reason), |world| {
        let keep = world.user();
        let secret = keys::secret(CKK_GENERIC_SECRET, &[1; 32]);
        let stays = t![CKA_TOKEN => true, CKA_PRIVATE => true, CKA_LABEL => "stays"];
        keep.create(&merge(&secret, &stays)).expect("C_CreateObject");
        let time = Duration::from_secs(if long() { 60 } else { 5 });
        let end = Instant::now() + time;
        let rounds: usize = thread::scope(|scope| {
            let start = |(name, part, allowed): &'static Part| {
                scope.spawn(move || {
                    let (mut rounds, mut well) = (0, 0);
                    while Instant::now() < end {
                        let rv = part(world, rounds);
                        assert!(allowed.iter().any(|allowed| rv == *allowed), "{name}: {rv:?}");
                        rounds += 1;
                        well += usize::from(rv == Rv::OK);
                    }
                    assert!(well > 0, "{name}: none of {rounds} came to its end");
                    rounds
                })
            };
            let parts: Vec<_> = PARTS.iter().map(start).collect();
            let rounds = |part: ScopedJoinHandle<'_, _>| {
                part.join().unwrap_or_else(|why| resume_unwind(why))
            };
            parts.into_iter().map(rounds).sum()
        });
        count("many threads, everything at once: what they did", rounds);
        let rv = keep.login(CKU_USER, USER_PIN);
        assert!(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN, "{rv:?}");
        assert_eq!(keep.find(&t![CKA_LABEL => "stays"]).len(), 1);
    });
}
