//! What the daemon tells of itself to those who watch it, as the text of OpenMetrics: which calls
//! came and what came of them, how long they took, and who is here.
//!
//! Labels are names out of lists of our own: functions, mechanisms, results. None of them tells of a
//! key, a token or a caller, and there are never more of them than the lists have.
//!
//! A call costs two looks at the clock and three additions. Each thread remembers where to add what
//! it has counted before, so that it asks nobody.

mod scrape;
mod times;

use std::cell::RefCell;
use std::ptr;
use std::time::{Duration, Instant};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use strongroom_functions::Observer;
use strongroom_functions::frame::Refusal;
use strongroom_settings::Settings;
use strongroom_types::{Result, SessionHandle, used};

use times::Times;

pub(crate) use scrape::run;

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    calls: Family<Outcome, Counter>,
    times: Family<Call, Times>,
    connections: Family<Door, Gauge>,
    accepted: Family<Door, Counter>,
    refused: Family<Reason, Counter>,
    applications: Gauge,
    sessions: Gauge,
    memory: Gauge,
    sealed: Gauge,
}

/// What is so at the moment, and not counted.
pub(crate) struct Now {
    pub(crate) applications: usize,
    pub(crate) sessions: usize,
    /// Bytes that are kept between calls.
    pub(crate) memory: usize,
    pub(crate) sealed: bool,
}

/// Calls of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    function: &'static str,
    /// Nothing for what needs none, and for what fails before one is known.
    mechanism: Option<&'static str>,
}

/// Calls of one kind of which the same came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    function: &'static str,
    mechanism: Option<&'static str>,
    result: &'static str,
}

/// Where calls are added of which the same came.
struct Known {
    outcome: Outcome,
    count: Counter,
    times: Times,
}

impl Outcome {
    /// Whether the other is the same, by where the names lie: they are of the program, and a name that
    /// lies in two places costs a second look and nothing else.
    fn is(&self, other: &Self) -> bool {
        let mechanisms = match (self.mechanism, other.mechanism) {
            (Some(one), Some(other)) => ptr::eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        mechanisms && ptr::eq(self.function, other.function) && ptr::eq(self.result, other.result)
    }
}

/// Where callers come in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Door {
    wire: &'static str,
}

/// Why a caller is not served.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// A connection, as long as it lasts.
pub(crate) struct Connected(Gauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

thread_local! {
    /// Where this thread adds what it has counted before. There is one daemon in a process.
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

impl Metrics {
    pub(crate) fn new(settings: &Settings) -> Self {
        let mut registry = Registry::with_prefix("strongroom");
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program that runs", build);
        for (name, help, most) in [
            ("connections_limit", "The most connections at once", settings.connections),
            ("sessions_limit", "The most sessions at once", settings.sessions),
            (
                "application_sessions_limit",
                "The most sessions of an application at once",
                settings.application_sessions,
            ),
            ("memory_limit_bytes", "The most bytes kept between calls", settings.memory),
            (
                "application_memory_limit_bytes",
                "The most bytes kept between calls of an application",
                settings.application_memory,
            ),
        ] {
            let limit: Gauge = Gauge::default();
            limit.set(number(most));
            registry.register(name, help, limit);
        }
        let calls = Family::<Outcome, Counter>::default();
        registry.register("operations", "Calls of functions, and what came of them", calls.clone());
        let times = Family::<Call, Times>::default();
        let help = "How long calls of functions took in the daemon";
        registry.register_with_unit("operation", help, Unit::Seconds, times.clone());
        let connections = Family::<Door, Gauge>::default();
        registry.register("connections", "Connections that are open", connections.clone());
        let accepted = Family::<Door, Counter>::default();
        let help = "Connections that there have been";
        registry.register("accepted_connections", help, accepted.clone());
        let refused = Family::<Reason, Counter>::default();
        registry.register("refused_connections", "Callers that were not served", refused.clone());
        let [applications, sessions, memory, sealed] = [(); 4].map(|()| Gauge::default());
        registry.register("applications", "Processes that are served", applications.clone());
        registry.register("sessions", "Sessions that are open", sessions.clone());
        registry.register("memory_bytes", "Bytes that are kept between calls", memory.clone());
        let help = "Whether an operator has to unseal the store before it can be used";
        registry.register("sealed", help, sealed.clone());
        Self {
            sealed,
            registry,
            calls,
            times,
            connections,
            accepted,
            refused,
            applications,
            sessions,
            memory,
        }
    }

    /// A connection came in by the door of this wire.
    pub(crate) fn connected(&self, wire: &'static str) -> Connected {
        self.accepted.get_or_create(&Door { wire }).inc();
        let open = self.connections.get_or_create(&Door { wire }).clone();
        open.inc();
        Connected(open)
    }

    /// A caller is turned away.
    pub(crate) fn refused(&self, why: Refusal) {
        let reason = match why {
            Refusal::Version => "version",
            Refusal::User => "user",
            Refusal::Full => "full",
            Refusal::Application => "application",
            Refusal::Store => "store",
        };
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// All of it.
    fn text(&self, now: &Now) -> String {
        self.applications.set(number(now.applications));
        self.sessions.set(number(now.sessions));
        self.memory.set(number(now.memory));
        self.sealed.set(now.sealed.into());
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Observer for Metrics {
    fn observe<T>(
        &self,
        function: &'static str,
        _: Option<SessionHandle>,
        call: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        // One that was used before is of another call.
        used::take();
        let start = Instant::now();
        let made = call();
        let time = start.elapsed();
        let mechanism = used::take();
        let result = made.as_ref().map_or_else(|error| error.name(), |_| "CKR_OK");
        let outcome = Outcome { function, mechanism, result };
        KNOWN.with_borrow_mut(|known| {
            match known.iter().find(|known| known.outcome.is(&outcome)) {
                Some(known) => known.add(time),
                None => {
                    let new = self.known(outcome);
                    new.add(time);
                    known.push(new);
                }
            }
        });
        made
    }
}

impl Metrics {
    fn known(&self, outcome: Outcome) -> Known {
        let Outcome { function, mechanism, .. } = outcome;
        let count = self.calls.get_or_create(&outcome).clone();
        let times = self.times.get_or_create(&Call { function, mechanism }).clone();
        Known { outcome, count, times }
    }
}

impl Known {
    fn add(&self, time: Duration) {
        self.count.inc();
        self.times.add(time);
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use strongroom_types::Error;

    use super::*;

    const NOW: Now = Now { applications: 2, sessions: 3, memory: 5, sealed: true };

    #[test]
    fn what_all_threads_did_is_counted() {
        let metrics = Metrics::new(&Settings::load(None).unwrap());
        let sign = || {
            used::mechanism("CKM_ECDSA");
            Ok(())
        };
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        metrics.observe("C_Sign", None, sign).unwrap();
                    }
                    let failed: Result<()> =
                        metrics.observe("C_Login", None, || Err(Error::PinIncorrect));
                    assert!(failed.is_err());
                });
            }
        });
        let text = metrics.text(&NOW);
        for line in [
            "strongroom_operations_total{function=\"C_Sign\",mechanism=\"CKM_ECDSA\",result=\"CKR_OK\"} 400",
            "strongroom_operations_total{function=\"C_Login\",mechanism=\"\",result=\"CKR_PIN_INCORRECT\"} 4",
            "strongroom_operation_seconds_count{function=\"C_Sign\",mechanism=\"CKM_ECDSA\"} 400",
            "strongroom_applications 2",
            "strongroom_sessions 3",
            "strongroom_memory_bytes 5",
            "strongroom_sealed 1",
        ] {
            assert!(text.lines().any(|there| there == line), "{line} is not in:\n{text}");
        }
    }

    #[test]
    fn a_connection_counts_while_it_lasts() {
        let metrics = Metrics::new(&Settings::load(None).unwrap());
        let one = metrics.connected("module");
        drop(metrics.connected("module"));
        metrics.refused(Refusal::User);
        for line in [
            "strongroom_connections{wire=\"module\"} 1",
            "strongroom_accepted_connections_total{wire=\"module\"} 2",
            "strongroom_refused_connections_total{reason=\"user\"} 1",
        ] {
            let text = metrics.text(&NOW);
            assert!(text.lines().any(|there| there == line), "{line} is not in:\n{text}");
        }
        drop(one);
        assert!(metrics.text(&NOW).contains("strongroom_connections{wire=\"module\"} 0\n"));
    }
}
