//! The set hash over a whole token: is every object there, as it was last committed?

use std::{sync::Arc, thread};

use crate::{
    ObjectId,
    backend::{Header, Mark, sqlite::FRESH},
    error::{Error, Result},
    head::Sum,
    keys::SealKeys,
    token::{Known, Token},
};

/// Up to so many objects a login also verifies the set hash (about 1 ms per thousand).
const AUDITED: u64 = 10_000;

impl Token {
    /// Verifies the set hash, unless there is too much. Whoever writes the file past us leaves the version
    /// as it is, so it says nothing of what was found before.
    pub(crate) fn audit_if_small(&self) -> Result<()> {
        if self.known()?.head.count > AUDITED { Ok(()) } else { self.audit() }
    }

    /// Verifies the set hash over all objects.
    pub(crate) fn audit(&self) -> Result<()> {
        let outcome = match self.compare_sums() {
            // Others write what this process may only read: it may have met half of one state and half of
            // another, and looks again when it would notice.
            Err(Error::Corrupt(_)) if !self.file.writable() => {
                thread::sleep(FRESH);
                self.compare_sums()
            }
            outcome => outcome,
        };
        outcome.map_err(|error| self.damaged(error))
    }

    fn compare_sums(&self) -> Result<()> {
        let keys = Arc::clone(&self.known()?.keys);
        let (header, count, sum) = self.sum_up(&keys, |_| true)?;
        let (_, head) = self.open_header(&header)?;
        if (head.count, head.sum) != (count, sum) {
            let what = "objects are missing, or were put back in an older state";
            return Err(Error::Corrupt(what.into()));
        }
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
