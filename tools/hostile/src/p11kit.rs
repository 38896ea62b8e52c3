//! The wire of p11-kit: a client sends whatever the fuzzer made up, and the application below it
//! answers so too. What goes back must be frames, one for each that came whole.
//!
//! What is understood is written as a client writes it ([`request`]), and must be understood as the same;
//! so must be what was not read before: a request of our own wire. What goes back is read as a client
//! reads it ([`reply`]), and must say what the application gave.

mod reply;
mod request;

use std::sync::Mutex;

use strongroom_functions::{Broken, ROWS, Remote, Row, Transport, refusal, serve};
use strongroom_p11kit::{Limits, Module};
use strongroom_types::{Bytes, Error, Field, Layout, MechanismType};

/// The most bytes of a body.
const BODY: u32 = 1 << 16;
/// The versions that clients offer.
const VERSIONS: [u8; 3] = [0, 1, 2];
/// The request for the mechanism of messages, which others begin with, and an answer to it.
const MESSAGE_MECHANISM: &[u8] = &[0, 0x80];
const SOME_MECHANISM: &[u8] = &[0, 7, 0, 0, 0, 0, 0, 0, 0];

/// The application below: what it answers, and what it was asked.
struct Application<'a> {
    /// A length of one byte and the answer, one after the other; or the same answer for ever.
    answers: Mutex<&'a [u8]>,
    always: Option<&'a [u8]>,
    asked: Mutex<Vec<(Bytes, Bytes)>>,
}

impl<'a> Application<'a> {
    fn answering(answers: &'a [u8]) -> Self {
        Self { answers: Mutex::new(answers), always: None, asked: Mutex::default() }
    }

    fn always(answer: &'a [u8]) -> Self {
        Self { always: Some(answer), ..Self::answering(&[]) }
    }

    fn next(&self) -> &'a [u8] {
        let mut left = self.answers.lock().unwrap();
        let (length, rest) = left.split_first().unwrap_or((&0, &[]));
        let (answer, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        *left = rest;
        answer
    }

    /// The requests of functions, with what was answered.
    fn asked(self) -> Vec<(Bytes, Bytes)> {
        let mut asked = self.asked.into_inner().unwrap();
        asked.retain(|(request, _)| row(request).is_some());
        asked
    }
}

impl Transport for &Application<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> Result<Bytes, Broken> {
        let answer = match self.always {
            Some(_) if request.starts_with(MESSAGE_MECHANISM) => SOME_MECHANISM,
            Some(answer) => answer,
            None => self.next(),
        };
        let [request, answer] = [request, answer].map(|bytes| Bytes::new(bytes.to_vec()));
        self.asked.lock().unwrap().push((request, answer.clone()));
        Ok(answer)
    }
}

/// The function that a request of our wire is for.
fn row(request: &[u8]) -> Option<&'static Row> {
    let number = u16::from_le_bytes(*request.first_chunk()?);
    ROWS.iter().find(|row| row.number == number)
}

/// Each kind of parameter by the last bits of the mechanism; the real list would bring AWS-LC along.
fn layouts(mechanism: MechanismType) -> Option<&'static [Layout]> {
    const NONE: Layout = &[];
    const LAYOUTS: [&[Layout]; 7] = [
        &[NONE],
        &[&[Field::Whole], NONE],
        &[&[Field::Ulong, Field::Ulong, Field::Ulong]],
        &[&[Field::PtrLen, Field::Ulong, Field::PtrLen, Field::Ulong]],
        &[&[Field::Ulong, Field::Fixed(16)], &[Field::PtrBits(&[96]), Field::LenPtr]],
        &[&[Field::Bool, Field::Ptr(&[Field::Ulong, Field::PtrLen]), Field::OutHandle]],
        &[&[Field::Ulong, Field::Array(&[Field::Ulong, Field::PtrLen]), Field::Template]],
    ];
    LAYOUTS.get(usize::try_from(mechanism.0 & 7).unwrap()).copied()
}

/// Has a stream served, and gives the bodies of what goes back.
fn answered(stream: &[u8], application: &Application<'_>) -> Vec<Vec<u8>> {
    let remote = Remote::new(application);
    let mut output = Vec::new();
    let limits = Limits { body: BODY, workers: 1, ..Limits::default() };
    let _ = strongroom_p11kit::serve(stream, &mut output, Module::new(&remote, layouts), &limits);
    let mut bodies = Vec::new();
    let mut frames = output.get(1..).unwrap_or_default();
    while let Some((header, rest)) = frames.split_first_chunk::<12>() {
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        let (body, rest) =
            rest.split_at_checked(usize::try_from(body).unwrap()).expect("a whole frame");
        bodies.push(body.to_vec());
        frames = rest;
    }
    assert!(frames.is_empty(), "half a frame");
    bodies
}

/// A stream of requests of these bytes, and the answers of the application below; these are a request of
/// our own wire as well.
pub(crate) fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (stream, answers) = rest.split_at(length);
    let application = Application::answering(answers);
    answered(stream, &application);
    let version = stream.first().map_or(0, |version| (*version).min(2));
    for (request, answer) in application.asked() {
        let forms = again(version, &request, &answer);
        assert!(forms > 0, "what was understood has no form");
    }
    let refused = refusal(Error::FunctionFailed);
    let application = Application::always(&refused);
    if serve(&Remote::new(&application), answers).is_ok() {
        for (request, _) in application.asked() {
            for version in VERSIONS {
                again(version, &request, &refused);
            }
        }
    }
}

/// A call, in each form that it has for clients of a version, is understood as itself; and the reply says
/// what is answered. How many forms there are.
fn again(version: u8, call: &[u8], answer: &[u8]) -> usize {
    let refused = refusal(Error::FunctionFailed);
    // Who may wait is asked again and again.
    let none_yet = answer.starts_with(&refusal(Error::NoEvent));
    let answer = if none_yet { &refused } else { answer };
    let forms = request::written(version, call);
    for (id, body) in &forms {
        let application = Application::always(answer);
        let stream = request::stream(version, body);
        let bodies = answered(&stream, &application);
        let asked = application.asked();
        // The third byte says who wants reasons.
        let parts = |request: &'_ [u8]| [&request[..2], &request[request::ARGUMENTS..]].concat();
        let asked: Vec<_> = asked.iter().map(|(request, _)| parts(request)).collect();
        assert_eq!(asked, [parts(call)], "it is understood as another");
        let [_, body] = bodies.as_slice() else { panic!("{} answers", bodies.len()) };
        reply::says(body, version, *id, call, answer);
    }
    forms.len()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strongroom_p11kit::CALLS;

    use super::*;

    /// A request of a function with nothing but zeros, and where there is a choice with yes.
    fn simplest(row: &Row) -> Vec<u8> {
        let argument = |kind: &str| match kind.replace(' ', "").as_str() {
            "bool" => vec![1],
            "Room" | "Option<&[u8]>" | "Option<Room>" | "Option<MechanismCall>" => vec![0],
            "&[u8]" | "&[u64]" | "Attributes" | "Params" => vec![0; 4],
            "MechanismCall" => vec![0; 12],
            "&[u8;32]" => vec![0; 32],
            _ => vec![0; 8],
        };
        let arguments = row.arguments.iter().flat_map(|(_, kind)| argument(kind));
        row.number.to_le_bytes().into_iter().chain([0]).chain(arguments).collect()
    }

    #[test]
    fn every_call_has_a_form_and_is_understood() {
        let refused = refusal(Error::FunctionFailed);
        let mut written = BTreeSet::new();
        for row in ROWS {
            let request = simplest(row);
            again(2, &request, &refused);
            written.extend(request::written(2, &request).into_iter().map(|(id, _)| id));
        }
        // C_Initialize and C_Finalize are for the connection.
        let all = CALLS.iter().map(|call| call.id).filter(|id| *id > 2);
        assert_eq!(written, all.collect());
    }
}
