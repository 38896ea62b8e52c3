//! Objects: stored, found, opened, replaced, removed.

use crate::common::{NAME, Place, SO_PIN, create, id, private, public, term};
use strongroom_keystore::{Change, Changes, Error, Found, Role, Term};

#[test]
fn an_object_comes_back_as_it_was_stored() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    for (number, private, len) in [(1, true, 0), (2, false, 1), (3, true, 100_000)] {
        let body = vec![0x5a; len];
        token.commit(Some(&user), &[create(number, private, &body, &[])]).unwrap();
        let record = token.load(Some(&user), id(number)).unwrap();
        assert_eq!((record.private, record.revision), (private, 1));
        assert_eq!(*record.body, body);
    }
    assert!(matches!(token.load(Some(&user), id(4)), Err(Error::NotFound)));
}

#[test]
fn private_objects_need_keys_and_public_ones_do_not() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(None, &[create(1, false, b"public", &term(b"x"))]).unwrap();
    let x = term(b"x");
    let hidden = [create(2, true, b"private", &x)];
    assert!(matches!(token.commit(None, &hidden), Err(Error::Locked)));
    token.commit(Some(&user), &hidden).unwrap();

    assert_eq!(token.load(None, id(1)).unwrap().body.as_slice(), b"public");
    assert!(matches!(token.load(None, id(2)), Err(Error::Locked)));
    assert_eq!(token.find(None, Some(false), &term(b"x"), None, 9).unwrap(), [public(1)]);
    assert!(matches!(token.find(None, Some(true), &term(b"x"), None, 9), Err(Error::Locked)));
    assert_eq!(token.find(Some(&user), Some(true), &term(b"x"), None, 9).unwrap(), [private(2)]);
    let delete = [Change::Delete { id: id(2) }];
    assert!(matches!(token.commit(None, &delete), Err(Error::Locked)));
    token.commit(None, &[Change::Delete { id: id(1) }]).unwrap();
}

#[test]
fn the_keys_of_one_token_open_no_other() {
    let place = Place::new();
    let (store, first, user) = place.token();
    let second = store.create(&[b'2'; 32], SO_PIN).unwrap();
    let so = second.unlock(Role::SecurityOfficer, SO_PIN).unwrap();
    assert_eq!(so.role(), Role::SecurityOfficer);
    let change = [create(1, true, b"body", &[])];
    assert!(matches!(second.commit(Some(&user), &change), Err(Error::Locked)));
    second.commit(Some(&so), &change).unwrap();
    assert!(matches!(first.load(Some(&user), id(1)), Err(Error::NotFound)));
    assert!(matches!(second.load(Some(&user), id(1)), Err(Error::Locked)));
}

#[test]
fn a_search_is_an_and_of_exact_terms() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let both = [Term { name: NAME, value: b"x" }, Term { name: 9, value: b"" }];
    let twice = [both[0]; 2];
    let changes = [
        create(1, true, b"", &both),
        create(2, true, b"", &both[..1]),
        create(3, true, b"", &both[1..]),
        create(4, true, b"", &twice),
    ];
    token.commit(Some(&user), &changes).unwrap();
    let find = |terms: &[Term<'_>]| token.find(Some(&user), Some(true), terms, None, 99).unwrap();
    assert_eq!(find(&both), [private(1)]);
    assert_eq!(find(&both[..1]), [private(1), private(2), private(4)]);
    assert_eq!(find(&both[1..]), [private(1), private(3)]);
    assert_eq!(find(&[]), [private(1), private(2), private(3), private(4)]);
    assert!(find(&[Term { name: NAME, value: b"xx" }]).is_empty());
    assert!(find(&[Term { name: NAME, value: b"" }]).is_empty());
    assert!(find(&[Term { name: 9, value: b"x" }]).is_empty());
    assert!(token.find(None, Some(false), &both, None, 99).unwrap().is_empty());
}

#[test]
fn results_come_in_pages() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let changes: Vec<_> = (0..25).map(|number| create(number, number % 5 != 0, b"", &[])).collect();
    token.commit(Some(&user), &changes).unwrap();
    let pages = |scope| {
        let mut found: Vec<Found> = Vec::new();
        loop {
            let after = found.last().copied();
            let page = token.find(Some(&user), scope, &[], after, 7).unwrap();
            assert!(page.len() <= 7);
            if page.is_empty() {
                return found;
            }
            found.extend(page);
        }
    };
    let publics: Vec<_> = (0..25).filter(|number| number % 5 == 0).map(public).collect();
    let privates: Vec<_> = (0..25).filter(|number| number % 5 != 0).map(private).collect();
    assert_eq!(pages(Some(false)), publics);
    assert_eq!(pages(Some(true)), privates);
    assert_eq!(pages(None), [publics, privates].concat());
    assert!(matches!(token.find(None, None, &[], None, 9), Err(Error::Locked)));
    assert!(token.find(None, Some(false), &[], Some(private(0)), 9).unwrap().is_empty());
}

#[test]
fn a_replacement_names_the_revision_it_saw() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let replace = |revision, body: &'static [u8], private, terms| {
        let change = Change::Replace { id: id(1), revision, private, body, terms };
        token.commit(Some(&user), &[change])
    };
    let (old, new) = (term(b"old"), term(b"new"));
    assert!(matches!(replace(1, b"", true, &old), Err(Error::NotFound)));
    token.commit(Some(&user), &[create(1, true, b"one", &old)]).unwrap();
    replace(1, b"two", true, &new).unwrap();
    assert!(matches!(replace(1, b"lost", true, &old), Err(Error::Conflict)));
    assert!(matches!(replace(3, b"lost", true, &old), Err(Error::Conflict)));
    let record = token.load(Some(&user), id(1)).unwrap();
    assert_eq!((record.revision, record.body.as_slice()), (2, b"two".as_slice()));
    assert!(token.find(Some(&user), Some(true), &old, None, 9).unwrap().is_empty());
    assert_eq!(token.find(Some(&user), Some(true), &new, None, 9).unwrap(), [private(1)]);

    replace(2, b"three", false, &new).unwrap();
    assert_eq!(token.load(None, id(1)).unwrap().body.as_slice(), b"three");
    assert!(token.find(Some(&user), Some(true), &new, None, 9).unwrap().is_empty());
}

#[test]
fn a_commit_is_all_or_nothing() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"", &[])]).unwrap();
    let version = token.version().unwrap();
    let bad = [
        Change::Delete { id: id(7) },
        Change::Create { id: id(1), private: true, body: b"", terms: &[] },
        create(2, true, b"", &[]),
    ];
    for change in bad {
        let changes = [create(2, true, b"", &[]), Change::Delete { id: id(1) }, change];
        token.commit(Some(&user), &changes).unwrap_err();
        assert_eq!(token.find(Some(&user), Some(true), &[], None, 9).unwrap(), [private(1)]);
        assert_eq!(token.version().unwrap(), version);
    }
    token.commit(Some(&user), &[]).unwrap();
    assert_eq!(token.version().unwrap(), version);
}

#[test]
fn what_changed_is_known_by_name() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let before = token.version().unwrap();
    token.commit(Some(&user), &[create(2, true, b"", &[]), create(1, false, b"", &[])]).unwrap();
    let between = token.version().unwrap();
    token.commit(Some(&user), &[Change::Delete { id: id(1) }]).unwrap();
    assert_eq!(token.version().unwrap(), before + 2);
    assert_eq!(token.changes(before).unwrap(), Changes::List(vec![id(1), id(2)]));
    assert_eq!(token.changes(between).unwrap(), Changes::List(vec![id(1)]));
    assert_eq!(token.changes(before + 2).unwrap(), Changes::List(vec![]));
    assert_eq!(token.changes(before + 3).unwrap(), Changes::All);
    token.initialize(SO_PIN, &[b'x'; 32]).unwrap();
    assert_eq!(token.changes(before + 2).unwrap(), Changes::All);
}
