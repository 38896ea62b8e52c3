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
