//! `check`: what keeps the module, its configuration and its store from working.

use std::path::Path;

use serde::Serialize;
use strongroom_keystore::KeyPolicy;
use strongroom_token::{SEPARATION, SeparationRule};

use crate::cli::CheckArgs;
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::module::Module;
use crate::output::{Output, Style};
use crate::policy;
use crate::table::visible;
use crate::token::{self, Access, Place};

/// How bad a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Good to know.
    Info,
    /// Works, but not as it should.
    Warning,
    /// Does not work.
    Error,
}

/// Something that was found, and what to do about it.
#[derive(Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl Finding {
    /// Something that was found.
    pub(super) fn new(
        severity: Severity,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity, what: what.into(), remedy: remedy.into() }
    }

    /// A failure that kept part of the check from running.
    pub(super) fn failure(failure: &Failure) -> Self {
        let mut lines = failure.lines().map(|(_, text)| text.to_owned());
        let what = lines.next().unwrap_or_default();
        let rest: Vec<String> = lines.collect();
        Self::new(Severity::Error, what, rest.join("; "))
    }
}

/// `check`.
pub(super) fn check(module: Option<&Path>, out: &Output, args: &CheckArgs) -> Result<Exit> {
    let mut findings = super::store::findings(module, &args.opener);
    match Module::load(module) {
        Ok(module) => findings.extend(tokens(&module)),
        Err(failure) => findings.push(Finding::failure(&failure)),
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    out.show(&findings, |paint| {
        if findings.is_empty() {
            return paint.paint(Style::Good, "everything is in order");
        }
        let lines: Vec<String> = findings
            .iter()
            .map(|finding| {
                let (style, name) = match finding.severity {
                    Severity::Info => (Style::Strong, "info"),
                    Severity::Warning => (Style::Warn, "warning"),
                    Severity::Error => (Style::Bad, "error"),
                };
                let what = format!("{}: {}", paint.paint(style, name), visible(&finding.what));
                match finding.remedy.as_str() {
                    "" => what,
                    remedy => format!("{what}\n  help: {}", visible(remedy)),
                }
            })
            .collect();
        lines.join("\n")
    })?;
    let clean = findings.iter().all(|finding| finding.severity == Severity::Info);
    Ok(if clean { Exit::Done } else { Exit::Findings })
}

/// What the tokens of the module say about themselves.
fn tokens(module: &Module) -> Vec<Finding> {
    let asked = match token::ask(module) {
        Ok(asked) => asked,
        Err(failure) => return vec![Finding::failure(&failure)],
    };
    let mut findings = Vec::new();
    let mut places = Vec::new();
    for answer in asked {
        match answer {
            Ok(place) => places.push(place),
            Err(failure) => findings.push(Finding::failure(&failure)),
        }
    }
    if findings.is_empty() && !places.iter().any(|place| place.info.token_initialized()) {
        findings.push(Finding::new(
            Severity::Info,
            "there is no token yet",
            "make one: strongroom token init --label LABEL",
        ));
    }
    for place in places.iter().filter(|place| place.info.token_initialized()) {
        let info = &place.info;
        let states = [
            (!info.user_pin_initialized(), "its user PIN is not set", "reset-pin"),
            (info.user_pin_locked(), "its user PIN is locked", "reset-pin"),
            (info.user_pin_final_try(), "one try is left for its user PIN", "reset-pin"),
            (info.user_pin_to_be_changed(), "its user PIN must be changed", "set-pin"),
            (info.so_pin_to_be_changed(), "its SO PIN must be changed", "set-pin --so"),
        ];
        let label = visible(info.label());
        for (_, what, command) in states.iter().filter(|state| state.0) {
            findings.push(Finding::new(
                Severity::Warning,
                format!("token {label}: {what}"),
                format!("strongroom token {command} --token {}", info.serial_number()),
            ));
        }
        if info.so_pin_locked() {
            findings.push(Finding::new(
                Severity::Warning,
                format!("token {label}: its SO PIN is locked"),
                "a lost user PIN can no longer be reset; move the keys to another token",
            ));
        }
        match policy(module, place) {
            Ok(policy) => findings.extend(costs(&label, policy)),
            Err(failure) => findings.push(Finding::failure(&failure)),
        }
        if info.error_state() {
            findings.push(Finding::new(
                Severity::Error,
                format!("token {label}: it is in an error state"),
                "bring it back from a backup: strongroom restore FILE",
            ));
        }
    }
    findings
}

/// The policy of a token, if it has one that is known here.
fn policy(module: &Module, place: &Place) -> Result<Option<KeyPolicy>> {
    let name = policy::of(&place.session(module, Access::Read)?)?;
    Ok(name.and_then(|name| KeyPolicy::named(name.as_bytes())))
}

/// What the policy of a token lets be done that the standard does not. Whoever chose it has a reason, so
/// nothing is wrong.
fn costs(label: &str, policy: Option<KeyPolicy>) -> Vec<Finding> {
    let Some(policy) = policy else { return Vec::new() };
    let gone = |rule: &&&SeparationRule| rule.holds(KeyPolicy::Standard) && !rule.holds(policy);
    let cost = |rule: &&SeparationRule| {
        Finding::new(
            Severity::Info,
            format!(
                "token {label}: its policy is {}, so it does not hold that {}: {}",
                policy.name(),
                rule.rule,
                rule.reason
            ),
            "move its keys to a token with another policy: strongroom token init --policy standard",
        )
    };
    SEPARATION.iter().filter(gone).map(cost).collect()
}
