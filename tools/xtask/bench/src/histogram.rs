//! How long calls took: how many of each length, in lengths that differ by a thirtieth. It takes
//! the same memory however many there are, and counting one more takes no time to speak of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// So many lengths between a power of two and the next, as bits.
const FINE: u32 = 5;
/// All lengths: of the 64 bits of a number, the highest is at one of these places, or it is short.
const LENGTHS: usize = 60 << FINE;

/// How many calls took how long.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
}

/// What a table says of a histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) calls: u64,
    /// What half of the calls stay below, in seconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; LENGTHS] }
    }

    /// Counts a call.
    pub(crate) fn add(&mut self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(place(nanoseconds)) {
            *count += 1;
        }
    }

    /// Counts all calls of another.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    pub(crate) fn latency(&self) -> Latency {
        let calls = self.counts.iter().sum();
        let below = |thousandths| {
            let nanoseconds = self.quantile(calls, thousandths);
            Duration::from_nanos(nanoseconds).as_secs_f64()
        };
        Latency { calls, p50: below(500), p99: below(990), p999: below(999) }
    }

    /// What so many thousandths of the calls do not exceed.
    fn quantile(&self, calls: u64, thousandths: u64) -> u64 {
        let wanted = (calls * thousandths).div_ceil(1_000);
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        reached.map_or(0, longest)
    }
}

/// Where a length is counted. Short ones have a place each; of the others the highest bits count.
fn place(nanoseconds: u64) -> usize {
    let shift = (u64::BITS - nanoseconds.leading_zeros()).saturating_sub(FINE + 1);
    let place = (u64::from(shift) << FINE) + (nanoseconds >> shift);
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// The longest that is counted at a place.
fn longest(place: usize) -> u64 {
    let shift = (place >> FINE).saturating_sub(1);
    let high = place - (shift << FINE) + 1;
    u64::try_from(high).map_or(u64::MAX, |high| (high << shift).wrapping_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_has_a_place_and_is_not_changed_by_much() {
        let mut before = 0;
        for bits in 0..u64::BITS {
            for nanoseconds in [1 << bits, (1 << bits) + (1 << bits) / 3, u64::MAX >> (63 - bits)] {
                let place = place(nanoseconds);
                assert!(place < LENGTHS && place >= before, "{nanoseconds}");
                let longest = longest(place);
                assert!(longest >= nanoseconds, "{nanoseconds} is counted as {longest}");
                assert!(longest - nanoseconds <= nanoseconds >> FINE, "{nanoseconds} {longest}");
                before = place;
            }
        }
    }

    #[test]
    fn quantiles_are_what_so_many_stay_below() {
        let mut histogram = Histogram::new();
        for microseconds in 1..=1_000 {
            histogram.add(Duration::from_micros(microseconds));
        }
        let mut other = Histogram::new();
        other.merge(&histogram);
        let latency = other.latency();
        assert_eq!(latency.calls, 1_000);
        for (measured, exact) in
            [(latency.p50, 500e-6), (latency.p99, 990e-6), (latency.p999, 999e-6)]
        {
            assert!((exact..=exact * 1.04).contains(&measured), "{measured} for {exact}");
        }
    }

    #[test]
    fn nothing_counted_is_nothing() {
        let nothing = Latency { calls: 0, p50: 0.0, p99: 0.0, p999: 0.0 };
        assert_eq!(Histogram::new().latency(), nothing);
    }
}
