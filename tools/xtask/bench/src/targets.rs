//! What the project wants to reach, one row each, and by how much it is missed where it is.

use crate::compare::{Measured, Unit};
use crate::reasons;
use crate::sides::Side;
use crate::table::{line, number, times, with_unit};

/// What is wanted of some rows.
struct Target {
    /// The rows, by how their names begin.
    rows: &'static [&'static str],
    /// How many objects the token holds, where that is varied.
    objects: Option<u32>,
    wanted: Wanted,
    /// Where it is known to be missed: what the profile shows as the reason. What the figures show,
    /// [`reasons`] knows.
    reason: &'static str,
}

/// What is compared, and with what.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// This part of the bare library's speed.
    OfBare(f64),
    /// No more than this many seconds on top of the bare library.
    OverBare(f64),
    /// So many times SoftHSM2's speed.
    SoftHsm2(f64),
    /// So many times the speed of one thread, by two.
    TwoThreads(f64),
    /// By the daemon: no more than this many seconds on top of the same in-process.
    DaemonOver(f64),
    /// By the daemon: so many times the speed of SoftHSM2 in-process.
    DaemonSoftHsm2(f64),
    /// By the daemon, eight callers: this part of the speed in-process.
    DaemonCrowd(f64),
}

const fn of(rows: &'static [&'static str], wanted: Wanted) -> Target {
    Target { rows, objects: None, wanted, reason: "" }
}

impl Target {
    const fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    const fn at(self, objects: u32) -> Self {
        Self { objects: Some(objects), ..self }
    }
}

/// Of `cargo xtask instructions --profile`, where nothing else is said.
const EDGE: &str = "two calls through the C interface: session, key, its rules and the parameter are \
                    looked up in the first, and output is checked and copied in the second; no \
                    function has more than an eighth of it";
const COPY: &str = "the two calls take what they take for 64 B, which is a third of the bare call here; and \
                    output is made in a buffer of ours, which is copied and wiped, since a caller's \
                    input and output may be the same memory";
const EXCHANGE: &str = "two processes that do nothing but send so few bytes there and back, and sleep \
                        at neither end, take 6 µs to 9 µs for it here; the rest is a second look at \
                        session and key, and that what the other processor wrote is in no cache of \
                        this one";
const INDEX: &str = "SQLite has one lock for a process around the marks of those who read its log, and \
                     asks the kernel for them while it holds it: one thread waits for the other, \
                     asleep";

static TARGETS: &[Target] = &[
    of(&["Sign, RSA", "Sign, ECDSA P-384", "Sign, ML-DSA"], Wanted::OfBare(0.97)),
    of(&["Sign, RSA"], Wanted::SoftHsm2(2.0)),
    of(&["Sign, ECDSA P-384"], Wanted::SoftHsm2(9.0)),
    of(&["Sign, ECDSA P-256"], Wanted::OfBare(0.92)),
    of(&["Sign, ECDSA P-256"], Wanted::SoftHsm2(2.3)),
    of(&["Sign, Ed25519"], Wanted::OfBare(0.88)),
    of(&["Sign, Ed25519"], Wanted::SoftHsm2(18.0)),
    of(&["HMAC-SHA256, 64 B", "AES-256-GCM, 64 B"], Wanted::OverBare(0.4e-6)).because(EDGE),
    of(&["HMAC-SHA256, 64 B", "AES-256-GCM, 64 B"], Wanted::SoftHsm2(8.0)),
    of(&["AES-256-GCM, 16 KiB"], Wanted::OfBare(0.95)).because(COPY),
    of(&["SHA-256, 64 KiB"], Wanted::OfBare(0.95)),
    of(&["Attribute read"], Wanted::SoftHsm2(20.0)),
    of(&["Find by id"], Wanted::SoftHsm2(10_000.0)).at(100_000),
    of(&["Sign, RSA", "Sign, ECDSA P-384"], Wanted::TwoThreads(1.9)),
    of(
        &[
            "Sign, ECDSA P-256",
            "Sign, Ed25519",
            "Sign, ML-DSA",
            "HMAC-SHA256, 64 B",
            "AES-256-GCM",
            "SHA-256, 64 KiB",
            "Attribute read",
        ],
        Wanted::TwoThreads(1.8),
    ),
    of(&["Find by id"], Wanted::TwoThreads(1.8)).at(100_000).because(INDEX),
    of(&["Sign, ECDSA P-256"], Wanted::DaemonOver(12e-6)).because(EXCHANGE),
    of(&["Sign, ECDSA P-256"], Wanted::DaemonSoftHsm2(1.0)),
    of(&["Sign, RSA-2048 PKCS#1"], Wanted::DaemonCrowd(0.9)),
    of(&["Generate a P-256"], Wanted::SoftHsm2(2.0)).at(1_000),
];

/// A line for each row of each target that was measured.
pub(crate) fn markdown(measured: &[Measured]) -> String {
    let mut text = String::from("| Target | Wanted | Measured | |\n|---|--:|--:|---|\n");
    for target in TARGETS {
        let rows = measured.iter().filter(|row| {
            row.threads == 1
                && row.objects == target.objects
                && target.rows.iter().any(|name| row.name.starts_with(name))
        });
        for row in rows {
            if let Some(result) = target.wanted.result(row, measured) {
                line(&mut text, &cells(target, row, result, measured));
            }
        }
    }
    text
}

fn cells(target: &Target, row: &Measured, result: f64, all: &[Measured]) -> Vec<String> {
    let (what, wanted, show) = target.wanted.words();
    let remark = if target.wanted.is_met(result) {
        with_reasons("met".to_owned(), &[target.wanted.comparison(row, all)])
    } else {
        let missed = format!("missed by {:.0} %", 100.0 * (result / wanted - 1.0).abs());
        let known = (!target.reason.is_empty()).then(|| target.reason.to_owned());
        with_reasons(missed, &[known, reasons::shown(target.wanted, row, all)])
    };
    vec![format!("{}{}", row.name, what), show(wanted), show(result), remark]
}

fn with_reasons(judgement: String, reasons: &[Option<String>]) -> String {
    let reasons: Vec<&str> = reasons.iter().flatten().map(String::as_str).collect();
    if reasons.is_empty() { judgement } else { format!("{judgement}: {}", reasons.join("; ")) }
}

impl Wanted {
    /// The words of the row, the limit, and how a result is written.
    fn words(self) -> (&'static str, f64, fn(f64) -> String) {
        let part = |part: f64| number(Some(part));
        let ratio = |ratio| times(Some(ratio));
        let seconds = |seconds: f64| with_unit(seconds.max(0.0), Unit::Seconds);
        match self {
            Self::OfBare(wanted) => (", of bare", wanted, part),
            Self::OverBare(wanted) => (", on top of bare", wanted, seconds),
            Self::SoftHsm2(wanted) => (", to SoftHSM2", wanted, ratio),
            Self::TwoThreads(wanted) => (", two threads to one", wanted, ratio),
            Self::DaemonOver(wanted) => (", by the daemon, on top of in-process", wanted, seconds),
            Self::DaemonSoftHsm2(wanted) => (", by the daemon, to SoftHSM2", wanted, ratio),
            Self::DaemonCrowd(wanted) => {
                (", by the daemon, 8 callers, of in-process", wanted, part)
            }
        }
    }

    fn is_met(self, result: f64) -> bool {
        match self {
            Self::OverBare(most) | Self::DaemonOver(most) => result <= most,
            Self::OfBare(least)
            | Self::SoftHsm2(least)
            | Self::TwoThreads(least)
            | Self::DaemonSoftHsm2(least)
            | Self::DaemonCrowd(least) => result >= least,
        }
    }

    /// What was measured, if it was.
    fn result(self, row: &Measured, all: &[Measured]) -> Option<f64> {
        match self {
            Self::OfBare(_) => row.times(Side::Bare, Side::Strongroom),
            Self::OverBare(_) => Some(row.cost(Side::Strongroom)? - row.cost(Side::Bare)?),
            Self::SoftHsm2(_) => {
                let theirs = row.cost(Side::SoftHsm2);
                let theirs = theirs.or_else(|| Some(reasons::softhsm2_extrapolated(row, all)?.0));
                Some(theirs? / row.cost(Side::Strongroom)?)
            }
            Self::TwoThreads(_) => {
                let two = reasons::with(2, row, all)?;
                Some(row.cost(Side::Strongroom)? / two.cost(Side::Strongroom)?)
            }
            Self::DaemonOver(_) => Some(row.cost(Side::Daemon)? - row.cost(Side::Strongroom)?),
            Self::DaemonSoftHsm2(_) => row.times(Side::SoftHsm2, Side::Daemon),
            Self::DaemonCrowd(_) => {
                reasons::with(8, row, all)?.times(Side::Strongroom, Side::Daemon)
            }
        }
    }

    /// How it is known what it was compared with, where that was not measured.
    fn comparison(self, row: &Measured, all: &[Measured]) -> Option<String> {
        let own = !matches!(self, Self::SoftHsm2(_)) || row.cost(Side::SoftHsm2).is_some();
        if own { None } else { Some(reasons::softhsm2_extrapolated(row, all)?.1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Spread;

    #[test]
    fn a_target_says_by_how_much_it_is_missed() {
        let spread = |cost| Spread { median: cost, low: cost, high: cost };
        let row = Measured {
            name: "Sign, ECDSA P-256".to_owned(),
            objects: None,
            threads: 1,
            unit: Unit::Seconds,
            sides: [(Side::Bare, spread(9e-6)), (Side::Strongroom, spread(10e-6))].into(),
        };
        let text = markdown(&[row]);
        let line = text.lines().find(|line| line.contains("of bare")).unwrap();
        assert_eq!(line, "| Sign, ECDSA P-256, of bare | 0.92 | 0.90 | missed by 2 % |");
    }

    #[test]
    fn a_miss_has_what_the_profile_shows_and_what_the_figures_show() {
        let target = of(&["AES"], Wanted::OfBare(0.95)).because(COPY);
        let spread = |low, high| Spread { median: low, low, high };
        let row = Measured {
            name: "AES".to_owned(),
            objects: None,
            threads: 1,
            unit: Unit::Seconds,
            sides: [(Side::Bare, spread(1e-6, 2e-6)), (Side::Strongroom, spread(2e-6, 3e-6))]
                .into(),
        };
        let remark = cells(&target, &row, 0.5, &[]).pop().unwrap();
        assert!(remark.starts_with(&format!("missed by 47 %: {COPY}; within ")), "{remark}");
    }

    #[test]
    fn what_softhsm2_cannot_be_measured_with_is_met_and_says_how_it_is_known() {
        let row = |objects, side, cost| Measured {
            name: "Find by id".to_owned(),
            objects: Some(objects),
            threads: 1,
            unit: Unit::Seconds,
            sides: [(side, Spread { median: cost, low: cost, high: cost })].into(),
        };
        let rows = [
            row(10, Side::SoftHsm2, 0.5e-3),
            row(1_000, Side::SoftHsm2, 40e-3),
            row(100_000, Side::Strongroom, 30e-6),
        ];
        let text = markdown(&rows);
        let line = text.lines().find(|line| line.contains("to SoftHSM2")).unwrap();
        assert!(line.contains("| met: SoftHSM2 reads every object, so "), "{line}");
    }
}
