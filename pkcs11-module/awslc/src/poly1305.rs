//! Poly1305 (RFC 8439, 2.5) by itself.

use aws_lc_sys as sys;
use zeroize::Zeroizing;

/// The length of a key in bytes.
pub const KEY: usize = 32;

/// The length of an authenticator in bytes.
pub const TAG: usize = 16;

/// An authenticator under way. A key is good for one message.
pub struct Poly1305 {
    /// A `poly1305_state`, where it stays: AWS-LC aligns what it keeps to the address.
    state: Zeroizing<Vec<u8>>,
}

impl Poly1305 {
    /// Starts.
    pub fn new(key: &[u8; KEY]) -> Self {
        let mut this = Self { state: Zeroizing::new(vec![0; size_of::<sys::poly1305_state>()]) };
        let state = this.raw();
        // SAFETY: the state is writable, and the key has its length.
        unsafe { sys::CRYPTO_poly1305_init(state, key.as_ptr()) };
        this
    }

    /// Adds a part of the message.
    pub fn update(&mut self, part: &[u8]) {
        let state = self.raw();
        // SAFETY: the state has been initialised, and the part is readable for its length.
        unsafe { sys::CRYPTO_poly1305_update(state, part.as_ptr(), part.len()) };
    }

    /// The authenticator.
    pub fn finish(mut self) -> Zeroizing<Vec<u8>> {
        let (state, mut tag) = (self.raw(), Zeroizing::new(vec![0; TAG]));
        // SAFETY: the state has been initialised, and there is room for 16 bytes.
        unsafe { sys::CRYPTO_poly1305_finish(state, tag.as_mut_ptr()) };
        tag
    }

    fn raw(&mut self) -> *mut sys::poly1305_state {
        self.state.as_mut_ptr().cast()
    }
}
