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
    use super::*;
    use crate::named::must_be_there;

    #[test]
    fn every_test_that_is_named_is_there() {
        for rule in SEPARATION {
            assert!(!rule.tests.is_empty(), "{}", rule.rule);
            rule.tests.iter().for_each(|test| must_be_there(test));
        }
    }
}
