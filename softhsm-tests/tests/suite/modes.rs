//! 5.8 to 5.16: ciphers and MACs beyond the usual modes of AES.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails};
use strongroom_softhsm_tests::{
    In, Mechanism, Message, PLENTY, Param, Room, Rv, Session, Word, case, table,
};

use crate::keys;

const NO_MECHANISM: SoftHsm2 = Fails("no such mechanism");
const OLD: SoftHsm2 = Fails("it has only the functions of 2.40 (#604, #874)");

/// A cipher and what it makes of a plaintext.
struct Known {
    id: CK_MECHANISM_TYPE,
    key_type: CK_KEY_TYPE,
    key: &'static str,
    param: Given,
    plain: &'static str,
    cipher: &'static str,
}

/// A parameter in hexadecimal.
enum Given {
    Iv(&'static str),
    /// `CK_CCM_PARAMS`: nonce, associated data, and the length of the MAC. The length of the data
    /// is that of the plaintext.
    Ccm(&'static str, &'static str, CK_ULONG),
    /// Two pointers with their lengths, in bytes.
    Two(&'static str, &'static str),
    /// `CK_SALSA20_PARAMS`: the first block, and the nonce.
    Salsa(CK_ULONG, &'static str),
}

impl Known {
    /// Runs with the mechanism.
    fn with<T>(&self, run: impl FnOnce(Mechanism<'_>) -> T) -> T {
        match self.param {
            Given::Iv(iv) => run(Mechanism::iv(self.id, &keys::hex(iv))),
            Given::Ccm(nonce, aad, mac) => {
                let (nonce, aad) = (keys::hex(nonce), keys::hex(aad));
                let words = [
                    Word::Number((self.plain.len() / 2) as CK_ULONG),
                    Word::Bytes(In::Bytes(&nonce)),
                    Word::Bytes(In::Bytes(&aad)),
                    Word::Number(mac),
                ];
                run(Mechanism::with(self.id, Param::Words(&words)))
            }
            Given::Two(one, other) => {
                let (one, other) = (keys::hex(one), keys::hex(other));
                let words = [Word::Bytes(In::Bytes(&one)), Word::Bytes(In::Bytes(&other))];
                run(Mechanism::with(self.id, Param::Words(&words)))
            }
            Given::Salsa(block, nonce) => {
                let (counter, nonce) = ([Word::Number(block)], keys::hex(nonce));
                let words = [Word::Structure(&counter), Word::Bytes(In::Bytes(&nonce))];
                run(Mechanism::with(self.id, Param::Words(&words)))
            }
        }
    }

    fn key(&self, session: &Session<'_>) -> CK_OBJECT_HANDLE {
        session.create(&keys::secret(self.key_type, &keys::hex(self.key))).expect("a key")
    }
}

/// NIST's vectors of SP 800-38A, AESAVS, CCMVS and XTSVS, the RFCs 3962 and 8439, and ECRYPT's; for CFB64
/// what OpenJDK computes, and for Salsa20-Poly1305 PyCryptodome's Salsa20 and a Poly1305 in Python.
const KNOWN: &[(&str, SoftHsm2, Known)] = &[
    (
        "OFB",
        NO_MECHANISM,
        Known {
            id: CKM_AES_OFB,
            key_type: CKK_AES,
            key: "6f419b4c683a44d67d234eaa6b57f622f912de657dddb280a14d0cb967ed951f",
            param: Given::Iv("19b888800ff1d0116124f79dfae54ffe"),
            plain: "3d12989faf41ba75bfa70e2bcc2fa222",
            cipher: "2d6b005e8d3bc6ea9f62dca36d47aea5",
        },
    ),
    (
        "CFB1",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CFB1,
            key_type: CKK_AES,
            key: "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            param: Given::Iv("000102030405060708090a0b0c0d0e0f"),
            plain: "6bc1",
            cipher: "9029",
        },
    ),
    (
        "CFB8",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CFB8,
            key_type: CKK_AES,
            key: "34e8091cee09f1bd3ebf1e8f05f51bfbd4899ef2ae006a3a0f7875052cdd46c8",
            param: Given::Iv("43eb4dcc4b04a80216a20e4a09a7abb5"),
            plain: "f9",
            cipher: "28",
        },
    ),
    (
        "CFB64",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CFB64,
            key_type: CKK_AES,
            key: "101316191c1f2225282b2e3134373a3d",
            param: Given::Iv("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"),
            plain: "10151a1f24292e33383d42474c51565b",
            cipher: "86806dc79f7bdb04c200be8094bb44c4",
        },
    ),
    (
        "CFB128",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CFB128,
            key_type: CKK_AES,
            key: "e1c6e6884eee69552dbfee21f22ca92685d5d08ef0e3f37e5b338c533bb8d72c",
            param: Given::Iv("cea9f23ae87a637ab0cda6381ecc1202"),
            plain: "b72606c98d8e4fabf08839abf7a0ac61",
            cipher: "2981761d979bb1765a28b2dd19125b54",
        },
    ),
    (
        "CTS",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CTS,
            key_type: CKK_AES,
            key: "636869636b656e207465726979616b69",
            param: Given::Iv("00000000000000000000000000000000"),
            plain: "4920776f756c64206c696b65207468652047656e6572616c20476175277320",
            cipher: "97687268d6ecccc0c07b25e25ecfe5fc00783e0efdb2c1d445d4c8eff7ed22",
        },
    ),
    (
        "XTS with 256 bits",
        NO_MECHANISM,
        Known {
            id: CKM_AES_XTS,
            key_type: CKK_AES_XTS,
            key: "394c97881abd989d29c703e48a72b397a7acf51b59649eeea9b33274d8541df4",
            param: Given::Iv("4b15c684a152d485fe9937d39b168c29"),
            plain: "2f3b9dcfbae729583b1d1ffdd16bb6fe2757329435662a78f0",
            cipher: "f3473802e38a3ffef4d4fb8e6aa266ebde553a64528a06463e",
        },
    ),
    (
        "XTS with 512 bits",
        NO_MECHANISM,
        Known {
            id: CKM_AES_XTS,
            key_type: CKK_AES_XTS,
            key: "aa70271d299a1a6e524e4b0bde2740f1b00f7759b6595b3959fb7530558fed75\
                  b933414b5f32b98e779aaabf64c03c80acbf8783031a065e61c4af6a6900668c",
            param: Given::Iv("ae92161e7db865f788a070e9caa93c84"),
            plain: "6000f51ef62d75c4a95654d2be920cb4e95c8972ab4ef4b6099c9e5f1003dcb9\
                    da1ab121653b9a6f848f349f9d13b77e",
            cipher: "d7db21ccc2949cb67de8647fc5d127db10ce4736ec54b099767b7d69c57a7ae8\
                     43e6a88f522c849e80f12b2dd85f5a8c",
        },
    ),
    (
        "CCM",
        NO_MECHANISM,
        Known {
            id: CKM_AES_CCM,
            key_type: CKK_AES,
            key: "d24a3d3dde8c84830280cb87abad0bb3",
            param: Given::Ccm("f1100035bb24a8d26004e0e24b", "", 16),
            plain: "7c86135ed9c2a515aaae0e9a208133897269220f30870006",
            cipher: "1faeb0ee2ca2cd52f0aa3966578344f24e69b742c4ab37ab\
                     1123301219c70599b7c373ad4b3ad67b",
        },
    ),
    (
        "ChaCha20",
        NO_MECHANISM,
        Known {
            id: CKM_CHACHA20,
            key_type: CKK_CHACHA20,
            key: "0000000000000000000000000000000000000000000000000000000000000000",
            param: Given::Two("00000000", "000000000000000000000000"),
            plain: "0000000000000000000000000000000000000000000000000000000000000000",
            cipher: "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7",
        },
    ),
    (
        "Salsa20",
        NO_MECHANISM,
        Known {
            id: CKM_SALSA20,
            key_type: CKK_SALSA20,
            key: "8000000000000000000000000000000000000000000000000000000000000000",
            param: Given::Salsa(3, "0000000000000000"),
            plain: "0000000000000000000000000000000000000000000000000000000000000000",
            cipher: "57be81f47b17d9ae7c4ff15429a73e10acf250ed3a90a93c711308a74c6216a9",
        },
    ),
    (
        "Salsa20-Poly1305",
        NO_MECHANISM,
        Known {
            id: CKM_SALSA20_POLY1305,
            key_type: CKK_SALSA20,
            key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            param: Given::Two("4041424344454647", "50515253c0c1c2c3c4c5c6c7"),
            plain: "4c616469657320616e642047656e746c656d656e206f662074686520636c6173\
                    73206f66202739393a204966204920636f756c64206f6666657220796f75206f\
                    6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73\
                    637265656e20776f756c642062652069742e",
            cipher: "58ed40b773a09844dac504839ad9d86b9e529b6eeb8b94fa22df5475505d7987\
                     9140b30d88a5bbf99885addfd432a991ae83392a81ce76a85e7e6b9c94ce4b89\
                     19ce7f8158529f9426ee5ae50f690fed26663b36889726a2e3f149cf80cc99ab\
                     eb163b504919a5f4e60ebc2fdd6b61165e13e5252944e8ea100c7383ae8d35c9\
                     4bfd",
        },
    ),
    (
        "ChaCha20-Poly1305",
        NO_MECHANISM,
        Known {
            id: CKM_CHACHA20_POLY1305,
            key_type: CKK_CHACHA20,
            key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
            param: Given::Two("070000004041424344454647", "50515253c0c1c2c3c4c5c6c7"),
            plain: "4c616469657320616e642047656e746c656d656e206f662074686520636c6173\
                    73206f66202739393a204966204920636f756c64206f6666657220796f75206f\
                    6e6c79206f6e652074697020666f7220746865206675747572652c2073756e73\
                    637265656e20776f756c642062652069742e",
            cipher: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6\
                     3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36\
                     92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc\
                     3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060\
                     0691",
        },
    ),
];

#[test]
fn ciphers_with_known_answers() {
    table(KNOWN, |world, known| {
        let session = world.user();
        let key = known.key(&session);
        let (plain, cipher) = (keys::hex(known.plain), keys::hex(known.cipher));
        known.with(|mechanism| {
            assert_eq!(session.encrypt(mechanism, key, &plain), Ok(cipher.clone()));
            assert_eq!(session.decrypt(mechanism, key, &cipher), Ok(plain.clone()));
            for size in [1, 7, 16, 33] {
                let parts: Vec<_> = plain.chunks(size).collect();
                let made = session.encrypt_parts(mechanism, key, &parts);
                assert_eq!(made, Ok(cipher.clone()), "parts of {size}");
                let parts: Vec<_> = cipher.chunks(size).collect();
                let made = session.decrypt_parts(mechanism, key, &parts);
                assert_eq!(made, Ok(plain.clone()), "parts of {size}");
            }
        });
    });
}

#[test]
fn the_length_is_asked_first() {
    table(KNOWN, |world, known| {
        let session = world.user();
        let key = known.key(&session);
        let (module, handle) = (session.module, session.handle);
        let (plain, cipher) = (keys::hex(known.plain), keys::hex(known.cipher));
        known.with(|mechanism| {
            assert_eq!(session.encrypt_init(mechanism, key), Rv::OK);
            let query = module.encrypt(handle, (&plain).into(), Room::Query);
            assert_eq!((query.rv, query.len), (Rv::OK, cipher.len()));
            let small = module.encrypt(handle, (&plain).into(), Room::Bytes(cipher.len() - 1));
            assert_eq!((small.rv, small.len), (Rv(CKR_BUFFER_TOO_SMALL), cipher.len()));
            let made = module.encrypt(handle, (&plain).into(), Room::Bytes(cipher.len()));
            assert_eq!(made.ok(), Ok(cipher.clone()));
        });
    });
}

#[test]
fn a_key_of_another_type() {
    table(KNOWN, |world, known| {
        let session = world.user();
        let other = session.create(&keys::secret(CKK_GENERIC_SECRET, &[1; 32])).expect("a key");
        let wrong = Rv(CKR_KEY_TYPE_INCONSISTENT);
        known.with(|mechanism| assert_eq!(session.encrypt_init(mechanism, other), wrong));
    });
}

#[test]
fn data_that_is_shorter_than_a_block() {
    let rows = &[
        ("CTS", NO_MECHANISM, (CKM_AES_CTS, CKK_AES)),
        ("XTS", NO_MECHANISM, (CKM_AES_XTS, CKK_AES_XTS)),
    ];
    table(rows, |world, (id, key_type)| {
        let session = world.user();
        let value: Vec<u8> = (0..32).collect();
        let key = session.create(&keys::secret(*key_type, &value)).expect("a key");
        let mechanism = Mechanism::iv(*id, &[7; 16]);
        for len in [0, 1, 15] {
            let short = vec![0; len];
            let refused = session.encrypt(mechanism, key, &short);
            assert_eq!(refused, Err(Rv(CKR_DATA_LEN_RANGE)), "{len}");
            let refused = session.decrypt(mechanism, key, &short);
            assert_eq!(refused, Err(Rv(CKR_ENCRYPTED_DATA_LEN_RANGE)), "{len}");
        }
        assert_eq!(session.encrypt(mechanism, key, &[0; 16]).map(|made| made.len()), Ok(16));
    });
}

#[test]
fn parameters_that_are_refused() {
    const AES: (CK_KEY_TYPE, usize) = (CKK_AES, 16);
    const SALSA: (CK_KEY_TYPE, usize) = (CKK_SALSA20, 32);
    let block = [Word::Number(0)];
    let (first, nowhere) = (Word::Structure(&block), Word::Number(0));
    let bytes = |len: usize| Word::Bytes(In::Bytes(&[1; 64][..len]));
    let ccm =
        |nonce: usize, mac: CK_ULONG| [Word::Number(4), bytes(nonce), bytes(0), Word::Number(mac)];
    let words: &[(&str, CK_MECHANISM_TYPE, (CK_KEY_TYPE, usize), &[Word<'_>])] = &[
        ("CCM, a nonce of 6 bytes", CKM_AES_CCM, AES, &ccm(6, 8)),
        ("CCM, a nonce of 14 bytes", CKM_AES_CCM, AES, &ccm(14, 8)),
        ("CCM, a MAC of 5 bytes", CKM_AES_CCM, AES, &ccm(12, 5)),
        ("CCM, no MAC", CKM_AES_CCM, AES, &ccm(12, 0)),
        ("ChaCha20, a nonce of 10 bytes", CKM_CHACHA20, (CKK_CHACHA20, 32), &[bytes(4), bytes(10)]),
        (
            "ChaCha20-Poly1305, a nonce of 8 bytes",
            CKM_CHACHA20_POLY1305,
            (CKK_CHACHA20, 32),
            &[bytes(8), bytes(0)],
        ),
        ("Salsa20, a nonce of 12 bytes", CKM_SALSA20, SALSA, &[first, bytes(12)]),
        ("Salsa20, no first block", CKM_SALSA20, SALSA, &[nowhere, bytes(8)]),
        (
            "Salsa20-Poly1305, a nonce of 12 bytes",
            CKM_SALSA20_POLY1305,
            SALSA,
            &[bytes(12), bytes(0)],
        ),
    ];
    let ivs: &[(&str, CK_MECHANISM_TYPE)] =
        &[("OFB", CKM_AES_OFB), ("CFB64", CKM_AES_CFB64), ("CTS", CKM_AES_CTS)];
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let refused = Rv(CKR_MECHANISM_PARAM_INVALID);
        for (name, id, (key_type, len), words) in words {
            let key = session.create(&keys::secret(*key_type, &[1; 32][..*len])).expect("a key");
            let mechanism = Mechanism::with(*id, Param::Words(words));
            assert_eq!(session.encrypt_init(mechanism, key), refused, "{name}");
        }
        let key = session.create(&keys::secret(CKK_AES, &[1; 16])).expect("a key");
        for (name, id) in ivs {
            for iv in [&[1; 15][..], &[1; 17], &[]] {
                let begun = session.encrypt_init(Mechanism::iv(*id, iv), key);
                assert_eq!(begun, refused, "{name}, an IV of {} bytes", iv.len());
            }
        }
    });
}

/// RFC 8439, 2.5.2; and GMAC, of NIST's GCM without plaintext (gcmEncryptExtIV128.rsp).
#[test]
fn macs_with_known_answers() {
    case(NO_MECHANISM, |world| {
        let session = world.user();
        let value = "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b";
        let key = session.create(&keys::secret(CKK_POLY1305, &keys::hex(value))).expect("a key");
        let message = b"Cryptographic Forum Research Group";
        let tag = keys::hex("a8061dc1305136c6c22b8baf0c0127a9");
        assert_eq!(session.sign(CKM_POLY1305, key, message), Ok(tag.clone()));
        assert_eq!(session.verify(CKM_POLY1305, key, message, &tag), Rv::OK);
        assert_eq!(session.verify(CKM_POLY1305, key, b"other", &tag), CKR_SIGNATURE_INVALID);
        let cut = session.verify(CKM_POLY1305, key, message, &tag[1..]);
        assert_eq!(cut, CKR_SIGNATURE_LEN_RANGE);

        let value = keys::hex("77be63708971c4e240d1cb79e8d77feb");
        let key = session.create(&keys::secret(CKK_AES, &value)).expect("a key");
        let iv = keys::hex("e0e00f19fed7ba0136a797f3");
        let message = keys::hex("7a43ec1d9c0a5a78a0b16533a6213cab");
        let gmac = |aad| {
            let param = Param::Gcm { iv: In::Bytes(&iv), aad, tag_bits: 128 };
            Mechanism::with(CKM_AES_GMAC, param)
        };
        let tag = keys::hex("209fcc8d3675ed938e9c7166709dd946");
        assert_eq!(session.sign(gmac(In::NONE), key, &message), Ok(tag.clone()));
        assert_eq!(session.verify(gmac(In::NONE), key, &message, &tag), Rv::OK);
        let refused = session.sign(gmac(In::Bytes(b"more")), key, &message);
        assert_eq!(refused, Err(Rv(CKR_MECHANISM_PARAM_INVALID)));
    });
}

#[test]
fn digests_of_any_length() {
    case(NO_MECHANISM, |world| {
        // FIPS 180-4's example of SHA-512/256: "abc".
        let session = world.user();
        let digest =
            |bits| session.digest(Mechanism::with(CKM_SHA512_T, Param::Ulong(bits)), b"abc");
        let whole = keys::hex("53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23");
        assert_eq!(digest(256), Ok(whole));
        assert_eq!(digest(257).map(|made| made.len()), Ok(33));
        for bits in [0, 384, 512] {
            assert_eq!(digest(bits), Err(Rv(CKR_MECHANISM_PARAM_INVALID)));
        }
    });
}

#[test]
fn messages_of_poly1305() {
    let rows = &[
        ("ChaCha20-Poly1305", OLD, (CKM_CHACHA20_POLY1305, 8)),
        ("Salsa20-Poly1305", OLD, (CKM_SALSA20_POLY1305, 12)),
    ];
    table(rows, |world, (id, other_nonce)| {
        let session = world.user();
        let (module, handle) = (session.module, session.handle);
        let (_, _, known) = KNOWN.iter().find(|(_, _, row)| row.id == *id).expect("a known answer");
        let (key, id) = (known.key(&session), known.id);
        let (plain, cipher) = (keys::hex(known.plain), keys::hex(known.cipher));
        let Given::Two(nonce, header) = known.param else { panic!("a nonce and data") };
        let (nonce, header) = (keys::hex(nonce), keys::hex(header));
        assert_eq!(module.message_encrypt_init(handle, id, None, key), Rv::OK);
        assert_eq!(module.message_decrypt_init(handle, id, None, key), Rv::OK);
        let fresh = || Message::ChaCha { nonce: nonce.clone(), tag: vec![0; 16] };
        let mut message = fresh();
        let made = module
            .encrypt_message(handle, &mut message, (&header).into(), (&plain).into(), PLENTY)
            .ok()
            .expect("C_EncryptMessage");
        assert_eq!(message.iv(), nonce);
        assert_eq!([&made[..], message.tag()].concat(), cipher);
        let back =
            module.decrypt_message(handle, &mut message, (&header).into(), (&made).into(), PLENTY);
        assert_eq!(back.ok(), Ok(plain.clone()));
        message.tag()[15] ^= 1;
        let forged =
            module.decrypt_message(handle, &mut message, (&header).into(), (&made).into(), PLENTY);
        assert_eq!(forged.rv, CKR_AEAD_DECRYPT_FAILED);

        let mut message = fresh();
        let begun = module.encrypt_message_begin(handle, &mut message, (&header).into());
        assert_eq!(begun, Rv::OK);
        let (one, two) = plain.split_at(7);
        let next = |message: &mut Message, part: &[u8], last| {
            module.encrypt_message_next(handle, message, part.into(), PLENTY, last).ok()
        };
        let mut all = next(&mut message, one, false).expect("a part");
        all.extend(next(&mut message, two, true).expect("the last part"));
        assert_eq!([&all[..], message.tag()].concat(), cipher);

        let mut short = Message::ChaCha { nonce: vec![1; *other_nonce], tag: vec![0; 16] };
        let refused = module.encrypt_message(handle, &mut short, In::NONE, (&plain).into(), PLENTY);
        assert_eq!(refused.rv, CKR_MECHANISM_PARAM_INVALID);
    });
}
