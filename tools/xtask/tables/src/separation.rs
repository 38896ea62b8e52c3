//! The rules that keep keys apart.

use strongroom_token::{KeyPolicy, SEPARATION, SeparationRule};

/// A row for each rule.
pub(crate) fn table() -> String {
    let head = "| Rule | Reason | Policies | Tests |\n|---|---|---|---|\n".to_owned();
    std::iter::once(head).chain(SEPARATION.iter().map(|rule| line(rule))).collect()
}

fn line(rule: &SeparationRule) -> String {
    let listed = |names: Vec<String>| names.join(", ");
    let policies = match rule.policies.len() == KeyPolicy::ALL.len() {
        true => "all".to_owned(),
        false => {
            listed(rule.policies.iter().map(|policy| format!("`{}`", policy.name())).collect())
        }
    };
    let tests = listed(rule.tests.iter().map(|test| format!("`{test}`")).collect());
    format!("| {} | {} | {policies} | {tests} |\n", rule.rule, rule.reason)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn every_test_that_is_named_is_there() {
        let suite = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../softhsm-tests/tests/suite");
        for rule in SEPARATION {
            assert!(!rule.tests.is_empty(), "{}", rule.rule);
            for test in rule.tests {
                let (file, function) = test.split_once("::").expect("a file and a function");
                let text = fs::read_to_string(format!("{suite}/{file}.rs")).expect(test);
                let declared = format!("#[test]\nfn {function}() {{");
                assert!(text.contains(&declared), "there is no test {test}");
            }
        }
    }
}
