//! A client that writes as a generation of the stock client does, from what is known of the wire: it
//! shares no line with the server.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::{self, JoinHandle};

use strongroom_p11kit::{Limits, Module, serve};
use strongroom_token::{Application, Config};

/// Opens an application on a store in a directory.
pub(crate) fn application(dir: &Path) -> Application {
    let config = dir.join("strongroom.toml");
    fs::write(&config, format!("[store]\npath = \"{}/store\"\n", dir.display())).unwrap();
    Application::open(Config::load(&config).unwrap()).unwrap()
}

/// A connection to a server in this process.
pub(crate) struct Client {
    stream: UnixStream,
    code: u32,
    /// The version that it offers.
    pub(crate) version: u8,
    server: Option<JoinHandle<()>>,
}

impl Client {
    /// Connects, and greets.
    pub(crate) fn new(dir: &Path, version: u8) -> Self {
        let mut client = Self::silent(dir, version);
        let greeting = b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1";
        client.call(1, "ayyay", "", &Body::new().ay(greeting).y(0).ay(b"\0")).unwrap();
        client
    }

    /// Connects, and agrees on the version.
    pub(crate) fn silent(dir: &Path, version: u8) -> Self {
        let (mut stream, peer) = UnixStream::pair().unwrap();
        let application = application(dir);
        let server = thread::spawn(move || {
            let module = Module::new(&application, strongroom_token::layouts);
            match serve(&peer, &peer, module, &Limits::default()) {
                // The client hung up before its answer came.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
                ended => ended.unwrap(),
            }
        });
        stream.write_all(&[version]).unwrap();
        let mut agreed = [0];
        stream.read_exact(&mut agreed).unwrap();
        assert_eq!(agreed, [version.min(2)]);
        Self { stream, code: 0x10, version, server: Some(server) }
    }

    /// Makes a call, and gives what its reply says, or the error.
    pub(crate) fn call(
        &mut self,
        id: u32,
        request: &str,
        reply: &str,
        arguments: &Body,
    ) -> Result<Reply, u64> {
        let code = self.send(id, request, arguments);
        let (answered, answer) = self.receive();
        assert_eq!(answered, code);
        outcome(answer, id, reply)
    }

    /// Sends a call, and does not wait.
    pub(crate) fn send(&mut self, id: u32, request: &str, arguments: &Body) -> u32 {
        let body = Body::new().number(id).string(request.as_bytes()).raw(&arguments.0);
        self.send_body(&body.0)
    }

    /// Sends a body that may be anything.
    pub(crate) fn send_body(&mut self, body: &[u8]) -> u32 {
        self.code += 1;
        let head = Body::new().number(self.code).number(6).number(length(body));
        self.stream.write_all(&[&head.0, b"client".as_slice(), body].concat()).unwrap();
        self.code
    }

    /// The next answer: its code and its body.
    pub(crate) fn receive(&mut self) -> (u32, Reply) {
        let mut head = [0; 12];
        self.stream.read_exact(&mut head).unwrap();
        let [code, options, body] =
            [0, 4, 8].map(|at| u32::from_be_bytes(head[at..at + 4].try_into().unwrap()));
        assert_eq!(options, 0);
        let mut bytes = vec![0; usize::try_from(body).unwrap()];
        self.stream.read_exact(&mut bytes).unwrap();
        (code, Reply(bytes, 0))
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stream.shutdown(std::net::Shutdown::Both).unwrap();
        let ended = self.server.take().unwrap().join();
        assert!(thread::panicking() || ended.is_ok(), "the server ends well");
    }
}

/// What an answer says: a reply to the call, or an error.
pub(crate) fn outcome(mut answer: Reply, id: u32, reply: &str) -> Result<Reply, u64> {
    let answered = answer.number();
    let signature = answer.string();
    if answered == 0 {
        assert_eq!(signature, b"u");
        let error = answer.u();
        answer.end();
        assert_ne!(error, 0);
        return Err(error);
    }
    assert_eq!((answered, &signature[..]), (id, reply.as_bytes()));
    Ok(answer)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

/// The value of an attribute.
pub(crate) enum Value<'a> {
    Byte(u8),
    Ulong(u64),
    String(&'a [u8]),
}

/// The arguments of a call.
#[derive(Clone, Default)]
pub(crate) struct Body(pub(crate) Vec<u8>);

impl Body {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn number(self, number: u32) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn string(self, bytes: &[u8]) -> Self {
        self.number(length(bytes)).raw(bytes)
    }

    pub(crate) fn y(self, byte: u8) -> Self {
        self.raw(&[byte])
    }

    pub(crate) fn u(self, number: u64) -> Self {
        self.raw(&number.to_be_bytes())
    }

    pub(crate) fn ay(self, bytes: &[u8]) -> Self {
        self.y(1).string(bytes)
    }

    /// A null pointer.
    pub(crate) fn null(self) -> Self {
        self.y(1).number(u32::MAX)
    }

    /// Room for bytes, numbers, ...
    pub(crate) fn room(self, room: u32) -> Self {
        self.number(room)
    }

    /// A mechanism that never has a parameter.
    pub(crate) fn plain(self, version: u8, mechanism: u32) -> Self {
        let body = self.number(mechanism);
        if version < 2 { body.number(u32::MAX) } else { body }
    }

    /// A mechanism with a parameter.
    pub(crate) fn with(self, version: u8, mechanism: u32, parameter: &Body) -> Self {
        let body = self.number(mechanism);
        if version < 2 { body } else { body.y(1) }.raw(&parameter.0)
    }

    /// A template.
    pub(crate) fn template(self, attributes: &[(u32, Value<'_>)]) -> Self {
        let count = u32::try_from(attributes.len()).unwrap();
        attributes.iter().fold(self.number(count), |body, (id, value)| {
            let body = body.number(*id).y(1);
            match value {
                Value::Byte(byte) => body.number(1).y(*byte),
                Value::Ulong(number) => body.number(8).u(*number),
                Value::String(bytes) => body.number(length(bytes)).string(bytes),
            }
        })
    }

    /// A template that waits for values.
    pub(crate) fn wanted(self, attributes: &[(u32, u32)]) -> Self {
        let count = u32::try_from(attributes.len()).unwrap();
        attributes
            .iter()
            .fold(self.number(count), |body, (id, room)| body.number(*id).number(*room))
    }
}

/// What came back, and how much of it has been read.
#[derive(Debug)]
pub(crate) struct Reply(pub(crate) Vec<u8>, pub(crate) usize);

impl Reply {
    pub(crate) fn raw(&mut self, count: usize) -> Vec<u8> {
        let bytes = self.0[self.1..self.1 + count].to_vec();
        self.1 += count;
        bytes
    }

    pub(crate) fn number(&mut self) -> u32 {
        u32::from_be_bytes(self.raw(4).try_into().unwrap())
    }

    pub(crate) fn string(&mut self) -> Vec<u8> {
        let len = self.number();
        self.raw(usize::try_from(len).unwrap())
    }

    pub(crate) fn y(&mut self) -> u8 {
        self.raw(1)[0]
    }

    pub(crate) fn u(&mut self) -> u64 {
        u64::from_be_bytes(self.raw(8).try_into().unwrap())
    }

    /// Bytes, or how many there would be.
    pub(crate) fn ay(&mut self) -> Result<Vec<u8>, u32> {
        if self.y() == 0 { Err(self.number()) } else { Ok(self.string()) }
    }

    /// Numbers, or how many there would be.
    pub(crate) fn au(&mut self) -> Result<Vec<u64>, u32> {
        let there = self.y() == 1;
        let count = self.number();
        if there { Ok((0..count).map(|_| self.u()).collect()) } else { Err(count) }
    }

    /// That nothing is left.
    pub(crate) fn end(&self) {
        assert_eq!(self.1, self.0.len(), "something is left");
    }
}
