//! What every back end must do, run on each of them.

use std::sync::Arc;

use super::{
    Attempts, Backend, Batch, Header, Op, Row, Slot, Tag, memory::Memory, sqlite::Sqlite,
    sqlite::files::Files,
};
use crate::{ObjectId, Role, error::Error, scratch::Scratch};

type Expected = fn(&Error) -> bool;
type Make = fn(&Scratch) -> Arc<dyn Backend>;

fn sqlite(dir: &Scratch) -> Arc<dyn Backend> {
    let files = Files::new(dir.path(), [9; 16], 0);
    Sqlite::create(&files, &header(1), &slot(1)).unwrap();
    Sqlite::new(files)
}

fn memory(_: &Scratch) -> Arc<dyn Backend> {
    Arc::new(Memory::new(header(1), slot(1)))
}

/// One test per sentence and back end.
macro_rules! conform {
    ($($name:ident)*) => {$(
        mod $name {
            #[test]
            fn sqlite() {
                super::run(super::sqlite, super::$name);
            }

            #[test]
            fn memory() {
                super::run(super::memory, super::$name);
            }
        }

    )*};
}

conform! {
    a_new_token_has_a_header_and_one_slot
    objects_are_stored_as_given
    find_is_and_in_order_and_paged
    find_goes_through_the_sets_one_by_one
    a_batch_for_another_version_is_a_conflict
    preconditions_hold_or_nothing_happens
    wiping_takes_all_or_the_private_ones
    the_log_names_what_changed
    attempts_change_only_what_was_seen
    the_word_moves_with_each_change
    an_audit_shows_everything
}

fn run(make: Make, test: fn(&dyn Backend)) {
    let dir = Scratch::new();
    test(make(&dir).as_ref());
}

pub(super) fn header(version: u64) -> Header {
    let sealed = version.to_le_bytes().to_vec();
    Header { format: 1, token: [9; 16], version, seal: vec![1; 17], sealed }
}

pub(super) fn slot(revision: u64) -> Slot {
    let attempts = Attempts { fails: 0, next: 0, mac: [0; 16] };
    Slot { revision, sealed: vec![3; 99], attempts }
}

fn row(revision: u64, private: bool) -> Row {
    let sealed = (0..200).map(|at| u8::try_from(at).unwrap() ^ u8::from(private)).collect();
    Row { revision, epoch: 1, private, sealed }
}

fn id(number: u8) -> ObjectId {
    [number; 16]
}

fn insert(number: u8, private: bool, tags: &[Tag]) -> Op {
    Op::Insert { id: id(number), row: row(1, private), tags: tags.to_vec() }
}

pub(super) fn commit(backend: &dyn Backend, ops: Vec<Op>) -> Result<(), Error> {
    let changed = ops.iter().filter_map(|op| match op {
        Op::Insert { id, .. } | Op::Update { id, .. } | Op::Delete { id } => Some(*id),
        Op::Slot { .. } | Op::Wipe { .. } => None,
    });
    let changed = Some(changed.collect());
    let _turn = backend.turn()?;
    backend.commit(&Batch { header: header(backend.version()? + 1), ops, changed })
}

fn all(backend: &dyn Backend) -> Vec<ObjectId> {
    let mut ids = Vec::new();
    backend.audit(&mut |id, _| ids.push(id)).unwrap();
    ids
}

fn found(
    backend: &dyn Backend,
    sets: &[&[Tag]],
    after: Option<ObjectId>,
    limit: usize,
) -> Vec<(usize, ObjectId)> {
    let sets: Vec<_> = sets.iter().map(|set| set.to_vec()).collect();
    backend.find(&sets, after, limit).unwrap()
}

/// The same without the numbers of the sets, for one set.
fn found_ids(
    backend: &dyn Backend,
    tags: &[Tag],
    after: Option<ObjectId>,
    limit: usize,
) -> Vec<ObjectId> {
    found(backend, &[tags], after, limit).into_iter().map(|(_, id)| id).collect()
}

fn a_new_token_has_a_header_and_one_slot(backend: &dyn Backend) {
    assert_eq!(backend.header().unwrap(), header(1));
    assert_eq!(backend.version().unwrap(), 1);
    assert_eq!(backend.slot(Role::SecurityOfficer).unwrap(), Some(slot(1)));
    assert_eq!(backend.slot(Role::User).unwrap(), None);
    assert!(all(backend).is_empty());
}

fn objects_are_stored_as_given(backend: &dyn Backend) {
    commit(backend, vec![insert(1, true, &[[1; 16]]), insert(2, false, &[])]).unwrap();
    assert_eq!(backend.row(id(1)).unwrap(), Some(row(1, true)));
    assert_eq!(backend.row(id(2)).unwrap(), Some(row(1, false)));
    assert_eq!(backend.row(id(3)).unwrap(), None);
    assert_eq!(backend.header().unwrap(), header(2));
    let marks = backend.marks(&[id(2), id(3), id(1)]).unwrap();
    assert!(marks[0].as_ref().is_some_and(|mark| !mark.private && mark.tags.is_empty()));
    assert!(marks[1].is_none());
    assert!(marks[2].as_ref().is_some_and(|mark| mark.private && mark.tags == [[1; 16]]));
}

fn find_is_and_in_order_and_paged(backend: &dyn Backend) {
    let (a, b, c) = ([1; 16], [2; 16], [3; 16]);
    commit(
        backend,
        vec![insert(3, true, &[a, b]), insert(1, true, &[a]), insert(2, true, &[a, b])],
    )
    .unwrap();
    let find = |tags: &[Tag], after, limit| found_ids(backend, tags, after, limit);
    assert_eq!(find(&[a], None, 9), [id(1), id(2), id(3)]);
    assert_eq!(find(&[a, b], None, 9), [id(2), id(3)]);
    assert_eq!(find(&[b, a, a], None, 9), [id(2), id(3)]);
    assert_eq!(find(&[a, b, c], None, 9), [[0; 16]; 0]);
    assert_eq!(find(&[a], None, 2), [id(1), id(2)]);
    assert_eq!(find(&[a], Some(id(2)), 2), [id(3)]);
    assert_eq!(find(&[a], Some(id(3)), 2), [[0; 16]; 0]);
}

fn find_goes_through_the_sets_one_by_one(backend: &dyn Backend) {
    let (a, b, c) = ([1; 16], [2; 16], [3; 16]);
    commit(
        backend,
        vec![insert(3, false, &[a, c]), insert(1, true, &[b]), insert(2, true, &[b, c])],
    )
    .unwrap();
    let find = |sets: &[&[Tag]], after, limit| found(backend, sets, after, limit);
    assert_eq!(find(&[&[a], &[b]], None, 9), [(0, id(3)), (1, id(1)), (1, id(2))]);
    assert_eq!(find(&[&[b], &[a]], None, 2), [(0, id(1)), (0, id(2))]);
    assert_eq!(find(&[&[a], &[b]], None, 2), [(0, id(3)), (1, id(1))]);
    assert_eq!(find(&[&[a], &[b]], Some(id(3)), 9), [(1, id(1)), (1, id(2))]);
    assert_eq!(find(&[&[a, c], &[b, c]], None, 9), [(0, id(3)), (1, id(2))]);
    assert_eq!(find(&[&[[9; 16]], &[b]], None, 1), [(1, id(1))]);
}

fn a_batch_for_another_version_is_a_conflict(backend: &dyn Backend) {
    for version in [1, 3] {
        let batch = Batch { header: header(version), ops: vec![], changed: None };
        assert!(matches!(backend.commit(&batch), Err(Error::Conflict)));
    }
    assert_eq!(backend.version().unwrap(), 1);
}

fn preconditions_hold_or_nothing_happens(backend: &dyn Backend) {
    commit(backend, vec![insert(1, true, &[])]).unwrap();
    let update = |number, expected| Op::Update {
        id: id(number),
        expected,
        row: row(expected + 1, true),
        tags: vec![[7; 16]],
    };
    let bad: [(Op, Expected); 4] = [
        (insert(1, true, &[]), |error| matches!(error, Error::Conflict)),
        (update(1, 2), |error| matches!(error, Error::Conflict)),
        (update(5, 1), |error| matches!(error, Error::NotFound)),
        (Op::Delete { id: id(5) }, |error| matches!(error, Error::NotFound)),
    ];
    for (op, expected) in bad {
        let error = commit(backend, vec![insert(8, true, &[[8; 16]]), op]).unwrap_err();
        assert!(expected(&error), "{error}");
        assert_eq!(all(backend), [id(1)]);
        assert_eq!(backend.version().unwrap(), 2);
    }
    commit(backend, vec![update(1, 1)]).unwrap();
    assert_eq!(backend.row(id(1)).unwrap().unwrap().revision, 2);
    assert_eq!(found_ids(backend, &[[7; 16]], None, 9), [id(1)]);
    commit(backend, vec![Op::Delete { id: id(1) }]).unwrap();
    assert_eq!(found_ids(backend, &[[7; 16]], None, 9), [[0; 16]; 0]);
}

fn wiping_takes_all_or_the_private_ones(backend: &dyn Backend) {
    commit(backend, vec![insert(1, true, &[[1; 16]]), insert(2, false, &[[1; 16]])]).unwrap();
    let user = Op::Slot { role: Role::User, slot: Some(slot(7)) };
    commit(backend, vec![Op::Wipe { private_only: true }, user]).unwrap();
    assert_eq!(all(backend), [id(2)]);
    assert_eq!(found_ids(backend, &[[1; 16]], None, 9), [id(2)]);
    assert_eq!(backend.slot(Role::User).unwrap(), Some(slot(7)));
    let user = Op::Slot { role: Role::User, slot: None };
    commit(backend, vec![Op::Wipe { private_only: false }, user]).unwrap();
    assert!(all(backend).is_empty());
    assert_eq!(backend.slot(Role::User).unwrap(), None);
}

fn the_log_names_what_changed(backend: &dyn Backend) {
    assert_eq!(backend.changes(1).unwrap(), Some(vec![]));
    assert_eq!(backend.changes(0).unwrap(), None);
    assert_eq!(backend.changes(2).unwrap(), None);
    commit(backend, vec![insert(2, true, &[]), insert(1, true, &[])]).unwrap();
    commit(backend, vec![Op::Delete { id: id(2) }]).unwrap();
    assert_eq!(backend.changes(1).unwrap(), Some(vec![id(1), id(2)]));
    assert_eq!(backend.changes(2).unwrap(), Some(vec![id(2)]));
    let batch = Batch { header: header(4), ops: vec![], changed: None };
    backend.commit(&batch).unwrap();
    assert_eq!(backend.changes(2).unwrap(), None);
    assert_eq!(backend.changes(4).unwrap(), Some(vec![]));
}

fn attempts_change_only_what_was_seen(backend: &dyn Backend) {
    let seen = slot(1).attempts;
    let now = Attempts { fails: 1, next: 5, mac: [1; 16] };
    let role = Role::SecurityOfficer;
    assert!(!backend.attempts(role, 2, &seen, &now).unwrap());
    assert!(!backend.attempts(Role::User, 1, &seen, &now).unwrap());
    assert!(backend.attempts(role, 1, &seen, &now).unwrap());
    assert!(!backend.attempts(role, 1, &seen, &now).unwrap());
    assert_eq!(backend.slot(role).unwrap().unwrap().attempts, now);
    assert_eq!(backend.version().unwrap(), 1);
}

fn the_word_moves_with_each_change(backend: &dyn Backend) {
    backend.version().unwrap();
    let first = backend.peek().unwrap();
    backend.row(id(1)).unwrap();
    assert_eq!(backend.peek(), Some(first));
    commit(backend, vec![insert(1, true, &[])]).unwrap();
    let second = backend.peek().unwrap();
    assert_ne!(first, second);
    let now = Attempts { fails: 1, next: 5, mac: [1; 16] };
    backend.attempts(Role::SecurityOfficer, 1, &slot(1).attempts, &now).unwrap();
    assert_ne!(backend.peek(), Some(second));
}

fn an_audit_shows_everything(backend: &dyn Backend) {
    let (a, b) = ([1; 16], [2; 16]);
    commit(backend, vec![insert(2, false, &[b, a]), insert(1, true, &[]), insert(3, true, &[a])])
        .unwrap();
    let mut seen = Vec::new();
    let header = backend.audit(&mut |id, mark| seen.push((id, mark.clone()))).unwrap();
    assert_eq!(header.version, 2);
    let marks = backend.marks(&[id(1), id(2), id(3)]).unwrap();
    let expected: Vec<_> =
        [id(1), id(2), id(3)].into_iter().zip(marks.into_iter().flatten()).collect();
    assert_eq!(seen, expected);
    assert_eq!(seen[1].1.tags, [a, b]);
}
