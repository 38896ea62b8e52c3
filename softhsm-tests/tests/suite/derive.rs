//! 5.18.5: keys that come of other keys, by every mechanism but ECDH.

use std::cell::Cell;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use sha2::{Digest as _, Sha256};
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::daemon::daemon_path;
use strongroom_softhsm_tests::{
    Attribute, In, Mechanism, Param, Rv, Session, Word, address, case, merge, t, table,
};

use crate::keys;

const NO_MECHANISM: SoftHsm2 = Fails("no such mechanism");

fn secret(session: &Session<'_>, value: &[u8]) -> CK_OBJECT_HANDLE {
    session.create(&keys::secret(CKK_GENERIC_SECRET, value)).expect("a key")
}

/// A derived key whose value can be read.
fn open_key(kind: CK_KEY_TYPE) -> Vec<Attribute> {
    t![
        CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => kind, CKA_SENSITIVE => false,
        CKA_EXTRACTABLE => true,
    ]
}

fn words<'a>(id: CK_MECHANISM_TYPE, words: &'a [Word<'a>]) -> Mechanism<'a> {
    Mechanism::with(id, Param::Words(words))
}

fn value(session: &Session<'_>, key: Result<CK_OBJECT_HANDLE, Rv>) -> Vec<u8> {
    session.get(key.expect("C_DeriveKey"), CKA_VALUE).expect("CKA_VALUE")
}

#[test]
fn simple_derivations() {
    let data = [Word::Bytes(In::Bytes(b"data"))];
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &[u8]))] = &[
        ("base and data", NO_MECHANISM, (CKM_CONCATENATE_BASE_AND_DATA, b"basedata")),
        ("data and base", NO_MECHANISM, (CKM_CONCATENATE_DATA_AND_BASE, b"database")),
        ("exclusive or", NO_MECHANISM, (CKM_XOR_BASE_AND_DATA, &[6, 0, 7, 4])),
    ];
    table(rows, |world, (mechanism, expected)| {
        let session = world.user();
        let base = secret(&session, b"base");
        let derive =
            |template: Vec<Attribute>| session.derive(words(*mechanism, &data), base, &template);
        assert_eq!(value(&session, derive(open_key(CKK_GENERIC_SECRET))), *expected);
        let short = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 3_u64]);
        assert_eq!(value(&session, derive(short)), expected[..3]);
        let long = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 9_u64]);
        assert!(derive(long).is_err());
    });
}

#[test]
fn two_keys_make_one() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (one, other) = (secret(&session, b"one"), secret(&session, b"other"));
        let id = CKM_CONCATENATE_BASE_AND_KEY;
        let derive = |other| {
            let mechanism = Mechanism::with(id, Param::Ulong(other));
            session.derive(mechanism, one, &open_key(CKK_GENERIC_SECRET))
        };
        assert_eq!(value(&session, derive(other)), b"oneother");
        assert_eq!(derive(0x7777), Err(Rv(CKR_KEY_HANDLE_INVALID)));

        let hidden = merge(&keys::secret(CKK_GENERIC_SECRET, b"h"), &t![CKA_SENSITIVE => true]);
        let hidden = session.create(&hidden).expect("a key");
        let made = derive(hidden).expect("C_DeriveKey");
        assert_eq!(session.flag(made, CKA_SENSITIVE), Ok(true), "as one of the two");
        assert_eq!(session.get(made, CKA_VALUE), Err(Rv(CKR_ATTRIBUTE_SENSITIVE)));

        let bound = keys::secret(CKK_GENERIC_SECRET, b"b");
        let bound = session.create(&merge(&bound, &t![CKA_EXTRACTABLE => false])).expect("a key");
        let made = derive(bound).expect("C_DeriveKey");
        assert_eq!(session.flag(made, CKA_EXTRACTABLE), Ok(false), "as one of the two");

        let idle = merge(&keys::secret(CKK_GENERIC_SECRET, b"i"), &t![CKA_DERIVE => false]);
        let idle = session.create(&idle).expect("a key");
        assert_eq!(derive(idle), Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED)));
    });
}

/// A digest, a MAC or a ciphertext by a piece of one byte would tell that byte.
#[test]
fn pieces_of_hidden_keys() {
    let (base_and_data, extract) = (CKM_CONCATENATE_BASE_AND_DATA, CKM_EXTRACT_KEY_FROM_KEY);
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let too_few = Err(Rv(CKR_KEY_SIZE_RANGE));
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_DERIVE => true]);
        let sized = |len: u64| merge(&template, &t![CKA_VALUE_LEN => len]);
        let generated = t![
            CKA_VALUE_LEN => 32_u64, CKA_DERIVE => true, CKA_SENSITIVE => true,
            CKA_EXTRACTABLE => false,
        ];
        let mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
        let generated = session.generate(mechanism, &generated).expect("C_GenerateKey");
        let hidden = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 32]), &t![CKA_SENSITIVE => true]);
        let imported = session.create(&hidden).expect("C_CreateObject");
        let data = [Word::Bytes(In::Bytes(b"what is known"))];
        let cut =
            |key, len| session.derive(Mechanism::with(extract, Param::Ulong(8)), key, &sized(len));
        assert_eq!(cut(generated, 1), too_few);
        assert_eq!(cut(generated, 13), too_few);
        assert_eq!(cut(imported, 16), too_few, "perhaps the caller knows all of it but a byte");
        let mechanism = Mechanism::plain(CKM_GENERIC_SECRET_KEY_GEN);
        let closed = t![
            CKA_VALUE_LEN => 32_u64, CKA_DERIVE => true, CKA_SENSITIVE => false,
            CKA_EXTRACTABLE => false,
        ];
        let closed = session.generate(mechanism, &closed).expect("C_GenerateKey");
        assert_eq!(cut(closed, 13), too_few, "not sensitive, and not to be read either");
        for hidden in [generated, closed] {
            let piece = cut(hidden, 14).expect("a piece");
            assert_eq!(session.get(piece, CKA_CHECK_VALUE), Ok(vec![]), "it would tell the piece");
        }
        let piece = cut(generated, 16).expect("a piece that nobody guesses");
        assert_eq!(session.flag(piece, CKA_SENSITIVE), Ok(true));
        assert_eq!(cut(piece, 15), too_few);
        let longer = words(base_and_data, &data);
        let longer = session.derive(longer, generated, &template);
        assert_eq!(cut(longer.expect("C_DeriveKey"), 14), too_few, "13 bytes of it are known");
        assert_eq!(session.derive(words(base_and_data, &data), generated, &sized(3)), too_few);
    });
}

/// Whoever knows the key of CMAC turns it round, if he finds what it gives byte by byte.
#[test]
fn hidden_keys_under_cmac() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let known = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key that he knows");
        let hidden = merge(&keys::secret(CKK_AES, &[7; 16]), &t![CKA_SENSITIVE => true]);
        let hidden = session.create(&hidden).expect("a key");
        let open = session.create(&keys::secret(CKK_AES, &[8; 16])).expect("a key");
        let ulong = size_of::<CK_ULONG>() as CK_ULONG;
        let format = [Word::Number(0), Word::Number(32)];
        let derive = |prf, key, len: u64| {
            let handle = [Word::Number(key)];
            let data = [
                Word::Number(CK_SP800_108_ITERATION_VARIABLE),
                Word::Structure(&format),
                Word::Number(2 * ulong),
                Word::Number(CK_SP800_108_KEY_HANDLE),
                Word::Structure(&handle),
                Word::Number(ulong),
            ];
            let params = [
                Word::Number(prf),
                Word::Number(2),
                Word::Structure(&data),
                Word::Number(0),
                Word::Number(0),
            ];
            let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => len]);
            session.derive(words(CKM_SP800_108_COUNTER_KDF, &params), known, &template)
        };
        for len in [1, 15, 17, 31] {
            let cut = derive(CKM_AES_CMAC, hidden, len);
            assert_eq!(cut, Err(Rv(CKR_KEY_SIZE_RANGE)), "{len} bytes");
            derive(CKM_AES_CMAC, open, len).expect("of what everybody knows");
        }
        for len in [16, 32] {
            let made = derive(CKM_AES_CMAC, hidden, len).expect("whole outputs");
            assert_eq!(session.flag(made, CKA_SENSITIVE), Ok(true));
        }
    });
}

/// DES has no use for the last bit of each byte, and a DES key that is derived loses them: they are found by
/// trying, and so are those of the key turned by one bit.
#[test]
fn bits_of_hidden_keys() {
    let data = [Word::Bytes(In::Bytes(&[0; 16]))];
    let rows: &[(&str, SoftHsm2, Mechanism<'_>)] = &[
        ("exclusive or", NO_MECHANISM, words(CKM_XOR_BASE_AND_DATA, &data)),
        ("turned", NO_MECHANISM, Mechanism::with(CKM_EXTRACT_KEY_FROM_KEY, Param::Ulong(1))),
        ("data behind it", NO_MECHANISM, words(CKM_CONCATENATE_BASE_AND_DATA, &data)),
    ];
    table(rows, |world, mechanism| {
        let session = world.user();
        for protection in [t![CKA_SENSITIVE => true], t![CKA_EXTRACTABLE => false]] {
            let hidden = merge(&keys::secret(CKK_GENERIC_SECRET, &[7; 16]), &protection);
            let hidden = session.create(&hidden).expect("a key");
            let made = session.derive(*mechanism, hidden, &open_key(CKK_DES2));
            assert_eq!(made, Err(Rv(CKR_KEY_FUNCTION_NOT_PERMITTED)));
            let whole = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 16_u64]);
            session.derive(*mechanism, hidden, &whole).expect("all bits");
        }
        let made = session.derive(*mechanism, secret(&session, &[7; 16]), &open_key(CKK_DES2));
        assert_eq!(value(&session, made).len(), 16, "of what everybody knows");
    });
}

/// HMAC uses the digest of a key that is longer than a block in place of the key.
#[test]
fn digests_of_long_hidden_keys() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        for (len, hidden) in [(64, false), (65, true)] {
            let key = keys::secret(CKK_GENERIC_SECRET, &vec![7; len]);
            let key = session.create(&merge(&key, &t![CKA_SENSITIVE => true])).expect("a key");
            let mechanism = Mechanism::plain(CKM_SHA256_KEY_DERIVATION);
            let derived = session.derive(mechanism, key, &open_key(CKK_GENERIC_SECRET));
            assert_eq!(session.flag(derived.expect("C_DeriveKey"), CKA_SENSITIVE), Ok(hidden));
        }
    });
}

#[test]
fn ciphertexts_as_keys() {
    let data = [5; 32];
    let iv = [0_u64; 2];
    let ecb = [Word::Bytes(In::Bytes(&data))];
    let cbc = [Word::Number(iv[0]), Word::Number(iv[1]), Word::Bytes(In::Bytes(&data))];
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &[Word<'_>], CK_MECHANISM_TYPE))] = &[
        ("ECB", Passes, (CKM_AES_ECB_ENCRYPT_DATA, &ecb, CKM_AES_ECB)),
        ("CBC", Passes, (CKM_AES_CBC_ENCRYPT_DATA, &cbc, CKM_AES_CBC)),
    ];
    table(rows, |world, (mechanism, params, cipher)| {
        let session = world.user();
        let base = session.create(&keys::secret(CKK_AES, &[7; 16])).expect("a key");
        let template = merge(&open_key(CKK_AES), &t![CKA_VALUE_LEN => 32_u64]);
        let derived = value(&session, session.derive(words(*mechanism, params), base, &template));
        let cipher = match *cipher {
            CKM_AES_ECB => Mechanism::plain(CKM_AES_ECB),
            cipher => Mechanism::iv(cipher, &[0; 16]),
        };
        assert_eq!(Ok(derived), session.encrypt(cipher, base, &data[..]));
    });
}

#[test]
fn hkdf_and_its_salt() {
    case(NO_MECHANISM, |world| {
        // RFC 5869, A.1.
        let session = world.user();
        let hex = |hex: &str| hex::decode(hex).expect("hexadecimal");
        let base = secret(&session, &[0x0b; 22]);
        let salt: Vec<u8> = (0..13).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let expected = hex(
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        );
        let salt_key = secret(&session, &salt);
        let len = t![CKA_VALUE_LEN => 42_u64];
        for (kind, data, key) in
            [(CKF_HKDF_SALT_DATA, &salt[..], 0), (CKF_HKDF_SALT_KEY, b"", salt_key)]
        {
            let params = [
                Word::Number(0x0101),
                Word::Number(CKM_SHA256),
                Word::Number(kind),
                Word::Bytes(In::Bytes(data)),
                Word::Number(key),
                Word::Bytes(In::Bytes(&info)),
            ];
            let template = merge(&open_key(CKK_GENERIC_SECRET), &len);
            let derived = session.derive(words(CKM_HKDF_DERIVE, &params), base, &template);
            assert_eq!(value(&session, derived), expected);
            let template = merge(&t![CKA_CLASS => CKO_DATA], &len);
            let derived = session.derive(words(CKM_HKDF_DATA, &params), base, &template);
            let derived = derived.expect("C_DeriveKey");
            assert_eq!(session.number(derived, CKA_CLASS), Ok(CKO_DATA));
            assert_eq!(session.get(derived, CKA_VALUE), Ok(expected.clone()));
        }
    });
}

/// RFC 8448, 3: the master secret of a handshake is extracted from as many zeros as a digest has.
#[test]
fn hkdf_extracts_from_a_data_object() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let hex = |hex: &str| hex::decode(hex).expect("hexadecimal");
        let data = |value: &[u8]| {
            let template = t![CKA_CLASS => CKO_DATA, CKA_VALUE => value];
            session.create(&template).expect("a data object")
        };
        let derived = "43de77e0c77713859a944db9db2590b53190a65b3ee2e4f12dd7a0bb7ce254b4";
        let salt = secret(&session, &hex(derived));
        let derive = |mechanism, base, steps, kind, salt: &[u8], key| {
            let params = [
                Word::Number(steps),
                Word::Number(CKM_SHA256),
                Word::Number(kind),
                Word::Bytes(In::Bytes(salt)),
                Word::Number(key),
                Word::Bytes(In::NONE),
            ];
            let template = match mechanism {
                CKM_HKDF_DATA => t![CKA_CLASS => CKO_DATA],
                _ => open_key(CKK_HKDF),
            };
            session.derive(words(mechanism, &params), base, &template)
        };
        let (extract, expand) = (1, 0x100);
        let zeros = data(&[0; 32]);
        let master = hex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919");
        for mechanism in [CKM_HKDF_DERIVE, CKM_HKDF_DATA] {
            let made = derive(mechanism, zeros, extract, CKF_HKDF_SALT_KEY, b"", salt);
            assert_eq!(value(&session, made), master);
            let made = derive(mechanism, zeros, extract, CKF_HKDF_SALT_DATA, &hex(derived), 0);
            assert_eq!(value(&session, made), master);
        }
        let by_data =
            |base, steps, kind, salt: &[u8]| derive(CKM_HKDF_DERIVE, base, steps, kind, salt, 0);
        let refused = Err(Rv(CKR_MECHANISM_PARAM_INVALID));
        assert_eq!(by_data(zeros, extract, CKF_HKDF_SALT_NULL, b""), refused, "no salt");
        assert_eq!(by_data(zeros, extract, CKF_HKDF_SALT_DATA, b""), refused, "an empty salt");
        assert_eq!(by_data(zeros, expand, CKF_HKDF_SALT_NULL, b""), refused, "no extraction");
        for len in [0, 31, 33] {
            let other = by_data(data(&vec![0; len]), extract, CKF_HKDF_SALT_DATA, b"salt");
            assert_eq!(other, Err(Rv(CKR_KEY_SIZE_RANGE)), "{len} bytes");
        }
        let digest = session.derive(CKM_SHA256_KEY_DERIVATION, zeros, &open_key(CKK_HKDF));
        assert_eq!(digest, Err(Rv(CKR_KEY_HANDLE_INVALID)), "no other mechanism takes data");
    });
}

#[test]
fn keys_of_passwords() {
    case(NO_MECHANISM, |world| {
        // RFC 6070, with 2 iterations.
        let session = world.user();
        let params = [
            Word::Number(CKZ_SALT_SPECIFIED),
            Word::Bytes(In::Bytes(b"salt")),
            Word::Number(2),
            Word::Number(CKP_PKCS5_PBKD2_HMAC_SHA1),
            Word::Bytes(In::NONE),
            Word::Bytes(In::Bytes(b"password")),
        ];
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 20_u64]);
        let key = session.generate(words(CKM_PKCS5_PBKD2, &params), &template);
        let expected = hex::decode("ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957").expect("a key");
        assert_eq!(session.get(key.expect("C_GenerateKey"), CKA_VALUE), Ok(expected));
        let untyped = t![CKA_VALUE_LEN => 20_u64];
        let refused = session.generate(words(CKM_PKCS5_PBKD2, &params), &untyped);
        assert_eq!(refused, Err(Rv(CKR_TEMPLATE_INCOMPLETE)));
    });
}

/// A call is over in some seconds, whatever its parameter says.
#[test]
fn what_a_parameter_may_cost() {
    const ROUNDS: CK_ULONG = 1 << 24;
    let long = vec![7; 8 << 20];
    let bytes = Word::Bytes(In::Bytes(&long));
    let password = |salt, iterations| {
        [
            Word::Number(CKZ_SALT_SPECIFIED),
            salt,
            Word::Number(iterations),
            Word::Number(CKP_PKCS5_PBKD2_HMAC_SHA1),
            Word::Bytes(In::NONE),
            Word::Bytes(In::Bytes(b"password")),
        ]
    };
    let salt = Word::Bytes(In::Bytes(b"salt"));
    let passwords = [
        password(salt, ROUNDS + 1),
        password(salt, CK_ULONG::MAX),
        password(salt, ROUNDS / 8 + 1),
        password(bytes, 1),
    ];
    let expansion = [
        Word::Number(0x0100),
        Word::Number(CKM_SHA256),
        Word::Number(CKF_HKDF_SALT_NULL),
        Word::Bytes(In::NONE),
        Word::Number(0),
        bytes,
    ];
    let random = Word::Bytes(In::Bytes(&[1; 32]));
    let exporter = [Word::Number(CKM_SHA256), bytes, random, random, Word::Bytes(In::NONE)];
    let format = [Word::Number(0), Word::Number(32)];
    let ulong = CK_ULONG::try_from(size_of::<CK_ULONG>()).expect("a small number");
    let pieces = [
        Word::Number(CK_SP800_108_ITERATION_VARIABLE),
        Word::Structure(&format),
        Word::Number(2 * ulong),
        Word::Number(CK_SP800_108_BYTE_ARRAY),
        bytes,
    ];
    let counter = [
        Word::Number(CKM_SHA256_HMAC),
        Word::Number(2),
        Word::Structure(&pieces),
        Word::Number(0),
        Word::Number(0),
    ];
    let rows: &[(&str, SoftHsm2, (Mechanism<'_>, u64))] = &[
        ("iterations", NO_MECHANISM, (words(CKM_PKCS5_PBKD2, &passwords[0]), 20)),
        ("iterations without end", NO_MECHANISM, (words(CKM_PKCS5_PBKD2, &passwords[1]), 20)),
        ("iterations for each block", NO_MECHANISM, (words(CKM_PKCS5_PBKD2, &passwords[2]), 160)),
        ("salt for each block", NO_MECHANISM, (words(CKM_PKCS5_PBKD2, &passwords[3]), 65536)),
        ("HKDF", NO_MECHANISM, (words(CKM_HKDF_DERIVE, &expansion), 255 * 32)),
        ("SP 800-108", NO_MECHANISM, (words(CKM_SP800_108_COUNTER_KDF, &counter), 65536)),
        ("TLS", NO_MECHANISM, (words(CKM_TLS12_KDF, &exporter), 65536)),
    ];
    table(rows, |world, (mechanism, len)| {
        let session = world.user();
        let base = secret(&session, &[5; 48]);
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => *len]);
        let start = Instant::now();
        let rv = match mechanism.id {
            CKM_PKCS5_PBKD2 => session.generate(*mechanism, &template),
            _ => session.derive(*mechanism, base, &template),
        };
        // A daemon takes no request of that size.
        let longer = daemon_path().is_some() && rv == Err(Rv(CKR_DATA_LEN_RANGE));
        assert!(longer || rv == Err(Rv(CKR_MECHANISM_PARAM_INVALID)), "{rv:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}

#[test]
fn a_private_key_tells_its_public_key() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (public, private) = keys::ec(&session, keys::P256);
        let template = t![CKA_LABEL => "told"];
        let told = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, private, &template);
        let told = told.expect("C_DeriveKey");
        assert_eq!(session.number(told, CKA_CLASS), Ok(CKO_PUBLIC_KEY));
        for attribute in [CKA_EC_PARAMS, CKA_EC_POINT] {
            assert_eq!(session.get(told, attribute), session.get(public, attribute));
        }
        let other = t![CKA_EC_POINT => &[4, 1, 4]];
        let refused = session.derive(CKM_PUB_KEY_FROM_PRIV_KEY, private, &other);
        assert_eq!(refused, Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
    });
}

#[test]
fn several_keys_at_once() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let base = secret(&session, b"a key for several others");
        let ulong = size_of::<CK_ULONG>() as CK_ULONG;
        let format = [Word::Number(0), Word::Number(32)];
        let data = [
            Word::Number(CK_SP800_108_ITERATION_VARIABLE),
            Word::Structure(&format),
            Word::Number(2 * ulong),
        ];
        let (sixteen, handle) = ([Word::Number(16)], [Word::Number(0)]);
        let len = [Word::Number(CKA_VALUE_LEN), Word::Structure(&sixteen), Word::Number(ulong)];
        let template = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 32_u64]);
        let derive = |attributes: CK_ULONG| {
            let additional =
                [Word::Structure(&len), Word::Number(attributes), Word::Structure(&handle)];
            let params = [
                Word::Number(CKM_SHA256_HMAC),
                Word::Number(1),
                Word::Structure(&data),
                Word::Number(1),
                Word::Structure(&additional),
            ];
            session.derive(words(CKM_SP800_108_COUNTER_KDF, &params), base, &template)
        };
        let before = session.find(&[]).len();
        assert_eq!(derive(0), Err(Rv(CKR_TEMPLATE_INCOMPLETE)), "the second has no length");
        assert_eq!(session.find(&[]).len(), before, "all of them, or none");
        assert_eq!(value(&session, derive(1)).len(), 32);
        assert_eq!(session.find(&[]).len(), before + 2);
    });
}

/// NIST's vectors (CAVP, KBKDFVS).
#[test]
fn sp800_108_with_known_answers() {
    const COUNTER: CK_ULONG = CK_SP800_108_COUNTER;
    struct Known {
        id: CK_MECHANISM_TYPE,
        prf: CK_MECHANISM_TYPE,
        key: (CK_KEY_TYPE, &'static str),
        /// The width of the counter, where there is one.
        bits: CK_ULONG,
        iv: Option<&'static str>,
        fixed: &'static str,
        output: &'static str,
    }
    let rows = &[
        (
            "counter",
            NO_MECHANISM,
            Known {
                id: CKM_SP800_108_COUNTER_KDF,
                prf: CKM_SHA256_HMAC,
                key: (
                    CKK_GENERIC_SECRET,
                    "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0",
                ),
                bits: 32,
                iv: None,
                fixed: "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b8\
                        64a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
                output: "10621342bfb0fd40046c0e29f2cfdbf0",
            },
        ),
        (
            "feedback",
            NO_MECHANISM,
            Known {
                id: CKM_SP800_108_FEEDBACK_KDF,
                prf: CKM_SHA224_HMAC,
                key: (
                    CKK_GENERIC_SECRET,
                    "58f6248c3d927174abbdca8e5f621743c4303cc99cdf3ff407062929",
                ),
                bits: 32,
                iv: Some("1fe1bb3f3df46e7858b4575b573c2ef8646c948d1896953aa64c485a"),
                fixed: "be13af7ab28b7445b46253c9bf8c353796c130439f58443b1ab92d0c1e689df1\
                        7594c4fef67a9c62aadb119305b02d96cc767a",
                output: "72e9588e03c473e5f50b321afee28b32daa7e3e46c2d8aaf3af71e777d77fc1a\
                         5a881804bb6d67d6c3ad54aebdcd35208003b0dbfab61e4972f7cfbfcbce1e0b",
            },
        ),
        (
            "feedback with CMAC",
            NO_MECHANISM,
            Known {
                id: CKM_SP800_108_FEEDBACK_KDF,
                prf: CKM_AES_CMAC,
                key: (CKK_AES, "5c996c922f65de97d4408373229814c6"),
                bits: 0,
                iv: Some("28dc945cb8337ab5336c3e9b5bad21c7"),
                fixed: "62afe5fed91e797221a854336b0aadd8a05ad0e3c8345729897b2efcec5a1178\
                        a2fa4c063007b67a7015e0d6b7271ea8d86b44",
                output: "88a9aae193abdd3fe8143bab66014ae41dc2d12ea9d08f5871588fc5d827924e\
                         b9942989d7a36d4b3b107997566472cad5942bd13cb5cff32b9dae30f1bb6300",
            },
        ),
        (
            "double pipeline",
            NO_MECHANISM,
            Known {
                id: CKM_SP800_108_DOUBLE_PIPELINE_KDF,
                prf: CKM_SHA224_HMAC,
                key: (
                    CKK_GENERIC_SECRET,
                    "5d2caf2ac8b0b2e73d4cb8875f7db2ad10ada6557303308a0783d274",
                ),
                bits: 0,
                iv: None,
                fixed: "6e53248f96aff8883195fb80b9befd2226500eaf558d6e8abc1733d9bb352b75\
                        b8e9b5d423597d870630b0c64fdbf4cd161ddb",
                output: "842c930d55d9b471c0417075112f71c1899cfaf880a80538ec09617eb242e188\
                         f1fb2db333b35a60e3f207ba6ad31d6509286de0f2779b89e70dc76992d2312c",
            },
        ),
    ];
    table(rows, |world, known| {
        let session = world.user();
        let ulong = size_of::<CK_ULONG>() as CK_ULONG;
        let (key_type, key) = known.key;
        let base = session.create(&keys::secret(key_type, &keys::hex(key))).expect("a key");
        let fixed = keys::hex(known.fixed);
        let format = [Word::Number(0), Word::Number(known.bits)];
        let counts = known.id == CKM_SP800_108_COUNTER_KDF;
        let mut data = vec![Word::Number(CK_SP800_108_ITERATION_VARIABLE)];
        match counts {
            true => data.extend([Word::Structure(&format), Word::Number(2 * ulong)]),
            false => data.push(Word::Bytes(In::NONE)),
        }
        let mut pieces = 2;
        if !counts && known.bits > 0 {
            pieces += 1;
            data.push(Word::Number(COUNTER));
            data.extend([Word::Structure(&format), Word::Number(2 * ulong)]);
        }
        data.extend([Word::Number(CK_SP800_108_BYTE_ARRAY), Word::Bytes(In::Bytes(&fixed))]);
        let iv = known.iv.map(keys::hex);
        let params = |prf| {
            let mut params = vec![Word::Number(prf), Word::Number(pieces), Word::Structure(&data)];
            params.extend(iv.as_ref().map(|iv| Word::Len(In::Bytes(iv))));
            params.extend([Word::Number(0), Word::Number(0)]);
            params
        };
        let expected = keys::hex(known.output);
        let len = t![CKA_VALUE_LEN => expected.len() as CK_ULONG];
        let template = merge(&open_key(CKK_GENERIC_SECRET), &len);
        let derived = session.derive(words(known.id, &params(known.prf)), base, &template);
        assert_eq!(value(&session, derived), expected);
        let digest = session.derive(words(known.id, &params(CKM_SHA256)), base, &template);
        assert_eq!(digest, Err(Rv(CKR_MECHANISM_PARAM_INVALID)), "no MAC");
    });
}

/// The pseudorandom function of TLS 1.2 (RFC 5246, 5), written out.
fn prf(secret: &[u8], seed: &[u8], len: usize) -> Vec<u8> {
    let mac = |parts: &[&[u8]]| -> Vec<u8> {
        let mut block = [0; 64];
        block[..secret.len()].copy_from_slice(secret);
        let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36));
        let inner = parts.iter().fold(inner, |inner, part| inner.chain_update(part)).finalize();
        let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
        outer.chain_update(inner).finalize().to_vec()
    };
    let (mut a, mut out) = (mac(&[seed]), Vec::new());
    while out.len() < len {
        out.extend(mac(&[&a, seed]));
        a = mac(&[&a]);
    }
    out.truncate(len);
    out
}

#[test]
fn tls_1_2_master_secrets_and_what_comes_of_them() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (client, server) = ([0xc1; 32], [0x5e; 32]);
        let premaster = [&[3, 3][..], &[7; 46]].concat();
        let base = secret(&session, &premaster);
        let random = [Word::Bytes(In::Bytes(&client)), Word::Bytes(In::Bytes(&server))];
        let params = [random[0], random[1], Word::Number(0), Word::Number(CKM_SHA256)];
        let whole = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 48_u64]);
        let dh = words(CKM_TLS12_MASTER_KEY_DERIVE_DH, &params);
        let uses = merge(&whole, &t![CKA_DERIVE => true, CKA_SIGN => true]);
        let master = session.derive(dh, base, &uses).expect("C_DeriveKey");
        let seed = [&b"master secret"[..], &client, &server].concat();
        let expected = prf(&premaster, &seed, 48);
        assert_eq!(session.get(master, CKA_VALUE), Ok(expected.clone()));
        let unknown = [random[0], random[1], Word::Number(0), Word::Number(CKM_SHA256_HMAC)];
        let refused = session.derive(words(CKM_TLS12_MASTER_KEY_DERIVE_DH, &unknown), base, &whole);
        assert_eq!(refused, Err(Rv(CKR_MECHANISM_PARAM_INVALID)));

        let finished = |hash, len, whose| {
            let params = [Word::Number(hash), Word::Number(len), Word::Number(whose)];
            session.sign(words(CKM_TLS12_MAC, &params), master, &[9; 32])
        };
        let seed = [&b"client finished"[..], &[9; 32]].concat();
        assert_eq!(finished(CKM_SHA256, 12, 2), Ok(prf(&expected, &seed, 12)));
        let seed = [&b"server finished"[..], &[9; 32]].concat();
        assert_eq!(finished(CKM_SHA256, 12, 1), Ok(prf(&expected, &seed, 12)));
        assert_eq!(finished(CKM_SHA256, 12, 3), Err(Rv(CKR_MECHANISM_PARAM_INVALID)));

        let label = b"EXPORTER-test";
        let params = [
            Word::Number(CKM_SHA256),
            Word::Bytes(In::Bytes(label)),
            random[0],
            random[1],
            Word::Bytes(In::NONE),
        ];
        let exported = session.derive(words(CKM_TLS12_KDF, &params), master, &whole);
        let seed = [&label[..], &client, &server].concat();
        assert_eq!(value(&session, exported), prf(&expected, &seed, 48));
    });
}

#[test]
fn tls_1_2_keys_of_a_connection() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (client, server) = ([0xc1; 32], [0x5e; 32]);
        let master = [7; 48];
        let base = secret(&session, &master);
        let template = open_key(CKK_AES);
        let derive = |mac_bits, iv_bits, out: &[Word<'_>]| {
            let params = [
                Word::Number(mac_bits),
                Word::Number(128),
                Word::Number(iv_bits),
                Word::Number(0),
                Word::Bytes(In::Bytes(&client)),
                Word::Bytes(In::Bytes(&server)),
                Word::Structure(out),
                Word::Number(CKM_SHA256),
            ];
            session.derive(words(CKM_TLS12_KEY_AND_MAC_DERIVE, &params), base, &template)
        };
        let none = [Word::Number(0); 6];
        let before = session.find(&[]).len();
        assert_eq!(derive(256, 0, &none), Ok(0), "no key beside the parameter");
        // Two MAC keys and two keys.
        let made = session.find(&[]);
        assert_eq!(made.len(), before + 4);
        let seed = [&b"key expansion"[..], &server, &client].concat();
        let block = prf(&master, &seed, 2 * 32 + 2 * 16);
        let values: Vec<_> =
            made.iter().filter_map(|key| session.get(*key, CKA_VALUE).ok()).collect();
        for part in [&block[..32], &block[32..64], &block[64..80], &block[80..]] {
            assert!(values.iter().any(|value| value == part));
        }
        // No place for the IVs that are asked for.
        assert!(derive(0, 32, &none).is_err());
        assert_eq!(session.find(&[]).len(), before + 4, "all of them, or none");
    });
}

/// Memory that a module fills.
fn place<const N: usize>() -> [Cell<CK_ULONG>; N] {
    [const { Cell::new(0) }; N]
}

/// What is in it.
fn told(place: &[Cell<CK_ULONG>]) -> Vec<u8> {
    place.iter().flat_map(|word| word.get().to_ne_bytes()).collect()
}

#[test]
fn tls_1_2_tells_the_version() {
    let rows: &[(&str, SoftHsm2, (CK_MECHANISM_TYPE, &[u8]))] = &[
        ("master secret", NO_MECHANISM, (CKM_TLS12_MASTER_KEY_DERIVE, b"master secret")),
        (
            "extended master secret",
            NO_MECHANISM,
            (CKM_TLS12_EXTENDED_MASTER_KEY_DERIVE, b"extended master secret"),
        ),
    ];
    table(rows, |world, (mechanism, label)| {
        let session = world.user();
        let premaster = [&[3, 4][..], &[7; 46]].concat();
        let base = secret(&session, &premaster);
        let derive = |version: Word<'_>| {
            let (one, two) = (Word::Bytes(In::Bytes(&[1; 32])), Word::Bytes(In::Bytes(&[2; 32])));
            let hash = Word::Number(CKM_SHA256);
            let params = match *mechanism {
                CKM_TLS12_MASTER_KEY_DERIVE => vec![one, two, version, hash],
                _ => vec![hash, one, version],
            };
            session.derive(words(*mechanism, &params), base, &open_key(CKK_GENERIC_SECRET))
        };
        let seed = match *mechanism {
            CKM_TLS12_MASTER_KEY_DERIVE => [label, &[1; 32][..], &[2; 32]].concat(),
            _ => [label, &[1; 32][..]].concat(),
        };
        let version = place::<1>();
        assert_eq!(value(&session, derive(Word::Place(&version))), prf(&premaster, &seed, 48));
        assert_eq!(told(&version), [3, 4, 0, 0, 0, 0, 0, 0], "and nothing beside it");
        let master = derive(Word::Number(0));
        assert_eq!(value(&session, master), prf(&premaster, &seed, 48), "nobody asks");
    });
}

#[test]
fn tls_1_2_tells_keys_and_ivs() {
    let rows = &[
        ("key and MAC", NO_MECHANISM, (CKM_TLS12_KEY_AND_MAC_DERIVE, true)),
        ("without IVs", NO_MECHANISM, (CKM_TLS12_KEY_SAFE_DERIVE, false)),
    ];
    table(rows, |world, (mechanism, tells_ivs)| {
        let session = world.user();
        let master = [7; 48];
        let base = secret(&session, &master);
        let ivs = [place::<3>(), place::<3>()];
        let out = place::<6>();
        let derive = |mac_bits, template: &[Attribute]| {
            out.iter().for_each(|handle| handle.set(CK_INVALID_HANDLE));
            out[4].set(address(&ivs[0]));
            out[5].set(address(&ivs[1]));
            let params = [
                Word::Number(mac_bits),
                Word::Number(256),
                Word::Number(128),
                Word::Number(0),
                Word::Bytes(In::Bytes(&[0xc1; 32])),
                Word::Bytes(In::Bytes(&[0x5e; 32])),
                Word::Place(&out),
                Word::Number(CKM_SHA256),
            ];
            session.derive(words(*mechanism, &params), base, template)
        };
        let seed = [&b"key expansion"[..], &[0x5e; 32], &[0xc1; 32]].concat();
        let lens = [20, 20, 32, 32, 16, 16];
        let block = prf(&master, &seed, lens.iter().sum());
        let mut rest = &block[..];
        let mut parts = lens.map(|len| {
            let (part, left) = rest.split_at(len);
            rest = left;
            part.to_vec()
        });
        assert_eq!(derive(160, &open_key(CKK_AES)), Ok(0), "no key beside the parameter");
        for (handle, part) in out.iter().zip(&parts).take(4) {
            assert_eq!(session.get(handle.get(), CKA_VALUE).as_ref(), Ok(part));
        }
        for key in &out[..2] {
            assert_eq!(session.number(key.get(), CKA_KEY_TYPE), Ok(CKK_GENERIC_SECRET));
        }
        for key in &out[2..4] {
            assert_eq!(session.number(key.get(), CKA_KEY_TYPE), Ok(CKK_AES));
        }
        if !tells_ivs {
            parts[4..].iter_mut().for_each(|iv| iv.fill(0));
        }
        for (iv, part) in ivs.iter().zip(&parts[4..]) {
            assert_eq!(told(iv), [&part[..], &[0; 8]].concat(), "and nothing behind it");
        }

        // A cipher that authenticates has no MAC keys.
        assert_eq!(derive(0, &open_key(CKK_AES)), Ok(0));
        assert_eq!([out[0].get(), out[1].get()], [CK_INVALID_HANDLE; 2]);
        let before = session.find(&[]).len();
        let wrong = merge(&open_key(CKK_AES), &t![CKA_VALUE_LEN => 16_u64]);
        assert_eq!(derive(160, &wrong), Err(Rv(CKR_TEMPLATE_INCONSISTENT)));
        assert_eq!(session.find(&[]).len(), before, "all of them, or none");
    });
}

#[test]
fn keys_travel_under_ecdh_and_aes() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (public, private) = keys::ec(&session, keys::P256);
        let params = [Word::Number(256), Word::Number(CKD_SHA256_KDF), Word::Len(In::NONE)];
        let mechanism = words(CKM_ECDH_AES_KEY_WRAP, &params);
        let target = secret(&session, b"a key that travels");
        let wrapped = session.wrap(mechanism, public, target).expect("C_WrapKey");
        // A point that is not compressed, and KWP.
        assert_eq!((wrapped.len(), wrapped[0]), (65 + 24 + 8, 4));
        let template = open_key(CKK_GENERIC_SECRET);
        let back = session.unwrap(mechanism, private, &wrapped, &template);
        assert_eq!(value(&session, back), b"a key that travels");
        let mut other = wrapped.clone();
        other[70] ^= 1;
        let refused = session.unwrap(mechanism, private, &other, &template);
        assert_eq!(refused, Err(Rv(CKR_WRAPPED_KEY_INVALID)));
        let cut = session.unwrap(mechanism, private, &wrapped[..60], &template);
        assert_eq!(cut, Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE)));
        let odd = [Word::Number(200), Word::Number(CKD_SHA256_KDF), Word::Len(In::NONE)];
        let refused = session.wrap(words(CKM_ECDH_AES_KEY_WRAP, &odd), public, target);
        assert_eq!(refused, Err(Rv(CKR_MECHANISM_PARAM_INVALID)));
    });
}

/// NIST's group of 2048 bits (CAVP, KASVS).
const PRIME: &str = "f3722b9b911c6aede9eaeeaa406283de66a097f39a7225df6c3c916e57920d356e50478d307dbfd146bfb91b6f68ecbbcf54b3d19c33a4b17293fea3e3d6bff8ac4cca93a805386f062a8a27ae906ef5da94d279fd7b3d7289e00956f76bae9c0d2b8d11742ca5809630632aae58f9c6dce00c7380581deffde2187b022f83c6ceaeaadb0844a17fcbb04039ca6843c91f0c9058b22434b263c3dfda8de8429e087c5be97fc5c9db9526031ad3a218bd9916fb4a3c27966d208b1e360014c01e95530c148fb3cd27e6a7250d3c3b81dcd220ca14548dbccf99ebb9e334db6bcd14e632c98dd3f9860af7ae450f1b7809b45f0ec10e6f27672beebc9963befc73";
const BASE: &str = "035513ec441402b78353ab1bba550b21c76c89973885a627170262ef52497d5d137b8927a212aaab2f051198c90bb81dffd9eb10b36b7ca3b63565b4c1025aea3b5e9c4a348c9cfa17f3907a1e4469701c0dedb8a4b9e96c5965b1fb8c229b0c34baac774bf9dda4fc5ee8764358b3c84812878aab7464bc09e97aecab7d7e3fbb4870e2a3b89667a4158bf1ed1a90dfaf47019fbb52b1b96365bb4e1e9474993fe382fd23480dc875861be152997a621fdb7aef977ea5b4d3d74486b162dc28f95a64cf65587a919a57eef92934fc9410df7f09fa82f975328ed82ff29cc3e15a971f56f4ac2dcb289252575e02a6cdb7fcc6cddd7b0dca9c422e63eb2b8f05";

#[test]
fn diffie_hellman_agrees_from_both_sides() {
    case(Passes, |world| {
        let session = world.user();
        let group = t![
            CKA_PRIME => &hex::decode(PRIME).expect("a prime"),
            CKA_BASE => &hex::decode(BASE).expect("a base"),
        ];
        let pair = || {
            let private = t![CKA_DERIVE => true];
            session.pair(CKM_DH_PKCS_KEY_PAIR_GEN, &group, &private).expect("C_GenerateKeyPair")
        };
        let (one, two) = (pair(), pair());
        let derive = |peer, own, template: &[Attribute]| {
            let peer = session.get(peer, CKA_VALUE).expect("CKA_VALUE");
            let mechanism = Mechanism::iv(CKM_DH_PKCS_DERIVE, &peer);
            value(&session, session.derive(mechanism, own, template))
        };
        let whole = merge(&open_key(CKK_GENERIC_SECRET), &t![CKA_VALUE_LEN => 256_u64]);
        let shared = derive(two.0, one.1, &whole);
        assert_eq!(shared, derive(one.0, two.1, &whole));
        let aes = merge(&open_key(CKK_AES), &t![CKA_VALUE_LEN => 16_u64]);
        assert_eq!(derive(two.0, one.1, &aes), shared[240..], "the leading bytes go");
    });
}

#[test]
fn keys_travel_under_rsa_and_aes() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let (public, private) = keys::rsa(&session, 2048);
        let oaep = [
            Word::Number(CKM_SHA_1),
            Word::Number(CKG_MGF1_SHA1),
            Word::Number(CKZ_DATA_SPECIFIED),
            Word::Bytes(In::NONE),
        ];
        let params = [Word::Number(256), Word::Structure(&oaep)];
        let mechanism = words(CKM_RSA_AES_KEY_WRAP, &params);
        let (_, target) = keys::ec_with(&session, keys::P256, &t![CKA_EXTRACTABLE => true]);
        let wrapped = session.wrap(mechanism, public, target).expect("C_WrapKey");
        let template = t![
            CKA_CLASS => CKO_PRIVATE_KEY, CKA_KEY_TYPE => CKK_EC, CKA_SENSITIVE => false,
            CKA_EXTRACTABLE => true,
        ];
        let back = session.unwrap(mechanism, private, &wrapped, &template).expect("C_UnwrapKey");
        let info = |key| session.get(key, CKA_PUBLIC_KEY_INFO);
        assert_eq!(info(back), info(target));
        let cut = session.unwrap(mechanism, private, &wrapped[..250], &template);
        assert_eq!(cut, Err(Rv(CKR_WRAPPED_KEY_LEN_RANGE)));
    });
}
