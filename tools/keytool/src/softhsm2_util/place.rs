//! Finding a slot by number, serial number or label.

use cryptoki::slot::{Slot, TokenInfo};

use super::{Result, Stop, say};
use crate::cli::Softhsm2UtilArgs;
use crate::module::Module;

/// A token by what is known of it.
pub(super) struct Wanted<'a> {
    serial: Option<&'a str>,
    label: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// What --serial and --token say; `None` if there is neither.
    pub(super) fn new(args: &'a Softhsm2UtilArgs) -> Result<Option<Self>> {
        let wanted = Self { serial: args.serial.as_deref(), label: args.token.as_deref() };
        if wanted.serial.is_some_and(|serial| serial.len() > 16) {
            return Err(Stop::error("--serial is too long."));
        }
        if wanted.label.is_some_and(|label| label.len() > 32) {
            return Err(Stop::error("--token is too long."));
        }
        Ok((wanted.serial.is_some() || wanted.label.is_some()).then_some(wanted))
    }

    /// Whether a token has the label and the serial number that are wanted.
    pub(super) fn is(&self, label: &str, serial: &str) -> bool {
        self.label.is_none_or(|wanted| wanted.trim_end_matches(' ') == label)
            && self.serial.is_none_or(|wanted| wanted.trim_end_matches(' ') == serial)
    }

    /// What was compared, for the sentence about a token that was found.
    pub(super) fn what(&self) -> &'static str {
        match (self.serial, self.label) {
            (Some(_), Some(_)) => "serial and token label",
            (Some(_), None) => "serial",
            _ => "token label",
        }
    }
}

/// The slot for a new token.
pub(super) fn for_new(module: &Module, args: &Softhsm2UtilArgs) -> Result<Slot> {
    if let Some(slot) = by_number(args)? {
        return Ok(slot);
    }
    if args.free {
        let (slot, _) = all(module)?
            .into_iter()
            .find(|(_, info)| !info.token_initialized())
            .ok_or_else(|| Stop::error("Could not find a free/uninitialized token."))?;
        say(&format!("Slot {} has a free/uninitialized token.", slot.id()))?;
        return Ok(slot);
    }
    by_name(module, args, "Could not find a slot/token using --serial, --token, or --free.")?
        .ok_or_else(|| {
            Stop::error(
                "A slot/token must be supplied. Use --slot <number>, --serial <serial>, --token \
                 <label>, or --free",
            )
        })
}

/// The slot of a token that is there.
pub(super) fn present(module: &Module, args: &Softhsm2UtilArgs) -> Result<Slot> {
    if let Some(slot) = by_number(args)? {
        return Ok(slot);
    }
    by_name(module, args, "Could not find a slot/token using --serial, or --token")?.ok_or_else(
        || {
            Stop::error(
                "A slot/token must be supplied. Use --slot <number>, --serial <serial>, or \
                 --token <label>",
            )
        },
    )
}

/// The slot of the one token with a serial number.
pub(super) fn of_serial(module: &Module, serial: &str) -> Result<Slot> {
    all(module)?
        .into_iter()
        .find(|(_, info)| info.token_initialized() && info.serial_number() == serial)
        .map(|(slot, _)| slot)
        .ok_or_else(|| Stop::error("Could not find the initialized token."))
}

fn by_number(args: &Softhsm2UtilArgs) -> Result<Option<Slot>> {
    let Some(text) = &args.slot else { return Ok(None) };
    let number: i64 = text.trim().parse().map_err(|_| {
        // SoftHSM2 takes such a text for the number 0, which may be the slot of a token.
        Stop::error("The slot number is no number.")
    })?;
    let number = u64::try_from(number).map_err(|_| Stop::error("The slot number is negative."))?;
    Slot::try_from(number).map(Some).map_err(|_| Stop::error("The slot number is too large."))
}

fn by_name(module: &Module, args: &Softhsm2UtilArgs, none: &str) -> Result<Option<Slot>> {
    let Some(wanted) = Wanted::new(args)? else { return Ok(None) };
    let mut found = Vec::new();
    for (slot, info) in all(module)? {
        if info.token_initialized() && wanted.is(info.label(), info.serial_number()) {
            say(&format!("Found slot {} with matching {}.", slot.id(), wanted.what()))?;
            found.push(slot);
        }
    }
    match found.as_slice() {
        [slot] => Ok(Some(*slot)),
        [] => Err(Stop::error(none)),
        _ => Err(Stop::error("Found multiple matching slots/tokens.")),
    }
}

/// Every slot with a token that can be read.
fn all(module: &Module) -> Result<Vec<(Slot, TokenInfo)>> {
    let slots =
        module.get_slots_with_token().map_err(|_| Stop::error("Could not get the slot list."))?;
    Ok(slots
        .into_iter()
        .filter_map(|slot| Some((slot, module.get_token_info(slot).ok()?)))
        .collect())
}
