//! The functions as they go over the module's wire.

use strongroom_functions::{ROWS, Row};

/// A row for each number.
pub(crate) fn table() -> String {
    let head =
        "| number | function | arguments | reply | what |\n|--:|---|---|---|---|\n".to_owned();
    std::iter::once(head).chain(ROWS.iter().map(line)).collect()
}

fn line(row: &Row) -> String {
    let arguments = row.arguments.iter().map(|(name, kind)| format!("{name} `{}`", spaced(kind)));
    let reply = match row.reply {
        "()" => String::new(),
        reply => format!("`{}`", spaced(reply)),
    };
    format!(
        "| {} | `{}` | {} | {reply} | {} |\n",
        row.number,
        row.name,
        arguments.collect::<Vec<_>>().join(", "),
        about(row)
    )
}

/// A type with the spaces that people write, wherever the compiler puts some.
fn spaced(kind: &str) -> String {
    let dense: String = kind.split_whitespace().collect();
    dense.replace(',', ", ").replace(';', "; ")
}

/// What is said of it behind its name.
fn about(row: &Row) -> &str {
    let text = row.about.trim();
    let behind = text.strip_prefix(&format!("`{}`", row.name)).unwrap_or(text);
    behind.trim_start_matches(['.', ',', ';', ':', ' ']).trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_written_as_in_the_table_of_values() {
        assert_eq!(spaced("& [u8 ; 32]"), "&[u8; 32]");
        assert_eq!(spaced("(Output, Option < ObjectHandle >)"), "(Output, Option<ObjectHandle>)");
    }

    #[test]
    fn the_name_is_not_said_twice() {
        let of = |about| Row { number: 1, name: "C_Sign", arguments: &[], reply: "()", about };
        assert_eq!(about(&of(" `C_Sign`.")), "");
        assert_eq!(about(&of(" `C_Sign`; no key. `C_Sign` ends it.")), "no key. `C_Sign` ends it");
    }
}
