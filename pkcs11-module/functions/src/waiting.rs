//! Waiting for the other side awake, for as long as that is worth a processor.
//!
//! A thread that sleeps in the kernel is awake again some ten microseconds after what it waits for is
//! there; that both sides of an exchange sleep costs more than a P-256 signature does. So who waited
//! for a moment the last time looks for so long again before it sleeps. It gives way to whatever
//! else wants its processor meanwhile, and no more threads of a process do so than leave as many
//! processors to the other side.

use std::io::{self, ErrorKind};
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long a thread stays awake at most: about what it costs to wake both sides.
const MOMENT: Duration = Duration::from_micros(100);

/// How many stay awake at most, however many processors there are: who would keep them awake for
/// nothing shall not have the machine.
const FEW: usize = 4;

/// The threads of a process that wait.
#[derive(Debug)]
pub struct Watch {
    /// How many may stay awake.
    most: usize,
    /// How many do.
    awake: AtomicUsize,
}

/// The waiting at one end of a connection: whether it was for a moment only, the last time.
#[derive(Debug, Default)]
pub struct Waiting {
    short: bool,
}

/// A thread that waits awake.
struct Awake<'a>(&'a AtomicUsize);

impl Drop for Awake<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Watch {
    /// One that keeps half of the processors awake, but few, and none if there is but one.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        Self { most: (processors / 2).min(FEW), awake: AtomicUsize::new(0) }
    }
}

impl Watch {
    /// Reads into a place: `look` says that it would block where nothing is there yet, `sleep` waits.
    /// So many threads of the process are at work meanwhile, and want processors too.
    ///
    /// # Errors
    ///
    /// Those of `sleep`, and of `look` but this one.
    pub fn read(
        &self,
        waiting: &mut Waiting,
        at_work: usize,
        place: &mut [u8],
        look: impl Fn(&mut [u8]) -> io::Result<usize>,
        sleep: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        // What is there already was not waited for, and tells nothing of the next time.
        match look(place) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            seen => return seen,
        }
        let began = Instant::now();
        if let Some(_awake) = waiting.short.then(|| self.stay_awake(at_work)).flatten() {
            while began.elapsed() < MOMENT {
                match look(place) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => thread::yield_now(),
                    seen => return seen,
                }
            }
        }
        let outcome = sleep(place);
        waiting.short = began.elapsed() < MOMENT;
        outcome
    }

    /// Nothing if as many do already, or are at work, as may.
    fn stay_awake(&self, at_work: usize) -> Option<Awake<'_>> {
        let next = |awake| (awake + at_work < self.most).then_some(awake + 1);
        let counted = self.awake.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        counted.is_ok().then(|| Awake(&self.awake))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn watch(most: usize) -> Watch {
        Watch { most, awake: AtomicUsize::new(0) }
    }

    fn nothing(_: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }

    /// Has nothing, and may be asked once.
    fn once() -> impl Fn(&mut [u8]) -> io::Result<usize> {
        let asked = Cell::new(false);
        move |place| {
            assert!(!asked.replace(true), "it has no reason to stay awake");
            nothing(place)
        }
    }

    #[test]
    fn who_waited_long_sleeps() {
        let mut waiting = Waiting::default();
        let long = |_: &mut [u8]| {
            thread::sleep(MOMENT * 2);
            Ok(1)
        };
        assert_eq!(watch(1).read(&mut waiting, 0, &mut [0], once(), long).unwrap(), 1);
        assert!(!waiting.short);
    }

    #[test]
    fn who_waited_for_a_moment_looks_and_then_sleeps() {
        let (watch, mut waiting) = (watch(1), Waiting { short: true });
        let looks = Cell::new(0);
        let third = |place: &mut [u8]| {
            looks.set(looks.get() + 1);
            if looks.get() < 3 { nothing(place) } else { Ok(1) }
        };
        // A thread that the machine keeps from looking for a whole moment may sleep after all.
        assert_eq!(watch.read(&mut waiting, 0, &mut [0], third, |_| Ok(1)).unwrap(), 1);
        waiting.short = true;
        assert_eq!(watch.read(&mut waiting, 0, &mut [0], nothing, |_| Ok(2)).unwrap(), 2);
        assert!(!waiting.short, "it looked in vain for as long as it may");
        assert_eq!(watch.awake.into_inner(), 0);
    }

    #[test]
    fn what_is_there_tells_nothing() {
        for short in [false, true] {
            let mut waiting = Waiting { short };
            assert_eq!(watch(1).read(&mut waiting, 0, &mut [0], |_| Ok(1), nothing).unwrap(), 1);
            assert_eq!(waiting.short, short);
        }
    }

    #[test]
    fn no_more_than_may_stay_awake() {
        let (watch, mut waiting) = (watch(1), Waiting { short: true });
        let another = watch.stay_awake(0).unwrap();
        assert_eq!(watch.read(&mut waiting, 0, &mut [0], once(), |_| Ok(2)).unwrap(), 2);
        waiting.short = true;
        assert_eq!(watch.awake.load(Ordering::Relaxed), 1);
        drop(another);
        assert_eq!(watch.read(&mut waiting, 1, &mut [0], once(), |_| Ok(2)).unwrap(), 2);
        assert_eq!(watch.awake.into_inner(), 0);
    }

    #[test]
    fn what_goes_wrong_is_seen_at_once() {
        let (watch, mut waiting) = (watch(1), Waiting { short: true });
        let broken = |_: &mut [u8]| Err(ErrorKind::ConnectionReset.into());
        let error = watch.read(&mut waiting, 0, &mut [0], broken, nothing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
}
