//! `EVP_PKEY`: what the structures of RFC 5958 (private keys) and RFC 5280 (public keys) are read
//! into and written from.

use core::mem::MaybeUninit;

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Error, Result, check, failed};
use crate::owned::AnyKey;

/// `EVP_marshal_private_key` or `EVP_marshal_public_key`.
type Marshal = unsafe extern "C" fn(*mut sys::CBB, *const sys::EVP_PKEY) -> core::ffi::c_int;

impl AnyKey {
    /// An empty one.
    pub(crate) fn empty() -> Result<Self> {
        // SAFETY: it takes nothing.
        let made = unsafe { sys::EVP_PKEY_new() };
        // SAFETY: the new key is nobody else's.
        unsafe { Self::take(made) }
    }

    /// Reads a PKCS#8 `PrivateKeyInfo`, and nothing after it, of a key of the type wanted: an
    /// `EVP_PKEY_` number.
    pub(crate) fn from_pkcs8(der: &[u8], wanted: i32) -> Result<Self> {
        let mut rest = sys::CBS { data: der.as_ptr(), len: der.len() };
        // SAFETY: the bytes that `rest` names outlive the call.
        let made = unsafe { sys::EVP_parse_private_key(&mut rest) };
        // SAFETY: the new key is nobody else's.
        let key = unsafe { Self::take(made) }?;
        // SAFETY: the key is alive.
        let found = unsafe { sys::EVP_PKEY_id(key.as_ptr()) };
        if rest.len == 0 && found == wanted { Ok(key) } else { Err(Error::Invalid) }
    }

    /// The PKCS#8 `PrivateKeyInfo`.
    pub(crate) fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        self.marshal(sys::EVP_marshal_private_key)
    }

    /// The `SubjectPublicKeyInfo`.
    pub(crate) fn to_spki(&self) -> Result<Vec<u8>> {
        self.marshal(sys::EVP_marshal_public_key).map(|der| der.to_vec())
    }

    fn marshal(&self, marshal: Marshal) -> Result<Zeroizing<Vec<u8>>> {
        let mut builder = Builder::new()?;
        // SAFETY: builder and key are alive, and this is one of the two functions named above.
        check(unsafe { marshal(&mut builder.0, self.as_ptr()) })?;
        builder.finish()
    }
}

/// A `CBB` that grows, cleaned up when dropped. AWS-LC wipes the memory that it frees.
struct Builder(sys::CBB);

impl Builder {
    fn new() -> Result<Self> {
        /// Enough for most keys; AWS-LC grows it for the others.
        const CAPACITY: usize = 256;
        let mut builder = MaybeUninit::uninit();
        // SAFETY: it initialises the memory that it is given, whatever it returns.
        let returned = unsafe { sys::CBB_init(builder.as_mut_ptr(), CAPACITY) };
        // SAFETY: `CBB_init` zeroes the structure first of all.
        let builder = Self(unsafe { builder.assume_init() });
        check(returned).map_err(|_| Error::Memory)?;
        Ok(builder)
    }

    fn finish(mut self) -> Result<Zeroizing<Vec<u8>>> {
        let (mut data, mut len) = (core::ptr::null_mut(), 0);
        // SAFETY: the builder is initialised, and both places can be written.
        check(unsafe { sys::CBB_finish(&mut self.0, &mut data, &mut len) })?;
        if data.is_null() {
            return Err(failed());
        }
        // SAFETY: `CBB_finish` says that there are `len` bytes at `data`, now ours alone.
        let out = Zeroizing::new(unsafe { core::slice::from_raw_parts(data, len) }.to_vec());
        // SAFETY: `CBB_finish` gave us the right to free it, and `out` is a copy.
        unsafe { sys::OPENSSL_free(data.cast()) };
        Ok(out)
    }
}

impl Drop for Builder {
    fn drop(&mut self) {
        // SAFETY: initialised; after `CBB_finish` it is empty, and cleaning up does nothing.
        unsafe { sys::CBB_cleanup(&mut self.0) };
    }
}
