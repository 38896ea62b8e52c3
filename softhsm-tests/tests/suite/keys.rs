//! Keys that the tests use, and their templates.

use cryptoki_sys::*;
use strongroom_softhsm_tests::{Attribute, Session, merge, t};

/// The named curves, as DER object identifiers.
pub(crate) const P192: &[u8] = &[0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 1];
pub(crate) const P256: &[u8] = &[0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 3, 1, 7];
pub(crate) const P384: &[u8] = &[0x06, 5, 0x2B, 0x81, 4, 0, 34];
pub(crate) const P521: &[u8] = &[0x06, 5, 0x2B, 0x81, 4, 0, 35];
pub(crate) const SECP256K1: &[u8] = &[0x06, 5, 0x2B, 0x81, 4, 0, 10];
pub(crate) const ED25519: &[u8] = &[0x06, 3, 0x2B, 101, 112];
pub(crate) const X25519: &[u8] = &[0x06, 3, 0x2B, 101, 110];
pub(crate) const ED448: &[u8] = &[0x06, 3, 0x2B, 101, 113];
pub(crate) const X448: &[u8] = &[0x06, 3, 0x2B, 101, 111];

/// The group of RFC 5114, 2.3: its prime of 2048 bits, its generator, and the order of that.
pub(crate) const PRIME: &str = "87a8e61db4b6663cffbbd19c651959998ceef608660dd0f25d2ceed4435e3b00e00df8f1d61957d4 \
     faf7df4561b2aa3016c3d91134096faa3bf4296d830e9a7c209e0c6497517abd5a8a9d306bcf67ed \
     91f9e6725b4758c022e0b1ef4275bf7b6c5bfc11d45f9088b941f54eb1e59bb8bc39a0bf12307f5c \
     4fdb70c581b23f76b63acae1caa6b7902d52526735488a0ef13c6d9a51bfa4ab3ad8347796524d8e \
     f6a167b5a41825d967e144e5140564251ccacb83e6b486f6b3ca3f7971506026c0b857f689962856 \
     ded4010abd0be621c3a3960a54e710c375f26375d7014103a4b54330c198af126116d2276e11715f \
     693877fad7ef09cadb094ae91e1a1597";
pub(crate) const BASE: &str = "3fb32c9b73134d0b2e77506660edbd484ca7b18f21ef205407f4793a1a0ba12510dbc15077be463f \
     ff4fed4aac0bb555be3a6c1b0c6b47b1bc3773bf7e8c6f62901228f8c28cbb18a55ae31341000a65 \
     0196f931c77a57f2ddf463e5e9ec144b777de62aaab8a8628ac376d282d6ed3864e67982428ebc83 \
     1d14348f6f2f9193b5045af2767164e1dfc967c1fb3f2e55a4bd1bffe83b9c80d052b985d182ea0a \
     db2a3b7313d3fe14c8484b1e052588b9b7d2bbd2df016199ecd06e1557cd0915b3353bbb64e0ec37 \
     7fd028370df92b52c7891428cdc67eb6184b523d1db246c32f63078490f00ef8d647d148d4795451 \
     5e2327cfef98c582664b4c0f6cc41659";
pub(crate) const SUBPRIME: &str =
    "8cf83642a709a097b447997640129da299b1a47d1eb3750ba308b0fe64f5fbd3";

/// The prime of ffdhe2048 (RFC 7919), whose base is 2.
pub(crate) const SAFE_PRIME: &str = "ffffffffffffffffadf85458a2bb4a9aafdc5620273d3cf1d8b9c583ce2d3695a9e13641146433fb \
     cc939dce249b3ef97d2fe363630c75d8f681b202aec4617ad3df1ed5d5fd65612433f51f5f066ed0 \
     856365553ded1af3b557135e7f57c935984f0c70e0e68b77e2a689daf3efe8721df158a136ade735 \
     30acca4f483a797abc0ab182b324fb61d108a94bb2c8e3fbb96adab760d7f4681d4f42a3de394df4 \
     ae56ede76372bb190b07a7c8ee0a6d709e02fce1cdf7e2ecc03404cd28342f619172fe9ce98583ff \
     8e4f1232eef28183c3fe3b1b4c6fad733bb5fcbc2ec22005c58ef1837d1683b2c6f34a26c1b2effa \
     886b423861285c97ffffffffffffffff";

/// An object that any session may read.
pub(crate) fn data(label: &str) -> Vec<Attribute> {
    t![CKA_CLASS => CKO_DATA, CKA_PRIVATE => false, CKA_LABEL => label, CKA_VALUE => b"value"]
}

/// A secret key with a value, for everything.
pub(crate) fn secret(kind: CK_KEY_TYPE, value: &[u8]) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind, CKA_VALUE => value,
        CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        CKA_ENCRYPT => true, CKA_DECRYPT => true, CKA_SIGN => true, CKA_VERIFY => true,
        CKA_WRAP => true, CKA_UNWRAP => true, CKA_DERIVE => true,
    ]
}

/// What an AES key of 32 bytes for everything is generated from.
pub(crate) fn aes() -> Vec<Attribute> {
    t![
        CKA_VALUE_LEN => 32_u64, CKA_SENSITIVE => false, CKA_EXTRACTABLE => true,
        CKA_ENCRYPT => true, CKA_DECRYPT => true, CKA_SIGN => true, CKA_VERIFY => true,
        CKA_WRAP => true, CKA_UNWRAP => true,
    ]
}

/// A public and a private key.
pub(crate) type Pair = (CK_OBJECT_HANDLE, CK_OBJECT_HANDLE);

/// An RSA key pair for everything that RSA does.
pub(crate) fn rsa(session: &Session<'_>, bits: CK_ULONG) -> Pair {
    rsa_with(session, bits, &[])
}

/// An RSA key pair, with more attributes of the private key.
pub(crate) fn rsa_with(session: &Session<'_>, bits: CK_ULONG, private: &[Attribute]) -> Pair {
    let public = t![
        CKA_MODULUS_BITS => bits, CKA_PUBLIC_EXPONENT => &[1, 0, 1],
        CKA_ENCRYPT => true, CKA_VERIFY => true, CKA_WRAP => true,
    ];
    let base = t![CKA_DECRYPT => true, CKA_SIGN => true, CKA_UNWRAP => true];
    session
        .pair(CKM_RSA_PKCS_KEY_PAIR_GEN, &public, &merge(&base, private))
        .expect("C_GenerateKeyPair for RSA")
}

/// An EC key pair that signs and derives.
pub(crate) fn ec(session: &Session<'_>, curve: &[u8]) -> Pair {
    ec_with(session, curve, &[])
}

/// An EC key pair, with more attributes of the private key.
pub(crate) fn ec_with(session: &Session<'_>, curve: &[u8], private: &[Attribute]) -> Pair {
    let base = t![CKA_SIGN => true, CKA_DERIVE => true];
    session
        .pair(
            CKM_EC_KEY_PAIR_GEN,
            &t![CKA_EC_PARAMS => curve, CKA_VERIFY => true],
            &merge(&base, private),
        )
        .expect("C_GenerateKeyPair for EC")
}

/// An Ed25519 key pair.
pub(crate) fn ed25519(session: &Session<'_>) -> Pair {
    edwards(session, ED25519)
}

/// A key pair for EdDSA.
pub(crate) fn edwards(session: &Session<'_>, curve: &[u8]) -> Pair {
    session
        .pair(
            CKM_EC_EDWARDS_KEY_PAIR_GEN,
            &t![CKA_EC_PARAMS => curve, CKA_VERIFY => true],
            &t![CKA_SIGN => true],
        )
        .expect("C_GenerateKeyPair for EdDSA")
}

/// The contents of a DER OCTET STRING; anything else is taken as it is.
pub(crate) fn octets(der: &[u8]) -> &[u8] {
    match der {
        [4, 0x81, len, rest @ ..] if rest.len() == usize::from(*len) => rest,
        [4, len, rest @ ..] if *len < 0x80 && rest.len() == usize::from(*len) => rest,
        _ => der,
    }
}

/// Bytes as a DER OCTET STRING.
pub(crate) fn octet_string(bytes: &[u8]) -> Vec<u8> {
    let len = u8::try_from(bytes.len()).expect("a short string");
    let head: &[u8] = if len < 0x80 { &[4, len] } else { &[4, 0x81, len] };
    [head, bytes].concat()
}

/// Bytes, from hexadecimal.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("a byte")).collect()
}
