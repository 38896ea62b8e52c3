//! `encrypt` and `decrypt`.

use cryptoki::object::{AttributeType, ObjectClass};
use zeroize::Zeroizing;

use super::Context;
use super::sign::CHUNK;
use crate::cipher::{Cipher, Task};
use crate::cli::CipherArgs;
use crate::errors::{During, Failure, Result};
use crate::exit::Exit;
use crate::files::{self, Input, Sink};
use crate::object::{self, Name, Object};
use crate::progress::Bar;
use crate::token::{Access, Token};

/// `encrypt`.
pub(super) fn encrypt(context: &Context, args: &CipherArgs) -> Result<()> {
    let job = Job::open(context, args, &[ObjectClass::PUBLIC_KEY, ObjectClass::SECRET_KEY])?;
    let mut input = Input::open(args.input.as_deref())?;
    let mut sink = Sink::public(args.output.out.as_deref())?;
    let iv = job.token.random(job.cipher.iv_len())?;
    sink.write(&iv)?;
    job.run(context, &mut input, &mut sink, iv, Direction::Encrypt)?;
    sink.finish()
}

/// `decrypt`.
pub(super) fn decrypt(context: &Context, args: &CipherArgs) -> Result<()> {
    let job = Job::open(context, args, &[ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY])?;
    let mut input = Input::open(args.input.as_deref())?;
    let mut sink = Sink::private(args.output.out.as_deref())?;
    let mut iv = Vec::new();
    input.fill(&mut iv, job.cipher.iv_len())?;
    if iv.len() < job.cipher.iv_len() {
        return Err(Failure::new(Exit::Invalid, "the encrypted data is too short")
            .help("it starts with the IV, as `strongroom encrypt` writes it"));
    }
    job.run(context, &mut input, &mut sink, iv, Direction::Decrypt)?;
    sink.finish()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Encrypt,
    Decrypt,
}

/// A key and a cipher, ready for data.
struct Job<'m> {
    token: Token<'m>,
    key: Object,
    cipher: Cipher,
    aad: Zeroizing<Vec<u8>>,
}

impl<'m> Job<'m> {
    fn open(context: &'m Context, args: &CipherArgs, classes: &[ObjectClass]) -> Result<Self> {
        let name = Name::parse(&args.key.key)?;
        let token = Token::choose(&context.module, &args.key.login, name.uri(), Access::Read)?;
        let key = object::one_public_first(&token, &name, classes)?;
        let cipher = Cipher::choose(args.mechanism.as_deref(), key.key_type, Task::Crypt)?;
        if args.aad_file.is_some() && !cipher.takes_aad() {
            return Err(Failure::usage(format!("{} takes no additional data", cipher.name))
                .help("--aad-file goes with aes-gcm"));
        }
        let aad = args.aad_file.as_deref().map(files::document).transpose()?.unwrap_or_default();
        Ok(Self { token, key, cipher, aad })
    }

    fn run(
        &self,
        context: &Context,
        input: &mut Input,
        sink: &mut Sink,
        mut iv: Vec<u8>,
        direction: Direction,
    ) -> Result<()> {
        let mut bar = Bar::new(context.out.progress, input.len);
        let mut chunk = Zeroizing::new(Vec::with_capacity(CHUNK));
        input.fill(&mut chunk, CHUNK)?;
        let careful = self.key.is(&self.token, AttributeType::AlwaysAuthenticate);
        if chunk.len() < CHUNK && !careful {
            return sink.write(&self.whole(&chunk, &mut iv, direction)?);
        }
        if !self.cipher.parts() && chunk.len() == CHUNK {
            return Err(Failure::new(Exit::Refused, "the data is too long for an RSA key")
                .help("encrypt it with an AES key, and wrap that with the RSA key"));
        }
        self.start(&mut iv, direction, careful)?;
        // What is on standard output cannot be taken back when the tag turns out to be wrong.
        let hold = direction == Direction::Decrypt && sink.is_stdout();
        let mut held = Zeroizing::new(Vec::new());
        while !chunk.is_empty() {
            let part = self.update(&chunk, direction)?;
            if hold {
                files::append(&mut held, &part)
            } else {
                sink.write(&part)?
            }
            bar.advance(chunk.len());
            input.fill(&mut chunk, CHUNK)?;
        }
        let last = self.last(direction)?;
        sink.write(&held)?;
        sink.write(&last)
    }

    fn what(&self, direction: Direction) -> String {
        let verb = if direction == Direction::Encrypt { "encrypt" } else { "decrypt" };
        format!("cannot {verb} with the key {} by {}", self.key.label, self.cipher.name)
    }

    fn whole(
        &self,
        data: &[u8],
        iv: &mut [u8],
        direction: Direction,
    ) -> Result<Zeroizing<Vec<u8>>> {
        let mechanism = self.cipher.mechanism(iv, &self.aad)?;
        match direction {
            Direction::Encrypt => self.token.session.encrypt(&mechanism, self.key.handle, data),
            Direction::Decrypt => self.token.session.decrypt(&mechanism, self.key.handle, data),
        }
        .map(Zeroizing::new)
        .during(self.what(direction))
    }

    fn start(&self, iv: &mut [u8], direction: Direction, careful: bool) -> Result<()> {
        let mechanism = self.cipher.mechanism(iv, &self.aad)?;
        match direction {
            Direction::Encrypt => self.token.session.encrypt_init(&mechanism, self.key.handle),
            Direction::Decrypt => self.token.session.decrypt_init(&mechanism, self.key.handle),
        }
        .during(self.what(direction))?;
        if careful { self.token.log_in_for_this_use() } else { Ok(()) }
    }

    fn update(&self, part: &[u8], direction: Direction) -> Result<Zeroizing<Vec<u8>>> {
        match direction {
            Direction::Encrypt => self.token.session.encrypt_update(part),
            Direction::Decrypt => self.token.session.decrypt_update(part),
        }
        .map(Zeroizing::new)
        .during(self.what(direction))
    }

    fn last(&self, direction: Direction) -> Result<Zeroizing<Vec<u8>>> {
        match direction {
            Direction::Encrypt => self.token.session.encrypt_final(),
            Direction::Decrypt => self.token.session.decrypt_final(),
        }
        .map(Zeroizing::new)
        .during(self.what(direction))
    }
}
