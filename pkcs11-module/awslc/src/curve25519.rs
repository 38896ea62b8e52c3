//! Ed25519 (RFC 8032) and X25519 (RFC 7748).

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use crate::error::{Result, check};

/// The length of a seed, a scalar, a public key and a shared secret, in bytes.
pub const KEY_LEN: usize = 32;

/// The length of a signature in bytes.
pub const SIGNATURE_LEN: usize = 64;

/// The longest context in bytes (RFC 8032, 5.1).
pub const MAX_CONTEXT_LEN: usize = 255;

/// Which of the three schemes of RFC 8032, 5.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme<'a> {
    /// Ed25519.
    Pure,
    /// Ed25519ctx, whose context is not empty.
    Context(&'a [u8]),
    /// Ed25519ph, whose context may be empty.
    Prehash(&'a [u8]),
}

/// An Ed25519 private key: the seed and, so that it need not be computed again, the public key. They
/// stay in one place: to move bytes leaves them where they were.
pub struct SigningKey(Zeroizing<Vec<u8>>);

impl SigningKey {
    /// The key of a seed.
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        let mut public = [0; KEY_LEN];
        let mut key = Zeroizing::new(vec![0; 64]);
        let (public, private) = (public.as_mut_ptr(), key.as_mut_ptr());
        // SAFETY: 32 and 64 bytes can be written, and 32 read, as curve25519.h says.
        unsafe { sys::ED25519_keypair_from_seed(public, private, seed.as_ptr()) };
        Self(key)
    }

    /// The public key.
    pub fn public(&self) -> &[u8] {
        self.0.split_at(KEY_LEN).1
    }

    /// Signs a message.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`](crate::Error) if the context is too long, or empty where it may not be.
    pub fn sign(&self, message: &[u8], scheme: Scheme<'_>) -> Result<[u8; SIGNATURE_LEN]> {
        let mut signature = [0; SIGNATURE_LEN];
        let (out, key) = (signature.as_mut_ptr(), self.0.as_ptr());
        let (data, len) = (message.as_ptr(), message.len());
        check(match scheme {
            // SAFETY: 64 bytes can be written, message and key (64 bytes) read.
            Scheme::Pure => unsafe { sys::ED25519_sign(out, data, len, key) },
            // SAFETY: as above, and the context can be read for its length.
            Scheme::Context(context) => unsafe {
                sys::ED25519ctx_sign(out, data, len, key, context.as_ptr(), context.len())
            },
            // SAFETY: as above.
            Scheme::Prehash(context) => unsafe {
                sys::ED25519ph_sign(out, data, len, key, context.as_ptr(), context.len())
            },
        })?;
        Ok(signature)
    }
}

/// Whether `signature` is one of the message, by the public key.
///
/// # Errors
///
/// [`Error::Invalid`](crate::Error) if it is not, or if the scheme's context is not acceptable.
pub fn verify(
    public: &[u8; KEY_LEN],
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
    scheme: Scheme<'_>,
) -> Result<()> {
    let (signature, public) = (signature.as_ptr(), public.as_ptr());
    let (data, len) = (message.as_ptr(), message.len());
    check(match scheme {
        // SAFETY: the message, 64 bytes of signature and 32 of key can be read.
        Scheme::Pure => unsafe { sys::ED25519_verify(data, len, signature, public) },
        // SAFETY: as above, and the context can be read for its length.
        Scheme::Context(context) => unsafe {
            let (context, context_len) = (context.as_ptr(), context.len());
            sys::ED25519ctx_verify(data, len, signature, public, context, context_len)
        },
        // SAFETY: as above.
        Scheme::Prehash(context) => unsafe {
            let (context, context_len) = (context.as_ptr(), context.len());
            sys::ED25519ph_verify(data, len, signature, public, context, context_len)
        },
    })
}

/// The X25519 public key of a scalar.
pub fn x25519_public(scalar: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    let mut public = [0; KEY_LEN];
    // SAFETY: 32 bytes can be written, and 32 read, as curve25519.h says.
    unsafe { sys::X25519_public_from_private(public.as_mut_ptr(), scalar.as_ptr()) };
    public
}

/// The X25519 secret shared with a peer (RFC 7748, 6.1).
///
/// # Errors
///
/// [`Error::Invalid`](crate::Error) if it is all zero: the peer's key has a small order.
pub fn x25519(scalar: &[u8; KEY_LEN], peer: &[u8; KEY_LEN]) -> Result<Zeroizing<Vec<u8>>> {
    let mut secret = Zeroizing::new(vec![0; KEY_LEN]);
    // SAFETY: 32 bytes can be written, and 32 each read, as curve25519.h says.
    check(unsafe { sys::X25519(secret.as_mut_ptr(), scalar.as_ptr(), peer.as_ptr()) })?;
    Ok(secret)
}
