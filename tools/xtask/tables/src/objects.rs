//! Which objects there are.

use strongroom_mechanisms::{KEY_TYPES, KeyTypeRow};
use strongroom_token::{CERTIFICATE_TYPES, OBJECT_CLASSES, OWN_CLASSES, ObjectClass};
use strongroom_types::Class;

/// A row for each class.
pub(crate) fn table() -> String {
    let made = OBJECT_CLASSES.iter().map(|row| line(row, "applications"));
    let own = OWN_CLASSES.iter().map(|row| line(row, "the token itself"));
    let head = "| Class | Made by | Types |\n|---|---|---|\n";
    std::iter::once(head.to_owned()).chain(made).chain(own).collect()
}

fn line(row: &ObjectClass, maker: &str) -> String {
    // The standard's name, or that of the one class that is not the standard's.
    let class = row.class.name().unwrap_or("CKO_STRONGROOM_POLICY");
    format!("| `{class}` | {maker} | {} |\n", types(row.class).join(", "))
}

fn types(class: Class) -> Vec<String> {
    match class {
        Class::PUBLIC_KEY => key_types(|row| row.public.is_some()),
        Class::PRIVATE_KEY => key_types(|row| row.private.is_some()),
        Class::SECRET_KEY => key_types(|row| row.secret.is_some()),
        Class::CERTIFICATE => CERTIFICATE_TYPES.iter().map(|row| row.name.to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// The standard's names, without what all of them begin with.
fn key_types(has: fn(&KeyTypeRow) -> bool) -> Vec<String> {
    let rows = KEY_TYPES.iter().copied().filter(|row| has(row));
    rows.map(|row| row.name.replacen("CKK_", "", 1)).collect()
}
