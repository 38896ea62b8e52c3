//! What the module does with each function of the standard.

use strongroom_functions::{FUNCTIONS, Since, Status};

/// The versions of the standard, by what people call them.
const VERSIONS: &[(Since, &str)] =
    &[(Since::V2_40, "2.40"), (Since::V3_0, "3.0"), (Since::V3_2, "3.2")];

/// What a function can answer.
const STATUSES: &[(Status, &str)] = &[
    (Status::Works, "works"),
    (Status::NotParallel, "`CKR_FUNCTION_NOT_PARALLEL`, as the standard wants"),
    (Status::NotSupported, "`CKR_FUNCTION_NOT_SUPPORTED`"),
];

/// A row for each version and status that some function has.
pub(crate) fn table() -> String {
    let mut text = String::from("| Since | Status | | Functions |\n|---|---|--:|---|\n");
    for (since, version) in VERSIONS {
        for (status, answer) in STATUSES {
            let names = names(*since, *status);
            if !names.is_empty() {
                text.push_str(&format!(
                    "| {version} | {answer} | {} | {} |\n",
                    names.len(),
                    names.join(", ")
                ));
            }
        }
    }
    text
}

fn names(since: Since, status: Status) -> Vec<String> {
    FUNCTIONS
        .iter()
        .filter(|function| function.since == since && function.status == status)
        .map(|function| format!("`{}`", function.name))
        .collect()
}
