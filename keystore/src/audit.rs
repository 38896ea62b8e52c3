//! The set hash over a whole token: is every object there, as it was last committed?

use std::sync::{Arc, atomic::Ordering};

use crate::{
    ObjectId,
    backend::{Header, Mark},
    error::{Error, Result},
    head::Sum,
    keys::SealKeys,
    token::{Known, Token},
};

/// Up to so many objects a login also verifies the set hash (about 1 ms per thousand).
const AUDITED: u64 = 10_000;

impl Token {
    /// Verifies the set hash, unless that was done at this version or there is too much.
    pub(crate) fn audit_once(&self) -> Result<()> {
        let known = self.known()?;
        if known.head.count > AUDITED || self.audited.load(Ordering::Acquire) == known.version {
            return Ok(());
        }
        self.audit()
    }

    /// Verifies the set hash over all objects.
    pub(crate) fn audit(&self) -> Result<()> {
        self.compare_sums().map_err(|error| self.damaged(error))
    }

    fn compare_sums(&self) -> Result<()> {
        let keys = Arc::clone(&self.known()?.keys);
        let (header, count, sum) = self.sum_up(&keys, |_| true)?;
        let (_, head) = self.open_header(&header)?;
        if (head.count, head.sum) != (count, sum) {
            let what = "objects are missing, or were put back in an older state";
            return Err(Error::Corrupt(what.into()));
        }
        self.audited.store(header.version, Ordering::Release);
        Ok(())
    }

    /// The number and the sum of the public objects.
    pub(crate) fn sum_of_public(&self, known: &Known) -> Result<(u64, Sum)> {
        let (_, count, sum) = self.sum_up(&known.keys, |mark| !mark.private)?;
        Ok((count, sum))
    }

    fn sum_up(
        &self,
        keys: &SealKeys,
        wanted: impl Fn(&Mark) -> bool,
    ) -> Result<(Header, u64, Sum)> {
        let mut total = (0_u64, Sum::default());
        let mut failed = None;
        let mut add = |id: ObjectId, mark: &Mark| match keys.set_term(id, mark) {
            Ok(term) => {
                total.0 = total.0.saturating_add(1);
                total.1.add(&term);
            }
            Err(error) => failed = Some(error),
        };
        let header = self.backend.audit(&mut |id, mark| {
            if wanted(mark) {
                add(id, mark);
            }
        })?;
        failed.map_or(Ok((header, total.0, total.1)), Err)
    }
}
