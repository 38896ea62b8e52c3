//! Hash functions: the one table that digests, HMAC, RSA and ECDSA share.

use strongroom_awslc::digest::{self, Algorithm, Context, Shake, Shaking};
use strongroom_types::{Bytes, Error, MechanismType, Result, ck, mechanism};

use crate::Legacy;
use crate::failure::{or, param};

/// A hash function, and the numbers by which the standard knows it.
pub(crate) struct Hash {
    /// The mechanism that computes its digest: `CKM_SHA256`.
    pub(crate) id: MechanismType,
    /// The mask generation function that is made of it: `CKG_MGF1_SHA256`; `None` if the standard
    /// has no number for that.
    pub(crate) mgf: Option<u64>,
    /// What of its signatures is legacy.
    pub(crate) signatures: Legacy,
    /// What computes it.
    pub(crate) algorithm: &'static Algorithm,
}

macro_rules! hashes {
    ($($name:ident = $ckm:ident, $mgf:expr, $signatures:ident;)*) => {
        $(
            #[doc = concat!("`", stringify!($ckm), "`.")]
            pub(crate) static $name: Hash = Hash {
                id: mechanism!($ckm).0,
                mgf: $mgf,
                signatures: Legacy::$signatures,
                algorithm: &digest::$name,
            };
        )*

        /// Every hash function of the token.
        pub(crate) static HASHES: &[&Hash] = &[$(&$name),*];
    };
}

hashes! {
    MD5 = CKM_MD5, None, Everything;
    SHA1 = CKM_SHA_1, Some(ck!(CKG_MGF1_SHA1)), Signing;
    SHA224 = CKM_SHA224, Some(ck!(CKG_MGF1_SHA224)), Nothing;
    SHA256 = CKM_SHA256, Some(ck!(CKG_MGF1_SHA256)), Nothing;
    SHA384 = CKM_SHA384, Some(ck!(CKG_MGF1_SHA384)), Nothing;
    SHA512 = CKM_SHA512, Some(ck!(CKG_MGF1_SHA512)), Nothing;
    SHA512_224 = CKM_SHA512_224, None, Nothing;
    SHA512_256 = CKM_SHA512_256, None, Nothing;
    SHA3_224 = CKM_SHA3_224, Some(ck!(CKG_MGF1_SHA3_224)), Nothing;
    SHA3_256 = CKM_SHA3_256, Some(ck!(CKG_MGF1_SHA3_256)), Nothing;
    SHA3_384 = CKM_SHA3_384, Some(ck!(CKG_MGF1_SHA3_384)), Nothing;
    SHA3_512 = CKM_SHA3_512, Some(ck!(CKG_MGF1_SHA3_512)), Nothing;
}

impl Hash {
    /// The hash function that a parameter names by its digest mechanism, or why the parameter is
    /// refused. One that is legacy has no place in a parameter.
    pub(crate) fn named(id: u64, why: &'static str) -> Result<&'static Self> {
        let named = |hash: &&Self| hash.id.0 == id && hash.legacy() == Legacy::Nothing;
        HASHES.iter().copied().find(named).ok_or_else(|| param(why))
    }

    /// The hash function that the parameter of OAEP or PSS names as `hashAlg`.
    pub(crate) fn of_hash_alg(id: u64) -> Result<&'static Self> {
        Self::named(id, "there is no such hashAlg here")
    }

    /// The hash function of the mask generation function that such a parameter names as `mgf`.
    pub(crate) fn of_mgf(mgf: u64) -> Result<&'static Self> {
        let named = HASHES.iter().copied().find(|hash| hash.mgf == Some(mgf));
        named.ok_or_else(|| param("there is no such mgf here"))
    }

    /// What of its digests and MACs is legacy.
    pub(crate) const fn legacy(&self) -> Legacy {
        match self.signatures {
            Legacy::Everything => Legacy::Everything,
            Legacy::Signing | Legacy::Nothing => Legacy::Nothing,
        }
    }

    /// The length of its digest in bytes.
    pub(crate) fn output_len(&self) -> usize {
        self.algorithm.output_len()
    }

    /// The digest of data that is there at once.
    pub(crate) fn digest(&self, data: &[u8]) -> Result<Bytes> {
        self.algorithm.digest(data).map_err(or(Error::FunctionFailed))
    }

    /// Starts a digest of data that comes in parts.
    pub(crate) fn start(&self) -> Result<Context> {
        Context::new(self.algorithm).map_err(or(Error::FunctionFailed))
    }

    /// A digest that goes on from a [`state`]; none if no part had come.
    pub(crate) fn resume(&self, state: &[u8]) -> Result<Option<Context>> {
        if state.is_empty() {
            return Ok(None);
        }
        let context = Context::resume(self.algorithm, state);
        context.map(Some).map_err(or(Error::SavedStateInvalid))
    }
}

/// What has been digested so far, nothing before the first part; `None` if it can not be told.
pub(crate) fn state(context: Option<&Context>) -> Option<Bytes> {
    context.map_or(Some(Bytes::default()), Context::state)
}

/// A hash function, or a SHAKE that is used as one.
#[derive(Clone, Copy)]
pub(crate) enum Function {
    /// Of the table.
    Hash(&'static Hash),
    /// With an output of this many bytes.
    Shake(Shake, usize),
}

impl From<&'static Hash> for Function {
    fn from(hash: &'static Hash) -> Self {
        Self::Hash(hash)
    }
}

impl Function {
    /// The mechanism of its digest, if it has one.
    pub(crate) fn mechanism(&self) -> Option<MechanismType> {
        match self {
            Self::Hash(hash) => Some(hash.id),
            Self::Shake(..) => None,
        }
    }

    /// The length of its digest in bytes.
    pub(crate) fn output_len(&self) -> usize {
        match self {
            Self::Hash(hash) => hash.output_len(),
            Self::Shake(_, len) => *len,
        }
    }

    /// The digest of data that is there at once.
    pub(crate) fn digest(&self, data: &[u8]) -> Result<Bytes> {
        match self {
            Self::Hash(hash) => hash.digest(data),
            Self::Shake(shake, len) => {
                shake.output(&[data], *len).map_err(or(Error::FunctionFailed))
            }
        }
    }

    /// Starts a digest of data that comes in parts.
    pub(crate) fn start(&self) -> Result<Running> {
        match self {
            Self::Hash(hash) => hash.start().map(Running::Hash),
            Self::Shake(shake, len) => {
                let shaking = shake.start().map_err(or(Error::FunctionFailed))?;
                Ok(Running::Shake(shaking, *len))
            }
        }
    }

    /// A digest that goes on from a [`Running::state`]; none if no part had come.
    pub(crate) fn resume(&self, state: &[u8]) -> Result<Option<Running>> {
        match self {
            Self::Hash(hash) => Ok(hash.resume(state)?.map(Running::Hash)),
            Self::Shake(..) if state.is_empty() => Ok(None),
            Self::Shake(..) => Err(Error::SavedStateInvalid),
        }
    }
}

/// A digest under way.
pub(crate) enum Running {
    /// Of a function of the table.
    Hash(Context),
    /// Of a SHAKE, to this many bytes.
    Shake(Shaking, usize),
}

impl Running {
    /// Adds a part.
    pub(crate) fn update(&mut self, part: &[u8]) -> Result<()> {
        match self {
            Self::Hash(context) => context.update(part),
            Self::Shake(shaking, _) => shaking.update(part),
        }
        .map_err(or(Error::FunctionFailed))
    }

    /// What has been digested so far; `None` if it can not be told.
    pub(crate) fn state(&self) -> Option<Bytes> {
        match self {
            Self::Hash(context) => context.state(),
            Self::Shake(..) => None,
        }
    }

    /// The digest.
    pub(crate) fn finish(self) -> Result<Bytes> {
        match self {
            Self::Hash(context) => context.finish(),
            Self::Shake(shaking, len) => shaking.finish(len),
        }
        .map_err(or(Error::FunctionFailed))
    }
}
