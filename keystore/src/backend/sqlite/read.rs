//! The statements that read.

use rusqlite::{
    Connection, OptionalExtension, Row as SqlRow,
    types::{ToSqlOutput, ValueRef},
};

use crate::{
    ObjectId, Role,
    backend::{Attempts, Header, Mark, Row, Slot, Tag},
};

pub(super) fn header(sql: &Connection) -> rusqlite::Result<Header> {
    sql.prepare_cached("SELECT format, token, version, seal, sealed FROM header")?.query_row(
        [],
        |row| {
            Ok(Header {
                format: row.get(0)?,
                token: row.get(1)?,
                version: row.get(2)?,
                seal: row.get(3)?,
                sealed: row.get(4)?,
            })
        },
    )
}

fn slot_of(row: &SqlRow<'_>) -> rusqlite::Result<Slot> {
    let attempts = Attempts { fails: row.get(2)?, next: row.get(3)?, mac: row.get(4)? };
    Ok(Slot { revision: row.get(0)?, sealed: row.get(1)?, attempts })
}

pub(super) fn slot(sql: &Connection, role: Role) -> rusqlite::Result<Option<Slot>> {
    sql.prepare_cached("SELECT revision, sealed, fails, next, mac FROM slot WHERE role=?1")?
        .query_row([role.number()], slot_of)
        .optional()
}

/// What SQLite finds wrong with the file; nothing if it is sound.
pub(super) fn fault(sql: &Connection) -> rusqlite::Result<Option<String>> {
    let say: String = sql.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    Ok((say != "ok").then_some(say))
}

pub(super) fn row_of(row: &SqlRow<'_>) -> rusqlite::Result<Row> {
    Ok(Row { revision: row.get(0)?, epoch: row.get(1)?, private: row.get(2)?, sealed: row.get(3)? })
}

/// The statement that searches for sets of tags, one after the other, and its parameters. Of each
/// set the first tag is found by the index, in the order of the objects, the others by looking each
/// object up.
pub(super) fn search<'a>(
    sets: &'a [Vec<Tag>],
    after: Option<&'a ObjectId>,
    limit: i64,
) -> (String, Vec<ToSqlOutput<'a>>) {
    let bytes = |bytes: &'a [u8]| ToSqlOutput::Borrowed(ValueRef::Blob(bytes));
    let limit = || ToSqlOutput::from(limit);
    let after = after.map(ObjectId::as_slice).unwrap_or_default();
    // Pushed, not formatted: this stands in front of every search.
    let mut statement = String::with_capacity(512);
    let mut values = Vec::with_capacity(16);
    for (number, set) in (0..).zip(sets) {
        statement.push_str(if number > 0 { " UNION ALL " } else { "" });
        statement.push_str("SELECT * FROM (SELECT ?, oid FROM tag AS first WHERE oid>? AND tag=?");
        values.push(ToSqlOutput::from(number));
        values.push(bytes(if number > 0 { &[] } else { after }));
        for _ in set.iter().skip(1) {
            statement.push_str(" AND EXISTS(SELECT 1 FROM tag WHERE tag=? AND oid=first.oid)");
        }
        values.extend(set.iter().map(|tag| bytes(tag)));
        statement.push_str(" ORDER BY oid LIMIT ?)");
        values.push(limit());
    }
    statement.push_str(" LIMIT ?");
    values.push(limit());
    (statement, values)
}

pub(super) fn mark(sql: &Connection, id: &ObjectId) -> rusqlite::Result<Option<Mark>> {
    let mark = sql
        .prepare_cached("SELECT revision, private, substr(sealed, -16) FROM object WHERE oid=?1")?
        .query_row([id], |row| {
            let (revision, private, seal_tag) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Mark { revision, private, seal_tag, tags: Vec::new() })
        })
        .optional()?;
    let Some(mut mark) = mark else {
        return Ok(None);
    };
    let mut statement = sql.prepare_cached("SELECT tag FROM tag WHERE oid=?1 ORDER BY tag")?;
    mark.tags = statement.query_map([id], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    Ok(Some(mark))
}

/// Visits all objects together with their tags, both in order; false if a tag has no object.
pub(super) fn walk(
    sql: &Connection,
    each: &mut dyn FnMut(ObjectId, &Mark),
) -> rusqlite::Result<bool> {
    let mut objects = sql.prepare_cached(
        "SELECT oid, revision, private, substr(sealed, -16) FROM object ORDER BY oid",
    )?;
    let mut tags = sql.prepare_cached("SELECT oid, tag FROM tag ORDER BY oid, tag")?;
    let mut objects = objects.query([])?;
    let mut tags = tags.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut next: Option<(ObjectId, Tag)> = tags.next().transpose()?;
    while let Some(row) = objects.next()? {
        let id: ObjectId = row.get(0)?;
        let (revision, private, seal_tag) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let mut mark = Mark { revision, private, seal_tag, tags: Vec::new() };
        while let Some((_, tag)) = next.filter(|(of, _)| *of == id) {
            mark.tags.push(tag);
            next = tags.next().transpose()?;
        }
        each(id, &mark);
    }
    Ok(next.is_none())
}

pub(super) fn changes(sql: &Connection, since: u64) -> rusqlite::Result<Option<Vec<ObjectId>>> {
    let version: u64 =
        sql.prepare_cached("SELECT version FROM header")?.query_row([], |row| row.get(0))?;
    let Some(missing) = version.checked_sub(since) else {
        return Ok(None);
    };
    let mut statement =
        sql.prepare_cached("SELECT oids FROM change WHERE version>?1 ORDER BY version")?;
    let mut rows = statement.query([since])?;
    let mut changed = Vec::new();
    let mut known = 0;
    while let Some(row) = rows.next()? {
        let Some(ids) = row.get::<_, Option<Vec<u8>>>(0)? else {
            return Ok(None);
        };
        changed.extend_from_slice(ids.as_chunks().0);
        known += 1;
    }
    if known != missing {
        return Ok(None);
    }
    changed.sort_unstable();
    changed.dedup();
    Ok(Some(changed))
}
