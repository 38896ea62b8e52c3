//! Digests: `CKM_SHA_1`, `CKM_SHA256` and their like (PKCS#11 3.2, "SHA-1" to
//! "SHA3-512").

use strongroom_awslc::digest::Context;
use strongroom_types::{Bytes, Error, Result, mechanism};

use crate::failure::or;
use crate::hash::{self, Hash};
use crate::{Digest, Mechanism};

macro_rules! digests {
    ($($ckm:ident: $hash:ident;)*) => {
        /// The rows of this family.
        pub(crate) static ROWS: &[Mechanism] = &[$(Mechanism {
            digest: Some(|_| Ok(Box::new(Digesting { hash: &hash::$hash, context: None }))),
            legacy: hash::$hash.legacy(),
            ..Mechanism::named(mechanism!($ckm))
        }),*];
    };
}

digests! {
    CKM_MD5: MD5;
    CKM_SHA_1: SHA1;
    CKM_SHA224: SHA224;
    CKM_SHA256: SHA256;
    CKM_SHA384: SHA384;
    CKM_SHA512: SHA512;
    CKM_SHA512_224: SHA512_224;
    CKM_SHA512_256: SHA512_256;
    CKM_SHA3_224: SHA3_224;
    CKM_SHA3_256: SHA3_256;
    CKM_SHA3_384: SHA3_384;
    CKM_SHA3_512: SHA3_512;
}

/// A digest under way.
struct Digesting {
    hash: &'static Hash,
    /// There once a part came; a digest in a single part needs none.
    context: Option<Context>,
}

impl Digest for Digesting {
    fn digest_len(&self) -> usize {
        self.hash.output_len()
    }

    fn update(&mut self, part: &[u8]) -> Result<()> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(self.hash.start()?),
        };
        context.update(part).map_err(or(Error::FunctionFailed))
    }

    fn finish(self: Box<Self>) -> Result<Bytes> {
        match self.context {
            Some(context) => context.finish().map_err(or(Error::FunctionFailed)),
            None => self.hash.digest(&[]),
        }
    }

    fn state(&self) -> Option<Bytes> {
        hash::state(self.context.as_ref())
    }

    fn resume(&mut self, state: &[u8]) -> Result<()> {
        self.context = self.hash.resume(state)?;
        Ok(())
    }

    fn digest(self: Box<Self>, data: &[u8]) -> Result<Bytes> {
        self.hash.digest(data)
    }
}
