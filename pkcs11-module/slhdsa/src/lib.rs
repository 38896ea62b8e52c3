//! SLH-DSA (FIPS 205) by bytes: keys, messages and signatures as they are stored and sent.
//!
//! The `slh-dsa` crate has a type for each parameter set; here each is a value, as those of the
//! other key types are. That crate is generic, so what is compiled of it is compiled here, once, and
//! optimised in every profile.
//!
//! A message has a part before it, which says its context and hash function: these are the internal
//! functions of FIPS 205, chapter 9, and the caller knows what goes there (10.2).

#![forbid(unsafe_code)]

use slh_dsa::{Signature, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// A public key and a private key.
pub type KeyPair = (Vec<u8>, Zeroizing<Vec<u8>>);

type Expand = fn([&[u8]; 3]) -> KeyPair;
type Sign = fn(&[u8], [&[u8]; 2], Option<&[u8]>) -> Option<Vec<u8>>;
type Verify = fn(&[u8], [&[u8]; 2], &[u8]) -> bool;

/// A parameter set.
pub struct ParameterSet {
    /// The length in bytes of each part of a key (FIPS 205, table 2: n). A private key has four,
    /// SK.seed, SK.prf, PK.seed and PK.root, a public key the last two of them.
    pub part: usize,
    /// The length of a signature in bytes.
    pub signature_len: usize,
    expand: Expand,
    sign: Sign,
    verify: Verify,
}

macro_rules! sets {
    ($($name:ident = $set:ident, $part:literal, $signature_len:literal;)*) => {
        $(
            #[doc = concat!("SLH-DSA-", stringify!($name), ".")]
            pub static $name: ParameterSet =
                ParameterSet::of::<slh_dsa::$set>($part, $signature_len);
        )*
    };
}

sets! {
    SHA2_128S = Sha2_128s, 16, 7856;
    SHA2_128F = Sha2_128f, 16, 17088;
    SHA2_192S = Sha2_192s, 24, 16224;
    SHA2_192F = Sha2_192f, 24, 35664;
    SHA2_256S = Sha2_256s, 32, 29792;
    SHA2_256F = Sha2_256f, 32, 49856;
    SHAKE_128S = Shake128s, 16, 7856;
    SHAKE_128F = Shake128f, 16, 17088;
    SHAKE_192S = Shake192s, 24, 16224;
    SHAKE_192F = Shake192f, 24, 35664;
    SHAKE_256S = Shake256s, 32, 29792;
    SHAKE_256F = Shake256f, 32, 49856;
}

impl ParameterSet {
    const fn of<P: slh_dsa::ParameterSet>(part: usize, signature_len: usize) -> Self {
        let (expand, sign, verify) = (expand::<P>, sign::<P>, verify::<P>);
        Self { part, signature_len, expand, sign, verify }
    }

    /// The pair that comes of random bytes: SK.seed, SK.prf and PK.seed (algorithm 18). `None` if
    /// they are not as many as these three need.
    pub fn key_pair(&self, seed: &[u8]) -> Option<KeyPair> {
        let (sk_seed, rest) = seed.split_at_checked(self.part)?;
        let (sk_prf, pk_seed) = rest.split_at_checked(self.part)?;
        (pk_seed.len() == self.part).then(|| (self.expand)([sk_seed, sk_prf, pk_seed]))
    }

    /// Signs (algorithm 19). Random bytes, as many as a part of a key has, make it hedged; without
    /// them PK.seed takes their place, and a message has one signature. `None` if the key or they
    /// have a wrong length.
    pub fn sign(
        &self,
        private: &[u8],
        before: &[u8],
        message: &[u8],
        random: Option<&[u8]>,
    ) -> Option<Vec<u8>> {
        if random.is_some_and(|random| random.len() != self.part) {
            return None;
        }
        (self.sign)(private, [before, message], random)
    }

    /// Whether a signature is good (algorithm 20).
    pub fn verify(&self, public: &[u8], before: &[u8], message: &[u8], signature: &[u8]) -> bool {
        (self.verify)(public, [before, message], signature)
    }
}

fn expand<P: slh_dsa::ParameterSet>([sk_seed, sk_prf, pk_seed]: [&[u8]; 3]) -> KeyPair {
    let key = SigningKey::<P>::slh_keygen_internal(sk_seed, sk_prf, pk_seed);
    (key.as_ref().to_vec(), Zeroizing::new(key.to_vec()))
}

fn sign<P: slh_dsa::ParameterSet>(
    private: &[u8],
    message: [&[u8]; 2],
    random: Option<&[u8]>,
) -> Option<Vec<u8>> {
    let key = SigningKey::<P>::try_from(private).ok()?;
    Some(key.slh_sign_internal(&message, random).to_vec())
}

fn verify<P: slh_dsa::ParameterSet>(public: &[u8], message: [&[u8]; 2], signature: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::<P>::try_from(public) else { return false };
    let Ok(signature) = Signature::<P>::try_from(signature) else { return false };
    key.slh_verify_internal(&message, &signature).is_ok()
}
