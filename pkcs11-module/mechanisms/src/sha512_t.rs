//! SHA-512/t: `CKM_SHA512_T`, `CKM_SHA512_T_HMAC`, `CKM_SHA512_T_HMAC_GENERAL` and
//! `CKM_SHA512_T_KEY_DERIVATION` (PKCS#11 3.2, "SHA-512/t"; FIPS 180-4, 5.3.6).
//!
//! The parameter of each is t, in bits. That of the general MAC can not also say a length, so it
//! gives what the other does: all of ⌈t/8⌉ bytes.

use strongroom_awslc as awslc;
use strongroom_awslc::sha512_t::{Running, Sha512T};
use strongroom_types::{
    Bytes, Error, KeyType, MechanismType, Param, Params, Result, ck, mechanism,
};

use crate::derive::leading;
use crate::failure::{or, or_since, param};
use crate::hmac::KEY_SIZE;
use crate::mac::{Cut, GENERAL, Mac};
use crate::secret::Secret;
use crate::{Derivation, Digest, Key, Mechanism};

/// The rows of this family.
pub(crate) static ROWS: &[Mechanism] = &[
    Mechanism {
        params: GENERAL,
        digest: Some(|params| {
            let function = read(params)?;
            let running = function.start().map_err(or(Error::FunctionFailed))?;
            Ok(Box::new(Digesting { function, running }))
        }),
        ..Mechanism::named(mechanism!(CKM_SHA512_T))
    },
    mac(mechanism!(CKM_SHA512_T_HMAC)),
    mac(mechanism!(CKM_SHA512_T_HMAC_GENERAL)),
    Mechanism {
        key_size: KEY_SIZE,
        params: GENERAL,
        derive: Some(Derivation::of_digest(|inputs, wanted| {
            let digest = read(inputs.params)?.digest(inputs.value()?);
            leading(digest.map_err(or(Error::FunctionFailed))?, wanted)
        })),
        ..Mechanism::named(mechanism!(CKM_SHA512_T_KEY_DERIVATION))
    },
];

const fn mac(named: (MechanismType, &'static str)) -> Mechanism {
    Mechanism {
        keys: &[KeyType::GENERIC_SECRET, KeyType(ck!(CKK_SHA512_T_HMAC))],
        key_size: KEY_SIZE,
        params: GENERAL,
        sign: Some(|key, params| {
            let (mac, len) = Hmac::start(key, params)?;
            Ok(Cut::start(mac, len))
        }),
        verify: Some(|key, params| {
            let (mac, len) = Hmac::start(key, params)?;
            Ok(Cut::start(mac, len))
        }),
        ..Mechanism::named(named)
    }
}

/// Why there is no such digest.
const NO_LENGTH: &str = "the number of bits is no length of a digest of SHA-512/t";

fn read(params: &Params) -> Result<Sha512T> {
    let [Param::Ulong(bits)] = params.as_slice() else {
        return Err(Error::MechanismParamInvalid);
    };
    let bits = usize::try_from(*bits).map_err(|_| param(NO_LENGTH))?;
    Sha512T::new(bits).map_err(or_since(Error::MechanismParamInvalid, NO_LENGTH))
}

/// A digest under way.
struct Digesting {
    function: Sha512T,
    running: Running,
}

impl Digest for Digesting {
    fn digest_len(&self) -> usize {
        self.function.output_len()
    }

    fn update(&mut self, part: &[u8]) -> Result<()> {
        self.running.update(part).map_err(or(Error::FunctionFailed))
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        self.running.finish().map_err(or(Error::FunctionFailed))
    }

    fn state(&self) -> Option<Bytes> {
        Some(self.running.state())
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.running = self.function.resume(state).map_err(or(Error::SavedStateInvalid))?;
        Ok(())
    }
}

/// HMAC (FIPS 198-1), of which AWS-LC has none with these functions.
struct Hmac {
    function: Sha512T,
    inner: Running,
    outer: Running,
}

impl Hmac {
    /// Starts, and tells the length.
    fn start(key: &Key, params: &Params) -> Result<(Self, usize)> {
        let function = read(params)?;
        let value = key.material::<Secret>()?.value();
        let mac = Self::new(&function, value).map_err(or(Error::FunctionFailed))?;
        Ok((mac, function.output_len()))
    }

    fn new(function: &Sha512T, key: &[u8]) -> awslc::Result<Self> {
        let mut block = Bytes::new(Vec::with_capacity(Sha512T::BLOCK));
        match key.len() > Sha512T::BLOCK {
            true => block.extend_from_slice(&function.digest(key)?),
            false => block.extend_from_slice(key),
        }
        block.resize(Sha512T::BLOCK, 0);
        let padded = |pad: u8| {
            let block = Bytes::new(block.iter().map(|byte| byte ^ pad).collect());
            let mut running = function.start()?;
            running.update(&block)?;
            Ok(running)
        };
        Ok(Self { function: *function, inner: padded(0x36)?, outer: padded(0x5c)? })
    }
}

impl Mac for Hmac {
    fn update(&mut self, part: &[u8]) -> awslc::Result<()> {
        self.inner.update(part)
    }

    fn finish(mut self) -> awslc::Result<Bytes> {
        self.outer.update(&self.inner.finish()?)?;
        self.outer.finish()
    }

    fn state(&self) -> Option<Bytes> {
        Some(self.inner.state())
    }

    fn resume(&mut self, state: &[u8]) -> awslc::Result<()> {
        self.inner = self.function.resume(state)?;
        Ok(())
    }
}
