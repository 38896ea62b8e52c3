//! `token init|list|show|set-pin|reset-pin`.

use std::path::Path;

use cryptoki::session::UserType;
use cryptoki::slot::{Limit, TokenInfo};
use serde::Serialize;
use strongroom_keystore::KeyPolicy;
use strongroom_token::PIN_LEN;

use super::{Context, store};
use crate::cli::{TokenArgs, TokenInitArgs, TokenListArgs, TokenResetPinArgs, TokenSetPinArgs};
use crate::confirm::confirm;
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::module::Module;
use crate::output::{Output, Paint, Style};
use crate::pin::{self, Secret, Source};
use crate::policy;
use crate::progress::while_waiting;
use crate::table::{record, table, visible};
use crate::token::{self, Access, Place, Token};

/// What is shown of a token.
#[derive(Serialize)]
struct View {
    slot: u64,
    initialized: bool,
    label: String,
    serial: String,
    manufacturer: String,
    model: String,
    uri: String,
    login_required: bool,
    write_protected: bool,
    user_pin: &'static str,
    so_pin: &'static str,
    pin_length: [usize; 2],
    sessions: Option<u64>,
    max_sessions: Option<u64>,
    firmware: String,
    /// What may be done with its keys; nothing where it was not asked, or the module has no policies.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// What the flags of a PIN mean: the worst is said.
const LOCKED: &str = "locked";

fn pin_state(set: bool, locked: bool, last: bool, low: bool, change: bool) -> &'static str {
    let states = [
        (!set, "not set"),
        (locked, LOCKED),
        (last, "one try left"),
        (low, "wrong tries"),
        (change, "to be changed"),
    ];
    states.iter().find(|state| state.0).map_or("ok", |state| state.1)
}

impl View {
    fn new(place: &Place) -> Self {
        let info = &place.info;
        Self {
            slot: place.slot.id(),
            initialized: info.token_initialized(),
            label: info.label().to_owned(),
            serial: info.serial_number().to_owned(),
            manufacturer: info.manufacturer_id().to_owned(),
            model: info.model().to_owned(),
            uri: place.uri().to_string(),
            login_required: info.login_required(),
            write_protected: info.write_protected(),
            user_pin: user_pin(info),
            so_pin: so_pin(info),
            pin_length: [info.min_pin_length(), info.max_pin_length()],
            sessions: info.session_count(),
            max_sessions: match info.max_session_count() {
                Limit::Max(most) => Some(most),
                Limit::Infinite | Limit::Unavailable => None,
            },
            firmware: info.firmware_version().to_string(),
            policy: None,
        }
    }

    /// The same, with what only a session tells.
    fn of(token: &Token<'_>, place: &Place) -> Result<Self> {
        Ok(Self { policy: policy::of(&token.session)?, ..Self::new(place) })
    }

    fn row(&self, paint: &Paint) -> Vec<String> {
        let style = if self.user_pin == "ok" { Style::Good } else { Style::Warn };
        let state = if self.initialized { self.user_pin } else { "uninitialised" };
        vec![
            visible(&self.label),
            visible(&self.serial),
            self.slot.to_string(),
            visible(&self.model),
            paint.paint(style, state),
        ]
    }
}

fn user_pin(info: &TokenInfo) -> &'static str {
    pin_state(
        info.user_pin_initialized(),
        info.user_pin_locked(),
        info.user_pin_final_try(),
        info.user_pin_count_low(),
        info.user_pin_to_be_changed(),
    )
}

fn so_pin(info: &TokenInfo) -> &'static str {
    pin_state(
        info.token_initialized(),
        info.so_pin_locked(),
        info.so_pin_final_try(),
        info.so_pin_count_low(),
        info.so_pin_to_be_changed(),
    )
}

/// `token list`.
pub(super) fn list(context: &Context, args: &TokenListArgs) -> Result<()> {
    let mut places = token::places(&context.module)?;
    places.retain(|place| args.all || place.info.token_initialized());
    let views: Vec<View> = places.iter().map(View::new).collect();
    context.out.show(&views, |paint| {
        if views.is_empty() {
            return String::from("no tokens; make one: strongroom token init --label LABEL");
        }
        let rows: Vec<Vec<String>> = views.iter().map(|view| view.row(paint)).collect();
        table(paint, &["LABEL", "SERIAL", "SLOT", "MODEL", "USER PIN"], &rows)
    })
}

/// `token show`.
pub(super) fn show(context: &Context, args: &TokenArgs) -> Result<()> {
    let place = token::choose(&context.module, args, None)?;
    let token = Token::open(&context.module, place, Access::Read)?;
    let view = View::of(&token, &token.place)?;
    let module = context.module.description()?;
    context.out.show(&view, |paint| {
        let [least, most] = view.pin_length;
        record(
            paint,
            &[
                ("label", view.label.clone()),
                ("serial", view.serial.clone()),
                ("slot", view.slot.to_string()),
                ("manufacturer", view.manufacturer.clone()),
                ("model", format!("{} {}", view.model, view.firmware)),
                ("module", format!("{} ({})", module, context.module.path.display())),
                ("user PIN", view.user_pin.to_owned()),
                ("SO PIN", view.so_pin.to_owned()),
                ("policy", view.policy.clone().unwrap_or_else(|| "none".to_owned())),
                ("PIN length", format!("{least} to {most} bytes")),
                ("write protected", if view.write_protected { "yes" } else { "no" }.to_owned()),
                ("URI", view.uri.clone()),
            ],
        )
    })
}

/// `token init`, with the policy that the configuration says.
pub(super) fn init(context: &Context, args: &TokenInitArgs) -> Result<()> {
    check_label(&args.label)?;
    let place = free_place(&context.module, args)?;
    let (so_pin, user_pin) = new_pins(&place, args)?;
    context
        .module
        .init_token(place.slot, &pin::auth(&so_pin), &args.label)
        .during("cannot initialise the token")?;
    let place = again(&context.module, |now| now.slot == place.slot, &args.label)?;
    let token = Token::open(&context.module, place, Access::Write)?;
    token.log_in_as(UserType::So, &so_pin)?;
    token.session.init_pin(&pin::auth(&user_pin)).during("cannot set the user PIN")?;
    token.session.logout().during("cannot log out")?;
    let place = again(&context.module, |now| now.slot == token.place.slot, &args.label)?;
    made(&context.out, &token, &place)
}

/// `token init --policy`. The PKCS#11 interface has no word for it, so Strongroom's own store makes the
/// token: it has this policy from its first moment, or is not there.
pub(super) fn init_with_policy(
    module: Option<&Path>,
    out: &Output,
    args: &TokenInitArgs,
    policy: KeyPolicy,
) -> Result<()> {
    check_label(&args.label)?;
    let store = store::of_policy(module, policy)?;
    // The module goes again: two copies of SQLite in one process must not have the same file open.
    let place = free_place(&Module::load(module)?, args)?;
    let (so_pin, user_pin) = new_pins(&place, args)?;
    for (pin, whose) in [(&so_pin, "SO PIN"), (&user_pin, "user PIN")] {
        check_pin(pin, whose)?;
    }
    let erased = place.info.token_initialized().then(|| place.info.serial_number());
    let serial = while_waiting(out.progress, "making the token", || {
        store::initialise(&store, erased, &args.label, &so_pin, &user_pin)
    })?;
    drop(store);
    let module = Module::load(module)?;
    let token = again(&module, |place| place.info.serial_number() == serial, &args.label)?;
    let token = Token::open(&module, token, Access::Read)?;
    made(out, &token, &token.place)
}

fn check_label(label: &str) -> Result<()> {
    if label.len() > 32 || label.is_empty() {
        return Err(Failure::usage("the label must have 1 to 32 bytes"));
    }
    Ok(())
}

/// As `C_InitToken` and `C_InitPIN` do.
fn check_pin(pin: &Secret, whose: &str) -> Result<()> {
    let (least, most) = PIN_LEN;
    if u64::try_from(pin.len()).is_ok_and(|len| (least..=most).contains(&len)) {
        return Ok(());
    }
    Err(Failure::new(Exit::Pin, format!("the token does not take this {whose}"))
        .cause(format!("it has {} bytes", pin.len()))
        .help(format!("choose one of {least} to {most} bytes")))
}

/// The PINs of a new token: of the security officer, whose PIN stays if the token is erased, and of the
/// user.
fn new_pins(place: &Place, args: &TokenInitArgs) -> Result<(Secret, Secret)> {
    let so_pin = Source::from(&args.so_pin);
    let so_pin = if place.info.token_initialized() { so_pin.read() } else { so_pin.read_new() }?;
    Ok((so_pin, Source::from(&args.pin).read_new()?))
}

fn made(out: &Output, token: &Token<'_>, place: &Place) -> Result<()> {
    let view = View::of(token, place)?;
    let sentence = format!("made the token {} (serial {})", view.label, view.serial);
    out.done(&view, &sentence)
}

/// The slot to make the token in.
fn free_place(module: &Module, args: &TokenInitArgs) -> Result<Place> {
    let mut places = token::places(module)?.into_iter();
    let Some(slot) = args.slot else {
        return places.find(|place| !place.info.token_initialized()).ok_or_else(|| {
            Failure::new(Exit::NotFound, "there is no free slot")
                .help("erase a token that is no longer needed: --slot NUMBER --erase")
        });
    };
    let place = places.find(|place| place.slot.id() == slot).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no slot {slot} with a token in it"))
            .help("`strongroom token list --all` shows the slots")
    })?;
    if place.info.token_initialized() {
        let label = visible(place.info.label());
        if !args.erase {
            return Err(Failure::new(
                Exit::Refused,
                format!("slot {slot} holds the token {label}"),
            )
            .help("leave out --slot to use a free one, or add --erase to lose its keys"));
        }
        confirm(&format!("Erase the token {label} and every key in it?"), args.yes)?;
    }
    Ok(place)
}

/// The token after a change: the one that `is` tells, or the last one of its label, since the module may
/// have given it another slot.
fn again(module: &Module, is: impl Fn(&Place) -> bool, label: &str) -> Result<Place> {
    let mut places = token::places(module)?;
    let at = places
        .iter()
        .position(|place| is(place) && place.info.token_initialized())
        .or_else(|| places.iter().rposition(|place| place.info.label() == label));
    at.map(|at| places.swap_remove(at))
        .ok_or_else(|| Failure::new(Exit::Failed, "the new token is not there"))
}

/// `token set-pin`.
pub(super) fn set_pin(context: &Context, args: &TokenSetPinArgs) -> Result<()> {
    let place = token::choose(&context.module, &args.token, None)?;
    let token = Token::open(&context.module, place, Access::Write)?;
    let (user, source, name) = if args.so {
        (UserType::So, Source::from(&args.so_pin), "SO PIN")
    } else {
        (UserType::User, Source::from(&args.pin), "user PIN")
    };
    let old = source.read()?;
    token.log_in_as(user, &old)?;
    let new = Source::from(&args.new_pin).read_new()?;
    token
        .session
        .set_pin(&pin::auth(&old), &pin::auth(&new))
        .during(format!("cannot change the {name}"))?;
    changed(context, &token, &format!("changed the {name}"))
}

/// `token reset-pin`.
pub(super) fn reset_pin(context: &Context, args: &TokenResetPinArgs) -> Result<()> {
    let place = token::choose(&context.module, &args.token, None)?;
    let token = Token::open(&context.module, place, Access::Write)?;
    token.log_in_as(UserType::So, &Source::from(&args.so_pin).read()?)?;
    let new = Source::from(&args.new_pin).read_new()?;
    token.session.init_pin(&pin::auth(&new)).during("cannot set the user PIN")?;
    changed(context, &token, "set the user PIN")
}

fn changed(context: &Context, token: &Token<'_>, what: &str) -> Result<()> {
    let info =
        context.module.get_token_info(token.place.slot).during("cannot ask about the token")?;
    let view = View::new(&Place { slot: token.place.slot, info });
    context.out.done(&view, &format!("{what} of the token {}", visible(&view.label)))
}
