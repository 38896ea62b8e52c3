//! `--import`: key pairs of PKCS#8, AES keys, certificates.

use std::fs;
use std::path::Path;

use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use der::Decode;
use pkcs8::EncryptedPrivateKeyInfoRef;
use x509_cert::Certificate;
use x509_cert::der::Encode;
use zeroize::Zeroizing;

use super::{Result, Stop, ask, import_type, place, say};
use crate::cli::{ImportType, Softhsm2UtilArgs};
use crate::module::Module;
use crate::pin;
use crate::private_key::{PrivateKey, Sensitive};

/// What every imported object is called.
struct Names {
    label: Vec<u8>,
    id: Vec<u8>,
}

/// Imports what is in a file.
pub(super) fn import(module: &Module, args: &Softhsm2UtilArgs, path: &Path) -> Result<()> {
    let slot = place::present(module, args)?;
    let names = Names::new(args)?;
    let session = module.open_rw_session(slot).map_err(|error| match error {
        ModuleError::Pkcs11(RvError::SlotIdInvalid, _) => {
            Stop::error("The given slot does not exist.")
        }
        _ => Stop::error("Could not open a session on the given slot."),
    })?;
    let pin = ask::pin(args.pin.as_deref())?;
    session.login(UserType::User, Some(&pin::auth(&pin))).map_err(|error| match error {
        ModuleError::Pkcs11(RvError::PinIncorrect, _) => {
            Stop::error("The given user PIN does not match the one in the token.")
        }
        _ => Stop::error("Could not log in on the token."),
    })?;
    match import_type(args) {
        ImportType::Keypair => key_pair(&session, args, path, &names),
        ImportType::Aes => aes(&session, path, &names),
        ImportType::Cert => certificate(&session, args, path, &names),
    }
}

impl Names {
    fn new(args: &Softhsm2UtilArgs) -> Result<Self> {
        let label = args.label.as_ref().ok_or_else(|| {
            Stop::error("A label for the object must be supplied. Use --label <text>")
        })?;
        let id = args
            .id
            .as_ref()
            .ok_or_else(|| Stop::error("An ID for the object must be supplied. Use --id <hex>"))?;
        let wrong = |what: &str| {
            Stop(format!("ERROR: Invalid {what}.\nPlease edit --id <hex> to correct error."))
        };
        if id.is_empty() || !id.len().is_multiple_of(2) {
            return Err(wrong("length on hex string"));
        }
        let id = hex::decode(id).map_err(|_| wrong("character in hex string"))?;
        Ok(Self { label: label.clone().into_bytes(), id })
    }

    /// The attributes that objects of a class have by their names.
    fn of(&self, class: ObjectClass, private: bool) -> Vec<Attribute> {
        vec![
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Private(private),
            Attribute::Label(self.label.clone()),
            Attribute::Id(self.id.clone()),
        ]
    }

    /// Refuses an id that an object of the class has, unless it is forced.
    fn free(&self, session: &Session, class: ObjectClass, force: bool) -> Result<()> {
        let template = [Attribute::Class(class), Attribute::Id(self.id.clone())];
        let found = session
            .find_objects(&template)
            .map_err(|error| Stop::error(format!("Could not search the token: {error}")))?;
        if found.is_empty() || force {
            return Ok(());
        }
        Err(Stop::error(
            "The ID is already assigned to another object. Use --force to override this message.",
        ))
    }
}

fn key_pair(session: &Session, args: &Softhsm2UtilArgs, path: &Path, names: &Names) -> Result<()> {
    names.free(session, ObjectClass::PRIVATE_KEY, args.force)?;
    let key = pkcs8(path, args.file_pin.as_deref())?;
    // What the curve cannot do is not allowed to it: only RSA encrypts.
    let is_rsa = key.key_type() == KeyType::RSA;
    let signs = key.key_type() != KeyType::EC_MONTGOMERY;
    let mut private = names.of(ObjectClass::PRIVATE_KEY, true);
    private.extend([
        Attribute::KeyType(key.key_type()),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(signs),
        Attribute::Decrypt(is_rsa),
        Attribute::Unwrap(is_rsa),
    ]);
    let private = key.material.with(private);
    let handle = session
        .create_object(private.template())
        .map_err(|error| not_saved("private key", &error))?;
    if !args.no_public_key {
        let mut public = names.of(ObjectClass::PUBLIC_KEY, false);
        public.extend([
            Attribute::KeyType(key.key_type()),
            Attribute::Verify(signs),
            Attribute::Encrypt(is_rsa),
            Attribute::Wrap(is_rsa),
        ]);
        public.extend(key.public.attributes()?);
        session.create_object(&public).map_err(|error| {
            // Half a pair is no result.
            let _gone = session.destroy_object(handle);
            not_saved("public key", &error)
        })?;
    }
    say("The key pair has been imported.")
}

fn not_saved(what: &str, error: &ModuleError) -> Stop {
    Stop::error(format!("Could not save the {what} in the token: {error}"))
}

/// The key of a PKCS#8 file, PEM, encrypted if there is a password and not if there is none.
fn pkcs8(path: &Path, password: Option<&str>) -> Result<PrivateKey> {
    let text = fs::read(path)
        .map(Zeroizing::new)
        .map_err(|_| Stop::error(format!("Could open the PKCS#8 file: {}", path.display())))?;
    let unreadable = || {
        let hint = match password {
            None => "Maybe it is encypted (--file-pin <PIN>)",
            Some(_) => "Maybe the file is not encrypted.",
        };
        Stop::error(format!("Could not read the PKCS#8 file. {hint}"))
    };
    let label = if password.is_some() { "ENCRYPTED PRIVATE KEY" } else { "PRIVATE KEY" };
    let der = Zeroizing::new(block(&text, label).ok_or_else(unreadable)?);
    let Some(password) = password else {
        return Ok(PrivateKey::from_pkcs8(&der)?);
    };
    let wrong = || {
        let hint = "Maybe wrong PIN to file (--file-pin <PIN>)";
        Stop::error(format!("Could not decrypt the PKCS#8 file. {hint}"))
    };
    let info = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(|_| unreadable())?;
    let plain = info.decrypt(password).map_err(|_| wrong())?;
    Ok(PrivateKey::from_pkcs8(plain.as_bytes())?)
}

/// The content of the first PEM block with a label.
fn block(text: &[u8], wanted: &str) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    crate::material::blocks(text)
        .into_iter()
        .filter_map(|block| der::pem::decode_vec(block.as_bytes()).ok())
        .find(|(label, _)| *label == wanted)
        .map(|(_, der)| der)
}

fn aes(session: &Session, path: &Path, names: &Names) -> Result<()> {
    let value = fs::read(path)
        .map(Zeroizing::new)
        .map_err(|_| Stop::error("Could not open the secret key file."))?;
    let mut rest = names.of(ObjectClass::SECRET_KEY, true);
    rest.extend([
        Attribute::KeyType(KeyType::AES),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(true),
        Attribute::Verify(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ]);
    let key = Sensitive::value(&value).with(rest);
    session.create_object(key.template()).map_err(|error| not_saved("secret key", &error))?;
    Ok(())
}

fn certificate(
    session: &Session,
    args: &Softhsm2UtilArgs,
    path: &Path,
    names: &Names,
) -> Result<()> {
    names.free(session, ObjectClass::CERTIFICATE, args.force)?;
    let unreadable = |_| Stop::error("Could not read the certificate file.");
    let text = fs::read(path)
        .map_err(|_| Stop::error(format!("Could open the certificate file: {}", path.display())))?;
    let value = block(&text, "CERTIFICATE").ok_or(()).map_err(unreadable)?;
    let certificate = Certificate::from_der(&value).map_err(|_| unreadable(()))?;
    let tbs = certificate.tbs_certificate();
    let encode = |bytes: der::Result<Vec<u8>>| bytes.map_err(|_| unreadable(()));
    let mut template = names.of(ObjectClass::CERTIFICATE, false);
    template.extend([
        Attribute::CertificateType(cryptoki::object::CertificateType::X_509),
        Attribute::Subject(encode(tbs.subject().to_der())?),
        Attribute::Issuer(encode(tbs.issuer().to_der())?),
        Attribute::SerialNumber(encode(tbs.serial_number().to_der())?),
        Attribute::Value(value),
    ]);
    session.create_object(&template).map_err(|error| not_saved("certificate", &error))?;
    say("The certificate has been imported.")
}
