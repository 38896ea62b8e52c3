//! What each mechanism of the token is for.

use strongroom_mechanisms::{Legacy, Mechanism, Policy};
use strongroom_types::KeyType;

type Has = fn(&Mechanism) -> bool;

/// What a mechanism can do, by the function that does it.
const ABILITIES: &[(&str, Has)] = &[
    ("digest", |row| row.digest.is_some()),
    ("encrypt", |row| row.encrypt.is_some()),
    ("decrypt", |row| row.decrypt.is_some()),
    ("messages", |row| row.message.is_some()),
    ("sign", |row| row.sign.is_some()),
    ("verify", |row| row.verify.is_some()),
    ("sign recover", |row| row.sign_recover.is_some()),
    ("verify recover", |row| row.verify_recover.is_some()),
    ("generate", |row| row.generate.is_some()),
    ("generate parameters", |row| row.generate_parameters.is_some()),
    ("generate pair", |row| row.generate_pair.is_some()),
    ("wrap", |row| row.wrap.is_some()),
    ("unwrap", |row| row.unwrap.is_some()),
    ("derive", |row| row.derive.is_some()),
    ("encapsulate", |row| row.encapsulate.is_some()),
    ("decapsulate", |row| row.decapsulate.is_some()),
];

/// A largest size that stands for none.
const ENDLESS: u64 = 0x7fff_ffff;

/// A row for each mechanism.
pub(crate) fn table() -> String {
    let rows = Policy::Legacy.mechanisms().map(|mechanism| {
        format!(
            "| `{}` | {} | {} | {} | {} |\n",
            mechanism.name,
            keys(mechanism),
            sizes(mechanism),
            abilities(mechanism),
            legacy(mechanism)
        )
    });
    let head = "| Mechanism | Keys | Sizes | Does | Legacy |\n|---|---|---|---|---|\n";
    std::iter::once(head.to_owned()).chain(rows).collect()
}

fn keys(mechanism: &Mechanism) -> String {
    let names: Vec<String> = mechanism.keys.iter().copied().map(key_type).collect();
    names.join(", ")
}

/// The standard's name, without what all of them begin with.
fn key_type(id: KeyType) -> String {
    id.name().map_or_else(|| format!("{:#x}", id.0), |name| name.replacen("CKK_", "", 1))
}

fn sizes(mechanism: &Mechanism) -> String {
    match (*mechanism.key_size.start(), *mechanism.key_size.end()) {
        (0, 0) => String::new(),
        (smallest, largest) if smallest == largest => smallest.to_string(),
        (smallest, ENDLESS..) => format!("from {smallest}"),
        (smallest, largest) => format!("{smallest} to {largest}"),
    }
}

fn abilities(mechanism: &Mechanism) -> String {
    let can = ABILITIES.iter().filter(|(_, ability)| ability(mechanism));
    can.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

/// What of it is there with `legacy = true` only.
fn legacy(mechanism: &Mechanism) -> &'static str {
    match (mechanism.legacy, mechanism.legacy_key_size) {
        (Legacy::Everything, _) => "all",
        (Legacy::Signing, Some(_)) => "signing, short keys",
        (Legacy::Signing, None) => "signing",
        (Legacy::Nothing, Some(_)) => "short keys",
        (Legacy::Nothing, None) => "",
    }
}
