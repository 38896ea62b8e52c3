//! Each argument of each function, in each state of the module and of its sessions.

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{self, Fails, Passes};
use strongroom_softhsm_tests::batch::{Tally, Verdict, run};
use strongroom_softhsm_tests::raw::{Ended, Forked, go_on_in_a_child};
use strongroom_softhsm_tests::{InitArgs, Memory, Rv, World, case_of_batches};

use crate::fixture::{Fixture, Login, furnish};
use crate::functions::{FUNCTIONS, Function};
use crate::kinds::{Fault, Kind};

const MANY: SoftHsm2 = Fails("it follows pointers and lengths, and names other codes");

/// A function with one fault in its arguments, or none.
struct Case {
    function: &'static Function,
    fault: Option<Spoiled>,
}

/// Which argument it is about, where its words begin, and what is wrong.
struct Spoiled {
    argument: usize,
    at: usize,
    fault: Fault,
}

impl Case {
    fn name(&self) -> String {
        match &self.fault {
            None => format!("{}, good arguments", self.function.name),
            Some(Spoiled { argument, fault, .. }) => {
                format!("{}, argument {}: {}", self.function.name, argument + 1, fault.name)
            }
        }
    }

    /// The arguments, with the fault in them.
    fn words(&self, fixture: &Fixture, memory: &mut Memory) -> Vec<CK_ULONG> {
        let mut words = fixture.words(self.function, memory);
        if let Some(Spoiled { at, fault, .. }) = &self.fault {
            fixture.spoil(fault, *at, &mut words, memory);
        }
        words
    }

    /// What may be answered in a session.
    fn wanted(&self) -> Vec<CK_RV> {
        let Some(Spoiled { argument, fault, .. }) = &self.fault else {
            return self.function.good.to_vec();
        };
        let other = self
            .function
            .but
            .iter()
            .find(|(about, name, _)| about == argument && *name == fault.name);
        let mut wanted = other.map_or_else(|| fault.wanted.clone(), |(_, _, codes)| codes.to_vec());
        wanted.extend(self.function.also);
        wanted
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for function in FUNCTIONS {
        cases.push(Case { function, fault: None });
        let mut at = 0;
        for (argument, kind) in function.args.iter().enumerate() {
            cases.extend(
                kind.faults()
                    .into_iter()
                    .map(|fault| Case { function, fault: Some(Spoiled { argument, at, fault }) }),
            );
            at += kind.words();
        }
    }
    cases
}

/// Room that a case gives, and how long it says that it is.
fn rooms(function: &Function, words: &[CK_ULONG], memory: &Memory) -> Vec<(CK_ULONG, CK_ULONG)> {
    let mut at = 0;
    let mut rooms = Vec::new();
    for kind in function.args {
        if matches!(kind, Kind::Out(_)) && words[at] != 0 && words[at + 1] != 0 {
            rooms.push((words[at], memory.get(words[at + 1], 0)));
        }
        at += kind.words();
    }
    rooms
}

pub(crate) fn judge(rv: Rv, wanted: &[CK_RV]) -> Verdict {
    if wanted.contains(&rv.0) {
        return Verdict::Right;
    }
    let wanted: Vec<Rv> = wanted.iter().copied().map(Rv).collect();
    Verdict::Wrong(format!("{rv:?}, not {wanted:?}"))
}

/// A case in a session, and a look at everything else.
fn in_a_session(fixture: &mut Fixture, case: &Case) -> Verdict {
    let function = case.function;
    if case.fault.is_none() && function.good.is_empty() {
        return Verdict::Absent;
    }
    fixture.watch(|fixture| prepared(fixture, case))
}

fn prepared(fixture: &Fixture, case: &Case) -> Verdict {
    let function = case.function;
    for before in function.before {
        match fixture.call_well(before) {
            Some(Rv::OK) => {}
            // A module may do one operation of a session at a time.
            _ if !fixture.complete => return Verdict::Absent,
            rv => return Verdict::Wrong(format!("{before} before it: {rv:?}")),
        }
    }
    let mut memory = Memory::default();
    let words = case.words(fixture, &mut memory);
    let rooms = rooms(function, &words, &memory);
    let Some(rv) = fixture.module.call(function.name, &words) else { return Verdict::Absent };
    if rv == CKR_FUNCTION_NOT_SUPPORTED && !fixture.complete {
        return Verdict::Absent;
    }
    if rv == CKR_OK {
        fixture.undo(function, &words, &memory);
    }
    if rv == CKR_PIN_INCORRECT {
        fixture.forgive();
    }
    if rooms.iter().any(|(at, len)| !memory.untouched_behind(*at, *len)) {
        return Verdict::Changed("bytes behind the buffer".to_owned());
    }
    judge(rv, &case.wanted())
}

fn in_sessions(world: &World, login: Login) -> Tally {
    prepare(world);
    run(&cases(), Case::name, || Fixture::begin(world, login), in_a_session)
}

/// The daemon, if there is one, and the token, by a child: this process has to stay without a module.
pub(crate) fn prepare(world: &World) {
    world.path();
    let child = Forked::start(|| {
        furnish(world);
        0
    });
    assert_eq!(child.wait(), Ended::Exit(0), "the token and its objects");
}

#[test]
fn with_nobody_logged_in() {
    case_of_batches(MANY, |world| {
        in_sessions(world, Login::Nobody).judge("arguments, nobody logged in")
    });
}

#[test]
fn with_the_user() {
    case_of_batches(MANY, |world| in_sessions(world, Login::User).judge("arguments, the user"));
}

#[test]
fn with_the_security_officer() {
    case_of_batches(MANY, |world| {
        in_sessions(world, Login::So).judge("arguments, the security officer")
    });
}

/// What need no `C_Initialize`.
const AT_ANY_TIME: &[&str] = &["C_GetFunctionList", "C_GetInterfaceList", "C_GetInterface"];
/// What answer the same whatever happens.
const OF_THE_PAST: &[&str] = &["C_GetFunctionStatus", "C_CancelFunction"];

/// A case in a process that has not initialised the module.
fn without_a_module(fixture: &mut Fixture, case: &Case) -> Verdict {
    let function = case.function;
    // Those that would change what the cases behind them find.
    if case.fault.is_none() && matches!(function.name, "C_Initialize" | "C_Finalize") {
        return Verdict::Absent;
    }
    let mut memory = Memory::default();
    let words = case.words(fixture, &mut memory);
    let Some(rv) = fixture.module.call(function.name, &words) else { return Verdict::Absent };
    let mut wanted = vec![CKR_CRYPTOKI_NOT_INITIALIZED];
    if function.name == "C_Initialize" || AT_ANY_TIME.contains(&function.name) {
        wanted = case.wanted();
        wanted.retain(|code| *code != CKR_CRYPTOKI_ALREADY_INITIALIZED);
    } else if OF_THE_PAST.contains(&function.name) {
        wanted.push(CKR_FUNCTION_NOT_PARALLEL);
    } else if case.fault.as_ref().is_some_and(|one| one.fault.wanted.contains(&CKR_ARGUMENTS_BAD)) {
        // Which of the two faults is told, the standard does not say.
        wanted.push(CKR_ARGUMENTS_BAD);
    }
    judge(rv, &wanted)
}

/// The same, and a look at whether it is still so.
fn and_it_stays_so(fixture: &mut Fixture, case: &Case) -> Verdict {
    let verdict = without_a_module(fixture, case);
    match fixture.module.info() {
        Err(Rv(CKR_CRYPTOKI_NOT_INITIALIZED)) => verdict,
        other => Verdict::Changed(format!("C_GetInfo answers {:?}", other.map(drop))),
    }
}

fn before_initialize(world: &World) -> Fixture {
    Fixture::loaded(world)
}

fn after_finalize(world: &World) -> Fixture {
    let fixture = Fixture::loaded(world);
    assert_eq!(fixture.module.initialize(InitArgs::Null), Rv::OK, "C_Initialize");
    assert_eq!(fixture.module.finalize(), Rv::OK, "C_Finalize");
    fixture
}

/// The parent has a session of the user, and the child has its handle.
fn in_a_child(world: &World) -> Fixture {
    let mut fixture = Fixture::begin(world, Login::User);
    fixture.open();
    fixture.handle(crate::kinds::Held::Fresh);
    go_on_in_a_child();
    fixture
}

#[test]
fn use_before_initialize() {
    case_of_batches(Passes, |world| {
        prepare(world);
        run(&cases(), Case::name, || before_initialize(world), and_it_stays_so)
            .judge("before C_Initialize");
    });
}

#[test]
fn use_after_finalize() {
    case_of_batches(Passes, |world| {
        prepare(world);
        run(&cases(), Case::name, || after_finalize(world), and_it_stays_so)
            .judge("after C_Finalize");
    });
}

#[test]
fn use_in_a_forked_child() {
    case_of_batches(MANY, |world| {
        prepare(world);
        run(&cases(), Case::name, || in_a_child(world), without_a_module)
            .judge("in a forked child");
    });
}
