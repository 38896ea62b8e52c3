//! Which mechanisms may be used.
//!
//! A mechanism is found through a [`Policy`] and in no other way, and what is found is a row without
//! what the policy forbids: whoever has a row may do all that it says. So a list, information, and
//! every function of the standard hold to the same policy without asking for it.

use std::sync::LazyLock;

use strongroom_types::{Error, MechanismType, NumberMap, Result};

use crate::{
    Legacy, Mechanism, aes, aes_block, aes_ccm, aes_cmac, aes_ctr, aes_cts, aes_gcm, aes_key_wrap,
    aes_stream, aes_xts, chacha, des, dh, digest, dsa, ec_key, ecdh, ecdsa, eddsa, encrypt_data,
    hash_derive, hkdf, hmac, ml_dsa, ml_kem, montgomery, pbkdf2, poly1305, public_from_private,
    rsa, rsa_key, rsa_oaep, rsa_pss, salsa20, secret, sha512_t, simple_derive, slh_dsa, sp800_108,
    tls, transport,
};

/// Every mechanism of the token. Nobody else can see this list: whoever needs a mechanism asks a
/// [`Policy`] for it.
static MECHANISMS: &[&[Mechanism]] = &[
    digest::ROWS,
    hmac::ROWS,
    sha512_t::ROWS,
    secret::ROWS,
    aes::ROWS,
    aes_block::ROWS,
    aes_ctr::ROWS,
    aes_gcm::ROWS,
    aes_ccm::ROWS,
    aes_stream::ROWS,
    aes_cts::ROWS,
    aes_xts::ROWS,
    aes_cmac::ROWS,
    aes_key_wrap::ROWS,
    encrypt_data::ROWS,
    hkdf::ROWS,
    hash_derive::ROWS,
    simple_derive::ROWS,
    sp800_108::ROWS,
    tls::ROWS,
    pbkdf2::ROWS,
    chacha::ROWS,
    poly1305::ROWS,
    salsa20::ROWS,
    des::GENERATORS,
    des::CIPHERS,
    des::MACS,
    des::DERIVATIONS,
    rsa_key::ROWS,
    rsa::ROWS,
    rsa_pss::ROWS,
    rsa_oaep::ROWS,
    ec_key::ROWS,
    ecdsa::ROWS,
    ecdh::ROWS,
    eddsa::ROWS,
    montgomery::ROWS,
    dh::ROWS,
    dsa::GENERATORS,
    dsa::SIGNATURES,
    transport::ROWS,
    public_from_private::ROWS,
    ml_dsa::ROWS,
    ml_kem::ROWS,
    slh_dsa::ROWS,
];

/// Which mechanisms may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Those that new things may be made with.
    Modern,
    /// All of them.
    Legacy,
}

/// The rows of a policy, in the order of the rows; and where each number is.
struct Table {
    rows: Vec<Mechanism>,
    places: NumberMap<u64, usize>,
}

static MODERN: LazyLock<Table> = LazyLock::new(|| Table::new(modern));
static ALL: LazyLock<Table> = LazyLock::new(|| Table::new(|row| Some(all(row))));

impl Table {
    fn new(view: fn(&Mechanism) -> Option<Mechanism>) -> Self {
        let rows: Vec<_> = MECHANISMS.iter().copied().flatten().filter_map(view).collect();
        let places = rows.iter().enumerate().map(|(place, row)| (row.id.0, place)).collect();
        Self { rows, places }
    }
}

/// What is left of a row.
fn modern(row: &Mechanism) -> Option<Mechanism> {
    match row.legacy {
        Legacy::Nothing => Some(row.clone()),
        Legacy::Signing => Some(Mechanism { sign: None, sign_recover: None, ..row.clone() }),
        Legacy::Everything => None,
    }
}

/// A row with the keys that it takes beyond its own.
fn all(row: &Mechanism) -> Mechanism {
    let smallest = row.legacy_key_size.unwrap_or(*row.key_size.start());
    Mechanism { key_size: smallest..=*row.key_size.end(), ..row.clone() }
}

/// Makes the tables of both.
pub(crate) fn prepare() {
    for policy in [Policy::Modern, Policy::Legacy] {
        policy.table();
    }
}

impl Policy {
    /// That of a configuration.
    pub fn new(legacy: bool) -> Self {
        if legacy { Self::Legacy } else { Self::Modern }
    }

    fn table(self) -> &'static Table {
        match self {
            Self::Modern => &MODERN,
            Self::Legacy => &ALL,
        }
    }

    /// Finds a mechanism by its number.
    ///
    /// # Errors
    ///
    /// [`Error::MechanismInvalid`] if there is none, or none that may be used.
    pub fn mechanism(self, id: MechanismType) -> Result<&'static Mechanism> {
        let Table { rows, places } = self.table();
        places.get(&id.0).and_then(|place| rows.get(*place)).ok_or(Error::MechanismInvalid)
    }

    /// All that may be used, in the order of the rows.
    pub fn mechanisms(self) -> impl Iterator<Item = &'static Mechanism> {
        self.table().rows.iter()
    }
}
