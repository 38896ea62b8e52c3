//! TLS 1.2 (RFC 5246): `CKM_TLS12_MASTER_KEY_DERIVE`, `CKM_TLS12_KEY_AND_MAC_DERIVE` and their like,
//! `CKM_TLS12_KDF` and `CKM_TLS12_MAC` (PKCS#11 3.2, "TLS 1.2 mechanisms").
//!
//! `CKM_TLS_KDF` and `CKM_TLS_MAC` would also serve TLS 1.0 and 1.1, by `CKM_TLS_PRF` in the
//! parameter; here they take the hash functions of TLS 1.2, like the other two.

use core::ops::RangeInclusive;
use std::sync::Arc;

use strongroom_awslc::equal;
use strongroom_types::{
    Attributes, Bytes, Error, Field, KeyType, Layout, MechanismType, Param, Params, Result,
    attribute, mechanism,
};

use crate::derive::{Computed, Several};
use crate::failure::param;
use crate::hash::Hash;
use crate::prf::Prf;
use crate::secret::{self, Secret};
use crate::whole::{Direct, Signer, Verifier};
use crate::{Derivation, Gives, Heritage, Inputs, Key, Makes, Mechanism, cost};

/// The length of a master secret in bytes (RFC 5246, 8.1), and of the secret that RSA transports.
const MASTER: usize = 48;
const MASTER_SIZE: RangeInclusive<u64> = 48..=48;

/// Keys of any length that a `CK_ULONG` of 32 bits can say.
const ANY_SIZE: RangeInclusive<u64> = 1..=0x7fff_ffff;

/// The most that one derivation gives, in bytes. The standard sets no limit.
const LONGEST: usize = 65536;

/// The longest input of a MAC in bytes: it is the hash of the handshake.
const LONGEST_INPUT: usize = 4096;

/// The size of a `CK_VERSION`.
const VERSION: usize = 2;

/// Which of the numbers of `CK_TLS12_KEY_MAT_PARAMS` is the size of an IV.
const IV_BITS: usize = 2;

/// `CK_TLS12_MASTER_KEY_DERIVE_PARAMS`: the client's random bytes, the server's, a place for the
/// version, the hash function.
static MASTER_PARAMS: &[Layout] =
    &[&[Field::PtrLen, Field::PtrLen, Field::OutPtr(VERSION), Field::Ulong]];

/// `CK_TLS12_EXTENDED_MASTER_KEY_DERIVE_PARAMS`: the hash function, the hash of the session, a
/// place for the version.
static EXTENDED_PARAMS: &[Layout] = &[&[Field::Ulong, Field::PtrLen, Field::OutPtr(VERSION)]];

/// `CK_TLS12_KEY_MAT_PARAMS`: the sizes in bits of MAC keys, keys and IVs, whether they are for
/// export, the client's random bytes, the server's, a pointer to `CK_SSL3_KEY_MAT_OUT`, the hash
/// function.
static KEY_MAT_PARAMS: &[Layout] = &[&[
    Field::Ulong,
    Field::Ulong,
    Field::Ulong,
    Field::Bool,
    Field::PtrLen,
    Field::PtrLen,
    Field::Ptr(&[
        Field::OutHandle,
        Field::OutHandle,
        Field::OutHandle,
        Field::OutHandle,
        Field::OutPtrBits(IV_BITS),
        Field::OutPtrBits(IV_BITS),
    ]),
    Field::Ulong,
]];

/// `CK_TLS_KDF_PARAMS`: the hash function, the label, the client's random bytes, the server's, the
/// context.
static KDF_PARAMS: &[Layout] =
    &[&[Field::Ulong, Field::PtrLen, Field::PtrLen, Field::PtrLen, Field::PtrLen]];

/// `CK_TLS_MAC_PARAMS`: the hash function, the length of the MAC, whose it is.
static MAC_PARAMS: &[Layout] = &[&[Field::Ulong, Field::Ulong, Field::Ulong]];

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        params: MASTER_PARAMS,
        derive: Some(master(|inputs, lens| transported(master_secret(inputs, lens)?, inputs))),
        ..row(mechanism!(CKM_TLS12_MASTER_KEY_DERIVE), MASTER_SIZE)
    },
    Mechanism {
        params: MASTER_PARAMS,
        derive: Some(master(|inputs, lens| agreed(master_secret(inputs, lens)?))),
        ..row(mechanism!(CKM_TLS12_MASTER_KEY_DERIVE_DH), ANY_SIZE)
    },
    Mechanism {
        params: EXTENDED_PARAMS,
        derive: Some(master(|inputs, lens| transported(extended_secret(inputs, lens)?, inputs))),
        ..row(mechanism!(CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE), MASTER_SIZE)
    },
    Mechanism {
        params: EXTENDED_PARAMS,
        derive: Some(master(|inputs, lens| agreed(extended_secret(inputs, lens)?))),
        ..row(mechanism!(CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE_DH), ANY_SIZE)
    },
    Mechanism {
        params: KEY_MAT_PARAMS,
        derive: Some(keys(|inputs, lens| key_block(inputs, lens, true))),
        ..row(mechanism!(CKM_TLS12_KEY_AND_MAC_DERIVE), MASTER_SIZE)
    },
    Mechanism {
        params: KEY_MAT_PARAMS,
        // IVs are never made, whatever their size says.
        derive: Some(keys(|inputs, lens| key_block(inputs, lens, false))),
        ..row(mechanism!(CKM_TLS12_KEY_SAFE_DERIVE), MASTER_SIZE)
    },
    Mechanism {
        params: KDF_PARAMS,
        derive: Some(Derivation::secret(export)),
        ..row(mechanism!(CKM_TLS12_KDF), ANY_SIZE)
    },
    Mechanism {
        params: KDF_PARAMS,
        derive: Some(Derivation::secret(export)),
        ..row(mechanism!(CKM_TLS_KDF), ANY_SIZE)
    },
    mac_row(mechanism!(CKM_TLS12_MAC)),
    mac_row(mechanism!(CKM_TLS_MAC)),
];

const fn row(named: (MechanismType, &'static str), key_size: RangeInclusive<u64>) -> Mechanism {
    Mechanism { keys: &[KeyType::GENERIC_SECRET], key_size, ..Mechanism::named(named) }
}

type Compute = fn(&Inputs<'_>, &[Option<usize>]) -> Result<Computed>;

/// A derivation of a master secret.
const fn master(compute: Compute) -> Derivation {
    let templates = |_: &Params, template: &Attributes| Ok(vec![template.clone()]);
    Derivation {
        makes: Makes::Several(Several { templates, compute, first_is_told: true }),
        heritage: Heritage::Chosen,
    }
}

/// A derivation of keys, whose handles all go to the parameter.
const fn keys(compute: Compute) -> Derivation {
    Derivation {
        makes: Makes::Several(Several { templates, compute, first_is_told: false }),
        heritage: Heritage::Same,
    }
}

const fn mac_row(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        params: MAC_PARAMS,
        sign: Some(|key, params| Ok(Direct::start(Finished::start(key, params)?, LONGEST_INPUT))),
        verify: Some(|key, params| Ok(Direct::start(Finished::start(key, params)?, LONGEST_INPUT))),
        ..row(named, ANY_SIZE)
    }
}

/// Why there is no hash function.
const NO_HASH: &str = "prfHashMechanism, or prfMechanism, is no hash function of this token";

/// The pseudorandom function (RFC 5246, 5): so many bytes for a secret and what comes behind.
fn prf(hash: u64, secret: &[u8], seed: &[&[u8]], len: usize) -> Result<Bytes> {
    let hash = Hash::named(hash, NO_HASH)?;
    let seed = Bytes::new(seed.concat());
    let prf = Prf::hmac(hash, secret)?;
    cost::check(len.div_ceil(prf.len()), 0, seed.len())?;
    let mut out = Bytes::new(Vec::with_capacity(len.next_multiple_of(prf.len())));
    let mut a = prf.of(&[&seed])?;
    while out.len() < len {
        out.extend_from_slice(&prf.of(&[&a, &seed])?);
        a = prf.of(&[&a])?;
    }
    out.truncate(len);
    Ok(out)
}

/// A master secret, and whether there is a place for the version of the protocol.
type Master = (Bytes, bool);

/// A master secret has but one length.
fn check_master_len(lens: &[Option<usize>]) -> Result<()> {
    match lens {
        [None | Some(MASTER)] => Ok(()),
        _ => Err(Error::TemplateInconsistent.since("CKA_VALUE_LEN is not 48")),
    }
}

/// RFC 5246, 8.1.
fn master_secret(inputs: &Inputs<'_>, lens: &[Option<usize>]) -> Result<Master> {
    let [Param::Bytes(client), Param::Bytes(server), Param::Place(version), Param::Ulong(hash)] =
        inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    check_master_len(lens)?;
    let seed = [&b"master secret"[..], client, server];
    Ok((prf(*hash, inputs.value()?, &seed, MASTER)?, *version))
}

/// RFC 7627, 4.
fn extended_secret(inputs: &Inputs<'_>, lens: &[Option<usize>]) -> Result<Master> {
    let [Param::Ulong(hash), Param::Bytes(session), Param::Place(version)] =
        inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    check_master_len(lens)?;
    let seed = [&b"extended master secret"[..], session];
    Ok((prf(*hash, inputs.value()?, &seed, MASTER)?, *version))
}

/// The secret that RSA transports begins with the version of the protocol, which is told.
fn transported((secret, version): Master, inputs: &Inputs<'_>) -> Result<Computed> {
    let told = inputs.value()?.get(..2).ok_or(Error::KeySizeRange)?;
    let gives = if version { Gives::Bytes(Bytes::new(told.to_vec())) } else { Gives::Nothing };
    Ok((vec![secret], vec![gives]))
}

/// One that was agreed on has no version in it, and there must be no place for one.
fn agreed((secret, version): Master) -> Result<Computed> {
    if version {
        return Err(param("pVersion is not null, and the secret has no version"));
    }
    Ok((vec![secret], vec![Gives::Nothing]))
}

/// The longest IV of a cipher suite in bytes: a block of AES.
const LONGEST_IV: usize = 16;

/// The shortest key of a cipher suite that has an IV, in bytes.
const SHORTEST_KEY: usize = 16;

/// The sizes of `CK_TLS12_KEY_MAT_PARAMS`, in bytes.
struct Sizes {
    mac: usize,
    key: usize,
    iv: usize,
}

impl Sizes {
    fn read(params: &Params) -> Result<Self> {
        let [Param::Ulong(mac), Param::Ulong(key), Param::Ulong(iv), Param::Bool(false), ..] =
            params.as_slice()
        else {
            return Err(Error::MechanismParamInvalid);
        };
        let bytes = |bits: u64| {
            let len = usize::try_from(bits / 8).ok().filter(|len| *len <= LONGEST);
            len.filter(|_| bits.is_multiple_of(8))
                .ok_or_else(|| param("a size in bits is no multiple of 8, or too large"))
        };
        let sizes = Self { mac: bytes(*mac)?, key: bytes(*key)?, iv: bytes(*iv)? };
        // What is given as IVs is in the clear: it must not be what other sizes make keys of.
        let no_ivs = sizes.iv == 0;
        let of_a_cipher = sizes.iv <= LONGEST_IV && sizes.key >= SHORTEST_KEY;
        match no_ivs || of_a_cipher {
            true => Ok(sizes),
            false => Err(param("ulIVSizeInBits goes with no cipher, or not with ulKeySizeInBits")),
        }
    }
}

/// Two MAC keys that sign, verify and derive, where there are any; and two keys by the template,
/// which encrypt, decrypt and derive unless it says otherwise.
fn templates(params: &Params, template: &Attributes) -> Result<Vec<Attributes>> {
    let sizes = Sizes::read(params)?;
    let mut all = Vec::new();
    if sizes.mac > 0 {
        let mut mac = Attributes::default();
        for shared in [attribute::TOKEN, attribute::PRIVATE] {
            if let Some(value) = template.get(shared) {
                mac.set(shared, value);
            }
        }
        for usage in [attribute::SIGN, attribute::VERIFY, attribute::DERIVE] {
            mac.set(usage, true);
        }
        all.extend([mac.clone(), mac]);
    }
    if sizes.key > 0 {
        let mut key = template.clone();
        key.need(attribute::KEY_TYPE)?;
        for usage in [attribute::ENCRYPT, attribute::DECRYPT, attribute::DERIVE] {
            if !key.has(usage.info) {
                key.set(usage, true);
            }
        }
        all.extend([key.clone(), key]);
    }
    Ok(all)
}

/// The key block (RFC 5246, 6.3), cut into keys and IVs.
fn key_block(inputs: &Inputs<'_>, lens: &[Option<usize>], with_ivs: bool) -> Result<Computed> {
    let mut sizes = Sizes::read(inputs.params)?;
    let [
        _,
        _,
        _,
        _,
        Param::Bytes(client),
        Param::Bytes(server),
        Param::Structure(out),
        Param::Ulong(hash),
    ] = inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    if !with_ivs {
        sizes.iv = 0;
    }
    let places_for_ivs = out.as_slice().iter().rev().take(2).all(|p| *p == Param::Place(true));
    if sizes.iv > 0 && !places_for_ivs {
        return Err(param("pIVClient or pIVServer is null"));
    }
    let len = 2 * (sizes.mac + sizes.key + sizes.iv);
    let seed = [&b"key expansion"[..], server, client];
    let block = prf(*hash, inputs.value()?, &seed, len)?;
    let mut rest = block.as_slice();
    let mut take = |len| {
        let (taken, left) = rest.split_at_checked(len).ok_or(Error::GeneralError)?;
        rest = left;
        Ok(Bytes::new(taken.to_vec()))
    };
    let (mut values, mut gives) = (Vec::new(), Vec::new());
    for size in [sizes.mac, sizes.mac, sizes.key, sizes.key] {
        if size > 0 {
            gives.push(Gives::Key(values.len()));
            values.push(take(size)?);
        } else {
            gives.push(Gives::Nothing);
        }
    }
    for _ in 0..2 {
        gives.push(if sizes.iv > 0 { Gives::Bytes(take(sizes.iv)?) } else { Gives::Nothing });
    }
    let suits = |(value, len): (&Bytes, &Option<usize>)| len.is_none_or(|len| len == value.len());
    if values.len() != lens.len() || !values.iter().zip(lens).all(suits) {
        return Err(Error::TemplateInconsistent.since("CKA_VALUE_LEN is not ulKeySizeInBits"));
    }
    Ok((values, gives))
}

/// What TLS itself begins its seeds with (RFC 5705, 4, and RFC 7627): exported as keying material it
/// would be the connection's own keys, readable. The seed has no border between the label and the
/// random bytes, so the whole of it is looked at.
static RESERVED: &[&[u8]] = &[
    b"key expansion",
    b"master secret",
    b"extended master secret",
    b"client finished",
    b"server finished",
];

/// Exported keying material (RFC 5705, 4). A context comes with its length; without one there is
/// none.
fn export(inputs: &Inputs<'_>, wanted: Option<usize>) -> Result<Bytes> {
    let [
        Param::Ulong(hash),
        Param::Bytes(label),
        Param::Bytes(client),
        Param::Bytes(server),
        Param::Bytes(context),
    ] = inputs.params.as_slice()
    else {
        return Err(Error::MechanismParamInvalid);
    };
    let wanted = wanted.ok_or_else(secret::no_len)?;
    if wanted > LONGEST {
        return Err(Error::KeySizeRange);
    }
    let len =
        u16::try_from(context.len()).map_err(|_| param("ulContextDataLength is too large"))?;
    let len = len.to_be_bytes();
    let len = if context.is_empty() { &[][..] } else { &len };
    let seed: [&[u8]; 5] = [label, client, server, len, context];
    if RESERVED.iter().any(|label| seed.concat().starts_with(label)) {
        return Err(param("pLabel begins with a label of TLS itself"));
    }
    prf(*hash, inputs.value()?, &seed, wanted)
}

/// The MAC of the finished message (RFC 5246, 7.4.9).
struct Finished {
    key: Arc<Key>,
    hash: u64,
    label: &'static [u8],
    len: usize,
}

impl Finished {
    fn start(key: &Arc<Key>, params: &Params) -> Result<Self> {
        let [Param::Ulong(hash), Param::Ulong(len), Param::Ulong(whose)] = params.as_slice() else {
            return Err(Error::MechanismParamInvalid);
        };
        let label: &[u8] = match *whose {
            1 => b"server finished",
            2 => b"client finished",
            _ => return Err(param("ulServerOrClient is neither 1 nor 2")),
        };
        Hash::named(*hash, NO_HASH)?;
        let len = usize::try_from(*len).ok().filter(|len| SHORTEST_MAC <= *len && *len <= MASTER);
        let len = len.ok_or_else(|| param("ulMacLength is not between 12 and 48"))?;
        Ok(Self { key: Arc::clone(key), hash: *hash, label, len })
    }

    fn mac(&self, input: &[u8]) -> Result<Bytes> {
        let secret = self.key.material::<Secret>()?;
        prf(self.hash, secret.value(), &[self.label, input], self.len)
    }
}

/// The shortest MAC in bytes: "at least 12" (RFC 5246, 7.4.9).
const SHORTEST_MAC: usize = 12;

impl Signer for Finished {
    fn signature_len(&self) -> usize {
        self.len
    }

    fn sign(&self, input: &[u8]) -> Result<Bytes> {
        self.mac(input)
    }
}

impl Verifier for Finished {
    fn verify(&self, input: &[u8], signature: &[u8]) -> Result<()> {
        if signature.len() != self.len {
            return Err(Error::SignatureLenRange);
        }
        if equal(&self.mac(input)?, signature) { Ok(()) } else { Err(Error::SignatureInvalid) }
    }
}
