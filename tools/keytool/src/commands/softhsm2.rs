//! `import softhsm2`: through Strongroom's own store, because PKCS#11 lets nobody choose a serial
//! number, or say where a key comes from.

use std::collections::HashMap;
use std::path::Path;

use cryptoki::object::KeyType;
use serde::Serialize;
use strongroom_keystore::{Error, KeyPolicy, Role, Store, Token, Unlocked};
use strongroom_token::{Moved, Refusal, settle};
use strongroom_types::{AttributeInfo, Attributes, Class, Error as Code, attribute};

use super::outcome::{Missing, Outcome};
use super::store;
use crate::cli::ImportSofthsm2Args;
use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::output::Output;
use crate::pin::{Secret, Source};
use crate::progress::while_waiting;
use crate::softhsm2::{self, Master, Object};
use crate::table::visible;
use crate::uri::Uri;

const WHAT: &str = "cannot import from SoftHSM2";

/// What became of everything in the directory.
#[derive(Serialize)]
struct Report {
    tokens: Vec<Outcome>,
    /// Tokens of which nothing could be taken, and why.
    not_taken: Vec<String>,
}

/// `import softhsm2`.
pub(super) fn import(
    module: Option<&Path>,
    out: &Output,
    args: &ImportSofthsm2Args,
) -> Result<Exit> {
    let store = store::open_unsealed(module, &args.opener, WHAT)?;
    let mut report = Report { tokens: Vec::new(), not_taken: Vec::new() };
    let mut first = None;
    for token in choose(args)? {
        match token.and_then(|token| take(&store, out, args, &token)) {
            Ok(outcome) => report.tokens.push(outcome),
            Err(failure) => {
                let text: Vec<&str> = failure.lines().map(|(_, text)| text).collect();
                report.not_taken.push(text.join(": "));
                first.get_or_insert(failure);
            }
        }
    }
    if let (true, Some(failure)) = (report.tokens.is_empty(), first) {
        return Err(failure);
    }
    out.show(&report, |_| report.text())?;
    Ok(if report.is_whole() { Exit::Done } else { Exit::Partly })
}

/// The tokens that the options name. One that cannot be read has no name, so it counts only when
/// all are wanted.
fn choose(args: &ImportSofthsm2Args) -> Result<Vec<Result<softhsm2::Token>>> {
    let mut tokens = softhsm2::tokens(&args.dir)?;
    let Some(name) = &args.token.token else { return Ok(tokens) };
    let uri = Uri::is_uri(name).then(|| Uri::parse(name)).transpose()?;
    let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
    let fits = |token: &softhsm2::Token| match &uri {
        Some(uri) => same(&uri.token, &token.label) && same(&uri.serial, &token.serial),
        None => token.label == *name || token.serial == *name,
    };
    let all: Vec<String> = tokens.iter().flatten().map(softhsm2::Token::line).collect();
    tokens.retain(|token| token.as_ref().is_ok_and(fits));
    if tokens.is_empty() {
        return Err(Failure::new(Exit::NotFound, "there is no such token in the directory")
            .cause(format!("the tokens are: {}", all.join(", "))));
    }
    Ok(tokens)
}

/// What the user knows of a token.
struct Pins {
    so: Option<Secret>,
    user: Option<Secret>,
    master: Master,
}

impl Pins {
    fn read(token: &softhsm2::Token, args: &ImportSofthsm2Args) -> Result<Self> {
        let so = Source::from(&args.so_pin).read_if_known(&token.line())?;
        let user = match token.has_user_pin() {
            true => Source::from(&args.pin).read_if_known(&token.line())?,
            false => None,
        };
        let wrong = |what: &str| {
            Failure::new(Exit::Pin, format!("{what} of the token {} is wrong", token.line()))
                .help("it is the one that the token has in SoftHSM2; leave it out if it is lost")
        };
        let by_so = so.as_ref().map(|pin| token.open_as_so(pin).ok_or(wrong("the SO PIN")));
        let by_user = user.as_ref().map(|pin| token.open_as_user(pin).ok_or(wrong("the user PIN")));
        let master = match (by_so.transpose()?, by_user.transpose()?) {
            (Some(one), Some(other)) if one != other => {
                let cause = "its two PINs open different keys";
                return Err(Failure::content(format!("{} is damaged", token.line()), cause));
            }
            (Some(master), _) | (None, Some(master)) => master,
            (None, None) => {
                let what = format!("no PIN of the token {} was given", token.line());
                return Err(Failure::new(Exit::Pin, what)
                    .help("--pin-file FILE or --so-pin-file FILE, better both"));
            }
        };
        Ok(Self { so, user, master })
    }

    /// What the new token is going to lack.
    fn notes(&self, token: &softhsm2::Token) -> Vec<String> {
        let no_so = "the SO PIN was not given, so nobody knows that of the new token";
        let no_user = "the user PIN was not given, so it is not set: `strongroom token reset-pin`";
        let lacking =
            [(self.so.is_none(), no_so), (self.user.is_none() && token.has_user_pin(), no_user)];
        lacking.iter().filter(|row| row.0).map(|row| row.1.to_owned()).collect()
    }
}

fn take(
    store: &Store,
    out: &Output,
    args: &ImportSofthsm2Args,
    source: &softhsm2::Token,
) -> Result<Outcome> {
    let pins = Pins::read(source, args)?;
    let failure = |error: Error| store::failure(&format!("{WHAT}: {}", source.line()), &error);
    let mut outcome = Outcome::new(&source.label, &source.serial);
    let mut moved = Vec::new();
    for object in &source.objects {
        match open(object, &pins) {
            Ok(one) => moved.push((object, one)),
            Err(reason) => {
                let object = describe(object, &object.open(&pins.master).unwrap_or_default());
                outcome.not_taken.push(Missing { object, reason });
            }
        }
    }
    for (object, one) in impostors(&mut moved) {
        let object = describe(object, one.attributes());
        let reason = String::from("the private key of the same id has another public half");
        outcome.not_taken.push(Missing { object, reason });
    }
    outcome.notes.extend(remarks(&moved));
    while_waiting(out.progress, "taking over the token", || {
        let known = store.tokens()?.into_iter().find(|t| t.serial() == *source.serial.as_bytes());
        match known {
            Some(token) => {
                let keys = unlock(&token, &pins)?;
                let before = moved.len();
                moved.retain(|(_, one)| token.load(Some(&keys), one.id()).is_err());
                outcome.present = before.saturating_sub(moved.len());
                outcome.taken = add(&token, &keys, moved)?;
            }
            None => {
                outcome.notes.extend(pins.notes(source));
                let (token, keys) = make(store, source, &pins)?;
                // A token without its objects would look as if it had been taken over.
                outcome.taken = add(&token, &keys, moved).inspect_err(|_| {
                    let _gone = store.remove(&token);
                })?;
            }
        }
        Ok(())
    })
    .map_err(failure)?;
    Ok(outcome)
}

/// A token that is here already, opened by the PINs, which are still the same.
fn unlock(token: &Token, pins: &Pins) -> strongroom_keystore::Result<Unlocked> {
    match (&pins.user, &pins.so) {
        (Some(pin), _) => token.unlock(Role::User, pin.as_bytes()),
        (None, Some(pin)) => token.unlock(Role::SecurityOfficer, pin.as_bytes()),
        (None, None) => Err(Error::Locked),
    }
}

/// The new token, with the label, serial number and PINs of the old one.
fn make(
    store: &Store,
    source: &softhsm2::Token,
    pins: &Pins,
) -> strongroom_keystore::Result<(std::sync::Arc<Token>, Unlocked)> {
    let serial = source.serial.as_bytes().try_into().map_err(|_| {
        Error::Unsupported(String::from("the serial number has not sixteen digits"))
    })?;
    let mut label = [b' '; 32];
    for (place, byte) in label.iter_mut().zip(source.label.bytes()) {
        *place = byte;
    }
    let so = match &pins.so {
        Some(pin) => pin.clone(),
        None => unknown_pin()?,
    };
    let token = store.create_with_serial(&serial, &label, so.as_bytes())?;
    let prepare = || {
        if token.policy()? == KeyPolicy::Strict {
            return Err(Error::Unsupported(String::from(
                "nobody can vouch for what was done with the keys of a SoftHSM2 token; a strict token \
                 takes none of them: say [policy] default = \"standard\" while they are imported",
            )));
        }
        let keys = token.unlock(Role::SecurityOfficer, so.as_bytes())?;
        if let Some(pin) = &pins.user {
            token.set_user_pin(&keys, pin.as_bytes())?;
        }
        Ok(keys)
    };
    let keys = prepare().inspect_err(|_| {
        let _gone = store.remove(&token);
    })?;
    Ok((token, keys))
}

/// A PIN that nobody knows, and nobody guesses.
fn unknown_pin() -> strongroom_keystore::Result<Secret> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_| Error::Unsupported(String::from("there are no random numbers")))?;
    Ok(Secret::new(hex::encode(bytes.as_slice())))
}

fn add(
    token: &Token,
    keys: &Unlocked,
    moved: Vec<(&Object, Moved)>,
) -> strongroom_keystore::Result<usize> {
    let moved: Vec<Moved> = moved.into_iter().map(|(_, one)| one).collect();
    settle(token, keys, &moved)?;
    Ok(moved.len())
}

/// An object as it will be here, or the reason why it stays behind.
fn open(object: &Object, pins: &Pins) -> std::result::Result<Moved, String> {
    let attributes = object.open(&pins.master)?;
    let officer = pins.so.is_some();
    let moved = match Moved::new(object.id, &attributes, officer) {
        Err(Refusal::Object(Code::CurveNotSupported)) => {
            let other = softhsm2::with_other_type(&attributes).unwrap_or(attributes);
            Moved::new(object.id, &other, officer)
        }
        answer => answer,
    };
    moved.map_err(|refusal| match refusal {
        // The token crate has names for the types that it knows, which this is not.
        Refusal::KeyType(id) => match KeyType::try_from(id) {
            Ok(name) => format!("keys of type {name} are not supported"),
            Err(_) => refusal.to_string(),
        },
        refusal => refusal.to_string(),
    })
}

/// What should be known of objects that come.
fn remarks(moved: &[(&Object, Moved)]) -> Vec<String> {
    let mut notes = Vec::new();
    for (object, one) in moved.iter().filter(|(_, one)| !one.left_out().is_empty()) {
        let names = one.left_out().iter().map(|id| {
            AttributeInfo::find(*id).map_or_else(|| format!("{id:#x}"), |info| info.name.to_owned())
        });
        let names: Vec<String> = names.collect();
        let object = describe(object, one.attributes());
        notes.push(format!("{object}: without {}", names.join(", ")));
    }
    notes
}

/// Takes out the public keys that contradict the private key of their id and type: a public key is
/// in the clear in SoftHSM2, and anybody may have put another one there.
fn impostors<'a>(moved: &mut Vec<(&'a Object, Moved)>) -> Vec<(&'a Object, Moved)> {
    let of = |one: &Moved, class: Class| {
        let attributes = one.attributes();
        (attributes.get(attribute::CLASS) == Some(class.0)).then_some(())?;
        let name = (attributes.get(attribute::ID)?.to_vec(), attributes.get(attribute::KEY_TYPE)?);
        Some((name, attributes.get(attribute::PUBLIC_KEY_INFO)?.to_vec()))
    };
    let mut private: HashMap<_, Vec<_>> = HashMap::new();
    for (name, info) in moved.iter().filter_map(|(_, one)| of(one, Class::PRIVATE_KEY)) {
        private.entry(name).or_default().push(info);
    }
    let contradicts = |(_, one): &mut (&Object, Moved)| {
        of(one, Class::PUBLIC_KEY).is_some_and(|(name, info)| {
            private.get(&name).is_some_and(|halves| !halves.contains(&info))
        })
    };
    moved.extract_if(.., contradicts).collect()
}

/// Words for an object: class, label and id as far as they are known, and where it was.
fn describe(object: &Object, attributes: &Attributes) -> String {
    let class = match object.class().map(|class| (class, Class(class).name())) {
        Some((_, Some(name))) => name.to_owned(),
        Some((class, None)) => format!("class {class:#x}"),
        None => String::from("object"),
    };
    let label = attributes.get(attribute::LABEL).unwrap_or_default();
    let id = attributes.get(attribute::ID).unwrap_or_default();
    let mut text = class;
    if !label.is_empty() {
        text.push_str(&format!(" {}", visible(&String::from_utf8_lossy(label))));
    }
    if !id.is_empty() {
        text.push_str(&format!(" (id {})", hex::encode(id)));
    }
    format!("{text} in {}", visible(&object.name))
}

impl Report {
    fn is_whole(&self) -> bool {
        self.not_taken.is_empty() && self.tokens.iter().all(|token| token.not_taken.is_empty())
    }

    fn text(&self) -> String {
        let mut lines = Vec::new();
        for token in &self.tokens {
            lines.push(token.text("took over the token"));
        }
        lines.extend(self.not_taken.iter().map(|reason| format!("not taken: {reason}")));
        lines.join("\n")
    }
}
