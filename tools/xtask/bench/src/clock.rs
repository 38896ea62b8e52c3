//! Counting.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// So long at least between two looks at the clock.
const TICK: Duration = Duration::from_micros(20);

/// Work that a thread has made for itself.
pub(crate) type Done<'a> = Box<dyn Fn() -> Result + 'a>;

/// What one call costs, in seconds, when so many threads do it: the time divided by the calls of
/// all of them. Each thread makes its work, and warms up for a tenth of the time.
pub(crate) fn cost<'a>(
    threads: u32,
    time: Duration,
    start: &(dyn Fn(usize) -> Result<Done<'a>> + Sync),
) -> Result<f64> {
    let warm = |thread| {
        let work = start(thread)?;
        count(time / 10, &work)?;
        Ok::<_, crate::Failure>(work)
    };
    if threads <= 1 {
        return Ok(1.0 / count(time, &warm(0)?)?);
    }
    let threads = usize::try_from(threads)?;
    let barrier = Barrier::new(threads);
    let one = |thread| {
        let work = warm(thread);
        barrier.wait();
        count(time, &work?)
    };
    let rates: Vec<Result<f64>> = thread::scope(|scope| {
        let one = &one;
        let started: Vec<_> = (0..threads).map(|thread| scope.spawn(move || one(thread))).collect();
        started
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
            .collect()
    });
    Ok(1.0 / rates.into_iter().sum::<Result<f64>>()?)
}

/// How many times a second this thread does it.
fn count(time: Duration, work: &Done<'_>) -> Result<f64> {
    let start = Instant::now();
    let (mut times, mut batch, mut before) = (0.0, 1_u32, Duration::ZERO);
    loop {
        for _ in 0..batch {
            work()?;
        }
        times += f64::from(batch);
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(times / elapsed.as_secs_f64());
        }
        if elapsed - before < TICK {
            batch *= 2;
        }
        before = elapsed;
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
    fn the_median_is_in_the_middle() {
        let spread = Spread::of(vec![5.0, 1.0, 3.0]);
        assert_eq!(spread, Spread { median: 3.0, low: 1.0, high: 5.0 });
    }
}
