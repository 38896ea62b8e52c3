//! Owners of AWS-LC's objects: freed exactly once, when dropped.

/// Declares the owner of an AWS-LC object, and how it is freed.
macro_rules! owned {
    ($($(#[$doc:meta])* $name:ident: $object:ident, $free:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(core::ptr::NonNull<aws_lc_sys::$object>);

        impl $name {
            /// Takes what an AWS-LC function made; null is its failure.
            ///
            /// # Safety
            ///
            /// The caller passes on the only right to free the object.
            pub(crate) unsafe fn take(
                made: *mut aws_lc_sys::$object,
            ) -> $crate::error::Result<Self> {
                core::ptr::NonNull::new(made).map(Self).ok_or_else($crate::error::failed)
            }

            /// The object, alive as long as its owner.
            pub(crate) fn as_ptr(&self) -> *mut aws_lc_sys::$object {
                self.0.as_ptr()
            }
        }

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: `take` was given the only right to free it, and this runs once.
                unsafe { aws_lc_sys::$free(self.0.as_ptr()) };
            }
        }
    )*};
}

owned! {
    /// A big number.
    Number: BIGNUM, BN_clear_free;
    /// An RSA key.
    Rsa: RSA, RSA_free;
    /// A key of a curve.
    EcKey: EC_KEY, EC_KEY_free;
    /// A point of a curve.
    EcPoint: EC_POINT, EC_POINT_free;
    /// An ECDSA signature.
    EcdsaSignature: ECDSA_SIG, ECDSA_SIG_free;
    /// A Diffie-Hellman group, or a key of one.
    Dh: DH, DH_free;
    /// DSA's domain parameters, or a key with such.
    Dsa: DSA, DSA_free;
    /// A DSA signature.
    DsaSignature: DSA_SIG, DSA_SIG_free;
    /// Room to compute with big numbers.
    NumberContext: BN_CTX, BN_CTX_free;
    /// A key of any type.
    AnyKey: EVP_PKEY, EVP_PKEY_free;
    /// An operation of a key.
    AnyKeyContext: EVP_PKEY_CTX, EVP_PKEY_CTX_free;
    /// A digest under way.
    DigestContext: EVP_MD_CTX, EVP_MD_CTX_free;
    /// A cipher under way, or one that has its key.
    CipherContext: EVP_CIPHER_CTX, EVP_CIPHER_CTX_free;
    /// A key of an authenticated cipher.
    AeadContext: EVP_AEAD_CTX, EVP_AEAD_CTX_free;
    /// A CMAC under way, or one that has its key.
    CmacContext: CMAC_CTX, CMAC_CTX_free;
    /// An HMAC under way, or one that has its key.
    HmacContext: HMAC_CTX, HMAC_CTX_free;
}
