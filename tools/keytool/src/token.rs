//! Choosing a token, and being in session with it.

use std::cell::Cell;
use std::io::Write;
use std::sync::Once;

use cryptoki::error::{Error as ModuleError, RvError};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};

use crate::cli::{LoginArgs, TokenArgs};
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::module::Module;
use crate::pin::{self, Secret, Source, SourceWithUri};
use crate::uri::Uri;

/// A slot with a token, before any session.
pub(crate) struct Place {
    pub(crate) slot: Slot,
    pub(crate) info: TokenInfo,
}

impl Place {
    fn is(&self, name: &str) -> bool {
        self.info.label() == name || self.info.serial_number() == name
    }

    fn fits(&self, uri: &Uri) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        same(&uri.token, self.info.label())
            && same(&uri.serial, self.info.serial_number())
            && same(&uri.manufacturer, self.info.manufacturer_id())
            && same(&uri.model, self.info.model())
            && uri.slot.is_none_or(|slot| slot == self.slot.id())
    }

    /// A session with the token, in which nobody has logged in.
    pub(crate) fn session(&self, module: &Module, access: Access) -> Result<Session> {
        match access {
            Access::Read => module.open_ro_session(self.slot),
            Access::Write => module.open_rw_session(self.slot),
        }
        .during(format!("cannot open a session with the token {}", self.info.label()))
    }

    /// One line that tells tokens apart.
    fn line(&self) -> String {
        format!("{} (serial {})", self.info.label(), self.info.serial_number())
    }

    /// The URI of the token.
    pub(crate) fn uri(&self) -> Uri {
        Uri {
            token: Some(self.info.label().to_owned()),
            serial: Some(self.info.serial_number().to_owned()),
            ..Uri::default()
        }
    }
}

/// Every slot with a token in it, initialised or not, and why those that cannot be read cannot.
pub(crate) fn ask(module: &Module) -> Result<Vec<Result<Place>>> {
    let slots = module.get_slots_with_token().during("cannot list the slots")?;
    let ask = |slot: Slot| {
        let info = module
            .get_token_info(slot)
            .during(format!("cannot ask about the token in slot {}", slot.id()))?;
        Ok(Place { slot, info })
    };
    Ok(slots.into_iter().map(ask).collect())
}

/// Every slot with a token in it that can be read. Others are left out, which is said once.
pub(crate) fn places(module: &Module) -> Result<Vec<Place>> {
    static SAID: Once = Once::new();
    let (places, left_out) = readable(ask(module)?)?;
    SAID.call_once(|| {
        for failure in left_out {
            let text: Vec<&str> = failure.lines().map(|(_, text)| text).collect();
            // There is nobody left to tell when standard error is closed.
            let _unheard = writeln!(std::io::stderr(), "warning: left out: {}", text.join("; "));
        }
    });
    Ok(places)
}

/// What could be read, and the failures; the first failure when nothing could be read.
fn readable<T>(asked: Vec<Result<T>>) -> Result<(Vec<T>, Vec<Failure>)> {
    let mut read = Vec::new();
    let mut failures = Vec::new();
    for answer in asked {
        match answer {
            Ok(place) => read.push(place),
            Err(failure) => failures.push(failure),
        }
    }
    if read.is_empty() && !failures.is_empty() {
        return Err(failures.swap_remove(0));
    }
    Ok((read, failures))
}

/// The token that the option names, or the object's URI, or the only one.
pub(crate) fn choose(module: &Module, args: &TokenArgs, object: Option<&Uri>) -> Result<Place> {
    let mut places = places(module)?;
    places.retain(|place| place.info.token_initialized());
    let all: Vec<String> = places.iter().map(Place::line).collect();
    let uri = match &args.token {
        Some(name) if Uri::is_uri(name) => Some(Uri::parse(name)?),
        Some(name) => {
            places.retain(|place| place.is(name));
            None
        }
        None => object.cloned(),
    };
    if let Some(uri) = &uri {
        places.retain(|place| place.fits(uri));
    }
    let named = args.token.is_some() || uri.as_ref().is_some_and(Uri::names_token);
    let several = places.len() > 1;
    match places.pop() {
        Some(place) if !several => Ok(place),
        found => Err(not_one(&all, named, found.is_some())),
    }
}

fn not_one(all: &[String], named: bool, several: bool) -> Failure {
    let list = format!("the tokens are: {}", all.join(", "));
    if all.is_empty() {
        return Failure::new(Exit::NotFound, "there is no initialised token")
            .help("make one: `strongroom token init --label LABEL`");
    }
    if several {
        let what = if named { "several tokens have that name" } else { "which token?" };
        return Failure::new(Exit::Ambiguous, what)
            .cause(list)
            .help("choose one with --token LABEL, --token SERIAL or --token URI");
    }
    Failure::new(Exit::NotFound, "there is no token of that name").cause(list)
}

/// A session with a token.
pub(crate) struct Token<'m> {
    pub(crate) module: &'m Module,
    pub(crate) place: Place,
    pub(crate) session: Session,
    pin: Option<(Source, Option<Uri>)>,
    logged_in: Cell<bool>,
    context_pin: std::cell::OnceCell<Secret>,
}

/// What a command is going to do to the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Look and use.
    Read,
    /// Make, change or delete objects.
    Write,
}

impl<'m> Token<'m> {
    /// Opens a session without logging in.
    pub(crate) fn open(module: &'m Module, place: Place, access: Access) -> Result<Self> {
        Ok(Self {
            module,
            session: place.session(module, access)?,
            place,
            pin: None,
            logged_in: Cell::new(false),
            context_pin: std::cell::OnceCell::new(),
        })
    }

    /// Chooses a token and opens a session that can log in later, if it must.
    pub(crate) fn choose(
        module: &'m Module,
        login: &LoginArgs,
        object: Option<&Uri>,
        access: Access,
    ) -> Result<Self> {
        let place = choose(module, &login.token, object)?;
        let mut token = Self::open(module, place, access)?;
        let named = login.token.token.as_deref().filter(|name| Uri::is_uri(name));
        let uri = match named {
            Some(name) => Some(Uri::parse(name)?),
            None => object.cloned(),
        };
        token.pin = Some((Source::from(&login.pin), uri));
        Ok(token)
    }

    /// Chooses a token and logs the user in.
    pub(crate) fn login(
        module: &'m Module,
        login: &LoginArgs,
        object: Option<&Uri>,
        access: Access,
    ) -> Result<Self> {
        let token = Self::choose(module, login, object, access)?;
        token.log_in()?;
        Ok(token)
    }

    /// Logs the user in, once.
    pub(crate) fn log_in(&self) -> Result<()> {
        if self.logged_in.get() || !self.place.info.login_required() {
            return Ok(());
        }
        if !self.place.info.user_pin_initialized() {
            return Err(Failure::new(Exit::Pin, "the user PIN of this token is not set")
                .help("set it with the SO PIN: `strongroom token reset-pin`"));
        }
        let secret = self.pin_source().read()?;
        self.log_in_as(UserType::User, &secret)?;
        self.logged_in.set(true);
        let _first = self.context_pin.set(secret);
        Ok(())
    }

    /// Logs in with a PIN that is at hand.
    pub(crate) fn log_in_as(&self, user: UserType, secret: &Secret) -> Result<()> {
        let who = if matches!(user, UserType::So) { "the security officer" } else { "the user" };
        let what = format!("cannot log {who} in to the token {}", self.place.info.label());
        match self.session.login(user, Some(&pin::auth(secret))) {
            Err(ModuleError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            answer => answer.during(what),
        }
    }

    /// Gives the PIN again, as keys with CKA_ALWAYS_AUTHENTICATE want for every use.
    pub(crate) fn log_in_for_this_use(&self) -> Result<()> {
        let read;
        let secret = match self.context_pin.get() {
            Some(secret) => secret,
            None => {
                read = self.pin_source().read()?;
                &read
            }
        };
        self.log_in_as(UserType::ContextSpecific, secret)
    }

    fn pin_source(&self) -> SourceWithUri {
        match &self.pin {
            Some((source, uri)) => source.clone().or_uri(uri.as_ref()),
            None => Source::from(&crate::cli::PinArgs::default()).or_uri(None),
        }
    }

    /// Random bytes of the token's generator.
    pub(crate) fn random(&self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        self.session
            .generate_random_slice(&mut bytes)
            .during("cannot get random bytes from the token")?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_unreadable_token_does_not_hide_the_others() {
        let damaged = |what: &str| Err(Failure::new(Exit::Module, what));
        assert!(readable::<u8>(Vec::new()).is_ok_and(|(read, _)| read.is_empty()));
        let some = readable(vec![Ok(1), damaged("two"), Ok(3)]);
        assert!(some.is_ok_and(|(read, failures)| read == [1, 3] && failures.len() == 1));
        let none = readable::<u8>(vec![damaged("one"), damaged("two")]);
        assert!(none.is_err_and(|failure| failure.lines().next() == Some(("error", "one"))));
    }
}
