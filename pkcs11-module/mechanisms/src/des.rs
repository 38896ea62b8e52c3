//! DES and 3DES (SP 800-67, FIPS 46-3): keys, and what their mechanisms do with them (PKCS#11 3.2,
//! "double and triple-length DES", "DES"). All of it is legacy.
//!
//! Keys that are generated and derived have odd parity. The standard refuses one that is brought
//! along without; DES does not use those bits, SoftHSMv2 takes such keys, and so they are taken as
//! they are.
//!
//! Wrapping with ECB and CBC takes keys of whole blocks only, as that with AES does.

use strongroom_awslc::cipher::{DES_BLOCK as BLOCK, Direction, Keyed, Mode};
use strongroom_awslc::mac::{Cmac, CmacKey};
use strongroom_types::rule::{Default, Rule};
use strongroom_types::{
    Attributes, Bytes, Error, Field, KeyType, Layout, MechanismType, Param, Params, Result,
    attribute, ck, mechanism, rules,
};

use crate::aes::Refusal;
use crate::aes_block::Blocks;
use crate::encrypt_data::by_keyed;
use crate::failure::or;
use crate::mac::{Cut, GENERAL, Mac, general_len};
use crate::secret::Kind;
use crate::{Derivation, Inputs, Key, KeyTypeRow, Legacy, Mechanism, Parsed};

/// The attributes of these keys: their length follows from their type.
static RULES: &[Rule] = rules! {
    VALUE: Default::Absent, NEEDED_BY_CREATE, NOT_BY_GENERATE, NOT_BY_UNWRAP, SECRET;
    CHECK_VALUE: Default::Absent, MAY_BE_EMPTIED;
};

/// A key, as the long key of 3DES, or as one of DES.
struct Des(Bytes);

impl Des {
    fn parse(attributes: &Attributes) -> Result<Parsed> {
        let value = attributes.need(attribute::VALUE)?;
        let size = u64::try_from(value.len()).map_err(|_| Error::KeySizeRange)?;
        Ok(Parsed::new(size, Self(long(value))))
    }

    fn keyed(key: &Key, mode: Mode, direction: Direction) -> Result<Keyed> {
        let Self(value) = key.material()?;
        Keyed::des(mode, direction, value).map_err(or(Error::KeySizeRange))
    }

    fn cmac(key: &Key) -> Result<Cmac> {
        let Self(value) = key.material()?;
        let key = CmacKey::des3(value).map_err(or(Error::KeySizeRange))?;
        key.start().map_err(or(Error::FunctionFailed))
    }
}

/// A key of two parts is one of three, whose third is the first.
pub(crate) fn long(value: &[u8]) -> Bytes {
    let mut long = Bytes::new(Vec::with_capacity(3 * BLOCK));
    long.extend_from_slice(value);
    if value.len() == 2 * BLOCK {
        long.extend_from_slice(value.get(..BLOCK).unwrap_or_default());
    }
    long
}

/// Sets the last bit of each byte so that an odd number of its bits is set.
fn with_odd_parity(value: &mut [u8]) {
    for byte in value {
        *byte = (*byte & 0xfe) | u8::from((*byte & 0xfe).count_ones().is_multiple_of(2));
    }
}

fn check_value(value: &[u8]) -> Result<Bytes> {
    let mut out = Bytes::default();
    Keyed::des(Mode::Ecb, Direction::Encrypt, &long(value))
        .and_then(|keyed| keyed.start(&[], false))
        .and_then(|mut running| running.update(&[0; BLOCK], &mut out))
        .map_err(or(Error::AttributeValueInvalid))?;
    Ok(out)
}

fn generate(key: &mut Attributes, len: usize) -> Result<()> {
    let mut value = Bytes::new(vec![0; len]);
    crate::random(&mut value)?;
    with_odd_parity(&mut value);
    key.set(attribute::VALUE, value);
    Ok(())
}

macro_rules! key_types {
    ($($name:ident: $ckk:ident, $len:literal, $generator:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($ckk), "`.")]
            pub(crate) static $name: KeyTypeRow = KeyTypeRow {
                id: KeyType(ck!($ckk)),
                name: stringify!($ckk),
                secret: Some(RULES),
                lengths: &[$len],
                derived: Some(with_odd_parity),
                complete: |key| {
                    Kind { takes: |len| len == $len, check_value }.check(key).map(drop)
                },
                parse: Des::parse,
                ..KeyTypeRow::NONE
            };
        )*

        /// The rows that make keys.
        pub(crate) static GENERATORS: &[Mechanism] = &[$(Mechanism {
            keys: &[KeyType(ck!($ckk))],
            key_size: $len..=$len,
            legacy: Legacy::Everything,
            generate: Some(|_, key| generate(key, $len)),
            ..Mechanism::named(mechanism!($generator))
        }),*];
    };
}

key_types! {
    DES: CKK_DES, 8, CKM_DES_KEY_GEN;
    DES2: CKK_DES2, 16, CKM_DES2_KEY_GEN;
    DES3: CKK_DES3, 24, CKM_DES3_KEY_GEN;
}

/// No parameter.
static NO_PARAMETER: &[Layout] = &[&[]];

/// The IV: a block.
static IV: &[Layout] = &[&[Field::Whole]];

/// `CK_KEY_DERIVATION_STRING_DATA`.
static DATA: &[Layout] = &[&[Field::PtrLen]];

/// `CK_DES_CBC_ENCRYPT_DATA_PARAMS`.
static IV_AND_DATA: &[Layout] = &[&[Field::Fixed(BLOCK), Field::PtrLen]];

const fn single(named: (MechanismType, &'static str), params: &'static [Layout]) -> Mechanism {
    Mechanism {
        keys: &[KeyType(ck!(CKK_DES))],
        key_size: 8..=8,
        legacy: Legacy::Everything,
        params,
        ..Mechanism::named(named)
    }
}

const fn triple(named: (MechanismType, &'static str), params: &'static [Layout]) -> Mechanism {
    Mechanism {
        keys: &[KeyType(ck!(CKK_DES3)), KeyType(ck!(CKK_DES2))],
        key_size: 16..=24,
        legacy: Legacy::Everything,
        params,
        ..Mechanism::named(named)
    }
}

/// A mode, as its row says it.
struct Variant {
    mode: Mode,
    padding: bool,
}

static ECB: Variant = Variant { mode: Mode::Ecb, padding: false };
static CBC: Variant = Variant { mode: Mode::Cbc, padding: false };
static CBC_PAD: Variant = Variant { mode: Mode::Cbc, padding: true };

impl Variant {
    fn start(
        &self,
        key: &Key,
        params: &Params,
        direction: Direction,
        refusal: Refusal,
    ) -> Result<Blocks> {
        let keyed = Des::keyed(key, self.mode, direction)?;
        let running = match self.mode {
            Mode::Cbc => keyed.start(&params.array::<BLOCK>()?, self.padding),
            _ => keyed.start(&[], self.padding),
        };
        let running = running.map_err(or(Error::MechanismParamInvalid))?;
        Ok(Blocks::new(running, BLOCK, self.padding.then_some(direction), refusal))
    }
}

macro_rules! ciphers {
    ($($row:ident $ckm:ident: $variant:ident, $params:expr;)*) => {
        /// The rows that encrypt and wrap.
        pub(crate) static CIPHERS: &[Mechanism] = &[$(Mechanism {
            encrypt: Some(|key, params| {
                Ok(Box::new($variant.start(key, params, Direction::Encrypt, Refusal::ENCRYPT)?))
            }),
            decrypt: Some(|key, params| {
                Ok(Box::new($variant.start(key, params, Direction::Decrypt, Refusal::DECRYPT)?))
            }),
            wrap: Some(|key, params, bytes| {
                $variant.start(key, params, Direction::Encrypt, Refusal::WRAP)?.run(bytes)
            }),
            unwrap: Some(|key, params, bytes, _| {
                $variant.start(key, params, Direction::Decrypt, Refusal::UNWRAP)?.run(bytes)
            }),
            ..$row(mechanism!($ckm), $params)
        }),*];
    };
}

ciphers! {
    single CKM_DES_ECB: ECB, NO_PARAMETER;
    single CKM_DES_CBC: CBC, IV;
    single CKM_DES_CBC_PAD: CBC_PAD, IV;
    triple CKM_DES3_ECB: ECB, NO_PARAMETER;
    triple CKM_DES3_CBC: CBC, IV;
    triple CKM_DES3_CBC_PAD: CBC_PAD, IV;
}

/// The rows that sign. A MAC of FIPS 113 is half a block; CMAC (SP 800-38B) is all of it.
pub(crate) static MACS: &[Mechanism] = &[
    Mechanism {
        sign: Some(|key, _| Ok(Cut::start(Des::cmac(key)?, BLOCK))),
        verify: Some(|key, _| Ok(Cut::start(Des::cmac(key)?, BLOCK))),
        ..triple(mechanism!(CKM_DES3_CMAC), NO_PARAMETER)
    },
    Mechanism {
        sign: Some(|key, params| Ok(Cut::start(Des::cmac(key)?, general_len(params, BLOCK)?))),
        verify: Some(|key, params| Ok(Cut::start(Des::cmac(key)?, general_len(params, BLOCK)?))),
        ..triple(mechanism!(CKM_DES3_CMAC_GENERAL), GENERAL)
    },
    Mechanism {
        sign: Some(|key, _| Ok(Cut::start(CbcMac::start(key)?, BLOCK / 2))),
        verify: Some(|key, _| Ok(Cut::start(CbcMac::start(key)?, BLOCK / 2))),
        ..triple(mechanism!(CKM_DES3_MAC), NO_PARAMETER)
    },
    Mechanism {
        sign: Some(|key, params| Ok(Cut::start(CbcMac::start(key)?, general_len(params, BLOCK)?))),
        verify: Some(|key, params| {
            Ok(Cut::start(CbcMac::start(key)?, general_len(params, BLOCK)?))
        }),
        ..triple(mechanism!(CKM_DES3_MAC_GENERAL), GENERAL)
    },
];

/// The last block of CBC, of a message that zeros fill up (FIPS 113).
struct CbcMac {
    running: strongroom_awslc::cipher::Running,
    /// How many bytes of a block have come.
    held: usize,
    last: Bytes,
}

impl CbcMac {
    fn start(key: &Key) -> Result<Self> {
        let keyed = Des::keyed(key, Mode::Cbc, Direction::Encrypt)?;
        let running = keyed.start(&[0; BLOCK], false).map_err(or(Error::FunctionFailed))?;
        Ok(Self { running, held: 0, last: Bytes::new(vec![0; BLOCK]) })
    }
}

impl Mac for CbcMac {
    fn update(&mut self, part: &[u8]) -> strongroom_awslc::Result<()> {
        let mut out = Bytes::default();
        self.running.update(part, &mut out)?;
        self.held = (self.held + part.len()) % BLOCK;
        if let Some(last) = out.last_chunk::<BLOCK>() {
            self.last = Bytes::new(last.to_vec());
        }
        Ok(())
    }

    fn finish(mut self) -> strongroom_awslc::Result<Bytes> {
        if self.held > 0 {
            let zeros = [0; BLOCK];
            self.update(zeros.get(self.held..).unwrap_or_default())?;
        }
        Ok(self.last)
    }
}

macro_rules! derivations {
    ($($row:ident: $ecb:ident, $cbc:ident;)*) => {
        /// The rows that derive: the ciphertext of the parameter is a key.
        pub(crate) static DERIVATIONS: &[Mechanism] = &[$(
            Mechanism {
                derive: Some(Derivation::secret(|inputs, wanted| {
                    encrypted(inputs, Mode::Ecb, &[], inputs.params.bytes()?, wanted)
                })),
                ..$row(mechanism!($ecb), DATA)
            },
            Mechanism {
                derive: Some(Derivation::secret(|inputs, wanted| match inputs.params.as_slice() {
                    [Param::Bytes(iv), Param::Bytes(data)] => {
                        encrypted(inputs, Mode::Cbc, iv, data, wanted)
                    }
                    _ => Err(Error::MechanismParamInvalid),
                })),
                ..$row(mechanism!($cbc), IV_AND_DATA)
            },
        )*];
    };
}

derivations! {
    single: CKM_DES_ECB_ENCRYPT_DATA, CKM_DES_CBC_ENCRYPT_DATA;
    triple: CKM_DES3_ECB_ENCRYPT_DATA, CKM_DES3_CBC_ENCRYPT_DATA;
}

fn encrypted(
    inputs: &Inputs<'_>,
    mode: Mode,
    iv: &[u8],
    data: &[u8],
    wanted: Option<usize>,
) -> Result<Bytes> {
    let keyed = Des::keyed(inputs.key, mode, Direction::Encrypt)?;
    by_keyed(&keyed, BLOCK, iv, data, wanted)
}
