//! The list of slots.

use cryptoki::slot::Slot;
use cryptoki::types::Version;

use super::{Result, Stop, say};
use crate::module::Module;

/// Prints all slots.
pub(super) fn slots(module: &Module) -> Result<()> {
    let slots = module.get_all_slots().map_err(|_| Stop::error("Could not get the slot list."))?;
    say("Available slots:")?;
    for slot in slots {
        // One slot that cannot be read does not hide the others.
        match lines(module, slot) {
            Ok(text) => say(&text)?,
            Err(Stop(text)) => eprintln_unless_closed(&text),
        }
    }
    Ok(())
}

fn lines(module: &Module, slot: Slot) -> Result<String> {
    let about = |what: &str| Stop::error(format!("Could not get info about {what} {}.", slot.id()));
    let info = module.get_slot_info(slot).map_err(|_| about("slot"))?;
    let yes_no = |is: bool| String::from(if is { "yes" } else { "no" });
    let mut text = format!("Slot {}\n    Slot info:", slot.id());
    let mut add = |name: &str, value: String| {
        text.push_str(&format!("\n        {name:<18}{value}"));
    };
    add("Description:", padded(info.slot_description(), 64));
    add("Manufacturer ID:", padded(info.manufacturer_id(), 32));
    add("Hardware version:", version(&info.hardware_version()));
    add("Firmware version:", version(&info.firmware_version()));
    add("Token present:", yes_no(info.token_present()));
    if !info.token_present() {
        return Ok(text);
    }
    let Ok(info) = module.get_token_info(slot) else {
        eprintln_unless_closed(&about("the token in slot").0);
        text.push_str("\n    Token info:");
        return Ok(text);
    };
    text.push_str("\n    Token info:");
    let mut add = |name: &str, value: String| {
        text.push_str(&format!("\n        {name:<18}{value}"));
    };
    add("Manufacturer ID:", padded(info.manufacturer_id(), 32));
    add("Model:", padded(info.model(), 16));
    add("Hardware version:", version(&info.hardware_version()));
    add("Firmware version:", version(&info.firmware_version()));
    add("Serial number:", padded(info.serial_number(), 16));
    add("Initialized:", yes_no(info.token_initialized()));
    add("User PIN init.:", yes_no(info.user_pin_initialized()));
    add("Label:", padded(info.label(), 32));
    Ok(text)
}

/// Text with the blanks that its field of so many bytes has.
fn padded(text: &str, len: usize) -> String {
    format!("{text}{}", " ".repeat(len.saturating_sub(text.len())))
}

fn version(version: &Version) -> String {
    format!("{}.{}", version.major(), version.minor())
}

fn eprintln_unless_closed(text: &str) {
    use std::io::Write;
    let _unheard = writeln!(std::io::stderr(), "{text}");
}
