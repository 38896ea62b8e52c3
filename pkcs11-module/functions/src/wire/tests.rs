//! Every row of the table, with arguments and answers that nobody here thought of: what goes out
//! comes in, on both sides of a wire.

use core::cell::OnceCell;
use std::sync::Mutex;

use proptest::collection::vec;
use proptest::prelude::*;
use strongroom_types::*;
use zeroize::Zeroizing;

use super::{Malformed, Reader, Wire, Writer};
use crate::serve::{ADOPT, FIND};
use crate::{
    Broken, Cryptoki, Description, Direction, Facts, Found, Host, MessageOutput, Operation, Remote,
    Transport, refusal, serve,
};

/// Bytes of proptest's, out of which samples are made: so a failure is shrunk.
struct Chance<'a>(&'a [u8]);

impl Chance<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    fn number(&mut self) -> u64 {
        let width = u32::from(self.below(9));
        (0..width).fold(0, |number, _| number << 8 | u64::from(self.byte()))
    }
}

/// A value made of chance.
trait Sample {
    fn sample(chance: &mut Chance<'_>) -> Self;
}

macro_rules! samples {
    ($($type:ty: |$chance:ident| $make:expr;)*) => {$(
        impl Sample for $type {
            fn sample($chance: &mut Chance<'_>) -> Self {
                $make
            }
        }
    )*};
}

samples! {
    (): |_chance| ();
    bool: |chance| chance.below(2) == 1;
    u8: |chance| chance.byte();
    u64: |chance| chance.number();
    usize: |chance| usize::from(chance.byte()) << chance.below(16);
    String: |chance| format!("{}", chance.number());
    Bytes: |chance| {
        let len = chance.below(20);
        Zeroizing::new((0..len).map(|_| chance.byte()).collect())
    };
    &[u8]: |chance| Bytes::sample(chance).to_vec().leak();
    &[u64]: |chance| Vec::sample(chance).leak();
    &[u8; 32]: |chance| Box::leak(Box::new([chance.byte(); 32]));
    SlotId: |chance| Self(chance.number());
    SessionHandle: |chance| Self(chance.number());
    ObjectHandle: |chance| Self(chance.number());
    MechanismType: |chance| Self(chance.number());
    UserType: |chance| Self(chance.number());
    ModuleInfo: |chance| Self {
        manufacturer: String::sample(chance).into(),
        description: "x".into(),
        version: (chance.byte(), chance.byte()),
    };
    SlotInfo: |chance| Self {
        description: String::sample(chance),
        manufacturer: "m".into(),
        flags: chance.number(),
        version: (1, chance.byte()),
    };
    TokenInfo: |chance| Self {
        label: [chance.byte(); 32],
        manufacturer: "m".into(),
        model: String::sample(chance).into(),
        serial: [chance.byte(); 16],
        flags: chance.number(),
        sessions: chance.number(),
        rw_sessions: chance.number(),
        pin_len: (chance.number(), chance.number()),
        version: (chance.byte(), 2),
    };
    MechanismInfo: |chance| Self {
        min_key_size: chance.number(),
        max_key_size: chance.number(),
        flags: chance.number(),
    };
    SessionInfo: |chance| Self {
        slot: SlotId::sample(chance),
        state: [
            SessionState::ReadOnlyPublic,
            SessionState::ReadOnlyUser,
            SessionState::ReadWritePublic,
            SessionState::ReadWriteUser,
            SessionState::ReadWriteSecurityOfficer,
        ][usize::from(chance.below(5))],
        read_write: bool::sample(chance),
    };
    Room: |chance| match bool::sample(chance) {
        true => Self::Query,
        false => Self::Bytes(usize::sample(chance)),
    };
    Output: |chance| match bool::sample(chance) {
        true => Self::Needs(usize::sample(chance)),
        false => Self::Bytes(Bytes::sample(chance)),
    };
    Placed: |chance| match chance.below(3) {
        0 => Self::Nothing,
        1 => Self::Handle(ObjectHandle::sample(chance)),
        _ => Self::Bytes(Bytes::sample(chance)),
    };
    MessageOutput: |chance| Self { output: Output::sample(chance), placed: Vec::sample(chance) };
    Found: |chance| Self {
        objects: Vec::sample(chance),
        of: Vec::sample(chance),
        more: bool::sample(chance),
    };
    Description: |chance| Self {
        fixed: Attributes::sample(chance),
        changing: Attributes::sample(chance),
        untold: Vec::sample(chance),
    };
    Derived: |chance| Self { key: Option::sample(chance), placed: Vec::sample(chance) };
    MechanismCall: |chance| {
        Self { mechanism: MechanismType::sample(chance), params: Params::sample(chance) }
    };
    Params: |chance| params(chance, 3);
    Attributes: |chance| attributes(chance, true);
    Value: |chance| value(chance, Kind::Bytes, false);
    Error: |chance| Self::ALL[usize::from(chance.byte()) % Self::ALL.len()];
}

impl<T: Sample> Sample for Option<T> {
    fn sample(chance: &mut Chance<'_>) -> Self {
        bool::sample(chance).then(|| T::sample(chance))
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample(chance: &mut Chance<'_>) -> Self {
        (0..chance.below(5)).map(|_| T::sample(chance)).collect()
    }
}

impl<T: Sample> Sample for Result<T> {
    fn sample(chance: &mut Chance<'_>) -> Self {
        if bool::sample(chance) { Ok(T::sample(chance)) } else { Err(Error::sample(chance)) }
    }
}

impl<A: Sample, B: Sample> Sample for (A, B) {
    fn sample(chance: &mut Chance<'_>) -> Self {
        (A::sample(chance), B::sample(chance))
    }
}

fn params(chance: &mut Chance<'_>, deep: u8) -> Params {
    let count = chance.below(5);
    let param = |chance: &mut Chance<'_>| match chance.below(if deep == 0 { 5 } else { 7 }) {
        0 => Param::Bool(bool::sample(chance)),
        1 => Param::Ulong(chance.number()),
        2 => Param::Bytes(Bytes::sample(chance)),
        3 => Param::Template(Attributes::sample(chance)),
        4 => Param::Place(bool::sample(chance)),
        5 => Param::Structure(params(chance, deep - 1)),
        _ => Param::Structures((0..chance.below(3)).map(|_| params(chance, deep - 1)).collect()),
    };
    (0..count).map(|_| param(chance)).collect()
}

fn attributes(chance: &mut Chance<'_>, nested: bool) -> Attributes {
    let count = chance.below(6);
    Attributes::last_of((0..count).map(|_| {
        let row = attribute::ATTRIBUTES.get(usize::from(chance.byte()));
        let (id, kind) = match row {
            Some(row) => (row.id, row.kind),
            None => (0x8000_0000 | chance.number() >> 40, Kind::Bytes),
        };
        (id, value(chance, kind, nested))
    }))
}

fn value(chance: &mut Chance<'_>, kind: Kind, nested: bool) -> Value {
    match kind {
        Kind::Bool => Value::Bool(bool::sample(chance)),
        Kind::Ulong => Value::Ulong(chance.number()),
        Kind::Bytes => Value::Bytes(Bytes::sample(chance)),
        Kind::Date => Value::Bytes(Zeroizing::new(vec![b'0'; 8])),
        Kind::Ulongs => Value::Ulongs(Vec::sample(chance)),
        Kind::Attributes if nested => Value::Attributes(attributes(chance, false)),
        Kind::Attributes => Value::Attributes(Attributes::default()),
    }
}

/// A token that writes down what it is called with, and answers what it is told to.
#[derive(Default)]
struct Echo {
    answer: Vec<u8>,
    heard: Mutex<Vec<u8>>,
}

impl Echo {
    fn heard(&self, arguments: Writer) {
        *self.heard.lock().unwrap() = arguments.bytes().to_vec();
    }

    fn answer<T: for<'f> Wire<'f>>(&self) -> Result<T> {
        let list = OnceCell::new();
        Result::take(&mut Reader::new(&self.answer, &list)).unwrap()
    }
}

impl Host for Echo {
    fn message_mechanism(&self, session: SessionHandle, way: Direction) -> Result<MechanismType> {
        let mut out = Writer::default();
        (session, way).put(&mut out);
        self.heard(out);
        self.answer()
    }

    fn end_waits(&self) {
        self.heard(Writer::default());
    }

    /// Not written down: it is asked along with what is.
    fn facts(&self, _: SessionHandle, _: Operation) -> Result<Facts> {
        Ok(Facts::default())
    }

    fn sign_digest(&self, session: SessionHandle, digest: &[u8], room: Room) -> Result<Output> {
        self.sign(session, digest, room)
    }

    fn hash_elsewhere(&self, _: SessionHandle, _: Operation) -> Result<()> {
        Ok(())
    }

    fn verify_digest(&self, session: SessionHandle, digest: &[u8], signature: &[u8]) -> Result<()> {
        self.verify(session, digest, signature)
    }

    fn find(&self, session: SessionHandle, least: usize, most: usize) -> Result<Found> {
        let mut out = Writer::default();
        (session, (least, most)).put(&mut out);
        self.heard(out);
        self.answer()
    }

    /// Succeeds where something has failed that it can do without.
    fn adopt(&self, _: SessionHandle, _: Vec<(ObjectHandle, Bytes)>) -> Result<()> {
        let _ = Error::ObjectHandleInvalid.because(|| "of no importance".into());
        Ok(())
    }
}

/// What can be asked of a row: made of chance, the bytes of its arguments and of an answer.
struct Row {
    number: u16,
    name: &'static str,
    sample: fn(&mut Chance<'_>) -> (Vec<u8>, Vec<u8>),
}

/// The edge's own question that has the most to say.
const FINDS: &Row = &Row {
    number: FIND,
    name: "find",
    sample: |chance| {
        let (mut arguments, mut answer) = (Writer::default(), Writer::default());
        <(SessionHandle, (usize, usize))>::sample(chance).put(&mut arguments);
        Result::<Found>::sample(chance).put(&mut answer);
        (arguments.bytes().to_vec(), answer.bytes().to_vec())
    },
};

macro_rules! echo {
    ($($(#[$doc:meta])* $number:literal $c_name:ident $({$($again:tt)*})? $([$($role:tt)*])?: fn $name:ident($($arg:ident: $ty:ty),* $(,)?) -> $reply:ty;)*) => {
        impl Cryptoki for Echo {
            $(
                #[allow(unused_mut, reason = "some functions have no argument")]
                fn $name(&self, $($arg: $ty),*) -> Result<$reply> {
                    let mut out = Writer::default();
                    $($arg.put(&mut out);)*
                    self.heard(out);
                    self.answer()
                }
            )*
        }

        const ROWS: &[Row] = &[$(Row {
            number: $number,
            name: stringify!($name),
            sample: |chance| {
                #[allow(unused_mut, reason = "some functions have no argument")]
                let mut arguments = Writer::default();
                $(<$ty as Sample>::sample(chance).put(&mut arguments);)*
                let mut answer = Writer::default();
                Result::<$reply>::sample(chance).put(&mut answer);
                (arguments.bytes().to_vec(), answer.bytes().to_vec())
            },
        }),*];
    };
}

table!(echo);

/// A wire with nothing between its ends.
impl Transport for &Echo {
    fn turn(&self) -> u64 {
        0
    }

    fn exchange(&self, _: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        Ok(serve(*self, request).unwrap())
    }
}

fn request(number: u16, arguments: &[u8]) -> Vec<u8> {
    [&number.to_le_bytes(), &[0][..], arguments].concat()
}

/// Each case is one for every row.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn every_row_is_the_same_near_and_far(chance in vec(any::<u8>(), 0..400)) {
        for row in ROWS.iter().chain([FINDS]) {
            let (arguments, answer) = (row.sample)(&mut Chance(&chance));
            let echo = Echo { answer: answer.clone(), ..Echo::default() };
            let asked = request(row.number, &arguments);
            let near = serve(&echo, &asked).unwrap();
            prop_assert_eq!(&*echo.heard.lock().unwrap(), &arguments, "{}", row.name);
            prop_assert_eq!(near.as_slice(), &answer[..], "{}", row.name);
            let far = serve(&Remote::new(&echo), &asked).unwrap();
            prop_assert_eq!(&*echo.heard.lock().unwrap(), &arguments, "{}", row.name);
            prop_assert_eq!(far.as_slice(), &answer[..], "{}", row.name);
        }
    }

    #[test]
    fn nothing_may_be_missing_or_left_over(chance in vec(any::<u8>(), 0..100)) {
        for row in ROWS.iter().chain([FINDS]) {
            let (arguments, answer) = (row.sample)(&mut Chance(&chance));
            let echo = Echo { answer, ..Echo::default() };
            let asked = request(row.number, &arguments);
            for end in (0..asked.len()).rev().take(24) {
                prop_assert_eq!(serve(&echo, &asked[..end]).err(), Some(Malformed), "{}", row.name);
            }
            let more = [&asked[..], &[0]].concat();
            prop_assert_eq!(serve(&echo, &more).err(), Some(Malformed), "{}", row.name);
        }
    }

    #[test]
    fn what_is_understood_has_one_form(garbage in vec(any::<u8>(), 0..60), row in 0..ROWS.len()) {
        let echo = Echo { answer: refusal(Error::GeneralError).to_vec(), ..Echo::default() };
        let asked = request(ROWS[row].number, &garbage);
        if serve(&echo, &asked).is_ok() {
            prop_assert_eq!(&*echo.heard.lock().unwrap(), &garbage);
        }
    }
}

fn taken<T: for<'f> Wire<'f>>(frame: &[u8]) -> super::Taken<T> {
    let list = OnceCell::new();
    let mut from = Reader::new(frame, &list);
    let value = T::take(&mut from)?;
    from.end().map(|()| value)
}

fn written(put: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::default();
    put(&mut out);
    out.bytes().to_vec()
}

#[test]
fn counts_that_can_not_be_are_refused_before_anything_is_made() {
    for frame in [&[0xff; 4][..], &[0xff, 0xff, 0xff, 0x7f, 0, 0]] {
        assert!(taken::<Bytes>(frame).is_err());
        assert!(taken::<Params>(frame).is_err());
        assert!(taken::<Attributes>(frame).is_err());
        assert!(taken::<Vec<SlotId>>(frame).is_err());
    }
    let many = [&4097_u32.to_le_bytes()[..], &[1, 0].repeat(4097)].concat();
    assert!(taken::<Params>(&many).is_err(), "more values than a parameter has");
    let wanted = |count: u32| {
        let frame = [count.to_le_bytes().to_vec(), [7; 8].repeat(4097)].concat();
        let list = OnceCell::new();
        <&[u64]>::take(&mut Reader::new(&frame, &list)).map(<[u64]>::len)
    };
    assert_eq!(wanted(4096), Ok(4096));
    assert_eq!(wanted(4097), Err(Malformed), "more attributes than a template asks for");
}

#[test]
fn nothing_is_deeper_than_it_can_be() {
    let nest = |depth: usize| {
        let inner = [1, 0, 0, 0, 4].repeat(depth);
        [&inner[..], &[0, 0, 0, 0]].concat()
    };
    assert!(taken::<Params>(&nest(8)).is_ok());
    assert!(taken::<Params>(&nest(9)).is_err());
    assert!(taken::<Params>(&nest(100_000)).is_err());
}

#[test]
fn templates_are_what_the_c_interface_would_read() {
    let sign = attribute::SIGN.info.id;
    let of = |values: &[(u64, Value)]| {
        written(|out| {
            out.count(values.len());
            values.iter().for_each(|(id, value)| {
                id.put(out);
                value.put(out);
            });
        })
    };
    let fine = |values: &[(u64, Value)]| taken::<Attributes>(&of(values)).is_ok();
    assert!(fine(&[(sign, true.into())]));
    assert!(!fine(&[(sign, 1.into())]), "another kind");
    assert!(!fine(&[(sign, true.into()), (sign, true.into())]), "twice");
    assert!(!fine(&[(sign, true.into()), (0, 3.into())]), "not in order");
    assert!(!fine(&[(1 << 32, b"x".as_slice().into())]), "no number of an attribute");
    let date = attribute::START_DATE.info.id;
    assert!(fine(&[(date, b"20300101".as_slice().into())]));
    assert!(!fine(&[(date, b"2030".as_slice().into())]));
}

#[test]
fn a_reason_travels_if_it_is_wanted() {
    struct Grumpy;
    impl Transport for Grumpy {
        fn turn(&self) -> u64 {
            0
        }
        fn exchange(&self, _: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
            let mut answer = refusal(Error::DataInvalid).to_vec();
            if request[2] == 1 {
                answer.extend(written(|out| String::from("because").put(out)));
            }
            Ok(Zeroizing::new(answer))
        }
    }
    let remote = Remote::new(Grumpy);
    let (outcome, account) = reason::record(|| remote.info().map(drop));
    assert_eq!((outcome, account.why.as_str()), (Err(Error::DataInvalid), "because"));
    assert_eq!(remote.info().map(drop), Err(Error::DataInvalid));
}

#[test]
fn what_succeeds_has_no_reason() {
    let nothing = [0; 8 + 4];
    let mut adopt = request(ADOPT, &nothing);
    adopt[2] = 1;
    assert_eq!(serve(&Echo::default(), &adopt).unwrap().as_slice(), [0]);
}

#[test]
fn sessions_live_on_where_nobody_was_logged_in() {
    /// A daemon that is replaced by the next one whenever the turn is moved on.
    #[derive(Default)]
    struct Daemons {
        turn: Mutex<u64>,
        opened: Mutex<Vec<(u64, u64)>>,
    }
    impl Transport for &Daemons {
        fn turn(&self) -> u64 {
            *self.turn.lock().unwrap()
        }
        fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
            let first = u64::from_le_bytes(request[3..11].try_into().unwrap());
            let mut opened = self.opened.lock().unwrap();
            let number = u16::from_le_bytes([request[0], request[1]]);
            let answer = match number {
                11 => {
                    let handle = turn << 48 | u64::try_from(opened.len() + 1).unwrap();
                    opened.push((handle, first));
                    written(|out| Ok(SessionHandle(handle)).put(out))
                }
                14 => {
                    let known = opened.iter().find(|(handle, _)| *handle == first);
                    let info = known.filter(|_| first >> 48 == turn).map(|(_, slot)| SessionInfo {
                        slot: SlotId(*slot),
                        state: SessionState::ReadWritePublic,
                        read_write: true,
                    });
                    written(|out| info.ok_or(Error::SessionHandleInvalid).put(out))
                }
                _ => written(|out| Ok(()).put(out)),
            };
            Ok(Zeroizing::new(answer))
        }
    }
    let daemons = Daemons::default();
    let remote = Remote::new(&daemons);
    let public = remote.open_session(SlotId(7), true).unwrap();
    let user = remote.open_session(SlotId(8), true).unwrap();
    remote.login(user, UserType::USER, b"1234").unwrap();
    *daemons.turn.lock().unwrap() = 1;
    assert_eq!(remote.session_info(public).map(|info| info.slot), Ok(SlotId(7)));
    assert_eq!(remote.session_info(user).map(drop), Err(Error::SessionHandleInvalid));
    *daemons.turn.lock().unwrap() = 2;
    assert_eq!(remote.session_info(public).map(|info| info.slot), Ok(SlotId(7)), "again");
    assert_eq!(daemons.opened.lock().unwrap().len(), 4);
    remote.logout(user).unwrap();
}

#[test]
fn what_was_not_answered_is_repeated_only_where_that_does_no_harm() {
    /// A daemon whose first answer does not come: its connection breaks, or it is replaced.
    struct Breaks {
        lost: bool,
        turn: Mutex<u64>,
        heard: Mutex<Vec<u16>>,
    }
    impl Transport for &Breaks {
        fn turn(&self) -> u64 {
            *self.turn.lock().unwrap()
        }
        fn exchange(&self, turn: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
            if turn != self.turn() {
                return Err(Broken::Lost);
            }
            let mut heard = self.heard.lock().unwrap();
            heard.push(u16::from_le_bytes([request[0], request[1]]));
            if heard.len() == 1 {
                *self.turn.lock().unwrap() += u64::from(self.lost);
                return Err(Broken::Unanswered);
            }
            Ok(refusal(Error::DataInvalid))
        }
    }
    type Call = fn(&Remote<&Breaks>) -> Result<()>;
    const SESSION: SessionHandle = SessionHandle(1);
    const TWICE: Result<()> = Err(Error::DataInvalid);
    const REMOVED: Result<()> = Err(Error::DeviceRemoved);
    let rows: &[(Call, [Result<()>; 2])] = &[
        (|remote| remote.session_info(SESSION).map(drop), [TWICE, TWICE]),
        (|remote| remote.generate_random(SESSION, 1).map(drop), [TWICE, TWICE]),
        (|remote| remote.encrypt_update(SESSION, b"x", Room::Query).map(drop), [REMOVED, TWICE]),
        (|remote| remote.find_objects(SESSION, 1).map(drop), [REMOVED, TWICE]),
        (|remote| remote.close_session(SESSION), [REMOVED, TWICE]),
        (|remote| remote.destroy_object(SESSION, ObjectHandle(1)), [REMOVED, REMOVED]),
    ];
    for (row, (call, expected)) in rows.iter().enumerate() {
        for (lost, expected) in [false, true].into_iter().zip(expected) {
            let daemon = Breaks { lost, turn: Mutex::new(0), heard: Mutex::default() };
            assert_eq!(call(&Remote::new(&daemon)), *expected, "row {row}, lost: {lost}");
            let heard = daemon.heard.lock().unwrap();
            let times = heard.iter().filter(|number| **number == heard[0]).count();
            assert_eq!(times, if *expected == TWICE { 2 } else { 1 }, "row {row}, lost: {lost}");
        }
    }
}

#[test]
fn a_frame_that_is_too_long_is_given_up() {
    for (first, then, fits) in
        [(600, 400, true), (600, 401, false), (1000, 0, true), (0, 1001, false)]
    {
        let mut frame = Writer::of_at_most(1000);
        frame.add(&vec![1; first]);
        frame.add(&vec![2; then]);
        assert_eq!(frame.whole(), if fits { Ok(()) } else { Err(Error::DataLenRange) });
        assert_eq!(frame.bytes().len(), if fits { first + then } else { 0 });
        if !fits {
            frame.add(b"more");
            frame.count(7);
            assert_eq!((frame.whole(), frame.bytes()), (Err(Error::DataLenRange), &[][..]));
        }
    }
}

/// A daemon that takes this much at once.
struct Narrow(Mutex<Vec<usize>>);

impl Narrow {
    const MOST: usize = 1 << 16;
}

impl Transport for &Narrow {
    fn turn(&self) -> u64 {
        0
    }

    fn most(&self) -> usize {
        Narrow::MOST
    }

    fn exchange(&self, _: u64, request: &[u8]) -> core::result::Result<Bytes, Broken> {
        self.0.lock().unwrap().push(request.len());
        Ok(refusal(Error::DataInvalid))
    }
}

#[test]
fn what_is_too_long_is_not_written() {
    const SESSION: SessionHandle = SessionHandle(1);
    let daemon = Narrow(Mutex::default());
    let remote = Remote::new(&daemon);
    let data = vec![0; Narrow::MOST];
    assert_eq!(remote.digest_update(SESSION, &data), Err(Error::DataLenRange));
    assert_eq!(remote.seed_random(SESSION, &data), Err(Error::DataLenRange));
    let encrypted = remote.encrypt(SESSION, &data, Room::Query).map(drop);
    assert_eq!(encrypted, Err(Error::DataLenRange));
    assert!(daemon.0.lock().unwrap().is_empty());
    // What may be hashed here need not go there.
    assert_eq!(remote.sign_update(SESSION, &data), Err(Error::DataInvalid));
    assert_eq!(remote.digest_update(SESSION, &data[100..]), Err(Error::DataInvalid));
    assert_eq!(daemon.0.lock().unwrap().len(), 2);
}
