//! The sealed part of a token's header: what the token is, and a hash over everything it holds.
//!
//! The **set hash** is the sum, modulo 2^256, of one MAC per object. It changes with each commit
//! at the cost of the objects that changed, and shows a row that was deleted, put back in an older
//! state, or whose search tags were edited. The sum is only stored sealed: two known sums would
//! give away the MAC of a row.

use crate::{
    Role,
    backend::{Header, Slot, TokenId},
    bytes::Reader,
    config::KeyPolicy,
    error::{Error, Result},
    keys::SealKeys,
    sealed::{self, Binding},
};

/// The newest format that this version reads.
pub(crate) const FORMAT: u32 = 2;

/// The arrangement of tables that this version writes and reads: `user_version`.
pub(crate) const SCHEMA: u32 = 1;

/// The format of a token with this policy: format 1 can say no other than the standard one, and what it
/// can say is written in it.
const fn format(policy: KeyPolicy) -> u32 {
    match policy {
        KeyPolicy::Standard => 1,
        KeyPolicy::Strict | KeyPolicy::Compatible => 2,
    }
}

const DAMAGED: &str = "the header of the token is damaged or was tampered with";

/// The content of a sealed header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) label: [u8; 32],
    pub(crate) serial: [u8; 16],
    /// Counts master keys.
    pub(crate) epoch: u32,
    /// The epoch in which the token was last initialized.
    pub(crate) born: u32,
    /// The name of the master key.
    pub(crate) master: [u8; 16],
    /// The seal tags of both slots, zero for one that is not set: an old slot, with an old PIN,
    /// does not come back.
    pub(crate) slots: [[u8; sealed::TAG]; 2],
    /// How many objects there are.
    pub(crate) count: u64,
    pub(crate) sum: Sum,
    /// What may be done with keys.
    pub(crate) policy: KeyPolicy,
}

impl Head {
    /// Notes a slot, or its absence.
    pub(crate) fn note_slot(&mut self, role: Role, slot: Option<&Slot>) {
        let tag = slot.map(|slot| sealed::tag_of(&slot.sealed)).unwrap_or_default();
        let [officer, user] = &mut self.slots;
        match role {
            Role::SecurityOfficer => *officer = tag,
            Role::User => *user = tag,
        }
    }

    /// The seal tag that the slot of a role must have; nothing if it must not be set.
    pub(crate) fn slot_tag(&self, role: Role) -> Option<[u8; sealed::TAG]> {
        let [officer, user] = self.slots;
        let tag = match role {
            Role::SecurityOfficer => officer,
            Role::User => user,
        };
        (tag != [0; sealed::TAG]).then_some(tag)
    }

    /// Seals the content for the version that it will have.
    pub(crate) fn seal(
        &self,
        keys: &SealKeys,
        token: TokenId,
        version: u64,
        seal: Vec<u8>,
    ) -> Result<Header> {
        let format = format(self.policy);
        let mut header = Header { format, token, version, seal, sealed: Vec::new() };
        let context = context(&header);
        let binding = Binding { label: "header", context: &context };
        header.sealed = sealed::seal(keys.header()?, &binding, &self.encode())?;
        Ok(header)
    }

    /// Opens the content of a header.
    pub(crate) fn open(keys: &SealKeys, header: &Header) -> Result<Self> {
        let context = context(header);
        let binding = Binding { label: "header", context: &context };
        let body = sealed::open(keys.header()?, &binding, &header.sealed, DAMAGED)?;
        Self::decode(header.format, &mut Reader(&body)).ok_or(Error::Corrupt(DAMAGED.into()))
    }

    fn encode(&self) -> Vec<u8> {
        let parts: [&[u8]; 8] = [
            &self.label,
            &self.serial,
            &self.epoch.to_le_bytes(),
            &self.born.to_le_bytes(),
            &self.master,
            self.slots.as_flattened(),
            &self.count.to_le_bytes(),
            &self.sum.to_bytes(),
        ];
        let mut body = parts.concat();
        if format(self.policy) > 1 {
            body.push(self.policy.number());
        }
        body
    }

    fn decode(header_format: u32, body: &mut Reader<'_>) -> Option<Self> {
        let head = Self {
            label: body.array()?,
            serial: body.array()?,
            epoch: body.u32()?,
            born: body.u32()?,
            master: body.array()?,
            slots: [body.array()?, body.array()?],
            count: body.u64()?,
            sum: Sum::from_bytes(&body.array()?),
            policy: match header_format {
                1 => KeyPolicy::Standard,
                _ => KeyPolicy::numbered(u8::from_le_bytes(body.array()?))?,
            },
        };
        // The one format that says it: else a token could be written in two ways.
        if format(head.policy) != header_format {
            return None;
        }
        body.rest().is_empty().then_some(head)
    }
}

fn context(header: &Header) -> Vec<u8> {
    let parts: [&[u8]; 4] =
        [&header.token, &header.format.to_le_bytes(), &header.version.to_le_bytes(), &header.seal];
    parts.concat()
}

/// A number modulo 2^256, as four words from the lowest up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum([u64; 4]);

impl Sum {
    pub(crate) fn add(&mut self, term: &[u8; 32]) {
        let mut carry = false;
        for (word, term) in self.0.iter_mut().zip(Self::from_bytes(term).0) {
            let (sum, over) = word.overflowing_add(term);
            let (sum, over_again) = sum.overflowing_add(u64::from(carry));
            (*word, carry) = (sum, over || over_again);
        }
    }

    pub(crate) fn subtract(&mut self, term: &[u8; 32]) {
        let mut borrow = false;
        for (word, term) in self.0.iter_mut().zip(Self::from_bytes(term).0) {
            let (rest, under) = word.overflowing_sub(term);
            let (rest, under_again) = rest.overflowing_sub(u64::from(borrow));
            (*word, borrow) = (rest, under || under_again);
        }
    }

    fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (place, word) in bytes.chunks_exact_mut(8).zip(self.0) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        let mut sum = Sum::default();
        sum.add(&[0xfe; 32]);
        Head {
            label: [b'l'; 32],
            serial: [b's'; 16],
            epoch: 3,
            born: 2,
            master: [4; 16],
            slots: [[5; 16], [0; 16]],
            count: 6,
            sum,
            policy: KeyPolicy::Standard,
        }
    }

    #[test]
    fn every_policy_is_kept_and_the_standard_one_says_what_format_1_says() {
        let keys = SealKeys::derive(&[1; 32], [2; 16]).unwrap();
        for (policy, written) in KeyPolicy::ALL.into_iter().zip([(1, 144), (2, 145), (2, 145)]) {
            let head = Head { policy, ..head() };
            let header = head.seal(&keys, [2; 16], 9, vec![1]).unwrap();
            assert_eq!((header.format, head.encode().len()), written);
            assert_eq!(Head::open(&keys, &header).unwrap(), head);
        }
        let body = [head().encode(), vec![0]].concat();
        assert_eq!(Head::decode(2, &mut Reader(&body)), None, "format 1 says it");
        let body = [head().encode(), vec![3]].concat();
        assert_eq!(Head::decode(2, &mut Reader(&body)), None, "no such policy");
    }

    #[test]
    fn sums_wrap_and_come_back() {
        let mut sum = Sum::default();
        let terms = [[0xff; 32], [0x80; 32], [1; 32], [0xfe; 32]];
        terms.iter().for_each(|term| sum.add(term));
        // (2^256 - 1) + 0x8080.. + 0x0101.. + 0xfefe.., modulo 2^256.
        let mut expected = [0x80; 32];
        expected[0] = 0x7e;
        assert_eq!(sum.to_bytes(), expected);
        [2, 0, 3, 1].iter().for_each(|&at: &usize| sum.subtract(&terms[at]));
        assert_eq!(sum, Sum::default());
    }

    #[test]
    fn a_head_opens_only_as_it_was_sealed() {
        let keys = SealKeys::derive(&[1; 32], [2; 16]).unwrap();
        let header = head().seal(&keys, [2; 16], 9, vec![1, 2]).unwrap();
        assert_eq!(Head::open(&keys, &header).unwrap(), head());
        for bad in [
            Header { version: 8, ..header.clone() },
            Header { format: 2, ..header.clone() },
            Header { seal: vec![1, 3], ..header.clone() },
            Header { token: [3; 16], ..header.clone() },
        ] {
            assert!(matches!(Head::open(&keys, &bad), Err(Error::Corrupt(_))));
        }
    }

    #[test]
    fn slots_are_known_by_their_tags() {
        assert_eq!(head().slot_tag(Role::SecurityOfficer), Some([5; 16]));
        assert_eq!(head().slot_tag(Role::User), None);
    }
}
