//! Certificates and requests that a key of the token signs.

use std::cell::RefCell;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use der::asn1::{BitString, Ia5String, ObjectIdentifier};
use der::{Any, Decode, Document, Encode};
use signature::{Keypair, Signer};
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder, Error as BuildError};
use x509_cert::certificate::TbsCertificate;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::request::RequestBuilder;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, DynSignatureAlgorithmIdentifier, EncodePublicKey,
    SignatureBitStringEncoding, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef,
};
use x509_cert::time::Validity;

use crate::cli::{CertUsage, Purpose, SubjectArgs};
use crate::commands::Plan;
use crate::ecdsa;
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::object::Object;
use crate::public_key::PublicKey;
use crate::scheme::{self, Scheme};
use crate::token::Token;

/// How X.509 names a scheme: the algorithm, and its parameters as DER.
const ALGORITHMS: &[(&str, &str, Option<&[u8]>)] = &[
    ("rsa-pkcs-sha256", "1.2.840.113549.1.1.11", Some(&[5, 0])),
    ("rsa-pss-sha256", "1.2.840.113549.1.1.10", Some(PSS_SHA256)),
    ("ecdsa-sha256", "1.2.840.10045.4.3.2", None),
    ("ecdsa-sha384", "1.2.840.10045.4.3.3", None),
    ("ecdsa-sha512", "1.2.840.10045.4.3.4", None),
    ("ed25519", "1.3.101.112", None),
    ("ed448", "1.3.101.113", None),
];

/// RSASSA-PSS-params of RFC 4055: SHA-256, MGF1 with SHA-256, 32 bytes of salt.
const PSS_SHA256: &[u8] = &[
    0x30, 0x34, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
    0x01, 0x05, 0x00, 0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
    0x01, 0x08, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0xa2, 0x03, 0x02, 0x01, 0x20,
];

/// A key of the token as the builders of x509-cert want a signer.
struct TokenSigner<'a> {
    token: &'a Token<'a>,
    key: &'a Object,
    public: PublicKey,
    scheme: Scheme,
    /// What the token said, which the builders' error type cannot carry.
    failure: RefCell<Option<Failure>>,
}

impl<'a> TokenSigner<'a> {
    fn new(token: &'a Token<'a>, key: &'a Object, pss: bool) -> Result<Self> {
        let public = PublicKey::of(token, key)?;
        let name = pss.then_some("rsa-pss-sha256");
        let scheme = scheme::choose(name, key.key_type, Some(&public))?;
        Ok(Self { token, key, public, scheme, failure: RefCell::new(None) })
    }

    fn explain(&self, what: &str, error: BuildError) -> Failure {
        let told = self.failure.borrow_mut().take();
        told.unwrap_or_else(|| Failure::new(Exit::Failed, what).cause(error))
    }
}

/// A signature as it goes into a certificate.
struct TokenSignature(Vec<u8>);

impl SignatureBitStringEncoding for TokenSignature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}

impl Signer<TokenSignature> for TokenSigner<'_> {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<TokenSignature, signature::Error> {
        let plan = Plan::new(self.token, &self.scheme);
        let signed = plan
            .sign(self.token, self.key, message)
            .and_then(|raw| if self.scheme.der { ecdsa::to_der(&raw) } else { Ok(raw) });
        signed.map(TokenSignature).map_err(|failure| {
            *self.failure.borrow_mut() = Some(failure);
            signature::Error::new()
        })
    }
}

impl Keypair for TokenSigner<'_> {
    type VerifyingKey = PublicKey;

    fn verifying_key(&self) -> PublicKey {
        self.public.clone()
    }
}

impl EncodePublicKey for PublicKey {
    fn to_public_key_der(&self) -> x509_cert::spki::Result<Document> {
        let der = self.spki().map_err(|_| x509_cert::spki::Error::KeyMalformed)?;
        Ok(Document::try_from(der)?)
    }
}

impl DynSignatureAlgorithmIdentifier for TokenSigner<'_> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        let unknown =
            x509_cert::spki::Error::OidUnknown { oid: ObjectIdentifier::new_unwrap("0.0") };
        let row = ALGORITHMS.iter().find(|row| row.0 == self.scheme.name).ok_or(unknown)?;
        Ok(AlgorithmIdentifierOwned {
            oid: ObjectIdentifier::new(row.1).map_err(der::Error::from)?,
            parameters: row.2.map(Any::from_der).transpose()?,
        })
    }
}

/// What a certificate or request says beside the key.
pub(crate) struct Content {
    subject: Name,
    names: Vec<GeneralName>,
    ca: bool,
    usage: KeyUsage,
    purposes: Vec<ObjectIdentifier>,
}

impl Content {
    /// Reads the options.
    pub(crate) fn new(args: &SubjectArgs) -> Result<Self> {
        let subject = Name::from_str(&args.subject).map_err(|error| {
            Failure::usage(format!("{} is no subject", args.subject))
                .cause(error)
                .help("write it as in RFC 4514: CN=www.example.org,O=Example,C=SE")
        })?;
        let names = args.san.iter().map(|name| general_name(name)).collect::<Result<_>>()?;
        Ok(Self {
            subject,
            names,
            ca: args.ca,
            usage: key_usage(args),
            purposes: args.purpose.iter().map(|purpose| purpose_oid(*purpose)).collect(),
        })
    }

    fn extensions(&self, before: &[Extension]) -> std::result::Result<Vec<Extension>, der::Error> {
        let mut list = before.to_vec();
        let basic = BasicConstraints { ca: self.ca, path_len_constraint: None };
        list.push(basic.to_extension(&self.subject, &list)?);
        list.push(self.usage.to_extension(&self.subject, &list)?);
        if !self.purposes.is_empty() {
            let purposes = ExtendedKeyUsage(self.purposes.clone());
            list.push(purposes.to_extension(&self.subject, &list)?);
        }
        if !self.names.is_empty() {
            let names = SubjectAltName(self.names.clone());
            list.push(names.to_extension(&self.subject, &list)?);
        }
        Ok(list)
    }
}

/// The self-signed profile: issuer and subject are one.
struct SelfSigned(Content);

impl BuilderProfile for SelfSigned {
    fn get_issuer(&self, subject: &Name) -> Name {
        subject.clone()
    }

    fn get_subject(&self) -> Name {
        self.0.subject.clone()
    }

    fn build_extensions(
        &self,
        spk: SubjectPublicKeyInfoRef<'_>,
        issuer_spk: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let mut list = Vec::new();
        let subject_key = SubjectKeyIdentifier::try_from(spk)?;
        list.push(subject_key.to_extension(tbs.subject(), &list)?);
        let authority_key = AuthorityKeyIdentifier::try_from(issuer_spk)?;
        list.push(authority_key.to_extension(tbs.subject(), &list)?);
        Ok(self.0.extensions(&list)?)
    }
}

/// Makes a certificate request, DER.
pub(crate) fn request(
    token: &Token<'_>,
    key: &Object,
    content: &Content,
    pss: bool,
) -> Result<Vec<u8>> {
    const WHAT: &str = "cannot make the certificate request";
    let signer = TokenSigner::new(token, key, pss)?;
    let wrong = |error| signer.explain(WHAT, error);
    let mut builder = RequestBuilder::new(content.subject.clone()).map_err(wrong)?;
    let extensions = content.extensions(&[]).map_err(|error| wrong(error.into()))?;
    for extension in extensions {
        builder
            .add_extension(extension)
            .map_err(|error| Failure::new(Exit::Failed, WHAT).cause(error))?;
    }
    let request = builder.build::<_, TokenSignature>(&signer).map_err(wrong)?;
    request.to_der().map_err(|error| wrong(error.into()))
}

/// Makes a self-signed certificate, DER.
pub(crate) fn self_signed(
    token: &Token<'_>,
    key: &Object,
    content: Content,
    pss: bool,
    days: u32,
) -> Result<Vec<u8>> {
    const WHAT: &str = "cannot make the certificate";
    let signer = TokenSigner::new(token, key, pss)?;
    let wrong = |error| signer.explain(WHAT, error);
    // RFC 5280, 4.1.2.2: positive, and at most 20 bytes.
    let mut number = token.random(16)?;
    if let Some(first) = number.first_mut() {
        *first = (*first & 0x7f) | 0x40;
    }
    let serial = SerialNumber::new(&number).map_err(|error| wrong(error.into()))?;
    let lifetime = Duration::from_secs(u64::from(days) * 24 * 60 * 60);
    let validity = Validity::from_now(lifetime).map_err(|error| wrong(error.into()))?;
    let key_info = SubjectPublicKeyInfo::from_key(&signer.public).map_err(|e| wrong(e.into()))?;
    let builder =
        CertificateBuilder::new(SelfSigned(content), serial, validity, key_info).map_err(wrong)?;
    let certificate = builder.build::<_, TokenSignature>(&signer).map_err(wrong)?;
    certificate.to_der().map_err(|error| wrong(error.into()))
}

fn general_name(text: &str) -> Result<GeneralName> {
    let wrong = || {
        Failure::usage(format!("{text} is no alternative name")).help(
            "write DNS:www.example.org, IP:192.0.2.1, email:me@example.org or URI:https://...",
        )
    };
    let (kind, value) = text.split_once(':').ok_or_else(wrong)?;
    let ia5 = || Ia5String::new(value).map_err(|_| wrong());
    match kind.to_ascii_lowercase().as_str() {
        "dns" => Ok(GeneralName::DnsName(ia5()?)),
        "email" => Ok(GeneralName::Rfc822Name(ia5()?)),
        "uri" => Ok(GeneralName::UniformResourceIdentifier(ia5()?)),
        "ip" => Ok(GeneralName::from(IpAddr::from_str(value).map_err(|_| wrong())?)),
        _ => Err(wrong()),
    }
}

/// The bits of key usage, and what stands for them on the command line.
const USAGES: &[(CertUsage, KeyUsages)] = &[
    (CertUsage::DigitalSignature, KeyUsages::DigitalSignature),
    (CertUsage::NonRepudiation, KeyUsages::NonRepudiation),
    (CertUsage::KeyEncipherment, KeyUsages::KeyEncipherment),
    (CertUsage::DataEncipherment, KeyUsages::DataEncipherment),
    (CertUsage::KeyAgreement, KeyUsages::KeyAgreement),
    (CertUsage::KeyCertSign, KeyUsages::KeyCertSign),
    (CertUsage::CrlSign, KeyUsages::CRLSign),
];

fn key_usage(args: &SubjectArgs) -> KeyUsage {
    let wanted = match (args.key_usage.as_slice(), args.ca) {
        ([], true) => &[CertUsage::KeyCertSign, CertUsage::CrlSign][..],
        ([], false) => &[CertUsage::DigitalSignature][..],
        (usages, _) => usages,
    };
    let bits = USAGES.iter().filter(|row| wanted.contains(&row.0));
    KeyUsage(bits.fold(Default::default(), |all, row| all | row.1))
}

fn purpose_oid(purpose: Purpose) -> ObjectIdentifier {
    // id-kp of RFC 5280, 4.2.1.12.
    let text = match purpose {
        Purpose::ServerAuth => "1.3.6.1.5.5.7.3.1",
        Purpose::ClientAuth => "1.3.6.1.5.5.7.3.2",
        Purpose::CodeSigning => "1.3.6.1.5.5.7.3.3",
        Purpose::EmailProtection => "1.3.6.1.5.5.7.3.4",
        Purpose::TimeStamping => "1.3.6.1.5.5.7.3.8",
        Purpose::OcspSigning => "1.3.6.1.5.5.7.3.9",
    };
    ObjectIdentifier::new_unwrap(text)
}
