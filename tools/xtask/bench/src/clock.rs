//! Counting.

use std::sync::{Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// So long at least between two looks at the clock.
const TICK: Duration = Duration::from_micros(20);

/// Work that a thread has made for itself.
pub(crate) type Done<'a> = Box<dyn Fn() -> Result + 'a>;

/// What one call costs, in seconds, when so many threads do it: the time divided by the calls of
/// all of them. Each thread makes its work, and warms up for a tenth of the time.
///
/// All have one beginning and one end, whenever the kernel lets each of them run: more threads than
/// processors would else have the machine to themselves, one after the other, at the edges of the
/// time, and the sum of what each counted in a time of its own be more than the machine can do.
pub(crate) fn cost<'a>(
    threads: u32,
    time: Duration,
    start: &(dyn Fn(usize) -> Result<Done<'a>> + Sync),
) -> Result<f64> {
    let threads = usize::try_from(threads)?.max(1);
    let (barrier, beginning) = (Barrier::new(threads), OnceLock::new());
    let one = |thread| {
        let warm = start(thread).and_then(|work| {
            Count::of(&work, Instant::now(), time / 10)?;
            Ok(work)
        });
        barrier.wait();
        Count::of(&warm?, *beginning.get_or_init(Instant::now), time)
    };
    let counts: Result<Vec<Count>> = thread::scope(|scope| {
        let one = &one;
        let others: Vec<_> = (1..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        let first = one(0);
        let others = others
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())));
        std::iter::once(first).chain(others).collect()
    });
    Ok(Count::of_all(&counts?))
}

/// How often something was done, and how long after the beginning that was over.
#[derive(Clone, Copy)]
struct Count {
    times: f64,
    over: Duration,
}

impl Count {
    /// Does it until so much time has gone by since the beginning, and once at least.
    fn of(work: &Done<'_>, beginning: Instant, time: Duration) -> Result<Self> {
        let (mut times, mut batch, mut before) = (0.0, 1_u32, beginning.elapsed());
        loop {
            for _ in 0..batch {
                work()?;
            }
            times += f64::from(batch);
            let over = beginning.elapsed();
            if over >= time {
                return Ok(Self { times, over });
            }
            if over - before < TICK {
                batch *= 2;
            }
            before = over;
        }
    }

    /// What each time took, of all that were counted from one beginning.
    fn of_all(counts: &[Self]) -> f64 {
        let over = counts.iter().map(|count| count.over).max().unwrap_or_default();
        over.as_secs_f64() / counts.iter().map(|count| count.times).sum::<f64>()
    }
}

/// The median of what a part of the work takes, which says so itself, in seconds.
pub(crate) fn part(time: Duration, work: &dyn Fn() -> Result<Duration>) -> Result<f64> {
    let start = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || start.elapsed() < time {
        times.push(work()?.as_secs_f64());
    }
    Ok(Spread::of(times).median)
}

/// How long something takes.
pub(crate) fn duration<T>(work: impl FnOnce() -> Result<T>) -> Result<(Duration, T)> {
    let start = Instant::now();
    let outcome = work()?;
    Ok((start.elapsed(), outcome))
}

/// The middle of some figures, and where most of them lie.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of these figures; without any, of zero.
    pub(crate) fn of(mut figures: Vec<f64>) -> Self {
        figures.sort_by(f64::total_cmp);
        let at = |part: usize| figures.get(figures.len().saturating_sub(1) * part / 4).copied();
        let at = |part| at(part).unwrap_or_default();
        Self { median: at(2), low: at(0), high: at(4) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_late_ends_with_the_others() {
        let late = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let work: Done<'_> = Box::new(|| Ok(()));
        let count = Count::of(&work, late, Duration::from_secs(1)).unwrap();
        assert!(count.times < 2.0, "it does it once, since all others have ended");
        let others = Count { times: 9.0, over: Duration::from_secs(1) };
        let cost = Count::of_all(&[others, count]);
        assert!((0.5..0.6).contains(&cost), "ten calls in five seconds: {cost}");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 1.0, high: 5.0 });
    }
}
