//! The keys of a token and how they come from each other.
//!
//! ```text
//! seal key S --- prk_S --+-- wrap(token)     outer layer of the slots
//!                        +-- header(token)   the sealed header
//!                        +-- meta(token)     MAC of the PIN counters
//!                        +-- set(token)      the set hash
//!                        +-- public(token)   = base key of the public objects
//! PIN --Argon2id-- prk_P +-- wrap, commitment      opens: the master key MK
//! MK -------------------------------------------- = base key of the private objects
//! base key --- prk_B ----+-- object(token, epoch)  sealed rows
//!                        +-- index(token, epoch)   search tags
//! ```
//!
//! Without a seal, S lies in the header: the format is the same, the protection is not.

use zeroize::Zeroizing;

use crate::{
    ObjectId, Role, Term,
    backend::{Header, Mark, Row, Tag, TokenId},
    error::{self, Error, Result},
    pages::Secret,
    sealed::{self, Binding, Key, MacKey},
};

/// Several keys on one page of locked memory.
pub(crate) struct Ring(Secret);

impl Ring {
    pub(crate) fn new(keys: &[&[u8; 32]]) -> Result<Self> {
        let fill = |page: &mut [u8]| {
            for (place, key) in page.chunks_exact_mut(32).zip(keys) {
                place.copy_from_slice(key.as_slice());
            }
        };
        Secret::new(keys.len().saturating_mul(32), fill).map(Self).map_err(error::io)
    }

    /// A key by its place; in a forked child there is none.
    pub(crate) fn key(&self, place: usize) -> Result<&[u8; 32]> {
        let page = self.0.bytes().ok_or(Error::Locked)?;
        let start = place.saturating_mul(32);
        page.get(start..).and_then(<[u8]>::first_chunk).ok_or(Error::Locked)
    }
}

/// The keys that need nothing but the seal key.
pub(crate) struct SealKeys {
    token: TokenId,
    ring: Ring,
    name: [u8; 16],
}

impl SealKeys {
    pub(crate) fn derive(seal: &[u8], token: TokenId) -> Result<Self> {
        let prk = sealed::extract("strongroom seal 1", seal);
        let [wrap, header, meta, set, public] = ["wrap", "header", "meta", "set", "public"]
            .map(|name| sealed::expand(&prk, &[name.as_bytes(), &token]));
        let name = sealed::expand(&prk, &[b"name"]);
        let ring = Ring::new(&[&wrap, &header, &meta, &set, &public])?;
        Ok(Self { token, ring, name: name.first_chunk().copied().unwrap_or_default() })
    }

    /// What tells seal keys apart; says nothing about the key.
    pub(crate) fn name(&self) -> [u8; 16] {
        self.name
    }

    pub(crate) fn wrap(&self) -> Result<&[u8; 32]> {
        self.ring.key(0)
    }

    pub(crate) fn header(&self) -> Result<&[u8; 32]> {
        self.ring.key(1)
    }

    /// Authenticates the counter of wrong PINs.
    pub(crate) fn attempts_mac(
        &self,
        role: Role,
        revision: u64,
        fails: u32,
        next: u64,
    ) -> Result<[u8; 16]> {
        let parts: [&[u8]; 5] = [
            &self.token,
            &[role.number()],
            &revision.to_le_bytes(),
            &fails.to_le_bytes(),
            &next.to_le_bytes(),
        ];
        let mac = sealed::mac(self.ring.key(2)?, &parts);
        Ok(mac.first_chunk().copied().unwrap_or_default())
    }

    /// The term of one object in the set hash.
    pub(crate) fn set_term(&self, id: ObjectId, mark: &Mark) -> Result<[u8; 32]> {
        let count = u32::try_from(mark.tags.len()).unwrap_or(u32::MAX);
        let parts: [&[u8]; 7] = [
            &self.token,
            &id,
            &mark.revision.to_le_bytes(),
            &[u8::from(mark.private)],
            &mark.seal_tag,
            &count.to_le_bytes(),
            mark.tags.as_flattened(),
        ];
        Ok(sealed::mac(self.ring.key(3)?, &parts))
    }

    /// The keys of the public objects of the token's present life.
    pub(crate) fn public(&self, born: u32) -> Result<ObjectKeys> {
        ObjectKeys::derive(self.ring.key(4)?, self.token, born)
    }
}

/// The keys of the private or of the public objects.
pub(crate) struct ObjectKeys {
    token: TokenId,
    epoch: u32,
    ring: Ring,
    /// Expanded, since every search needs it several times; it tells search tags and no more.
    index: MacKey,
}

/// What opens rows that are damaged.
const DAMAGED: &str = "an object is damaged or was tampered with";

impl ObjectKeys {
    pub(crate) fn derive(base: &[u8; 32], token: TokenId, epoch: u32) -> Result<Self> {
        let prk = sealed::extract("strongroom objects 1", base);
        let [object, index] = ["object", "index"]
            .map(|name| sealed::expand(&prk, &[name.as_bytes(), &token, &epoch.to_le_bytes()]));
        let index = MacKey::new(index.as_slice());
        Ok(Self { token, epoch, ring: Ring::new(&[&object])?, index })
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Seals an object.
    pub(crate) fn seal(
        &self,
        id: ObjectId,
        revision: u64,
        private: bool,
        body: &[u8],
    ) -> Result<Row> {
        let context = self.context(id, revision, self.epoch, private);
        let binding = Binding { label: "object", context: &context };
        let sealed = sealed::seal(self.ring.key(0)?, &binding, body)?;
        Ok(Row { revision, epoch: self.epoch, private, sealed })
    }

    /// Opens an object, which must have been sealed with these keys.
    pub(crate) fn open(&self, id: ObjectId, row: &Row) -> Result<Zeroizing<Vec<u8>>> {
        let context = self.context(id, row.revision, row.epoch, row.private);
        let binding = Binding { label: "object", context: &context };
        sealed::open(self.ring.key(0)?, &binding, &row.sealed, DAMAGED)
    }

    /// The tag of an attribute.
    pub(crate) fn tag(&self, term: &Term<'_>) -> Result<Tag> {
        let len = u32::try_from(term.value.len()).unwrap_or(u32::MAX);
        let parts: [&[u8]; 4] = [&[1], &term.name.to_le_bytes(), &len.to_le_bytes(), term.value];
        self.tag_of(&parts)
    }

    /// The tag that all objects of these keys carry.
    pub(crate) fn every(&self) -> Result<Tag> {
        self.tag_of(&[&[0]])
    }

    /// The tags of an object, in ascending order, each once.
    pub(crate) fn tags(&self, terms: &[Term<'_>]) -> Result<Vec<Tag>> {
        let mut tags = vec![self.every()?];
        for term in terms {
            tags.push(self.tag(term)?);
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }

    fn tag_of(&self, parts: &[&[u8]]) -> Result<Tag> {
        // A forked child has no keys, this one included.
        self.ring.key(0)?;
        let mac = self.index.mac(parts);
        Ok(mac.first_chunk().copied().unwrap_or_default())
    }

    fn context(&self, id: ObjectId, revision: u64, epoch: u32, private: bool) -> Vec<u8> {
        let parts: [&[u8]; 5] =
            [&self.token, &id, &revision.to_le_bytes(), &epoch.to_le_bytes(), &[u8::from(private)]];
        parts.concat()
    }
}

/// A fresh master key.
pub(crate) fn new_master() -> Result<Key> {
    sealed::random_key()
}

/// What tells master keys apart; says nothing about the key.
pub(crate) fn master_name(master: &[u8; 32], token: TokenId) -> [u8; 16] {
    let prk = sealed::extract("strongroom master 1", master);
    let name = sealed::expand(&prk, &[b"name", &token]);
    name.first_chunk().copied().unwrap_or_default()
}

/// The kind byte of a header's seal column: S is outside.
const OUTSIDE: u8 = 1;
/// The kind byte of a header's seal column: S follows.
const INSIDE: u8 = 0;

/// Where the seal key of a header is.
pub(crate) enum SealColumn {
    /// Outside the store; the name tells which.
    Outside([u8; 16]),
    /// Here: the token has no seal.
    Inside(Key),
}

impl SealColumn {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Outside(name) => [&[OUTSIDE], name.as_slice()].concat(),
            Self::Inside(key) => [&[INSIDE], key.as_slice()].concat(),
        }
    }

    /// Says so without reading the rest.
    pub(crate) fn is_outside(column: &[u8]) -> bool {
        column.first() == Some(&OUTSIDE)
    }

    pub(crate) fn decode(header: &Header) -> Result<Self> {
        let column = match header.seal.split_first() {
            Some((&OUTSIDE, name)) => name.try_into().ok().map(Self::Outside),
            Some((&INSIDE, key)) => key.try_into().ok().map(|key| Self::Inside(Key::copy(key))),
            _ => None,
        };
        column.ok_or(Error::Corrupt("the header of the token is damaged".into()))
    }
}
