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
    /// Reads into a place: `look` says that it would block where nothing is there yet, `sleep` waits
    /// until there may be something. So many threads of the process are at work meanwhile, and want
    /// processors too.
    ///
    /// Who slept looks again, and does not sleep in the read itself: a Unix socket wakes who reads from
    /// it also when the other side has taken what was sent to it, for nothing, but not who polls.
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
        sleep: impl Fn() -> io::Result<()>,
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
        loop {
            let slept = sleep();
            waiting.short = began.elapsed() < MOMENT;
            slept?;
            match look(place) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                seen => return seen,
            }
        }
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

    /// Has something to read from this look on.
    fn from_look(number: u32) -> impl Fn(&mut [u8]) -> io::Result<usize> {
        let looks = Cell::new(0);
        move |_| {
            looks.set(looks.get() + 1);
            if looks.get() < number { Err(ErrorKind::WouldBlock.into()) } else { Ok(1) }
        }
    }

    fn never() -> io::Result<()> {
        panic!("it has no reason to sleep");
    }

    #[test]
    fn who_waited_long_sleeps() {
        let mut waiting = Waiting::default();
        let long = || {
            thread::sleep(MOMENT * 2);
            Ok(())
        };
        assert_eq!(watch(1).read(&mut waiting, 0, &mut [0], from_look(2), long).unwrap(), 1);
        assert!(!waiting.short);
    }

    #[test]
    fn who_waited_for_a_moment_looks_and_then_sleeps() {
        let (watch, mut waiting) = (watch(1), Waiting { short: true });
        // A thread that the machine keeps from looking for a whole moment may sleep after all.
        let third = from_look(3);
        assert_eq!(watch.read(&mut waiting, 0, &mut [0], third, || Ok(())).unwrap(), 1);
        waiting.short = true;
        let (slept, looks) = (Cell::new(false), Cell::new(0));
        let asleep = |_: &mut [u8]| {
            looks.set(looks.get() + 1);
            if slept.get() { Ok(2) } else { Err(ErrorKind::WouldBlock.into()) }
        };
        let sleep = || {
            slept.set(true);
            Ok(())
        };
        assert_eq!(watch.read(&mut waiting, 0, &mut [0], asleep, sleep).unwrap(), 2);
        assert!(!waiting.short, "it looked in vain for as long as it may");
        assert!(looks.get() > 2, "once at first, and once after it slept");
        assert_eq!(watch.awake.into_inner(), 0);
    }

    #[test]
    fn who_was_woken_for_nothing_sleeps_on() {
        let (sleeps, mut waiting) = (Cell::new(0), Waiting::default());
        let sleep = || {
            sleeps.set(sleeps.get() + 1);
            Ok(())
        };
        assert_eq!(watch(1).read(&mut waiting, 0, &mut [0], from_look(4), sleep).unwrap(), 1);
        assert_eq!(sleeps.get(), 3);
    }

    #[test]
    fn what_is_there_tells_nothing() {
        for short in [false, true] {
            let mut waiting = Waiting { short };
            assert_eq!(watch(1).read(&mut waiting, 0, &mut [0], from_look(1), never).unwrap(), 1);
            assert_eq!(waiting.short, short);
        }
    }

    #[test]
    fn no_more_than_may_stay_awake() {
        let (watch, mut waiting) = (watch(1), Waiting::default());
        // Who does not stay awake has slept before the second look.
        let sleeps = |waiting: &mut Waiting, at_work| {
            let (slept, looks) = (Cell::new(false), Cell::new(0));
            let look = |_: &mut [u8]| {
                looks.set(looks.get() + 1);
                if slept.get() { Ok(1) } else { Err(ErrorKind::WouldBlock.into()) }
            };
            let sleep = || {
                slept.set(true);
                Ok(())
            };
            waiting.short = true;
            watch.read(waiting, at_work, &mut [0], look, sleep).unwrap();
            looks.get() == 2
        };
        let another = watch.stay_awake(0).unwrap();
        assert!(sleeps(&mut waiting, 0), "another stays awake");
        assert_eq!(watch.awake.load(Ordering::Relaxed), 1);
        drop(another);
        assert!(sleeps(&mut waiting, 1), "another is at work");
        assert!(!sleeps(&mut waiting, 0), "nobody keeps it from staying awake");
        assert_eq!(watch.awake.into_inner(), 0);
    }

    #[test]
    fn what_goes_wrong_is_seen_at_once() {
        let (watch, mut waiting) = (watch(1), Waiting { short: true });
        let broken = |_: &mut [u8]| Err(ErrorKind::ConnectionReset.into());
        let error = watch.read(&mut waiting, 0, &mut [0], broken, never).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let late = || Err(ErrorKind::TimedOut.into());
        waiting.short = false;
        let error = watch.read(&mut waiting, 0, &mut [0], from_look(2), late).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
