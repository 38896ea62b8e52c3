//! The database back end: one SQLite file per token, each attribute a row of a table that says the
//! kind of its value.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use strongroom_types::{Attributes, Bytes, Value, attribute};

use super::stored;

/// The number of the object that stands for the token.
pub(super) const TOKEN: i64 = 1;

/// An object's attributes, or why they cannot be read.
type Stored = Result<Attributes, String>;

/// How a table's values are read.
type Reader = fn(u64, ValueRef<'_>) -> Option<Value>;

/// The tables that SoftHSM2 writes to. There are more, which it leaves empty.
const TABLES: &[(&str, Reader)] = &[
    ("attribute_boolean", |_, value| Some(Value::Bool(value.as_i64().ok()? != 0))),
    // A number above 2^63 is kept as a negative one.
    ("attribute_integer", |_, value| Some(Value::Ulong(value.as_i64().ok()?.cast_unsigned()))),
    ("attribute_binary", |id, value| {
        let bytes = value.as_blob_or_null().ok()?.unwrap_or_default();
        if id == attribute::ALLOWED_MECHANISMS.info.id {
            return Some(Value::Ulongs(stored::mechanisms(bytes).ok()?));
        }
        Some(Value::Bytes(Bytes::new(bytes.to_vec())))
    }),
    ("attribute_array", |_, value| {
        let bytes = value.as_blob_or_null().ok()?.unwrap_or_default();
        Some(Value::Attributes(stored::template(bytes).ok()?))
    }),
];

/// Every object of a token, by number.
pub(super) fn objects(path: &Path) -> rusqlite::Result<BTreeMap<i64, Stored>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags)?;
    // One state of the database, whoever writes meanwhile; and nothing that a schema could run.
    database.execute_batch("PRAGMA trusted_schema=OFF; BEGIN")?;
    let mut objects = BTreeMap::new();
    let mut statement = database.prepare("SELECT id FROM object")?;
    for id in statement.query_map([], |row| row.get(0))? {
        objects.insert(id?, Ok(Attributes::default()));
    }
    for (table, read) in TABLES {
        let mut statement =
            database.prepare(&format!("SELECT object_id, type, value FROM {table} ORDER BY id"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            add(&mut objects, row, *read)?;
        }
    }
    Ok(objects)
}

fn add(objects: &mut BTreeMap<i64, Stored>, row: &Row<'_>, read: Reader) -> rusqlite::Result<()> {
    // What an object left behind that is gone belongs to nothing.
    let Some(object) = objects.get_mut(&row.get(0)?) else { return Ok(()) };
    let id = row.get::<_, i64>(1)?.cast_unsigned();
    match (read(id, row.get_ref(2)?), &mut *object) {
        (Some(value), Ok(attributes)) => attributes.put(id, value),
        (None, Ok(_)) => *object = Err(format!("the value of the attribute {id:#x} is damaged")),
        (_, Err(_)) => {}
    }
    Ok(())
}
