//! `CKM_PUB_KEY_FROM_PRIV_KEY` (PKCS#11 3.2, "deriving a public key from a private key"): which
//! attributes those are, each key type says.

use strongroom_types::{AttributeInfo, Attributes, Class, Error, KeyType, Result, mechanism};

use crate::{Derivation, Heritage, Makes, Mechanism};

/// The row of this family.
pub(crate) static ROWS: &[Mechanism] = &[Mechanism {
    keys: &[
        KeyType::RSA,
        KeyType::DH,
        KeyType::DSA,
        KeyType::EC,
        KeyType::EC_EDWARDS,
        KeyType::EC_MONTGOMERY,
        KeyType::ML_DSA,
        KeyType::ML_KEM,
        KeyType::SLH_DSA,
    ],
    // From the bytes of an SLH-DSA public key to the bits of an RSA modulus.
    key_size: 32..=8192,
    derive: Some(Derivation {
        makes: Makes::Public(|inputs| {
            if inputs.key.class() != Class::PRIVATE_KEY {
                return Err(Error::KeyTypeInconsistent);
            }
            let row = crate::key_type(inputs.key.key_type())?;
            row.to_public.ok_or(Error::KeyTypeInconsistent)?(inputs.attributes)
        }),
        heritage: Heritage::Chosen,
    }),
    ..Mechanism::named(mechanism!(CKM_PUB_KEY_FROM_PRIV_KEY))
}];

/// Attributes that a private key has in common with its public key.
pub(crate) fn shared(private: &Attributes, names: &[&AttributeInfo]) -> Result<Attributes> {
    let mut public = Attributes::default();
    for name in names {
        let value = private.value(name.id).ok_or(Error::KeyTypeInconsistent)?;
        public.put(name.id, value.clone());
    }
    Ok(public)
}
