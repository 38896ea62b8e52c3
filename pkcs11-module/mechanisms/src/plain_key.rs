//! The structures of keys that are byte strings: `SubjectPublicKeyInfo` and `OneAsymmetricKey` (RFC
//! 5958). The algorithm of most is an object identifier and nothing else.

use der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef};
use der::{AnyRef, Decode, Encode, Reader, Sequence, SliceReader, Tag, TagNumber, Tagged};
use strongroom_types::{Bytes, Error, Result};

/// `AlgorithmIdentifier`.
#[derive(Sequence)]
pub(crate) struct Algorithm<'a> {
    pub(crate) identifier: ObjectIdentifier,
    pub(crate) parameters: Option<AnyRef<'a>>,
}

impl From<ObjectIdentifier> for Algorithm<'_> {
    fn from(identifier: ObjectIdentifier) -> Self {
        Self { identifier, parameters: None }
    }
}

/// `SubjectPublicKeyInfo`.
#[derive(Sequence)]
struct PublicKeyInfo<'a> {
    algorithm: Algorithm<'a>,
    public_key: BitStringRef<'a>,
}

/// `OneAsymmetricKey`, as far as it is written.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: Algorithm<'a>,
    private_key: &'a OctetStringRef,
}

/// Writes the structure of a public key.
pub(crate) fn to_spki<'a>(algorithm: impl Into<Algorithm<'a>>, public: &[u8]) -> Result<Vec<u8>> {
    let algorithm = algorithm.into();
    let info = BitStringRef::from_bytes(public)
        .and_then(|public_key| PublicKeyInfo { algorithm, public_key }.to_der());
    info.map_err(|_| Error::FunctionFailed)
}

/// Writes the structure of a private key around what the algorithm writes into it.
pub(crate) fn to_pkcs8<'a>(algorithm: impl Into<Algorithm<'a>>, private: &[u8]) -> Result<Bytes> {
    let algorithm = algorithm.into();
    encode(&PrivateKeyInfo { version: 0, algorithm, private_key: octets(private)? })
}

/// Bytes that become an OCTET STRING.
pub(crate) fn octets(bytes: &[u8]) -> Result<&OctetStringRef> {
    OctetStringRef::new(bytes).map_err(|_| Error::KeyNotWrappable)
}

/// The DER of what holds a secret: in memory that does not grow, and is wiped.
pub(crate) fn encode(value: &impl Encode) -> Result<Bytes> {
    let write = || {
        let mut out = Bytes::new(vec![0; value.encoded_len()?.try_into()?]);
        value.encode_to_slice(&mut out)?;
        Ok::<_, der::Error>(out)
    };
    write().map_err(|_| Error::KeyNotWrappable)
}

/// What is read of the structure of a private key.
pub(crate) struct Structure<'a> {
    /// The algorithm.
    pub(crate) algorithm: Algorithm<'a>,
    /// What the algorithm has written into it.
    pub(crate) private: &'a [u8],
    /// The public key, where it stands beside.
    pub(crate) public: Option<&'a [u8]>,
}

impl<'a> Structure<'a> {
    /// Reads one whose algorithm has no parameters, and tells the algorithm.
    pub(crate) fn read_plain(der: &'a [u8]) -> der::Result<(ObjectIdentifier, Self)> {
        let this = Self::read(der)?;
        match this.algorithm.parameters {
            None => Ok((this.algorithm.identifier, this)),
            Some(_) => Err(Tag::Sequence.value_error().into()),
        }
    }

    /// Reads it, and nothing after it.
    pub(crate) fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut outer = SliceReader::new(der)?;
        let all = outer.sequence(|reader: &mut SliceReader<'a>| {
            if u8::decode(reader)? > 1 {
                return Err(der::Error::from(Tag::Integer.value_error()));
            }
            let algorithm = Algorithm::decode(reader)?;
            let private = <&OctetStringRef>::decode(reader)?;
            let mut public = None;
            while !reader.is_finished() {
                let field = AnyRef::decode(reader)?;
                match field.tag() {
                    // Attributes say nothing about the key.
                    Tag::ContextSpecific { constructed: true, number: TagNumber(0) } => {}
                    // A BIT STRING under an implicit tag: no bit of its last byte is unused.
                    tag @ Tag::ContextSpecific { constructed: false, number: TagNumber(1) } => {
                        let bytes = field.value().strip_prefix(&[0]);
                        public = Some(bytes.ok_or_else(|| tag.value_error())?);
                    }
                    tag => return Err(tag.value_error().into()),
                }
            }
            Ok(Self { algorithm, private: private.as_bytes(), public })
        })?;
        outer.finish()?;
        Ok(all)
    }
}
