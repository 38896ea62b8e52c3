//! How long calls took: a histogram whose places are atomics. That of `prometheus-client` is behind a
//! lock, for which the threads that serve connections would wait for each other.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::{MetricType, TypedMetric};

/// The upper bounds of the places, in microseconds. From a digest, over an RSA signature, to what
/// derives keys from PINs and makes large keys; what takes longer is in a place of its own.
const BOUNDS: [u64; 16] = [
    5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 50_000, 200_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// Where times are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Times(Arc<Places>);

#[derive(Debug, Default)]
struct Places {
    /// How many took no longer than each bound, and longer than the one before.
    within: [AtomicU64; BOUNDS.len()],
    longer: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Times {
    /// A call took so long.
    pub(crate) fn add(&self, time: Duration) {
        let Places { within, longer, nanoseconds } = &*self.0;
        let place = BOUNDS.partition_point(|bound| Duration::from_micros(*bound) < time);
        within.get(place).unwrap_or(longer).fetch_add(1, Ordering::Relaxed);
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        nanoseconds.fetch_add(time, Ordering::Relaxed);
    }
}

impl EncodeMetric for Times {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), fmt::Error> {
        let Places { within, longer, nanoseconds } = &*self.0;
        let bounds = BOUNDS.iter().map(|bound| Duration::from_micros(*bound).as_secs_f64());
        // The encoder adds them up.
        let places: Vec<(f64, u64)> = bounds
            .chain([f64::INFINITY])
            .zip(within.iter().chain([longer]).map(|place| place.load(Ordering::Relaxed)))
            .collect();
        // Of the same moment as the places, so that the text is in accord with itself.
        let count = places.iter().map(|(_, count)| count).sum();
        let sum = Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)).as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &places, None)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

impl TypedMetric for Times {
    const TYPE: MetricType = MetricType::Histogram;
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    use super::*;

    #[test]
    fn each_time_is_in_its_place_and_in_those_above() {
        let times = Times::default();
        for micros in [1, 5, 6, 1_500, 60_000_000] {
            times.add(Duration::from_micros(micros));
        }
        let mut registry = Registry::default();
        registry.register("times", "x", times);
        let mut all = String::new();
        text::encode(&mut all, &registry).unwrap();
        for line in [
            "times_bucket{le=\"0.000005\"} 2",
            "times_bucket{le=\"0.00001\"} 3",
            "times_bucket{le=\"0.001\"} 3",
            "times_bucket{le=\"0.002\"} 4",
            "times_bucket{le=\"30.0\"} 4",
            "times_bucket{le=\"+Inf\"} 5",
            "times_count 5",
            "times_sum 60.001512",
        ] {
            assert!(all.lines().any(|there| there == line), "{line} is not in:\n{all}");
        }
    }
}
