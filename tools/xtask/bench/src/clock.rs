//! Counting.

use std::thread;
use std::time::{Duration, Instant};

use crate::Result;

/// How many times a second some threads together do their work: each makes its own, warms up for
/// a tenth of the time, and counts for the rest.
pub(crate) fn rate<Work>(
    threads: u32,
    time: Duration,
    start: impl Fn() -> Result<Work> + Sync,
) -> Result<f64>
where
    Work: FnMut() -> Result,
{
    let rates: Vec<Result<f64>> = thread::scope(|scope| {
        let one = || rate_here(time, start()?);
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|_| Err("panic".into())))
            .collect()
    });
    rates.into_iter().sum()
}

/// How many times a second this thread does it.
fn count(time: Duration, work: &mut impl FnMut() -> Result) -> Result<f64> {
    let start = Instant::now();
    let mut times = 0.0;
    loop {
        work()?;
        times += 1.0;
        let elapsed = start.elapsed();
        if elapsed >= time {
            return Ok(times / elapsed.as_secs_f64());
        }
    }
}

/// How long something takes, in seconds.
pub(crate) fn seconds<T>(work: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let start = Instant::now();
    let outcome = work()?;
    Ok((start.elapsed().as_secs_f64(), outcome))
}

/// How many times a second this thread does it, after a warm-up.
pub(crate) fn rate_here(time: Duration, mut work: impl FnMut() -> Result) -> Result<f64> {
    count(time / 10, &mut work)?;
    count(time, &mut work)
}
