//! What NSS leaves on disk: `cert9.db` and `key4.db`, the SQLite databases of Firefox, of LDAP and
//! web servers, of `certutil`.
//!
//! An object is a row, and a column is an attribute: `a` and its number in hexadecimal. Numbers
//! have four bytes, the first one the highest. What is secret is encrypted by [`password`]. That,
//! and the public half of an RSA key, has a MAC in the table `metaData`; the rest is in the clear,
//! and whoever can write the file can change it.

mod password;

use std::path::Path;

use cryptoki::object::{Attribute, KeyType};
use der::Encode;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use crate::curve::Curve;
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::private_key::{PrivateKey, Sensitive};
use crate::public_key::PublicKey;

pub(crate) use password::Password;

/// The databases: certificates, and keys.
const CERTIFICATES: &str = "cert9.db";
const KEYS: &str = "key4.db";

/// What an attribute without a value has, since SQL has no other way to say so.
const EMPTY: &[u8] = &[0xa5, 0, 0x5a];

/// Object classes as their columns have them.
const CERTIFICATE: &[u8] = &[0, 0, 0, 1];
const PRIVATE_KEY: &[u8] = &[0, 0, 0, 3];
const SECRET_KEY: &[u8] = &[0, 0, 0, 4];

/// What makes a handle of a program out of the number of a key in the database. Some versions of
/// NSS named MACs by it when the password was changed (Mozilla's bug 1720226).
const HANDLE: u32 = 0xc000_0000;

/// Something from the databases.
pub(crate) struct Entry {
    /// The nickname; of keys without one, that of their certificate.
    pub(crate) label: String,
    /// The identifier; of secret keys without one, the number of the object, which NSS chose at
    /// random.
    pub(crate) id: Vec<u8>,
    pub(crate) content: Content,
}

/// What it is.
pub(crate) enum Content {
    /// A certificate, DER.
    Certificate(Vec<u8>),
    /// A private key, or why it cannot be had.
    Private(std::result::Result<PrivateKey, String>),
    /// A secret key, or why it cannot be had.
    Secret(std::result::Result<Secret, String>),
}

/// A secret key. Not Debug on purpose.
pub(crate) struct Secret {
    pub(crate) key_type: KeyType,
    pub(crate) value: Zeroizing<Vec<u8>>,
}

/// The databases of a directory.
pub(crate) struct Databases {
    certificates: Option<Connection>,
    keys: Option<Connection>,
}

impl Databases {
    /// Opens what is there, to read and not to write.
    pub(crate) fn open(dir: &Path) -> Result<Self> {
        let open = |name: &str| {
            let path = dir.join(name);
            if !path.is_file() {
                return Ok(None);
            }
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let database = Connection::open_with_flags(&path, flags).map_err(unreadable)?;
            // One state of the database, whoever writes meanwhile; nothing that a schema could run.
            database.execute_batch("PRAGMA trusted_schema=OFF; BEGIN").map_err(unreadable)?;
            Ok(Some(database))
        };
        let both = Self { certificates: open(CERTIFICATES)?, keys: open(KEYS)? };
        if both.certificates.is_none() && both.keys.is_none() {
            let what = format!("there is neither {CERTIFICATES} nor {KEYS} in {}", dir.display());
            return Err(Failure::new(Exit::NotFound, what).help(
                "older databases (cert8.db, key3.db) are converted by: certutil -K -d sql:DIR -X",
            ));
        }
        Ok(both)
    }

    /// Whether there may be keys, for which the password is needed.
    pub(crate) fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// What opens the keys; `None` if the password is wrong.
    pub(crate) fn unlock(&self, password: &str) -> Result<Option<Password>> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let sql = "SELECT item1, item2 FROM metaData WHERE id = 'password'";
        let row = keys.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)));
        let (salt, check): (Vec<u8>, Vec<u8>) = match row {
            Err(rusqlite::Error::QueryReturnedNoRows) => {
                let cause = "no password was ever set, not even an empty one";
                return Err(Failure::content("there are no keys in the database", cause));
            }
            row => row.map_err(unreadable)?,
        };
        Password::new(&salt, password, &check)
            .map_err(|cause| Failure::content("the keys cannot be decrypted", cause))
    }

    /// Everything: the certificates, and with the password the keys.
    pub(crate) fn entries(&self, password: Option<&Password>) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        if let Some(database) = &self.certificates {
            let sql = "SELECT a3, a102, a11 FROM nssPublic WHERE a0 = ?1 ORDER BY id";
            let mut statement = database.prepare(sql).map_err(unreadable)?;
            let mut rows = statement.query([CERTIFICATE]).map_err(unreadable)?;
            while let Some(row) = rows.next().map_err(unreadable)? {
                let content = Content::Certificate(bytes(row, 2)?);
                entries.push(Entry { label: text(row, 0)?, id: bytes(row, 1)?, content });
            }
        }
        if let (Some(database), Some(password)) = (&self.keys, password) {
            for class in [PRIVATE_KEY, SECRET_KEY] {
                keys(database, password, class, &mut entries)?;
            }
        }
        Ok(entries)
    }
}

/// The columns of a key that are read, in this order.
const COLUMNS: &str =
    "a3, a102, a100, a120, a122, a180, a11, a123, a124, a125, a126, a127, a128, id";

/// Adds the keys of a class to the entries.
fn keys(
    database: &Connection,
    password: &Password,
    class: &[u8],
    entries: &mut Vec<Entry>,
) -> Result<()> {
    let sql = format!("SELECT {COLUMNS} FROM nssPrivate WHERE a0 = ?1 ORDER BY id");
    let mut statement = database.prepare(&sql).map_err(unreadable)?;
    let mut rows = statement.query([class]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let id = bytes(row, 1)?;
        let mut label = text(row, 0)?;
        if label.is_empty() {
            let same =
                |entry: &&Entry| entry.id == id && matches!(entry.content, Content::Certificate(_));
            label = entries.iter().find(same).map(|entry| entry.label.clone()).unwrap_or_default();
        }
        let object = row.get(13).map_err(unreadable)?;
        let key = Stored { database, password, row, object };
        let content = match class {
            SECRET_KEY => Content::Secret(key.secret()),
            _ => Content::Private(key.private()),
        };
        let unnamed = class == SECRET_KEY && id.is_empty();
        let id = if unnamed { object.to_be_bytes().to_vec() } else { id };
        entries.push(Entry { label, id, content });
    }
    Ok(())
}

/// A row of a key, and what it takes to read it.
struct Stored<'a> {
    database: &'a Connection,
    password: &'a Password,
    row: &'a Row<'a>,
    /// The number of the object.
    object: u32,
}

type Read<T> = std::result::Result<T, String>;

impl Stored<'_> {
    fn private(&self) -> Read<PrivateKey> {
        match self.key_type()? {
            KeyType::RSA => self.rsa(),
            KeyType::EC => self.ec(),
            KeyType::EC_EDWARDS | KeyType::EC_MONTGOMERY => self.rfc8410(),
            other => Err(format!("keys of type {other} are not supported")),
        }
    }

    fn secret(&self) -> Read<Secret> {
        let key_type = match self.key_type()? {
            known @ (KeyType::AES | KeyType::GENERIC_SECRET) => known,
            other => return Err(format!("keys of type {other} are not supported")),
        };
        Ok(Secret { key_type, value: self.opened(6, 0x11)? })
    }

    fn rsa(&self) -> Read<PrivateKey> {
        let modulus = self.authentic(3, 0x120)?;
        let exponent = self.authentic(4, 0x122)?;
        let number = |column, attribute| Ok::<_, String>(self.opened(column, attribute)?.to_vec());
        let material = Sensitive::new(vec![
            Attribute::Modulus(modulus.clone()),
            Attribute::PublicExponent(exponent.clone()),
            Attribute::PrivateExponent(number(7, 0x123)?),
            Attribute::Prime1(number(8, 0x124)?),
            Attribute::Prime2(number(9, 0x125)?),
            Attribute::Exponent1(number(10, 0x126)?),
            Attribute::Exponent2(number(11, 0x127)?),
            Attribute::Coefficient(number(12, 0x128)?),
        ]);
        Ok(PrivateKey { material, public: PublicKey::Rsa { modulus, exponent } })
    }

    fn ec(&self) -> Read<PrivateKey> {
        let curve = self.curve()?;
        let value = self.opened(6, 0x11)?;
        // A number there, as long as the field here.
        let start = value.iter().position(|byte| *byte != 0).unwrap_or(value.len());
        let digits = value.get(start..).unwrap_or_default();
        let blank = curve.field.checked_sub(digits.len()).ok_or("the key is too long")?;
        let mut scalar = Zeroizing::new(vec![0; blank]);
        scalar.extend_from_slice(digits);
        let key = EcPrivateKey {
            private_key: &scalar,
            parameters: Some(EcParameters::NamedCurve(curve.oid)),
            public_key: None,
        };
        let der = key.to_der().map(Zeroizing::new).map_err(|error| error.to_string())?;
        PrivateKey::from_sec1(&der, None).map_err(words)
    }

    fn rfc8410(&self) -> Read<PrivateKey> {
        let value = self.opened(6, 0x11)?;
        PrivateKey::rfc8410(self.curve()?, &value).map_err(words)
    }

    fn curve(&self) -> Read<&'static Curve> {
        let params = self.clear(5)?;
        Curve::of_params(&params).ok_or_else(|| String::from("its curve is not supported"))
    }

    fn key_type(&self) -> Read<KeyType> {
        let number = self.clear(2)?;
        let number = number.as_slice().try_into().map(u32::from_be_bytes);
        let number = number.map_err(|_| String::from("its key type is damaged"))?;
        KeyType::try_from(u64::from(number)).map_err(|error| error.to_string())
    }

    fn clear(&self, column: usize) -> Read<Vec<u8>> {
        bytes(self.row, column).map_err(words)
    }

    /// An attribute that is in the clear, and has a MAC.
    fn authentic(&self, column: usize, attribute: u32) -> Read<Vec<u8>> {
        let value = self.clear(column)?;
        self.verify(attribute, &value)?;
        Ok(value)
    }

    /// An attribute that is encrypted, and has a MAC.
    fn opened(&self, column: usize, attribute: u32) -> Read<Zeroizing<Vec<u8>>> {
        let value = self.password.open(&self.clear(column)?)?;
        self.verify(attribute, &value)?;
        Ok(value)
    }

    /// Looks for a MAC of an attribute that is right: one under each name, as NSS itself does.
    /// Wherever the encryption is the one that [`password`] reads, NSS has written a MAC.
    fn verify(&self, attribute: u32, value: &[u8]) -> Read<()> {
        let mut verdict = Err(String::from("its MAC is missing: somebody changed the database"));
        for name in [self.object, self.object | HANDLE] {
            if let Some(mac) = self.mac(name, attribute)? {
                verdict = self.password.verify(&mac, self.object, attribute, value);
            }
            if verdict.is_ok() {
                break;
            }
        }
        verdict
    }

    fn mac(&self, name: u32, attribute: u32) -> Read<Option<Vec<u8>>> {
        let name = format!("sig_key_{name:08x}_{attribute:08x}");
        let sql = "SELECT item1 FROM metaData WHERE id = ?1";
        let row = self.database.query_row(sql, [name], |row| row.get(0));
        row.optional().map_err(|error| error.to_string())
    }
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Vec<u8>> {
    let value: Option<Vec<u8>> = row.get(column).map_err(unreadable)?;
    Ok(value.filter(|value| value != EMPTY).unwrap_or_default())
}

fn text(row: &Row<'_>, column: usize) -> Result<String> {
    Ok(String::from_utf8_lossy(&bytes(row, column)?).into_owned())
}

fn unreadable(error: rusqlite::Error) -> Failure {
    Failure::content("the database of NSS cannot be read", error)
        .help("close the programs that use it; one that was killed has to open it once more")
}

fn words(failure: Failure) -> String {
    failure.lines().map(|(_, text)| text).collect::<Vec<_>>().join(": ")
}
