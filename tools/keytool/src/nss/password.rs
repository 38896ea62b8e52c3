//! The password of an NSS database, and what it encrypts: PBES2 of PKCS#5 (RFC 8018) with PBKDF2,
//! HMAC of SHA-256 and AES-256-CBC, which NSS writes since 3.49, and PBMAC1 for the MACs.
//!
//! The password that goes into PBKDF2 is the SHA-1 of a salt of the database and the password of
//! the user. Of the initialization vector only fourteen bytes are stored: the two before them are
//! those of their own DER.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use aws_lc_rs::{hmac, pbkdf2};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};
use der::{Decode, Sequence};
use strongroom_token::MOST_ROUNDS;
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

const PBES2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.13");
const PBMAC1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.14");
const PBKDF2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.5.12");
const HMAC_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.2.9");
const AES_256_CBC: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.1.42");

/// What is encrypted to recognise the password by.
const CHECK: &[u8] = b"password-check";

/// What is encrypted, or authenticated, and how.
#[derive(Sequence)]
struct Sealed<'a> {
    algorithm: AlgorithmIdentifierRef<'a>,
    value: &'a OctetStringRef,
}

/// The parameters of PBES2 and of PBMAC1: how the key is derived, and what it is for.
#[derive(Sequence)]
struct Scheme<'a> {
    derivation: AlgorithmIdentifierRef<'a>,
    purpose: AlgorithmIdentifierRef<'a>,
}

#[derive(Sequence)]
struct Pbkdf2<'a> {
    salt: &'a OctetStringRef,
    iterations: u32,
    key_len: Option<u16>,
    prf: Option<AlgorithmIdentifierRef<'a>>,
}

type Read<T> = std::result::Result<T, String>;

/// A password that was right. Not Debug on purpose.
pub(crate) struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Tries a password; `None` if it is wrong.
    ///
    /// # Errors
    /// If the database encrypts in a way that is not supported.
    pub(super) fn new(salt: &[u8], password: &str, check: &[u8]) -> Read<Option<Self>> {
        let mut digest = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
        digest.update(salt);
        digest.update(password.as_bytes());
        let this = Self(Zeroizing::new(digest.finish().as_ref().to_vec()));
        let (sealed, scheme) = parse(check, PBES2)?;
        // A wrong key leaves a wrong padding, or else wrong letters.
        let open = this.decrypt(&scheme, sealed.value.as_bytes())?;
        Ok(open.filter(|open| open.as_slice() == CHECK).map(|_| this))
    }

    /// Decrypts an attribute.
    pub(super) fn open(&self, value: &[u8]) -> Read<Zeroizing<Vec<u8>>> {
        let (sealed, scheme) = parse(value, PBES2)?;
        self.decrypt(&scheme, sealed.value.as_bytes())?
            .ok_or_else(|| String::from("it cannot be decrypted; the database is damaged"))
    }

    /// Checks the MAC of an attribute. It covers the number of the object, which NSS does not know
    /// yet when it makes one: then it is 0.
    pub(super) fn verify(&self, mac: &[u8], object: u32, attribute: u32, value: &[u8]) -> Read<()> {
        let (sealed, scheme) = parse(mac, PBMAC1)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.derive(&scheme)?.as_slice());
        if scheme.purpose.oid != HMAC_SHA256 {
            return Err(unsupported(&scheme.purpose.oid));
        }
        let right = [object, 0].iter().any(|object| {
            let mut message = Zeroizing::new(Vec::with_capacity(8 + value.len()));
            message.extend(object.to_be_bytes());
            message.extend(attribute.to_be_bytes());
            message.extend_from_slice(value);
            hmac::verify(&key, &message, sealed.value.as_bytes()).is_ok()
        });
        match right {
            true => Ok(()),
            false => Err(String::from("its MAC is wrong: somebody changed the database")),
        }
    }

    fn decrypt(&self, scheme: &Scheme<'_>, sealed: &[u8]) -> Read<Option<Zeroizing<Vec<u8>>>> {
        if scheme.purpose.oid != AES_256_CBC {
            return Err(unsupported(&scheme.purpose.oid));
        }
        let iv = scheme.purpose.parameters.and_then(iv).ok_or_else(damaged)?;
        let key = self.derive(scheme)?;
        let key = UnboundCipherKey::new(&AES_256, key.as_slice())
            .and_then(PaddedBlockDecryptingKey::cbc_pkcs7)
            .map_err(|_| damaged())?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let Ok(open) = key.decrypt(&mut bytes, DecryptionContext::Iv128((&iv).into())) else {
            return Ok(None);
        };
        let len = open.len();
        bytes.truncate(len);
        Ok(Some(bytes))
    }

    fn derive(&self, scheme: &Scheme<'_>) -> Read<Zeroizing<[u8; 32]>> {
        if scheme.derivation.oid != PBKDF2 {
            return Err(unsupported(&scheme.derivation.oid));
        }
        let parameters: Pbkdf2<'_> = decode(scheme.derivation.parameters)?;
        match &parameters.prf {
            Some(prf) if prf.oid == HMAC_SHA256 => {}
            Some(prf) => return Err(unsupported(&prf.oid)),
            // HMAC of SHA-1, by default.
            None => return Err(unsupported(&PBKDF2)),
        }
        let iterations = NonZeroU32::new(parameters.iterations)
            .filter(|count| u64::from(count.get()) <= MOST_ROUNDS)
            .ok_or_else(damaged)?;
        if parameters.key_len.is_some_and(|len| len != 32) {
            return Err(damaged());
        }
        let mut key = Zeroizing::new([0; 32]);
        let salt = parameters.salt.as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, &self.0, key.as_mut_slice());
        Ok(key)
    }
}

fn parse(der: &[u8], wanted: ObjectIdentifier) -> Read<(Sealed<'_>, Scheme<'_>)> {
    let sealed = Sealed::from_der(der).map_err(|_| damaged())?;
    if sealed.algorithm.oid != wanted {
        return Err(unsupported(&sealed.algorithm.oid));
    }
    let scheme = decode(sealed.algorithm.parameters)?;
    Ok((sealed, scheme))
}

fn decode<'a, T: der::DecodeValue<'a> + der::FixedTag + 'a>(
    parameters: Option<AnyRef<'a>>,
) -> Read<T> {
    let any = parameters.ok_or_else(damaged)?;
    any.decode_as().map_err(|_| damaged())
}

/// The vector: whole, or what NSS stores of it.
fn iv(parameter: AnyRef<'_>) -> Option<[u8; 16]> {
    let octets: &OctetStringRef = parameter.decode_as().ok()?;
    match octets.as_bytes() {
        short @ [_, ..] if short.len() == 14 => [&[4, 14], short].concat().try_into().ok(),
        whole => whole.try_into().ok(),
    }
}

fn damaged() -> String {
    String::from("its encryption cannot be read; the database is damaged")
}

fn unsupported(algorithm: &ObjectIdentifier) -> String {
    format!(
        "it is encrypted in the way of an older NSS ({algorithm}); set the password anew with a \
         present one: certutil -W -d sql:DIRECTORY"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a database that certutil 3.87 made, with the password "secretpw".
    const SALT: &str = "9ce46798280361bd3ac6e75a0ae059ae91b7de97";
    const SEALED: &str = "308182306e06092a864886f70d01050d3061304206092a864886f70d01050c3035042\
        04e4aee732a7e4c7dfb062e15534adf49face565ffb0637b2ba7def943eff6d5802022710020120300a0608\
        2a864886f70d0209301b060960864801650304012a040e53daa4cd88cfef084bb4c4bedbb104100c1155c9c\
        f88e1422f5d77e842739b4a";

    fn vector() -> (Vec<u8>, Vec<u8>) {
        (hex::decode(SALT).unwrap(), hex::decode(SEALED).unwrap())
    }

    #[test]
    fn the_password_is_recognised() {
        let (salt, check) = vector();
        assert!(Password::new(&salt, "secretpw", &check).unwrap().is_some());
        assert!(Password::new(&salt, "secretpx", &check).unwrap().is_none());
        assert!(Password::new(&salt, "", &check).unwrap().is_none());
    }

    #[test]
    fn whatever_the_bytes_are_there_is_an_answer() {
        let (salt, check) = vector();
        let right = Password::new(&salt, "secretpw", &check).unwrap().unwrap();
        for end in 0..check.len() {
            assert!(right.open(&check[..end]).is_err());
        }
        for at in 0..check.len() {
            let mut changed = check.clone();
            changed[at] ^= 0x10;
            let _ = right.open(&changed);
        }
    }
}
