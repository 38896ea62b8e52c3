//! The statements that write, each inside a transaction of its caller.

use rusqlite::{Transaction, params};

use super::{failure, read};
use crate::{
    ObjectId, Role,
    backend::{Attempts, Batch, Header, NAMED, Op, REMEMBERED, Row, Slot, Tag},
    error::{Error, Result},
};

pub(super) fn apply(tx: &Transaction<'_>, op: &Op) -> Result<()> {
    match op {
        Op::Insert { id, row, tags } => {
            let done = tx
                .prepare_cached("INSERT OR IGNORE INTO object VALUES(?1, ?2, ?3, ?4, ?5)")
                .and_then(|mut statement| {
                    let Row { revision, epoch, private, sealed } = row;
                    statement.execute(params![id, revision, epoch, private, sealed])
                })
                .map_err(failure)?;
            if done == 0 {
                return Err(Error::Conflict);
            }
            put_tags(tx, id, tags)
        }
        Op::Update { id, expected, row, tags } => {
            update(tx, id, *expected, row)?;
            remove_tags(tx, id)?;
            put_tags(tx, id, tags)
        }
        Op::Delete { id } => {
            let done = tx
                .prepare_cached("DELETE FROM object WHERE oid=?1")
                .and_then(|mut statement| statement.execute([id]))
                .map_err(failure)?;
            if done == 0 {
                return Err(Error::NotFound);
            }
            remove_tags(tx, id)
        }
        Op::Slot { role, slot } => put_slot(tx, *role, slot.as_ref()),
        Op::Wipe { private_only } => {
            let statements = if *private_only {
                "DELETE FROM tag WHERE oid IN (SELECT oid FROM object WHERE private=1); \
                 DELETE FROM object WHERE private=1;"
            } else {
                "DELETE FROM tag; DELETE FROM object;"
            };
            tx.execute_batch(statements).map_err(failure)
        }
    }
}

fn update(tx: &Transaction<'_>, id: &ObjectId, expected: u64, row: &Row) -> Result<()> {
    let done = tx
        .prepare_cached(
            "UPDATE object SET revision=?2, epoch=?3, private=?4, sealed=?5 \
             WHERE oid=?1 AND revision=?6",
        )
        .and_then(|mut statement| {
            let Row { revision, epoch, private, sealed } = row;
            statement.execute(params![id, revision, epoch, private, sealed, expected])
        })
        .map_err(failure)?;
    if done == 1 {
        return Ok(());
    }
    let there = read::mark(tx, id).map_err(failure)?.is_some();
    Err(if there { Error::Conflict } else { Error::NotFound })
}

fn put_tags(tx: &Transaction<'_>, id: &ObjectId, tags: &[Tag]) -> Result<()> {
    let mut statement = tx.prepare_cached("INSERT INTO tag VALUES(?1, ?2)").map_err(failure)?;
    for tag in tags {
        statement.execute(params![tag, id]).map_err(failure)?;
    }
    Ok(())
}

fn remove_tags(tx: &Transaction<'_>, id: &ObjectId) -> Result<()> {
    tx.prepare_cached("DELETE FROM tag WHERE oid=?1")
        .and_then(|mut statement| statement.execute([id]))
        .map(drop)
        .map_err(failure)
}

pub(super) fn put_slot(tx: &Transaction<'_>, role: Role, slot: Option<&Slot>) -> Result<()> {
    let done = match slot {
        None => tx.execute("DELETE FROM slot WHERE role=?1", [role.number()]),
        Some(Slot { revision, sealed, attempts: Attempts { fails, next, mac } }) => tx.execute(
            "INSERT OR REPLACE INTO slot VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
            params![role.number(), revision, sealed, fails, next, mac],
        ),
    };
    done.map(drop).map_err(failure)
}

pub(super) fn put_header(tx: &Transaction<'_>, header: &Header) -> Result<()> {
    let Header { format, token, version, seal, sealed } = header;
    tx.prepare_cached("INSERT OR REPLACE INTO header VALUES(1, ?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut statement| statement.execute(params![format, token, version, seal, sealed]))
        .map(drop)
        .map_err(failure)
}

pub(super) fn log_change(tx: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    let version = batch.header.version;
    let ids = batch.changed.as_deref().filter(|ids| ids.len() <= NAMED);
    tx.prepare_cached("INSERT OR REPLACE INTO change VALUES(?1, ?2)")?
        .execute(params![version, ids.map(<[ObjectId]>::as_flattened)])?;
    // Not with each commit: the page with the oldest entries is written for nothing else.
    if version.is_multiple_of(256) {
        tx.prepare_cached("DELETE FROM change WHERE version<=?1")?
            .execute([version.saturating_sub(REMEMBERED)])?;
    }
    Ok(())
}
