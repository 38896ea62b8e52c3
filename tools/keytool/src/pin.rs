//! Where PINs and passwords come from: a file, a variable, a descriptor, a URI, or a prompt.
//! Never an argument, which every user of the machine can read.

use std::fs::File;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use cryptoki::types::AuthPin;
use zeroize::Zeroizing;

use crate::errors::{Failure, Result};
use crate::exit::Exit;
use crate::uri::Uri;

/// A PIN or password. It wipes itself, and nothing here formats it.
pub(crate) type Secret = Zeroizing<String>;

/// No PIN is longer; a file that is was named by mistake.
const MAX_LEN: u64 = 4096;

/// The places to look for one secret.
#[derive(Clone, Default)]
pub(crate) struct Source {
    /// What it is, for prompts and errors: "the user PIN".
    pub(crate) what: &'static str,
    /// The start of the options that name a place: "pin" for `--pin-file`.
    pub(crate) stem: &'static str,
    /// The environment variable that is read when no option says otherwise.
    pub(crate) variable: &'static str,
    pub(crate) file: Option<PathBuf>,
    pub(crate) env: Option<String>,
    pub(crate) fd: Option<u32>,
}

impl Source {
    /// Adds what a URI says about the PIN, which yields to the options.
    pub(crate) fn or_uri(self, uri: Option<&Uri>) -> SourceWithUri {
        SourceWithUri { uri: uri.cloned(), source: self }
    }

    /// A secret that exists: asked for once.
    pub(crate) fn read(&self) -> Result<Secret> {
        match self.given()? {
            Some(secret) => Ok(secret),
            None => self.prompt(self.what),
        }
    }

    /// A secret that is being set: a prompt asks for it twice.
    pub(crate) fn read_new(&self) -> Result<Secret> {
        if let Some(secret) = self.given()? {
            return Ok(secret);
        }
        let first = self.prompt(self.what)?;
        let second = self.prompt(&format!("{} again", self.what))?;
        if first == second {
            return Ok(first);
        }
        Err(Failure::usage(format!("the two entries of {} differ", self.what))
            .help("type the same one twice"))
    }

    /// A secret that the user may not have: an empty answer, and no terminal to ask on, leave it
    /// out.
    pub(crate) fn read_if_known(&self, whose: &str) -> Result<Option<Secret>> {
        if let Some(secret) = self.given()? {
            return Ok(Some(secret));
        }
        if !is_terminal() {
            return Ok(None);
        }
        let answer = self.prompt(&format!("{} of {whose}, or nothing if it is lost", self.what))?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// What options or environment give, if anything.
    pub(crate) fn given(&self) -> Result<Option<Secret>> {
        match self.named()? {
            Some(secret) => Ok(Some(secret)),
            None => Ok(std::env::var(self.variable).ok().map(Zeroizing::new)),
        }
    }

    fn named(&self) -> Result<Option<Secret>> {
        if let Some(path) = &self.file {
            return read_file(path).map(Some);
        }
        if let Some(variable) = &self.env {
            let value = std::env::var(variable).map_err(|error| {
                Failure::new(Exit::Pin, format!("cannot read {} from ${variable}", self.what))
                    .cause(error)
                    .help(format!("set the variable, or use --{}-file FILE", self.stem))
            })?;
            return Ok(Some(Zeroizing::new(value)));
        }
        // The system's own way to open a descriptor again; taking it over would be unsafe.
        self.fd.map(|fd| read_file(Path::new(&format!("/dev/fd/{fd}")))).transpose()
    }

    fn prompt(&self, what: &str) -> Result<Secret> {
        if !is_terminal() {
            return Err(self.missing("there is no terminal to ask on"));
        }
        rpassword::prompt_password(format!("Enter {what}: "))
            .map(Zeroizing::new)
            .map_err(|error| self.missing(&error.to_string()))
    }

    fn missing(&self, cause: &str) -> Failure {
        Failure::new(Exit::Pin, format!("{} is needed", self.what)).cause(cause).help(format!(
            "give it with --{0}-file FILE, --{0}-env VARIABLE, --{0}-fd NUMBER, or in {1}",
            self.stem, self.variable
        ))
    }
}

fn is_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stderr().is_terminal()
}

/// A source, and the URI that named the token or the object.
pub(crate) struct SourceWithUri {
    source: Source,
    uri: Option<Uri>,
}

impl SourceWithUri {
    /// The secret: by the options, else the URI, else the environment, else a prompt.
    pub(crate) fn read(&self) -> Result<Secret> {
        if let Some(secret) = self.source.named()? {
            return Ok(secret);
        }
        match self.of_uri()? {
            Some(secret) => Ok(secret),
            None => self.source.read(),
        }
    }

    fn of_uri(&self) -> Result<Option<Secret>> {
        let Some(uri) = &self.uri else { return Ok(None) };
        if let Some(value) = &uri.pin_value {
            return Ok(Some(value.clone()));
        }
        let Some(source) = &uri.pin_source else { return Ok(None) };
        // RFC 7512 lets `|` start a program; a name must not run one.
        if source.starts_with('|') {
            return Err(Failure::usage("a pin-source that runs a program is not supported")
                .help("use pin-source=file:/path/of/a/file"));
        }
        let path = source.strip_prefix("file:").unwrap_or(source);
        let path =
            path.strip_prefix("//").map_or(path, |rest| rest.trim_start_matches("localhost"));
        read_file(Path::new(path)).map(Some)
    }
}

/// The content of a file, without one newline at its end.
fn read_file(path: &Path) -> Result<Secret> {
    let failure = |error: &std::io::Error| Failure::file("read a secret from", path, error);
    let mut bytes = Zeroizing::new(Vec::with_capacity(256));
    File::open(path)
        .and_then(|file| file.take(MAX_LEN + 1).read_to_end(&mut bytes))
        .map_err(|error| failure(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_LEN) {
        return Err(Failure::new(Exit::File, format!("{} is too long for a PIN", path.display()))
            .help("name the file that holds the PIN, and nothing else"));
    }
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        Failure::content(format!("{} does not hold a PIN", path.display()), error)
            .help("PINs are UTF-8 text")
    })?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    Ok(Zeroizing::new(text.to_owned()))
}

/// The form in which the PKCS#11 binding wants it; that wipes itself, too.
pub(crate) fn auth(secret: &Secret) -> AuthPin {
    AuthPin::from(secret.as_str())
}
