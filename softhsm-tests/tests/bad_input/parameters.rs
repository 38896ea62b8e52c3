//! The parameters of the mechanisms: each mechanism that the module lists, in each function that its
//! flags name, with parameters of every length and with the shapes that structures have; and those
//! whose layout the standard gives, with one member wrong at a time.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails};
use strongroom_softhsm_tests::batch::{Verdict, run};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::{Memory, Rv, World, case_of_batches};

use crate::arguments::{judge, prepare};
use crate::fixture::{Fixture, Login};
use crate::kinds::Held;

const MANY: SoftHsm2 = Fails("it follows pointers and lengths, and does not look at parameters");

/// A function that takes a mechanism: its name, the flag of mechanisms that go with it, and the keys
/// that it is tried with.
struct Use {
    function: &'static str,
    flag: CK_FLAGS,
    keys: &'static [Held],
    /// The words behind the key, or behind the mechanism where there is none.
    rest: Rest,
}

/// What else a function takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    Nothing,
    /// An empty template and a place for a handle.
    Key,
    /// Two empty templates and two places.
    Pair,
    /// The key to wrap, and room.
    Wrap,
    /// Wrapped bytes, an empty template and a place.
    Unwrap,
}

const PUBLIC: &[Held] = &[Held::Aes, Held::Mac, Held::RsaPublic, Held::EcPublic];
const PRIVATE: &[Held] = &[Held::Aes, Held::Mac, Held::RsaPrivate, Held::EcPrivate];
const SECRET: &[Held] = &[Held::Aes, Held::Mac];

const USES: &[Use] = &[
    Use { function: "C_EncryptInit", flag: CKF_ENCRYPT, keys: PUBLIC, rest: Rest::Nothing },
    Use { function: "C_DecryptInit", flag: CKF_DECRYPT, keys: PRIVATE, rest: Rest::Nothing },
    Use { function: "C_DigestInit", flag: CKF_DIGEST, keys: &[], rest: Rest::Nothing },
    Use { function: "C_SignInit", flag: CKF_SIGN, keys: PRIVATE, rest: Rest::Nothing },
    Use { function: "C_VerifyInit", flag: CKF_VERIFY, keys: PUBLIC, rest: Rest::Nothing },
    Use {
        function: "C_SignRecoverInit",
        flag: CKF_SIGN_RECOVER,
        keys: PRIVATE,
        rest: Rest::Nothing,
    },
    Use { function: "C_GenerateKey", flag: CKF_GENERATE, keys: &[], rest: Rest::Key },
    Use { function: "C_GenerateKeyPair", flag: CKF_GENERATE_KEY_PAIR, keys: &[], rest: Rest::Pair },
    Use { function: "C_WrapKey", flag: CKF_WRAP, keys: SECRET, rest: Rest::Wrap },
    Use { function: "C_UnwrapKey", flag: CKF_UNWRAP, keys: SECRET, rest: Rest::Unwrap },
    Use { function: "C_DeriveKey", flag: CKF_DERIVE, keys: PRIVATE, rest: Rest::Key },
    Use {
        function: "C_MessageEncryptInit",
        flag: CKF_MESSAGE_ENCRYPT,
        keys: SECRET,
        rest: Rest::Nothing,
    },
    Use {
        function: "C_MessageSignInit",
        flag: CKF_MESSAGE_SIGN,
        keys: PUBLIC,
        rest: Rest::Nothing,
    },
];

impl Use {
    /// The arguments: session, mechanism, key, and what else it takes.
    fn words(
        &self,
        fixture: &Fixture,
        mechanism: CK_ULONG,
        key: Option<Held>,
        memory: &mut Memory,
    ) -> Vec<CK_ULONG> {
        let mut words = vec![fixture.session(), mechanism];
        words.extend(key.map(|key| fixture.handle(key)));
        let nothing = memory.words(&[0]);
        match self.rest {
            Rest::Nothing => {}
            Rest::Key => words.extend([nothing, 0, memory.room(1)]),
            Rest::Pair => {
                words.extend([nothing, 0, nothing, 0, memory.room(1), memory.room(1)]);
            }
            Rest::Wrap => {
                words.extend([fixture.handle(Held::Fresh), memory.room(512), memory.words(&[4096])])
            }
            Rest::Unwrap => {
                words.extend([memory.words(&[1; 4]), 32, nothing, 0, memory.room(1)]);
            }
        }
        words
    }
}

/// What a parameter is filled with. `Far` is an address with much memory, and as a length more than
/// any memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Filling {
    /// The null pointer.
    Null,
    Zeros,
    /// A null pointer and a length, over and over.
    NullAndFar,
    /// A pointer and no length, or a length and a null pointer.
    FarAndNull,
    Far,
}

const FILLINGS: &[Filling] =
    &[Filling::Null, Filling::Zeros, Filling::NullAndFar, Filling::FarAndNull, Filling::Far];

/// Lengths of the structures that there are, and some that none has.
const LENGTHS: &[CK_ULONG] = &[1, 8, 16, 24, 32, 40, 48, 56, 64];
/// Lengths that no parameter has.
const LIES: &[CK_ULONG] = &[8, 1 << 27, 1 << 63, CK_ULONG::MAX];
const WORDS: usize = 32;

/// A mechanism in a function with a parameter.
struct Generic {
    mechanism: CK_MECHANISM_TYPE,
    using: &'static Use,
    filling: Filling,
    len: CK_ULONG,
}

impl Generic {
    fn name(&self) -> String {
        let Self { mechanism, using, filling, len } = self;
        format!("{} by mechanism {mechanism:#x}, {filling:?} of {len:#x}", using.function)
    }

    fn parameter(&self, fixture: &Fixture, memory: &mut Memory) -> CK_ULONG {
        let far = fixture.vast();
        let pair = match self.filling {
            Filling::Null => return 0,
            Filling::Zeros => [0, 0],
            Filling::NullAndFar => [0, far],
            Filling::FarAndNull => [far, 0],
            Filling::Far => [far, far],
        };
        // What is longer than the pattern is at least there, if anything is so long.
        if self.len > 8 * WORDS as CK_ULONG {
            return far;
        }
        memory.words(&pair.repeat(WORDS / 2))
    }
}

/// No code that a caller's mistake has.
const OWN_FAULTS: &[CK_RV] = &[
    CKR_GENERAL_ERROR,
    CKR_FUNCTION_FAILED,
    CKR_HOST_MEMORY,
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_DEVICE_REMOVED,
    CKR_CRYPTOKI_NOT_INITIALIZED,
    CKR_SESSION_HANDLE_INVALID,
];

/// The same parameter with each key: a mechanism takes one type, or none.
fn attempt_generic(fixture: &mut Fixture, case: &Generic) -> Verdict {
    let keys: Vec<Option<Held>> = match case.using.keys {
        [] => vec![None],
        keys => keys.iter().copied().map(Some).collect(),
    };
    fixture.watch(|fixture| with_keys(fixture, case, &keys))
}

fn with_keys(fixture: &mut Fixture, case: &Generic, keys: &[Option<Held>]) -> Verdict {
    let mut verdict = Verdict::Right;
    for key in keys {
        let mut memory = Memory::default();
        let parameter = case.parameter(fixture, &mut memory);
        let mechanism = memory.words(&[case.mechanism, parameter, case.len]);
        let words = case.using.words(fixture, mechanism, *key, &mut memory);
        let Some(rv) = fixture.module.call(case.using.function, &words) else {
            return Verdict::Absent;
        };
        if OWN_FAULTS.contains(&rv.0) {
            verdict = Verdict::Wrong(format!("{rv:?} with {key:?}"));
        }
        // Impossible lengths, and a null pointer with any, are never right.
        let lie = case.len > 1 << 62 || (case.filling == Filling::Null && case.len > 0);
        if lie && rv == CKR_OK {
            verdict = Verdict::Wrong(format!("{rv:?} with {key:?}"));
        }
        if rv == CKR_OK {
            fixture.reopen();
        }
    }
    verdict
}

/// What the module lists, asked in a process of its own.
fn generic_cases(world: &World) -> Vec<Generic> {
    let list = world.directory().join("mechanisms");
    let child = Forked::start(|| {
        let fixture = Fixture::begin(world, Login::Nobody);
        let (_, count, _) = fixture.module.mechanism_list(fixture.slot, None);
        let (_, _, mechanisms) = fixture.module.mechanism_list(fixture.slot, Some(count));
        let lines: String = mechanisms
            .iter()
            .map(|id| {
                let info = fixture.module.mechanism_info(fixture.slot, *id).expect("info");
                format!("{id} {}\n", info.flags)
            })
            .collect();
        std::fs::write(&list, lines).expect("a list of mechanisms");
        0
    });
    assert_eq!(child.wait(), Ended::Exit(0), "the mechanisms");
    let text = std::fs::read_to_string(&list).expect("a list of mechanisms");
    let mut cases = Vec::new();
    for line in text.lines() {
        let (id, flags) = line.split_once(' ').expect("two numbers");
        let (mechanism, flags): (CK_ULONG, CK_FLAGS) =
            (id.parse().expect("a number"), flags.parse().expect("a number"));
        for using in USES.iter().filter(|using| flags & using.flag != 0) {
            for filling in FILLINGS {
                let lengths = match filling {
                    Filling::Null => LIES.to_vec(),
                    Filling::Far => [LENGTHS, LIES].concat(),
                    _ => LENGTHS.to_vec(),
                };
                cases.extend(lengths.into_iter().map(|len| {
                    let filling = *filling;
                    Generic { mechanism, using, filling, len }
                }));
            }
        }
    }
    cases
}

#[test]
fn any_bytes_for_every_mechanism() {
    case_of_batches(MANY, |world| {
        prepare(world);
        run(&generic_cases(world), Generic::name, || Fixture::begin(world, Login::User), {
            attempt_generic
        })
        .judge("parameters of any bytes");
    });
}

/// A member of a structure.
#[derive(Clone, Copy)]
enum Member {
    /// A number, which is wrong where it is the greatest there is.
    Number(CK_ULONG),
    /// A number that may be any.
    Any(CK_ULONG),
    /// A pointer and its length.
    Bytes(&'static [u8]),
}

use Member::{Any, Bytes, Number};

/// A mechanism whose parameter is a structure, or an IV: two words that may be any.
struct Layout {
    name: &'static str,
    mechanism: CK_MECHANISM_TYPE,
    function: &'static str,
    key: Held,
    members: &'static [Member],
}

const fn layout(
    name: &'static str,
    mechanism: CK_MECHANISM_TYPE,
    function: &'static str,
    key: Held,
    members: &'static [Member],
) -> Layout {
    Layout { name, mechanism, function, key, members }
}

const IV: &[u8] = &[3; 12];
const AAD: &[u8] = b"header";
const IV_OF_16: &[Member] = &[Any(1), Any(2)];
const PSS: &[Member] = &[Number(CKM_SHA256), Number(CKG_MGF1_SHA256), Number(32)];
const OAEP: &[Member] =
    &[Number(CKM_SHA_1), Number(CKG_MGF1_SHA1), Number(CKZ_DATA_SPECIFIED), Bytes(&[])];
const GCM: &[Member] = &[Bytes(IV), Any(96), Bytes(AAD), Number(128)];
const CCM: &[Member] = &[Number(16), Bytes(IV), Bytes(AAD), Number(16)];
const CTR: &[Member] = &[Number(128), Any(1), Any(2)];

static LAYOUTS: &[Layout] = &[
    layout("IV", CKM_AES_CBC, "C_EncryptInit", Held::Aes, IV_OF_16),
    layout("IV", CKM_AES_CBC, "C_DecryptInit", Held::Aes, IV_OF_16),
    layout("IV", CKM_AES_CBC_PAD, "C_EncryptInit", Held::Aes, IV_OF_16),
    layout("IV", CKM_AES_CBC_PAD, "C_DecryptInit", Held::Aes, IV_OF_16),
    layout("CK_AES_CTR_PARAMS", CKM_AES_CTR, "C_EncryptInit", Held::Aes, CTR),
    layout("CK_AES_CTR_PARAMS", CKM_AES_CTR, "C_DecryptInit", Held::Aes, CTR),
    layout("CK_GCM_PARAMS", CKM_AES_GCM, "C_EncryptInit", Held::Aes, GCM),
    layout("CK_GCM_PARAMS", CKM_AES_GCM, "C_DecryptInit", Held::Aes, GCM),
    layout("CK_CCM_PARAMS", CKM_AES_CCM, "C_EncryptInit", Held::Aes, CCM),
    layout("CK_CCM_PARAMS", CKM_AES_CCM, "C_DecryptInit", Held::Aes, CCM),
    layout("CK_MAC_GENERAL_PARAMS", CKM_SHA256_HMAC_GENERAL, "C_SignInit", Held::Mac, &[Number(8)]),
    layout("CK_MAC_GENERAL_PARAMS", CKM_AES_CMAC_GENERAL, "C_SignInit", Held::Aes, &[Number(8)]),
    layout("CK_RSA_PKCS_PSS_PARAMS", CKM_RSA_PKCS_PSS, "C_SignInit", Held::RsaPrivate, PSS),
    layout("CK_RSA_PKCS_PSS_PARAMS", CKM_RSA_PKCS_PSS, "C_VerifyInit", Held::RsaPublic, PSS),
    layout("CK_RSA_PKCS_PSS_PARAMS", CKM_SHA256_RSA_PKCS_PSS, "C_SignInit", Held::RsaPrivate, PSS),
    layout("CK_RSA_PKCS_OAEP_PARAMS", CKM_RSA_PKCS_OAEP, "C_EncryptInit", Held::RsaPublic, OAEP),
    layout("CK_RSA_PKCS_OAEP_PARAMS", CKM_RSA_PKCS_OAEP, "C_DecryptInit", Held::RsaPrivate, OAEP),
];

/// A structure with one thing wrong.
struct Wrong {
    layout: &'static Layout,
    fault: Fault,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing: the parameter is a good one.
    None,
    /// The whole parameter has this length.
    Len(CK_ULONG),
    /// It is null, and its length stays.
    Null,
    /// It is null and has no length.
    Missing,
    /// One word of it is this number.
    Word(usize, CK_ULONG),
    /// Two words of it are these.
    Words(usize, CK_ULONG, CK_ULONG),
}

impl Wrong {
    fn name(&self) -> String {
        let Layout { name, mechanism, function, .. } = self.layout;
        format!("{name} of mechanism {mechanism:#x} in {function}, {:x?}", self.fault)
    }

    /// A call with the parameter, spoiled or not.
    fn call(&self, fixture: &Fixture, fault: Fault) -> Option<Rv> {
        let mut memory = Memory::default();
        let mut words = Vec::new();
        for member in self.layout.members {
            match member {
                Number(number) | Any(number) => words.push(*number),
                Bytes(bytes) => words.extend([memory.bytes(bytes), bytes.len() as CK_ULONG]),
            }
        }
        let mut len = 8 * words.len() as CK_ULONG;
        let far = |number| if number == FAR { fixture.vast() } else { number };
        match fault {
            Fault::Len(other) => len = other,
            Fault::Missing => len = 0,
            Fault::Word(at, number) => words[at] = number,
            Fault::Words(at, one, two) => words[at..at + 2].copy_from_slice(&[far(one), two]),
            Fault::None | Fault::Null => {}
        }
        // A length that is too long is at least there, if anything is so long.
        words.resize(words.len() + 2, 0);
        let at = match fault {
            Fault::Null | Fault::Missing => 0,
            Fault::Len(other) if other > 1 << 20 => fixture.vast(),
            _ => memory.words(&words),
        };
        let mechanism = memory.words(&[self.layout.mechanism, at, len]);
        let words = [fixture.session(), mechanism, fixture.handle(self.layout.key)];
        fixture.module.call(self.layout.function, &words)
    }
}

/// Stands for an address with much memory.
const FAR: CK_ULONG = 0xFA5;
const HALF: CK_ULONG = 1 << 63;
const MAX: CK_ULONG = CK_ULONG::MAX;

fn faults(members: &[Member]) -> Vec<Fault> {
    let mut faults = vec![Fault::None, Fault::Null, Fault::Missing];
    let mut at = 0;
    for member in members {
        match member {
            Number(_) => faults.push(Fault::Word(at, MAX)),
            Any(_) => {}
            Bytes(_) => {
                faults.extend([
                    Fault::Words(at, 0, 8),
                    Fault::Words(at, 0, HALF),
                    Fault::Words(at, 0, MAX),
                    Fault::Words(at, FAR, HALF),
                    Fault::Words(at, FAR, HALF - 1),
                    Fault::Words(at, FAR, MAX),
                ]);
                at += 1;
            }
        }
        at += 1;
    }
    let len = 8 * at as CK_ULONG;
    let lengths = [1, 3, len - 1, len + 1, len + 4, 1 << 27, HALF, MAX];
    faults.extend(lengths.map(Fault::Len));
    faults
}

fn attempt_layout(fixture: &mut Fixture, case: &Wrong) -> Verdict {
    fixture.watch(|fixture| match case.call(fixture, Fault::None) {
        Some(Rv::OK) => spoiled(fixture, case),
        _ if !fixture.complete => Verdict::Absent,
        rv => Verdict::Wrong(format!("{rv:?} for a good parameter")),
    })
}

fn spoiled(fixture: &mut Fixture, case: &Wrong) -> Verdict {
    if let Fault::None = case.fault {
        return Verdict::Right;
    }
    fixture.reopen();
    case.call(fixture, case.fault)
        .map_or(Verdict::Absent, |rv| judge(rv, &[CKR_MECHANISM_PARAM_INVALID, CKR_ARGUMENTS_BAD]))
}

#[test]
fn structures_with_one_thing_wrong() {
    case_of_batches(MANY, |world| {
        prepare(world);
        let cases: Vec<Wrong> = LAYOUTS
            .iter()
            .flat_map(|layout| {
                faults(layout.members).into_iter().map(move |fault| Wrong { layout, fault })
            })
            .collect();
        run(&cases, Wrong::name, || Fixture::begin(world, Login::User), attempt_layout)
            .judge("parameters with one thing wrong");
    });
}
