//! What is left in memory of keys and PINs that were used: nothing, in this process and in that of the
//! daemon. A key comes in by `C_CreateObject` or by `C_UnwrapKey`, is used, and ends in one of four ways;
//! then all memory that can be read is searched for it.

use std::fs::{self, File};
use std::io::Read;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes, Races};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::traces::{Memory, Secret, far_down};
use strongroom_softhsm_tests::world::{blank_slot, slot_of};
use strongroom_softhsm_tests::{
    Attribute, In, InitArgs, LABEL, Mechanism, Module, PLENTY, Param, Room, Rv, Session, Value,
    Word, World, case, not_run, t, table,
};
use zeroize::Zeroize;

use crate::keys;

/// How far down the stack a key is made, used, and ended, in KiB: none overwrites what another leaves.
const MADE: usize = 1280;
const USED: usize = 768;
const ENDED: usize = 256;

/// A kind of key.
struct Kind {
    /// What everybody may know of one.
    template: fn() -> Vec<Attribute>,
    /// Its secrets, new for each key.
    secrets: fn(&World) -> Vec<Known>,
    /// Everything that is done with it.
    uses: &'static [fn(&Session<'_>, CK_OBJECT_HANDLE) -> Result<(), Rv>],
}

/// An attribute with its value, which is under the mask.
type Known = (CK_ATTRIBUTE_TYPE, Secret);

fn value(len: usize) -> Vec<Known> {
    vec![(CKA_VALUE, Secret::random("CKA_VALUE", len))]
}

fn secret_key(kind: CK_KEY_TYPE) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind,
        CKA_ENCRYPT => true, CKA_DECRYPT => true, CKA_SIGN => true, CKA_VERIFY => true,
        CKA_WRAP => true, CKA_UNWRAP => true, CKA_DERIVE => true,
    ]
}

fn private_key(kind: CK_KEY_TYPE, more: Vec<Attribute>) -> Vec<Attribute> {
    let base = t![CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => kind];
    [base, more].concat()
}

fn ec(curve: &[u8]) -> Vec<Attribute> {
    private_key(CKK_EC, t![CKA_EC_PARAMS => curve, CKA_SIGN => true, CKA_DERIVE => true])
}

const NO_MECHANISM: &str = "no such mechanism";
const ENCODED: &str = "an encoding of the seed is given back without being wiped";
const NO_KEY_TYPE: &str = "no such key type";

const MESSAGE: &[u8; 32] = &[3; 32];

const AES: Kind = Kind {
    template: || secret_key(CKK_AES),
    secrets: |_| value(32),
    uses: &[
        |s, key| s.encrypt(Mechanism::iv(CKM_AES_CBC, &[1; 16]), key, MESSAGE).map(drop),
        |s, key| {
            s.decrypt(Mechanism::iv(CKM_AES_CBC_PAD, &[1; 16]), key, MESSAGE)
                .err()
                .map_or(Ok(()), |_| Ok(()))
        },
        |s, key| s.sign(CKM_AES_CMAC, key, MESSAGE).map(drop),
        |s, key| {
            let param = Param::Gcm { iv: In::Bytes(&[1; 12]), aad: In::NONE, tag_bits: 128 };
            s.encrypt(Mechanism::with(CKM_AES_GCM, param), key, MESSAGE).map(drop)
        },
        |s, key| {
            let param = Param::Ctr { bits: 32, block: [1; 16] };
            s.encrypt(Mechanism::with(CKM_AES_CTR, param), key, MESSAGE).map(drop)
        },
    ],
};

const GENERIC: Kind = Kind {
    template: || secret_key(CKK_GENERIC_SECRET),
    secrets: |_| value(64),
    uses: &[
        |s, key| s.sign(CKM_SHA256_HMAC, key, MESSAGE).map(drop),
        |s, key| s.sign(CKM_SHA512_HMAC, key, MESSAGE).map(drop),
    ],
};

const DERIVING: Kind = Kind {
    uses: &[
        |s, key| digest(s, Mechanism::plain(CKM_SHA256), key),
        |s, key| digest(s, Mechanism::plain(CKM_SHA512), key),
        |s, key| digest(s, Mechanism::with(CKM_SHA512_T, Param::Ulong(256)), key),
        |s, key| derive(s, Mechanism::plain(CKM_SHA256_KEY_DERIVATION), key),
        |s, key| derive(s, Mechanism::with(CKM_SHA512_T_KEY_DERIVATION, Param::Ulong(256)), key),
        |s, key| {
            let params = [
                Word::Number(0x0101),
                Word::Number(CKM_SHA256),
                Word::Number(CKF_HKDF_SALT_DATA),
                Word::Bytes(In::Bytes(&[1; 8])),
                Word::Number(0),
                Word::Bytes(In::Bytes(&[2; 8])),
            ];
            derive(s, Mechanism::with(CKM_HKDF_DERIVE, Param::Words(&params)), key)
        },
    ],
    ..GENERIC
};

const DES3: Kind = Kind {
    template: || secret_key(CKK_DES3),
    // Of each byte one bit is no bit of the key.
    secrets: |_| vec![(CKA_VALUE, Secret::random("CKA_VALUE", 24).with_odd_parity())],
    uses: &[|s, key| s.encrypt(Mechanism::iv(CKM_DES3_CBC, &[1; 8]), key, MESSAGE).map(drop)],
};

/// Two pointers with their lengths: a nonce and associated data, or a block's number and a nonce.
fn two<'a>(one: &'a [u8], other: &'a [u8]) -> [Word<'a>; 2] {
    [Word::Bytes(In::Bytes(one)), Word::Bytes(In::Bytes(other))]
}

fn encrypt(
    session: &Session<'_>,
    key: CK_OBJECT_HANDLE,
    id: CK_MECHANISM_TYPE,
    param: &[Word<'_>],
) -> Result<(), Rv> {
    session.encrypt(Mechanism::with(id, Param::Words(param)), key, MESSAGE).map(drop)
}

const CHACHA20: Kind = Kind {
    template: || secret_key(CKK_CHACHA20),
    secrets: |_| value(32),
    uses: &[
        |s, key| encrypt(s, key, CKM_CHACHA20, &two(&[0; 4], &[1; 12])),
        |s, key| encrypt(s, key, CKM_CHACHA20_POLY1305, &two(&[1; 12], &[2; 12])),
    ],
};

const SALSA20: Kind = Kind {
    template: || secret_key(CKK_SALSA20),
    secrets: |_| value(32),
    uses: &[
        |s, key| {
            let first = [Word::Number(0)];
            let param = [Word::Structure(&first), Word::Bytes(In::Bytes(&[1; 8]))];
            encrypt(s, key, CKM_SALSA20, &param)
        },
        |s, key| encrypt(s, key, CKM_SALSA20_POLY1305, &two(&[1; 8], &[2; 12])),
    ],
};

const POLY1305: Kind = Kind {
    template: || secret_key(CKK_POLY1305),
    secrets: |_| value(32),
    uses: &[|s, key| s.sign(CKM_POLY1305, key, MESSAGE).map(drop)],
};

const RSA: Kind = Kind {
    template: || private_key(CKK_RSA, t![CKA_SIGN => true, CKA_DECRYPT => true]),
    secrets: rsa,
    uses: &[
        |s, key| s.sign(CKM_SHA256_RSA_PKCS, key, MESSAGE).map(drop),
        |s, key| {
            let pss = Param::Pss { hash: CKM_SHA256, mgf: CKG_MGF1_SHA256, salt: 32 };
            s.sign(Mechanism::with(CKM_SHA256_RSA_PKCS_PSS, pss), key, MESSAGE).map(drop)
        },
        |s, key| s.decrypt(CKM_RSA_X_509, key, &[1; 256]).map(drop),
    ],
};

const P256: Kind = Kind {
    template: || ec(keys::P256),
    secrets: |_| value(32),
    uses: &[ecdsa, |s, key| agree(s, key, CKM_EC_KEY_PAIR_GEN, keys::P256)],
};

const P384: Kind = Kind {
    template: || ec(keys::P384),
    secrets: |_| value(48),
    uses: &[ecdsa, |s, key| agree(s, key, CKM_EC_KEY_PAIR_GEN, keys::P384)],
};

const SECP256K1: Kind = Kind {
    template: || ec(keys::SECP256K1),
    secrets: |_| value(32),
    uses: &[ecdsa, |s, key| agree(s, key, CKM_EC_KEY_PAIR_GEN, keys::SECP256K1)],
};

const DSA: Kind = Kind {
    template: || private_key(CKK_DSA, [t![CKA_SIGN => true], group(true)].concat()),
    secrets: |_| vec![(CKA_VALUE, Secret::random("CKA_VALUE", 32).halved())],
    uses: &[
        |s, key| s.sign(CKM_DSA, key, MESSAGE).map(drop),
        |s, key| s.sign(CKM_DSA_SHA256, key, MESSAGE).map(drop),
    ],
};

const DH: Kind = Kind {
    template: || private_key(CKK_DH, [t![CKA_DERIVE => true], group(false)].concat()),
    secrets: |_| vec![(CKA_VALUE, Secret::random("CKA_VALUE", 256).halved())],
    // With a peer whose private key is 1.
    uses: &[|s, key| derive(s, Mechanism::iv(CKM_DH_PKCS_DERIVE, &keys::hex(keys::BASE)), key)],
};

/// The domain parameters of a key.
fn group(of_dsa: bool) -> Vec<Attribute> {
    let [prime, base, subprime] = [keys::PRIME, keys::BASE, keys::SUBPRIME].map(keys::hex);
    let group = t![CKA_PRIME => prime, CKA_BASE => base];
    if of_dsa { [group, t![CKA_SUBPRIME => subprime]].concat() } else { group }
}

const ED25519: Kind = Kind {
    template: || private_key(CKK_EC_EDWARDS, t![CKA_EC_PARAMS => keys::ED25519, CKA_SIGN => true]),
    secrets: |_| value(32),
    uses: &[eddsa],
};

const ED448: Kind = Kind {
    template: || private_key(CKK_EC_EDWARDS, t![CKA_EC_PARAMS => keys::ED448, CKA_SIGN => true]),
    secrets: |_| value(57),
    uses: &[eddsa],
};

const X25519: Kind = Kind {
    template: || montgomery(keys::X25519),
    secrets: |_| value(32),
    uses: &[|s, key| agree(s, key, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X25519)],
};

const X448: Kind = Kind {
    template: || montgomery(keys::X448),
    secrets: |_| value(56),
    uses: &[|s, key| agree(s, key, CKM_EC_MONTGOMERY_KEY_PAIR_GEN, keys::X448)],
};

const ML_DSA: Kind = Kind {
    template: || private_key(CKK_ML_DSA, t![CKA_PARAMETER_SET => CKP_ML_DSA_65, CKA_SIGN => true]),
    secrets: |_| vec![(CKA_SEED, Secret::random("CKA_SEED", 32))],
    uses: &[|s, key| s.sign(CKM_ML_DSA, key, MESSAGE).map(drop)],
};

const ML_KEM: Kind = Kind {
    template: || {
        private_key(CKK_ML_KEM, t![CKA_PARAMETER_SET => CKP_ML_KEM_768, CKA_DECAPSULATE => true])
    },
    secrets: |_| vec![(CKA_SEED, Secret::random("CKA_SEED", 64))],
    // Whatever the ciphertext, something comes of it.
    uses: &[|s, key| {
        let mechanism = Mechanism::plain(CKM_ML_KEM);
        let template = t![CKA_LABEL => "a shared secret"];
        let ciphertext = In::Bytes(&[1; 1088]);
        let made =
            s.module.decapsulate_key(s.handle, Some(&mechanism), key, &template, ciphertext)?;
        s.destroy(made).with(())
    }],
};

const SLH_DSA: Kind = Kind {
    template: || {
        let set = t![CKA_PARAMETER_SET => CKP_SLH_DSA_SHA2_128F, CKA_SIGN => true];
        private_key(CKK_SLH_DSA, set)
    },
    secrets: slh_dsa,
    uses: &[|s, key| s.sign(CKM_SLH_DSA, key, MESSAGE).map(drop)],
};

fn montgomery(curve: &[u8]) -> Vec<Attribute> {
    private_key(CKK_EC_MONTGOMERY, t![CKA_EC_PARAMS => curve, CKA_DERIVE => true])
}

fn ecdsa(session: &Session<'_>, key: CK_OBJECT_HANDLE) -> Result<(), Rv> {
    session.sign(CKM_ECDSA, key, MESSAGE).map(drop)
}

fn eddsa(session: &Session<'_>, key: CK_OBJECT_HANDLE) -> Result<(), Rv> {
    session.sign(CKM_EDDSA, key, MESSAGE).map(drop)
}

fn digest(
    session: &Session<'_>,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<(), Rv> {
    let (module, handle) = (session.module, session.handle);
    module.digest_init(handle, Some(&mechanism)).with(())?;
    module.digest_key(handle, key).with(())?;
    module.digest_final(handle, PLENTY).ok().map(drop)
}

fn derive(
    session: &Session<'_>,
    mechanism: Mechanism<'_>,
    key: CK_OBJECT_HANDLE,
) -> Result<(), Rv> {
    let secret = t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_VALUE_LEN => 32_u64,
    ];
    let made = session.derive(mechanism, key, &secret)?;
    session.destroy(made).with(())
}

/// Derives a secret with a peer whose pair is made for it.
fn agree(
    session: &Session<'_>,
    key: CK_OBJECT_HANDLE,
    generator: CK_MECHANISM_TYPE,
    curve: &[u8],
) -> Result<(), Rv> {
    let public = t![CKA_EC_PARAMS => curve];
    let (peer, private) = session.pair(generator, &public, &t![CKA_DERIVE => true])?;
    let point = session.get(peer, CKA_EC_POINT)?;
    let public = In::Bytes(keys::octets(&point));
    let param = Param::Ecdh { kdf: CKD_NULL, shared: In::NONE, public };
    derive(session, Mechanism::with(CKM_ECDH1_DERIVE, param), key)?;
    session.destroy(peer).with(())?;
    session.destroy(private).with(())
}

/// An attribute, its name, and how long its value is.
type Number = (CK_ATTRIBUTE_TYPE, &'static str, usize);

/// The numbers of a new key that another process makes: nothing of it is in this one.
fn elsewhere(world: &World, numbers: &[Number], make: fn() -> Vec<Vec<u8>>) -> Vec<Known> {
    let file = world.directory().join("numbers");
    let child = Forked::start(|| {
        let masked = make().into_iter().zip(numbers).flat_map(|(mut bytes, (_, name, len))| {
            let zeros = bytes.len() - len;
            let (zeros, number) = bytes.split_at_mut(zeros);
            assert!(zeros.iter().all(|byte| *byte == 0));
            Secret::take(name, number).masked().to_vec()
        });
        fs::write(&file, masked.collect::<Vec<u8>>()).expect("written");
        0
    });
    assert_eq!(child.wait(), Ended::Exit(0));
    let masked = fs::read(&file).expect("the numbers");
    let mut rest = &masked[..];
    let number = |(attribute, name, len): &Number| {
        let number;
        (number, rest) = rest.split_at(*len);
        (*attribute, Secret::under_mask(name, number))
    };
    numbers.iter().map(number).collect()
}

/// The numbers of an RSA key. The modulus, which is no secret, is among them all the same: a template has
/// it.
fn rsa(world: &World) -> Vec<Known> {
    const NUMBERS: [Number; 7] = [
        (CKA_MODULUS, "CKA_MODULUS", 256),
        (CKA_PRIVATE_EXPONENT, "CKA_PRIVATE_EXPONENT", 256),
        (CKA_PRIME_1, "CKA_PRIME_1", 128),
        (CKA_PRIME_2, "CKA_PRIME_2", 128),
        (CKA_EXPONENT_1, "CKA_EXPONENT_1", 128),
        (CKA_EXPONENT_2, "CKA_EXPONENT_2", 128),
        (CKA_COEFFICIENT, "CKA_COEFFICIENT", 128),
    ];
    elsewhere(world, &NUMBERS, || {
        use rsa::traits::{PrivateKeyParts, PublicKeyParts};
        let mut key = rsa::RsaPrivateKey::new(&mut Urandom, 2048).expect("an RSA key");
        key.precompute().expect("the numbers that follow from it");
        let numbers = [
            key.n().clone().get(),
            key.d().clone(),
            key.primes()[0].clone().get(),
            key.primes()[1].clone().get(),
            key.dp().expect("an exponent").clone(),
            key.dq().expect("an exponent").clone(),
            key.qinv().expect("a coefficient").retrieve(),
        ];
        numbers.iter().map(|number| number.to_be_bytes().into()).collect()
    })
}

/// The four parts of an SLH-DSA key, of which two are its public key.
fn slh_dsa(world: &World) -> Vec<Known> {
    use fips205::slh_dsa_sha2_128f as set;
    use fips205::traits::SerDes;
    let key = elsewhere(world, &[(CKA_VALUE, "CKA_VALUE", set::SK_LEN)], || {
        let (_, private) = set::try_keygen().expect("an SLH-DSA key");
        vec![private.into_bytes().to_vec()]
    });
    let with_public_end =
        |(attribute, secret): Known| (attribute, secret.with_public_end(set::PK_LEN));
    key.into_iter().map(with_public_end).collect()
}

/// The random numbers of the system.
struct Urandom;

impl rsa::rand_core::TryRng for Urandom {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(bytes));
        random.expect("random bytes");
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Urandom {}

/// How a key ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Destroy,
    Close,
    Logout,
    Finalize,
}

/// How it comes in.
#[derive(Clone, Copy, Debug)]
enum Import {
    Create,
    Unwrap,
}

/// A token whose PINs nobody knows but under a mask.
struct Token<'w> {
    world: &'w World,
    label: String,
    so: Secret,
    user: Secret,
}

impl<'w> Token<'w> {
    fn new(world: &'w World) -> Self {
        let module = world.started();
        let blank = blank_slot(module);
        let (so, user) = (Secret::pin("the SO's PIN"), Secret::pin("the PIN"));
        // The rows of a table share a store.
        let label = format!("{LABEL} {blank}");
        so.with(|pin| assert_eq!(module.init_token(blank, pin.into(), &label), Rv::OK));
        let token = Self { world, label, so, user };
        let session = token.open(CKF_RW_SESSION);
        token.login(session, CKU_SO);
        token.user.with(|pin| assert_eq!(module.init_pin(session.handle, pin.into()), Rv::OK));
        assert_eq!(session.logout(), Rv::OK);
        assert_eq!(session.close(), Rv::OK);
        token
    }

    fn open(&self, flags: CK_FLAGS) -> Session<'w> {
        let module = self.world.module();
        Session::open(module, slot_of(module, &self.label).expect("the token"), flags)
    }

    fn login(&self, session: Session<'_>, user: CK_USER_TYPE) {
        let pin = if user == CKU_SO { &self.so } else { &self.user };
        pin.with(|pin| assert_eq!(session.login(user, pin), Rv::OK, "C_Login"));
    }

    fn module(&self) -> &'w Module {
        self.world.module()
    }
}

/// All memory that there may be something in.
struct Everywhere {
    own: Memory,
    daemon: Option<Memory>,
}

impl Everywhere {
    fn of(world: &World) -> Self {
        world.started();
        let daemon = world.daemon_id().map(|id| {
            let memory = Memory::of(&id.to_string());
            memory.unwrap_or_else(|_| not_run("the memory of the daemon cannot be read from here"))
        });
        let mut this = Self { own: Memory::own(), daemon };
        if let Some(daemon) = &mut this.daemon {
            // Its keys are where nobody reads; what it was started with is on its stack.
            let mut file = std::env::var("STRONGROOM_CONF").expect("a configuration").into_bytes();
            let file = Secret::take("the configuration", &mut file);
            assert!(!daemon.find(&[&file]).is_empty(), "what is there is found");
        }
        this
    }

    fn find(&mut self, secrets: &[&Secret]) -> Vec<String> {
        let mut found = self.own.find(secrets);
        if let Some(daemon) = &mut self.daemon {
            found.extend(daemon.find(secrets).into_iter().map(|it| format!("daemon: {it}")));
        }
        found
    }
}

/// What is left of a key, or of the PIN, after one of these ends.
fn left(
    token: &Token<'_>,
    memory: &mut Everywhere,
    kind: &Kind,
    import: Import,
    end: End,
) -> Vec<String> {
    let secrets = (kind.secrets)(token.world);
    // The login is this session's, which stays; the key belongs to the other.
    let (stays, session) = (token.open(CKF_RW_SESSION), token.open(CKF_RW_SESSION));
    token.login(stays, CKU_USER);
    let on_token = matches!(end, End::Logout | End::Finalize);
    let key = far_down(MADE, || make(&session, kind, &secrets, import, on_token));
    far_down(USED, || {
        for (index, step) in kind.uses.iter().enumerate() {
            step(&session, key).unwrap_or_else(|rv| panic!("use {index}: {rv:?}"));
        }
    });
    let secrets: Vec<_> = secrets
        .iter()
        .filter(|(attribute, _)| *attribute != CKA_MODULUS)
        .map(|(_, secret)| secret)
        .collect();
    for secret in &secrets {
        let found = secret.with(|_| memory.own.find(&[*secret]));
        assert!(!found.is_empty(), "what is there is found");
    }
    far_down(ENDED, || match end {
        End::Destroy => assert_eq!(session.destroy(key), Rv::OK),
        End::Close => assert_eq!(session.close(), Rv::OK),
        End::Logout => assert_eq!(session.logout(), Rv::OK),
        End::Finalize => assert_eq!(token.module().finalize(), Rv::OK),
    });
    let looked_for: Vec<_> = secrets.into_iter().chain([&token.so, &token.user]).collect();
    let found = memory.find(&looked_for);
    if end == End::Finalize {
        let flags = InitArgs::Flags(CKF_OS_LOCKING_OK);
        assert_eq!(token.module().initialize(flags), Rv::OK);
    } else {
        token.module().close_all_sessions(stays.slot);
    }
    let all = found.len();
    let some = found.into_iter().take(3);
    some.map(|it| format!("{import:?}, {end:?}, 1 of {all}: {it}\n")).collect()
}

/// What a key brings along that comes wrapped.
const OF_THE_KEY: [CK_ATTRIBUTE_TYPE; 5] =
    [CKA_EC_PARAMS, CKA_PARAMETER_SET, CKA_PRIME, CKA_BASE, CKA_SUBPRIME];

/// Has a key come in.
fn make(
    session: &Session<'_>,
    kind: &Kind,
    secrets: &[Known],
    import: Import,
    on_token: bool,
) -> CK_OBJECT_HANDLE {
    let more = t![CKA_TOKEN => on_token, CKA_EXTRACTABLE => true];
    let known = [(kind.template)(), more].concat();
    let mut template = known.clone();
    for (attribute, secret) in secrets {
        template.push((*attribute, secret.with(|bytes| Value::from(bytes))));
    }
    let is_rsa = secrets.iter().any(|(attribute, _)| *attribute == CKA_MODULUS);
    if is_rsa {
        template.push((CKA_PUBLIC_EXPONENT, Value::from(&[1, 0, 1])));
    }
    let key = session.create(&template).expect("C_CreateObject");
    for (_, value) in &mut template {
        if let Value::Bytes(bytes) = value {
            bytes.zeroize();
        }
    }
    if matches!(import, Import::Create) {
        return key;
    }
    let wrapping = session.generate(CKM_AES_KEY_GEN, &keys::aes()).expect("C_GenerateKey");
    let wrapped = session.wrap(CKM_AES_KEY_WRAP_KWP, wrapping, key).expect("C_WrapKey");
    assert_eq!(session.destroy(key), Rv::OK);
    let known: Vec<_> = known.into_iter().filter(|(kind, _)| !OF_THE_KEY.contains(kind)).collect();
    let key = session.unwrap(CKM_AES_KEY_WRAP_KWP, wrapping, &wrapped, &known);
    assert_eq!(session.destroy(wrapping), Rv::OK);
    key.expect("C_UnwrapKey")
}

/// What is left of a key of a kind, however it ends.
fn search(world: &World, kind: &Kind, import: Import) {
    let mut memory = Everywhere::of(world);
    let token = Token::new(world);
    let mut all = String::new();
    for end in [End::Destroy, End::Close, End::Logout, End::Finalize] {
        all.extend(left(&token, &mut memory, kind, import, end));
    }
    assert!(all.is_empty(), "{all}");
}

#[test]
fn nothing_is_left_of_keys_that_came_in_the_clear() {
    let rows: &[(&str, SoftHsm2, Kind)] = &[
        ("AES", Passes, AES),
        ("generic secret", Passes, GENERIC),
        ("a secret that others come of", Fails(NO_MECHANISM), DERIVING),
        ("DES3", Passes, DES3),
        ("ChaCha20", Fails(NO_KEY_TYPE), CHACHA20),
        ("Salsa20", Fails(NO_KEY_TYPE), SALSA20),
        ("Poly1305", Fails(NO_KEY_TYPE), POLY1305),
        ("RSA", Passes, RSA),
        ("P-256", Passes, P256),
        ("P-384", Passes, P384),
        ("secp256k1", Passes, SECP256K1),
        ("Ed25519", Races(ENCODED), ED25519),
        ("Ed448", Fails(ENCODED), ED448),
        ("X25519", Fails(NO_KEY_TYPE), X25519),
        ("X448", Fails(NO_KEY_TYPE), X448),
        ("ML-DSA", Fails(NO_KEY_TYPE), ML_DSA),
        ("ML-KEM", Fails(NO_KEY_TYPE), ML_KEM),
        ("DSA", Passes, DSA),
        ("DH", Passes, DH),
        ("SLH-DSA", Fails(NO_KEY_TYPE), SLH_DSA),
    ];
    table(rows, |world, kind| search(world, kind, Import::Create));
}

#[test]
fn nothing_is_left_of_keys_that_came_wrapped() {
    const OLD: &str = "it has only the older AES_KEY_WRAP_PAD";
    let rows: &[(&str, SoftHsm2, Kind)] = &[
        ("AES", Fails(OLD), AES),
        ("generic secret", Fails(OLD), GENERIC),
        ("RSA", Fails(OLD), RSA),
        ("P-256", Fails(OLD), P256),
        ("secp256k1", Fails(OLD), SECP256K1),
        ("Ed25519", Fails(OLD), ED25519),
        ("Ed448", Fails(OLD), ED448),
        ("X25519", Fails(OLD), X25519),
        ("X448", Fails(OLD), X448),
        ("ML-DSA", Fails(OLD), ML_DSA),
        ("ML-KEM", Fails(OLD), ML_KEM),
        ("DSA", Fails(OLD), DSA),
        ("DH", Fails(OLD), DH),
        ("SLH-DSA", Fails(OLD), SLH_DSA),
    ];
    table(rows, |world, kind| search(world, kind, Import::Unwrap));
}

#[test]
fn nothing_is_left_of_keys_that_were_made_here() {
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &[u8]))] = &[
        ("P-256", Passes, (CKM_EC_KEY_PAIR_GEN, keys::P256)),
        (
            "P-256 by longer numbers",
            Fails(NO_MECHANISM),
            (CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS, keys::P256),
        ),
        (
            "P-521 by longer numbers",
            Fails(NO_MECHANISM),
            (CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS, keys::P521),
        ),
        ("Ed25519", Races(ENCODED), (CKM_EC_EDWARDS_KEY_PAIR_GEN, keys::ED25519)),
        ("Ed448", Races(ENCODED), (CKM_EC_EDWARDS_KEY_PAIR_GEN, keys::ED448)),
    ];
    table(rows, |world, (generator, curve)| {
        let mut memory = Everywhere::of(world);
        let token = Token::new(world);
        let session = token.open(CKF_RW_SESSION);
        token.login(session, CKU_USER);
        let (public, open) = (
            t![CKA_EC_PARAMS => *curve],
            t![CKA_SENSITIVE => false, CKA_EXTRACTABLE => true, CKA_SIGN => true],
        );
        let pair = far_down(MADE, || session.pair(*generator, &public, &open));
        let (_, private) = pair.expect("C_GenerateKeyPair");
        let value = far_down(USED, || {
            let wanted = [(CKA_VALUE, Room::Bytes(66))];
            let (rv, mut got) = session.module.attribute_value(session.handle, private, &wanted);
            assert_eq!(rv, Rv::OK, "C_GetAttributeValue");
            Secret::take("CKA_VALUE", &mut got[0].bytes)
        });
        let found = value.with(|_| memory.own.find(&[&value]));
        assert!(!found.is_empty(), "what is there is found");
        far_down(ENDED, || assert_eq!(session.destroy(private), Rv::OK));
        let found = memory.find(&[&value]);
        assert!(found.is_empty(), "{found:?}");
    });
}

/// The other side of the above: a key that is at work is found, unless that is in a daemon; then this process
/// has nothing of it.
#[test]
fn a_key_at_work_is_found() {
    case(Passes, |world| {
        let mut memory = Everywhere::of(world);
        let token = Token::new(world);
        let secrets = value(32);
        let session = token.open(CKF_RW_SESSION);
        token.login(session, CKU_USER);
        let key = make(&session, &AES, &secrets, Import::Create, false);
        assert_eq!(session.encrypt_init(Mechanism::iv(CKM_AES_CBC, &[1; 16]), key), Rv::OK);
        let found = memory.own.find(&[&secrets[0].1]);
        assert_eq!(found.is_empty(), memory.daemon.is_some(), "{found:?}");
    });
}

#[test]
fn nothing_is_left_of_pins() {
    case(Passes, |world| {
        let mut memory = Everywhere::of(world);
        let token = Token::new(world);
        let (new, wrong) = (Secret::pin("the new PIN"), Secret::pin("a wrong PIN"));
        let session = token.open(CKF_RW_SESSION);
        let call = |body: &dyn Fn() -> Rv| far_down(ENDED, body);
        let wrongly = call(&|| wrong.with(|pin| session.login(CKU_USER, pin)));
        assert_eq!(wrongly, CKR_PIN_INCORRECT);
        far_down(USED, || token.login(session, CKU_USER));
        let set = call(&|| {
            let module = token.module();
            let handle = session.handle;
            token.user.with(|old| new.with(|new| module.set_pin(handle, old.into(), new.into())))
        });
        assert_eq!(set, Rv::OK, "C_SetPIN");
        let held = token.user.with(|_| memory.own.find(&[&token.user]));
        assert!(!held.is_empty(), "what is there is found");
        let pins = [&token.so, &token.user, &new, &wrong];
        // Somebody is logged in, and yet nobody has a PIN.
        let found = memory.find(&pins);
        assert!(found.is_empty(), "logged in: {found:?}");
        assert_eq!(session.logout(), Rv::OK);
        let found = memory.find(&pins);
        assert!(found.is_empty(), "logged out: {found:?}");
        assert_eq!(token.module().finalize(), Rv::OK);
        let found = memory.find(&pins);
        assert!(found.is_empty(), "finalised: {found:?}");
    });
}
