//! Vectors that nobody here wrote, and the second opinion of other implementations, for every
//! mechanism of the token. A row without them fails the build.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod aes_mode_vectors;
mod aes_support;
mod aes_vectors;
mod chacha_vectors;
mod curve_vectors;
mod derive_vectors;
mod des_vectors;
mod dsa_vectors;
mod hash_vectors;
mod key_objects;
mod key_pairs;
mod key_wrap_vectors;
mod ml_dsa_vectors;
mod ml_kem_vectors;
mod rsa_vectors;
mod salsa20_vectors;
mod secret_keys;
mod sha512_t_vectors;
mod slh_dsa_vectors;
mod sp800_108_vectors;
mod support;
mod tls_vectors;
mod transport_vectors;

use strongroom_mechanisms::{Legacy, Policy};

/// A test that holds a mechanism against vectors.
type Test = fn();

macro_rules! table {
    ($($ckm:ident: $($test:path),+;)*) => {
        /// Which tests hold each mechanism.
        static TABLE: &[(&str, &[Test])] = &[$((stringify!($ckm), &[$($test),+])),*];
    };
}

table! {
    CKM_CHACHA20_KEY_GEN: chacha_vectors::keys;
    CKM_CHACHA20: chacha_vectors::chacha20;
    CKM_CHACHA20_POLY1305: chacha_vectors::chacha20_poly1305;
    CKM_POLY1305_KEY_GEN: chacha_vectors::keys_of_poly1305;
    CKM_POLY1305: chacha_vectors::poly1305;
    CKM_SALSA20_KEY_GEN: salsa20_vectors::keys;
    CKM_SALSA20: salsa20_vectors::streams_of_ecrypt, salsa20_vectors::streams_of_nacl;
    CKM_SALSA20_POLY1305: salsa20_vectors::second_opinion;
    CKM_MD5: hash_vectors::digests;
    CKM_MD5_HMAC: hash_vectors::hmac_of_the_rfcs;
    CKM_MD5_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs;
    CKM_MD5_RSA_PKCS: key_pairs::md5_second_opinion;
    CKM_DES_KEY_GEN: des_vectors::keys;
    CKM_DES2_KEY_GEN: des_vectors::keys;
    CKM_DES3_KEY_GEN: des_vectors::keys;
    CKM_DES3_CMAC: des_vectors::cmac;
    CKM_DES3_CMAC_GENERAL: des_vectors::cmac;
    CKM_DES3_MAC: des_vectors::mac;
    CKM_DES3_MAC_GENERAL: des_vectors::mac;
    CKM_DES_ECB: des_vectors::ecb_and_cbc;
    CKM_DES_CBC: des_vectors::ecb_and_cbc;
    CKM_DES_CBC_PAD: des_vectors::ecb_and_cbc;
    CKM_DES_ECB_ENCRYPT_DATA: des_vectors::ecb_and_cbc;
    CKM_DES_CBC_ENCRYPT_DATA: des_vectors::ecb_and_cbc;
    CKM_DES3_ECB: des_vectors::ecb_and_cbc;
    CKM_DES3_CBC: des_vectors::ecb_and_cbc;
    CKM_DES3_CBC_PAD: des_vectors::ecb_and_cbc;
    CKM_DES3_ECB_ENCRYPT_DATA: des_vectors::ecb_and_cbc;
    CKM_DES3_CBC_ENCRYPT_DATA: des_vectors::ecb_and_cbc;
    CKM_SHA_1: hash_vectors::digests;
    CKM_SHA224: hash_vectors::digests;
    CKM_SHA256: hash_vectors::digests;
    CKM_SHA384: hash_vectors::digests;
    CKM_SHA512: hash_vectors::digests;
    CKM_SHA512_224: hash_vectors::digests;
    CKM_SHA512_256: hash_vectors::digests;
    CKM_SHA3_224: hash_vectors::digests;
    CKM_SHA3_256: hash_vectors::digests;
    CKM_SHA3_384: hash_vectors::digests;
    CKM_SHA3_512: hash_vectors::digests;
    CKM_SHA_1_HMAC: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA_1_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA224_HMAC: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA224_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA256_HMAC: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA256_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA384_HMAC: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA384_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_HMAC: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_HMAC_GENERAL: hash_vectors::hmac_of_the_rfcs, hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_224_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_224_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_256_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_256_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_224_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_224_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_256_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_256_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_384_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_384_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_512_HMAC: hash_vectors::hmac_of_wycheproof;
    CKM_SHA3_512_HMAC_GENERAL: hash_vectors::hmac_of_wycheproof;
    CKM_SHA512_T: sha512_t_vectors::digests;
    CKM_SHA512_T_HMAC: sha512_t_vectors::macs;
    CKM_SHA512_T_HMAC_GENERAL: sha512_t_vectors::macs;
    CKM_SHA512_T_KEY_DERIVATION: sha512_t_vectors::digests_of_keys;
    CKM_SHA512_T_KEY_GEN: secret_keys::hmac_keys_of_sha512_t;
    CKM_GENERIC_SECRET_KEY_GEN: secret_keys::plain_secrets;
    CKM_SHA_1_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA224_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA256_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA384_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA512_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA512_224_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA512_256_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA3_224_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA3_256_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA3_384_KEY_GEN: secret_keys::hmac_keys;
    CKM_SHA3_512_KEY_GEN: secret_keys::hmac_keys;
    CKM_AES_KEY_GEN: secret_keys::aes_keys;
    CKM_AES_ECB: aes_vectors::ecb_and_cbc;
    CKM_AES_CBC: aes_vectors::ecb_and_cbc;
    CKM_AES_CBC_PAD: aes_vectors::cbc_with_padding;
    CKM_AES_CTR: aes_vectors::counter_mode;
    CKM_AES_GCM: aes_vectors::gcm_of_nist, aes_vectors::gcm_of_wycheproof;
    CKM_AES_GMAC: aes_mode_vectors::gmac;
    CKM_AES_CCM: aes_mode_vectors::ccm_of_nist, aes_mode_vectors::ccm_of_wycheproof;
    CKM_AES_OFB: aes_mode_vectors::feedback;
    CKM_AES_CFB1: aes_mode_vectors::feedback;
    CKM_AES_CFB8: aes_mode_vectors::feedback;
    CKM_AES_CFB64: aes_mode_vectors::feedback, aes_mode_vectors::feedback_of_64_bits;
    CKM_AES_CFB128: aes_mode_vectors::feedback;
    CKM_AES_CTS: aes_mode_vectors::stealing;
    CKM_AES_XTS_KEY_GEN: secret_keys::xts_keys;
    CKM_AES_XTS: aes_mode_vectors::xts_of_nist, aes_mode_vectors::xts_second_opinion;
    CKM_AES_KEY_WRAP_PKCS7: aes_mode_vectors::key_wrap_with_padding_of_pkcs7;
    CKM_AES_CMAC: aes_vectors::cmac;
    CKM_AES_CMAC_GENERAL: aes_vectors::cmac;
    CKM_AES_KEY_WRAP: key_wrap_vectors::known_answers, key_wrap_vectors::kw_of_wycheproof, key_wrap_vectors::other_ivs;
    CKM_AES_KEY_WRAP_KWP: key_wrap_vectors::known_answers, key_wrap_vectors::kwp_of_wycheproof, key_wrap_vectors::other_ivs;
    CKM_AES_KEY_WRAP_PAD: key_wrap_vectors::known_answers, key_wrap_vectors::kwp_of_wycheproof;
    CKM_HKDF_DERIVE: derive_vectors::hkdf_of_rfc_5869, derive_vectors::hkdf_of_wycheproof, derive_vectors::hkdf_second_opinion;
    CKM_HKDF_DATA: derive_vectors::hkdf_of_rfc_5869;
    CKM_HKDF_KEY_GEN: secret_keys::hkdf_keys;
    CKM_CONCATENATE_BASE_AND_KEY: derive_vectors::simple_derivations;
    CKM_CONCATENATE_BASE_AND_DATA: derive_vectors::simple_derivations;
    CKM_CONCATENATE_DATA_AND_BASE: derive_vectors::simple_derivations;
    CKM_XOR_BASE_AND_DATA: derive_vectors::simple_derivations;
    CKM_EXTRACT_KEY_FROM_KEY: derive_vectors::simple_derivations;
    CKM_PUB_KEY_FROM_PRIV_KEY: key_pairs::rsa_pairs, key_pairs::ec_pairs, key_pairs::edwards_pairs, key_pairs::montgomery_pairs, ml_dsa_vectors::second_opinion, ml_kem_vectors::pairs, slh_dsa_vectors::second_opinion;
    CKM_SHA1_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA224_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA256_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA384_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA512_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA512_224_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA512_256_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA3_224_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA3_256_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA3_384_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHA3_512_KEY_DERIVATION: derive_vectors::digests_of_keys;
    CKM_SHAKE_128_KEY_DERIVATION: derive_vectors::shake_of_keys;
    CKM_SHAKE_256_KEY_DERIVATION: derive_vectors::shake_of_keys;
    CKM_SP800_108_COUNTER_KDF: sp800_108_vectors::counter_of_nist, sp800_108_vectors::second_opinion, sp800_108_vectors::several_keys, sp800_108_vectors::refusals;
    CKM_SP800_108_FEEDBACK_KDF: sp800_108_vectors::iterations_of_nist, sp800_108_vectors::second_opinion, sp800_108_vectors::refusals;
    CKM_SP800_108_DOUBLE_PIPELINE_KDF: sp800_108_vectors::iterations_of_nist, sp800_108_vectors::second_opinion, sp800_108_vectors::refusals;
    CKM_TLS12_MASTER_KEY_DERIVE: tls_vectors::master_secrets;
    CKM_TLS12_MASTER_KEY_DERIVE_DH: tls_vectors::master_secrets;
    CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE: tls_vectors::master_secrets;
    CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE_DH: tls_vectors::master_secrets;
    CKM_TLS12_KEY_AND_MAC_DERIVE: tls_vectors::key_blocks;
    CKM_TLS12_KEY_SAFE_DERIVE: tls_vectors::key_blocks;
    CKM_TLS12_KDF: tls_vectors::exported_keys;
    CKM_TLS_KDF: tls_vectors::exported_keys;
    CKM_TLS12_MAC: tls_vectors::finished_messages;
    CKM_TLS_MAC: tls_vectors::finished_messages;
    CKM_PKCS5_PBKD2: derive_vectors::pbkdf2_of_the_rfcs;
    CKM_AES_ECB_ENCRYPT_DATA: derive_vectors::ciphertexts_as_keys;
    CKM_AES_CBC_ENCRYPT_DATA: derive_vectors::ciphertexts_as_keys;
    CKM_RSA_PKCS_KEY_PAIR_GEN: key_pairs::rsa_pairs;
    CKM_RSA_PKCS: rsa_vectors::pkcs1_signatures, rsa_vectors::pkcs1_ciphertexts;
    CKM_RSA_X_509: rsa_vectors::pkcs1_signatures, rsa_vectors::pkcs1_ciphertexts;
    CKM_SHA1_RSA_PKCS: rsa_vectors::pkcs1_with_sha1;
    CKM_SHA224_RSA_PKCS: rsa_vectors::pkcs1_signatures;
    CKM_SHA256_RSA_PKCS: rsa_vectors::pkcs1_signatures, key_pairs::rsa_pairs;
    CKM_SHA384_RSA_PKCS: rsa_vectors::pkcs1_signatures;
    CKM_SHA512_RSA_PKCS: rsa_vectors::pkcs1_signatures;
    CKM_SHA3_224_RSA_PKCS: rsa_vectors::pkcs1_signatures, key_pairs::sha3_second_opinion;
    CKM_SHA3_256_RSA_PKCS: rsa_vectors::pkcs1_signatures, key_pairs::sha3_second_opinion;
    CKM_SHA3_384_RSA_PKCS: rsa_vectors::pkcs1_signatures, key_pairs::sha3_second_opinion;
    CKM_SHA3_512_RSA_PKCS: rsa_vectors::pkcs1_signatures, key_pairs::sha3_second_opinion;
    CKM_RSA_PKCS_PSS: rsa_vectors::pss_signatures;
    CKM_SHA1_RSA_PKCS_PSS: rsa_vectors::pss_signatures;
    CKM_SHA224_RSA_PKCS_PSS: rsa_vectors::pss_signatures;
    CKM_SHA256_RSA_PKCS_PSS: rsa_vectors::pss_signatures, key_pairs::rsa_pairs;
    CKM_SHA384_RSA_PKCS_PSS: rsa_vectors::pss_signatures;
    CKM_SHA512_RSA_PKCS_PSS: rsa_vectors::pss_signatures;
    CKM_SHA3_224_RSA_PKCS_PSS: key_pairs::sha3_second_opinion;
    CKM_SHA3_256_RSA_PKCS_PSS: key_pairs::sha3_second_opinion;
    CKM_SHA3_384_RSA_PKCS_PSS: key_pairs::sha3_second_opinion;
    CKM_SHA3_512_RSA_PKCS_PSS: key_pairs::sha3_second_opinion;
    CKM_RSA_PKCS_OAEP: rsa_vectors::oaep_ciphertexts, key_pairs::rsa_pairs;
    CKM_EC_KEY_PAIR_GEN: key_pairs::ec_pairs;
    CKM_EC_KEY_PAIR_GEN_W_EXTRA_BITS: key_pairs::ec_pairs;
    CKM_ECDSA: curve_vectors::ecdsa_signatures, key_pairs::ecdsa_second_opinion;
    CKM_ECDSA_SHA1: curve_vectors::ecdsa_of_rfc_6979;
    CKM_ECDSA_SHA224: curve_vectors::ecdsa_signatures, curve_vectors::ecdsa_of_rfc_6979;
    CKM_ECDSA_SHA256: curve_vectors::ecdsa_signatures, curve_vectors::ecdsa_of_rfc_6979;
    CKM_ECDSA_SHA384: curve_vectors::ecdsa_signatures, curve_vectors::ecdsa_of_rfc_6979;
    CKM_ECDSA_SHA512: curve_vectors::ecdsa_signatures, curve_vectors::ecdsa_of_rfc_6979;
    CKM_ECDSA_SHA3_224: curve_vectors::ecdsa_signatures, key_pairs::sha3_second_opinion;
    CKM_ECDSA_SHA3_256: curve_vectors::ecdsa_signatures, key_pairs::sha3_second_opinion;
    CKM_ECDSA_SHA3_384: curve_vectors::ecdsa_signatures, key_pairs::sha3_second_opinion;
    CKM_ECDSA_SHA3_512: curve_vectors::ecdsa_signatures, key_pairs::sha3_second_opinion;
    CKM_ECDH1_DERIVE: curve_vectors::ecdh_secrets, curve_vectors::montgomery_secrets, curve_vectors::x448_of_rfc_7748, curve_vectors::derivation_functions, curve_vectors::concatenation_of_rfc_7518;
    CKM_ECDH1_COFACTOR_DERIVE: curve_vectors::ecdh_secrets, curve_vectors::ecdh_of_nist;
    CKM_DSA_PARAMETER_GEN: dsa_vectors::parameters;
    CKM_DSA_KEY_PAIR_GEN: dsa_vectors::second_opinion;
    CKM_DSA: dsa_vectors::signatures_of_nist, dsa_vectors::signatures_of_wycheproof;
    CKM_DSA_SHA1: dsa_vectors::signatures_of_nist;
    CKM_DSA_SHA224: dsa_vectors::signatures_of_nist, dsa_vectors::signatures_of_wycheproof;
    CKM_DSA_SHA256: dsa_vectors::signatures_of_nist, dsa_vectors::signatures_of_wycheproof;
    CKM_DSA_SHA384: dsa_vectors::signatures_of_nist;
    CKM_DSA_SHA512: dsa_vectors::signatures_of_nist;
    CKM_DSA_SHA3_224: dsa_vectors::second_opinion;
    CKM_DSA_SHA3_256: dsa_vectors::second_opinion;
    CKM_DSA_SHA3_384: dsa_vectors::second_opinion;
    CKM_DSA_SHA3_512: dsa_vectors::second_opinion;
    CKM_DH_PKCS_PARAMETER_GEN: transport_vectors::dh_parameters;
    CKM_DH_PKCS_KEY_PAIR_GEN: transport_vectors::dh_pairs;
    CKM_DH_PKCS_DERIVE: transport_vectors::agreements, transport_vectors::dh_pairs, transport_vectors::dh_keys_that_are_refused;
    CKM_RSA_AES_KEY_WRAP: transport_vectors::rsa_transport;
    CKM_ECDH_AES_KEY_WRAP: transport_vectors::ec_transport;
    CKM_ECDH_COF_AES_KEY_WRAP: transport_vectors::ec_transport;
    CKM_ECDH_X_AES_KEY_WRAP: transport_vectors::montgomery_transport;
    CKM_EC_EDWARDS_KEY_PAIR_GEN: key_pairs::edwards_pairs, key_pairs::ed448_pairs;
    CKM_EDDSA: curve_vectors::edwards_signatures, curve_vectors::edwards_of_rfc_8032, key_pairs::edwards_pairs;
    CKM_EC_MONTGOMERY_KEY_PAIR_GEN: key_pairs::montgomery_pairs;
    CKM_ML_KEM_KEY_PAIR_GEN: ml_kem_vectors::wycheproof, ml_kem_vectors::pairs, ml_kem_vectors::second_opinion;
    CKM_ML_KEM: ml_kem_vectors::wycheproof, ml_kem_vectors::nist, ml_kem_vectors::pairs, ml_kem_vectors::second_opinion;
    CKM_ML_DSA_KEY_PAIR_GEN: ml_dsa_vectors::keys_of_nist, ml_dsa_vectors::second_opinion;
    CKM_ML_DSA: ml_dsa_vectors::signatures_of_wycheproof, ml_dsa_vectors::verifications_of_wycheproof, ml_dsa_vectors::signatures_of_nist, ml_dsa_vectors::second_opinion;
    CKM_HASH_ML_DSA: ml_dsa_vectors::signatures_of_nist, ml_dsa_vectors::verifications_of_nist;
    CKM_HASH_ML_DSA_SHA224: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA256: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA384: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA512: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA3_224: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA3_256: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA3_384: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHA3_512: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHAKE128: ml_dsa_vectors::signatures_of_nist;
    CKM_HASH_ML_DSA_SHAKE256: ml_dsa_vectors::signatures_of_nist;
    CKM_SLH_DSA_KEY_PAIR_GEN: slh_dsa_vectors::keys_of_nist, slh_dsa_vectors::second_opinion;
    CKM_SLH_DSA: slh_dsa_vectors::second_opinion;
    CKM_HASH_SLH_DSA: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA224: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA256: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA384: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA512: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA3_224: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA3_256: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA3_384: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHA3_512: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHAKE128: slh_dsa_vectors::hashed_messages;
    CKM_HASH_SLH_DSA_SHAKE256: slh_dsa_vectors::hashed_messages;
}

#[test]
fn every_row_has_vectors() {
    let has = |name| TABLE.iter().any(|(row, tests)| *row == name && !tests.is_empty());
    for row in Policy::Legacy.mechanisms() {
        assert!(has(row.name), "{} has no vectors", row.name);
    }
    for (name, _) in TABLE {
        let row = Policy::Legacy.mechanisms().find(|row| row.name == *name);
        assert!(row.is_some(), "{name} is no row");
    }
}

/// Without `legacy` a mechanism is not there at all, or only verifies, and takes no shorter keys.
#[test]
fn what_is_legacy_is_off() {
    let all: Vec<_> = Policy::Legacy.mechanisms().collect();
    for row in &all {
        let modern = Policy::Modern.mechanism(row.id).ok();
        let listed = Policy::Modern.mechanisms().any(|listed| listed.id == row.id);
        assert_eq!(modern.is_some(), listed, "{}", row.name);
        match row.legacy {
            Legacy::Nothing => assert_eq!(modern.unwrap().info().flags, row.info().flags),
            Legacy::Signing => {
                let modern = modern.unwrap();
                assert!(modern.sign.is_none() && modern.verify.is_some(), "{}", row.name);
            }
            Legacy::Everything => assert!(modern.is_none(), "{}", row.name),
        }
        if let (Some(smallest), Some(modern)) = (row.legacy_key_size, modern) {
            assert_eq!(*row.key_size.start(), smallest);
            assert!(smallest < *modern.key_size.start(), "{}", row.name);
        }
    }
    let is = |name: &str, legacy| all.iter().any(|row| row.name == name && row.legacy == legacy);
    for name in ["CKM_SHA1_RSA_PKCS", "CKM_SHA1_RSA_PKCS_PSS", "CKM_ECDSA_SHA1"] {
        assert!(is(name, Legacy::Signing), "{name}");
    }
    for name in ["CKM_SHA_1", "CKM_SHA_1_HMAC", "CKM_RSA_PKCS_OAEP"] {
        assert!(is(name, Legacy::Nothing), "{name}");
    }
}
