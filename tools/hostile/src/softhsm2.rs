//! What others left on disk: the files and databases of SoftHSM2's tokens, and those of NSS. Whatever
//! lies there, it is refused or it becomes objects as they are here.

use std::fs;
use std::path::Path;

use strongroom_keytool::foreign::{nss_entries, softhsm2_objects};
use strongroom_token::Moved;
use strongroom_types::{Attributes, attribute};

use crate::world::scratch;

/// The PIN of what is kept, and the password.
const PIN: &str = "1234";

/// A directory, of SoftHSM2's or NSS's.
pub(crate) fn run(data: &[u8]) {
    directory(data, |dir| {
        for (id, attributes) in softhsm2_objects(dir, PIN) {
            moves(id, &attributes);
        }
        let _ = nss_entries(dir, PIN);
    });
}

/// Does something with a directory. The first byte says of what kind it is. Of SoftHSM2's files there are
/// several, each behind its length of two bytes; the first is the token. A database is all the rest.
fn directory(data: &[u8], act: impl FnOnce(&Path)) {
    let Some((kind, rest)) = data.split_first() else { return };
    scratch(|dir| {
        let put = |name: &str, bytes: &[u8]| fs::write(dir.join(name), bytes).unwrap();
        match kind % 4 {
            0 => files(rest).zip(0..).for_each(|(bytes, number)| match number {
                0 => put("token.object", bytes),
                number => put(&format!("{number}.object"), bytes),
            }),
            1 => put("sqlite3.db", rest),
            2 => put("key4.db", rest),
            _ => put("cert9.db", rest),
        }
        act(dir);
    });
}

/// The files, each behind its length; a few of them.
fn files(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    let next = move || {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (file, behind) = behind.split_at(length);
        rest = behind;
        Some(file)
    };
    std::iter::from_fn(next).take(8)
}

/// An object that moves in is whole, and is stored as it is.
fn moves(id: [u8; 16], attributes: &Attributes) {
    for officer in [false, true] {
        let Ok(moved) = Moved::new(id, attributes, officer) else { continue };
        let object = moved.attributes();
        assert!(moved.id() == id && object.is(attribute::TOKEN));
        assert!(officer || !object.is(attribute::TRUSTED));
        assert!(Attributes::decode(&object.encode()).is_some_and(|stored| stored == *object));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much can be read of a kept file.
    fn read(name: &str, count: fn(&Path) -> usize) -> usize {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/softhsm2");
        let bytes = fs::read(kept.join(name)).unwrap();
        let mut found = 0;
        directory(&bytes, |dir| found = count(dir));
        found
    }

    #[test]
    fn what_is_kept_is_read() {
        let objects = |dir: &Path| softhsm2_objects(dir, PIN).len();
        assert_eq!(read("objects", objects), 4);
        assert_eq!(read("database", objects), 2);
        assert_eq!(read("nss-certificates", |dir| nss_entries(dir, PIN)), 1);
        assert_eq!(read("nss-keys", |dir| nss_entries(dir, PIN)), 1);
    }
}
