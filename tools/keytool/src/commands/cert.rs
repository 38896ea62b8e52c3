//! `cert import|list|export`.

use cryptoki::object::{Attribute, AttributeType, CertificateType, ObjectClass};
use der::pem::LineEnding;
use der::{Decode, Encode};
use p12_keystore::{KeyStore, KeyStoreEntry};
use serde::Serialize;
use x509_cert::certificate::Certificate;

use super::Context;
use crate::cli::{CertExportArgs, CertFormat, CertImportArgs, CertListArgs};
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::files;
use crate::material::{self, Material, Password};
use crate::object::{self, Name, Object};
use crate::pin::Source;
use crate::public_key::PublicKey;
use crate::table::{table, visible};
use crate::token::{Access, Token};

const CLASS: &[ObjectClass] = &[ObjectClass::CERTIFICATE];

/// What is shown of a certificate.
#[derive(Serialize)]
struct View {
    label: String,
    id: String,
    subject: String,
    issuer: String,
    serial: String,
    not_before: String,
    not_after: String,
    uri: String,
}

impl View {
    fn new(token: &Token<'_>, object: &Object) -> Self {
        let der = object::bytes(token, object.handle, AttributeType::Value).unwrap_or_default();
        let read = Certificate::from_der(&der).ok();
        let of = |field: fn(&Certificate) -> String| {
            read.as_ref().map_or(String::from("unreadable"), field)
        };
        Self {
            label: object.label.clone(),
            id: hex::encode(&object.id),
            subject: of(|it| it.tbs_certificate().subject().to_string()),
            issuer: of(|it| it.tbs_certificate().issuer().to_string()),
            serial: of(|it| hex::encode(it.tbs_certificate().serial_number().as_bytes())),
            not_before: of(|it| it.tbs_certificate().validity().not_before.to_string()),
            not_after: of(|it| it.tbs_certificate().validity().not_after.to_string()),
            uri: object.uri(token).to_string(),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            visible(&self.label),
            self.id.clone(),
            visible(&self.subject),
            visible(&self.issuer),
            self.not_after.clone(),
        ]
    }
}

fn print(context: &Context, title: &str, views: &[View]) -> Result<()> {
    context.out.show(&views, |paint| {
        let rows: Vec<Vec<String>> = views.iter().map(View::row).collect();
        let headings = ["LABEL", "ID", "SUBJECT", "ISSUER", "EXPIRES"];
        match (views.is_empty(), title) {
            (true, _) => String::from("no certificates"),
            (false, "") => table(paint, &headings, &rows),
            (false, title) => format!("{title}:\n{}", table(paint, &headings, &rows)),
        }
    })
}

/// `cert import`.
pub(super) fn import(context: &Context, args: &CertImportArgs) -> Result<()> {
    let bytes = files::document(&args.file)?;
    let found = material::read(&bytes, &Password::new(Source::from(&args.password)))
        .map_err(|failure| failure.in_file(&args.file))?;
    let token = Token::login(&context.module, &args.login, None, Access::Write)?;
    let mut views = Vec::new();
    for one in &found {
        if let Material::Certificate(der) = one {
            let id = args.id.as_ref().map(|id| id.0.clone());
            let object = store(&token, der, args.label.as_deref(), id)?;
            views.push(View::new(&token, &object));
        }
    }
    if views.is_empty() {
        return Err(Failure::new(Exit::File, "there is no certificate in the file")
            .help("keys are imported with `strongroom key import`"));
    }
    print(context, "imported", &views)
}

/// Stores a certificate, under the label and id of its key if the token has that.
pub(super) fn store(
    token: &Token<'_>,
    der: &[u8],
    label: Option<&str>,
    id: Option<Vec<u8>>,
) -> Result<Object> {
    let encode = |error| Failure::content("cannot encode the certificate's names", error);
    let certificate = Certificate::from_der(der)
        .map_err(|error| Failure::content("this is no X.509 certificate", error))?;
    let tbs = certificate.tbs_certificate();
    let public = PublicKey::of_certificate(der).ok();
    let key = public.as_ref().map(|key| key_of(token, key)).transpose()?.flatten();
    let label = label
        .map(str::to_owned)
        .or_else(|| key.as_ref().map(|key| key.label.clone()).filter(|label| !label.is_empty()))
        .or_else(|| common_name(&certificate))
        .unwrap_or_default();
    let id = match id.or_else(|| key.map(|key| key.id)) {
        Some(id) => id,
        None => public.map(|key| key.derived_id()).transpose()?.unwrap_or_default(),
    };
    let template = [
        Attribute::Class(ObjectClass::CERTIFICATE),
        Attribute::CertificateType(CertificateType::X_509),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Label(label.into_bytes()),
        Attribute::Id(id),
        Attribute::Subject(tbs.subject().to_der().map_err(encode)?),
        Attribute::Issuer(tbs.issuer().to_der().map_err(encode)?),
        Attribute::SerialNumber(tbs.serial_number().to_der().map_err(encode)?),
        Attribute::Value(der.to_vec()),
    ];
    let handle = token.session.create_object(&template).during("cannot import the certificate")?;
    Ok(Object::read(token, handle, ObjectClass::CERTIFICATE))
}

fn common_name(certificate: &Certificate) -> Option<String> {
    let name = certificate.tbs_certificate().subject().common_name().ok()??;
    Some(name.value().into_owned())
}

/// The key of the token that a certificate is about.
fn key_of(token: &Token<'_>, key: &PublicKey) -> Result<Option<Object>> {
    for class in [ObjectClass::PUBLIC_KEY, ObjectClass::PRIVATE_KEY] {
        let template = [Attribute::KeyType(key.key_type())];
        let found = object::search(token, class, &template)?;
        let same = |object: &Object| PublicKey::of_object(token, object).as_ref() == Some(key);
        if let Some(object) = found.into_iter().find(same) {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

/// `cert list`.
pub(super) fn list(context: &Context, args: &CertListArgs) -> Result<()> {
    let token = Token::choose(&context.module, &args.login, None, Access::Read)?;
    if args.private {
        token.log_in()?;
    }
    let objects = object::search(&token, ObjectClass::CERTIFICATE, &[])?;
    let views: Vec<View> = objects.iter().map(|object| View::new(&token, object)).collect();
    print(context, "", &views)
}

/// `cert export`.
pub(super) fn export(context: &Context, args: &CertExportArgs) -> Result<()> {
    let name = args.name.as_deref().map(Name::parse).transpose()?;
    let uri = name.as_ref().and_then(Name::uri);
    let token = Token::choose(&context.module, &args.login, uri, Access::Read)?;
    let objects = match &name {
        // A chain may be stored under one name; all of it is wanted then.
        Some(name) => object::one_public_first(&token, name, CLASS)
            .map(|object| vec![object])
            .or_else(|failure| match failure.exit {
                Exit::Ambiguous => object::named(&token, name, CLASS),
                _ => Err(failure),
            })?,
        None => object::search(&token, ObjectClass::CERTIFICATE, &[])?,
    };
    let certificates: Vec<(String, Vec<u8>)> = objects
        .iter()
        .filter_map(|object| {
            let der = object::bytes(&token, object.handle, AttributeType::Value)?;
            Some((object.label.clone(), der))
        })
        .collect();
    if certificates.is_empty() {
        return Err(Failure::new(Exit::NotFound, "there is no certificate to export"));
    }
    files::write(args.output.out.as_deref(), &encode(args, &certificates)?)
}

fn encode(args: &CertExportArgs, certificates: &[(String, Vec<u8>)]) -> Result<Vec<u8>> {
    match (args.format, certificates) {
        (CertFormat::Pem, all) => {
            let pem: Result<Vec<String>> = all.iter().map(|(_, der)| pem(der)).collect();
            Ok(pem?.concat().into_bytes())
        }
        (CertFormat::Der, [(_, der)]) => Ok(der.clone()),
        (CertFormat::Der, _) => Err(Failure::new(Exit::Ambiguous, "DER holds one certificate")
            .help("name one, or use --format pem")),
        (CertFormat::P12, all) => pkcs12(all, &Source::from(&args.password)),
    }
}

/// A certificate as PEM.
pub(super) fn pem(der: &[u8]) -> Result<String> {
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, der)
        .map_err(|error| Failure::content("cannot write PEM", error))
}

fn pkcs12(certificates: &[(String, Vec<u8>)], password: &Source) -> Result<Vec<u8>> {
    let wrong = |error| Failure::content("cannot write PKCS#12", error);
    let password = password.read_new()?;
    let mut store = KeyStore::new();
    for (number, (label, der)) in certificates.iter().enumerate() {
        let certificate = p12_keystore::Certificate::from_der(der).map_err(wrong)?;
        // Entries of one name would replace each other.
        let alias = format!("{label} {}", number + 1);
        store.add_entry(&alias, KeyStoreEntry::Certificate(certificate));
    }
    store.writer(&password).write().map_err(wrong)
}
