//! What SoftHSM2 does with keys and the standard does not ask for: only where its configuration
//! holds, or where it weakens keys, where the policy of the token lets it. Habits of single rules stand
//! with the rules; see `Author`.

use strongroom_types::{
    Attributes, Bytes, Error, KeyType, MechanismType, Param, Params, Result, attribute, ck,
};

use crate::application::Application;
use crate::separation::{BOTH_DERIVE, WHOLE_SECRETS};
use crate::session::Session;

/// The block of AES key wrap, in bytes.
const HALF: usize = 8;

/// How X25519 and X448 may be called in `CKA_EC_PARAMS`: a name and an object identifier.
const MONTGOMERY: &[&[u8]] =
    &[b"\x13\x0acurve25519", b"\x06\x03\x2b\x65\x6e", b"\x13\x08curve448", b"\x06\x03\x2b\x65\x6f"];

impl Application {
    /// Whether SoftHSM2 takes this parameter of OAEP to encrypt, to wrap and to unwrap. Where it
    /// decrypts, it looks neither at the source nor at the label.
    pub(crate) fn judge_oaep(&self, mechanism: MechanismType, params: &Params) -> Result<()> {
        if !self.config.compatible || mechanism.0 != ck!(CKM_RSA_PKCS_OAEP) {
            return Ok(());
        }
        match params.as_slice() {
            [Param::Ulong(hash), _, Param::Ulong(source), Param::Bytes(label)]
                if *source != ck!(CKZ_DATA_SPECIFIED)
                    || (*hash == ck!(CKM_SHA_1) && !label.is_empty()) =>
            {
                Err(Error::ArgumentsBad.since("source or pSourceData is none that SoftHSM2 takes"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the other key of a derivation need not have `CKA_DERIVE`.
    pub(crate) fn asks_the_base_alone(
        &self,
        session: &Session,
        mechanism: MechanismType,
    ) -> Result<bool> {
        let lax = !BOTH_DERIVE.holds(session.policy()?);
        Ok(lax && mechanism.0 == ck!(CKM_CONCATENATE_BASE_AND_KEY))
    }

    /// What it is called that the data of a derivation is too short for the key.
    pub(crate) fn short(&self, error: Error) -> Error {
        match error {
            Error::DataLenRange if self.config.compatible => Error::FunctionFailed,
            error => error,
        }
    }

    /// The bytes of a private key that is to be wrapped. SoftHSM2 fills them up with zeros for a
    /// mechanism that takes whole blocks alone. The structure says where they begin.
    pub(crate) fn filled(&self, mechanism: MechanismType, mut key: Bytes) -> Bytes {
        if self.config.compatible && mechanism.0 == ck!(CKM_AES_KEY_WRAP) {
            let len = key.len().next_multiple_of(HALF);
            // Copied first: a vector that grows leaves a copy of the key behind.
            let mut whole = Bytes::new(Vec::with_capacity(len));
            whole.append(&mut key);
            whole.resize(len, 0);
            return whole;
        }
        key
    }

    /// Cuts a secret of ML-KEM to the length of a shorter key, of which SoftHSM2 keeps the start.
    pub(crate) fn cut(
        &self,
        session: &Session,
        mechanism: MechanismType,
        len: Option<usize>,
        secret: &mut Bytes,
    ) -> Result<()> {
        let lax = !WHOLE_SECRETS.holds(session.policy()?);
        if let (true, Some(len)) = (lax && mechanism.0 == ck!(CKM_ML_KEM), len) {
            secret.truncate(len);
        }
        Ok(())
    }

    /// What it is called that no key of its type has the length of a secret.
    pub(crate) fn uncut(&self, error: Error) -> Error {
        match error {
            Error::TemplateInconsistent if self.config.compatible => Error::AttributeValueInvalid,
            error => error,
        }
    }

    /// What SoftHSM2 says to a ciphertext that is not there.
    pub(crate) fn judge_ciphertext(&self, ciphertext: &[u8]) -> Result<()> {
        match ciphertext {
            [] if self.config.compatible => {
                Err(Error::AttributeValueInvalid.since("the ciphertext is empty"))
            }
            _ => Ok(()),
        }
    }

    /// The mechanism that makes a pair of keys. SoftHSM2 makes keys for X25519 and X448 by the mechanism
    /// for Edwards curves, with that key type; they become what they are.
    pub(crate) fn pair_mechanism(
        &self,
        mechanism: MechanismType,
        public: &mut Attributes,
        private: &mut Attributes,
    ) -> MechanismType {
        let montgomery = self.config.compatible
            && mechanism.0 == ck!(CKM_EC_EDWARDS_KEY_PAIR_GEN)
            && public.get(attribute::EC_PARAMS).is_some_and(|params| MONTGOMERY.contains(&params));
        if !montgomery {
            return mechanism;
        }
        for template in [public, private] {
            if template.get(attribute::KEY_TYPE) == Some(KeyType::EC_EDWARDS.0) {
                template.set(attribute::KEY_TYPE, KeyType::EC_MONTGOMERY.0);
            }
        }
        MechanismType(ck!(CKM_EC_MONTGOMERY_KEY_PAIR_GEN))
    }
}
