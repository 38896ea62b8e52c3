//! The wire of p11-kit: a client sends whatever the fuzzer made up, and the application below it
//! answers so too. What goes back must be frames, one for each that came whole.

use std::sync::Mutex;

use strongroom_functions::{Broken, Remote, Transport};
use strongroom_p11kit::{Limits, Module, serve};
use strongroom_types::{Bytes, Field, Layout, MechanismType};

/// The answers that are left: a length of one byte and the answer, one after the other.
struct Answers<'a>(Mutex<&'a [u8]>);

impl Transport for Answers<'_> {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, _: &[u8]) -> Result<Bytes, Broken> {
        let mut left = self.0.lock().unwrap();
        let (length, rest) = left.split_first().unwrap_or((&0, &[]));
        let (answer, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        *left = rest;
        Ok(Bytes::new(answer.to_vec()))
    }
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

/// A stream of requests of these bytes, and the answers of the application below.
pub(crate) fn run(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk() else { return };
    let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
    let (input, answers) = rest.split_at(length);
    let application = Remote::new(Answers(Mutex::new(answers)));
    let module = Module::new(&application, layouts);
    let mut output = Vec::new();
    let limits = Limits { body: 1 << 16, workers: 1, ..Limits::default() };
    let _ = serve(input, &mut output, module, &limits);
    let mut frames = output.get(1..).unwrap_or_default();
    while let Some((header, rest)) = frames.split_first_chunk::<12>() {
        let body = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
        frames = rest.get(usize::try_from(body).unwrap()..).expect("a whole frame");
    }
    assert!(frames.is_empty(), "half a frame");
}
