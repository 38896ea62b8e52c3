//! Disks that are full, or broken, at each of the writes of a call; and clocks that are set back.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::{Fails, Races};
use strongroom_softhsm_tests::raw::{Ended, Forked};
use strongroom_softhsm_tests::world::{blank_slot, slots, text};
use strongroom_softhsm_tests::{
    Fault, Faults, Module, Rv, SoftHsm2, USER_PIN, World, case_among_faults, count, long, t,
    table_among_faults,
};

use crate::model::{
    Actor, Change, Dice, End, Moment, OBJECT_WISHES, PIN_WISHES, State, Wish, empty, initialize,
    look, make_full_token, things,
};

/// What the standard has for a token that can not write: no other code is an answer.
const CODES: [CK_RV; 5] = [
    CKR_DEVICE_ERROR,
    CKR_DEVICE_MEMORY,
    CKR_FUNCTION_FAILED,
    CKR_GENERAL_ERROR,
    CKR_TOKEN_RESOURCE_EXCEEDED,
];

/// What came of the calls of a row.
#[derive(Default)]
struct Tally {
    calls: usize,
    failed: usize,
    wrong: Vec<String>,
}

impl Tally {
    /// A call whose write of this number had a fault, unless it was over before; and why it failed, if
    /// it did.
    fn note(&mut self, at: u32, over: bool, why: Option<&String>) {
        self.calls += usize::from(!over);
        self.failed += usize::from(why.is_some());
        if let Some(why) = why.filter(|why| over || !is_documented(why)) {
            self.wrong.push(format!("write {at}: {why}"));
        }
    }

    fn check(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(what());
        }
    }

    fn judge(self) {
        count("disk full or broken: calls with a fault at one of their writes", self.calls);
        count("disk full or broken: calls that failed for it", self.failed);
        count("disk full or broken: wrong codes, changes lost or half done", self.wrong.len());
        assert!(self.failed > 0, "no call has noticed anything");
        let first: Vec<_> = self.wrong.iter().take(5).collect();
        assert!(self.wrong.is_empty(), "{} wrong: {first:#?}", self.wrong.len());
    }
}

/// A token with things of each kind. The module is initialised and logged in.
fn actor(world: &World) -> Actor<'_> {
    let state = make_full_token(world, End::Tidy);
    initialize(world.module());
    Actor::start(world.module(), state).expect("the token")
}

/// The answer in what an actor says of a failed call.
fn is_documented(why: &str) -> bool {
    CODES.iter().any(|code| why.ends_with(&format!("{:?}", Rv(*code))))
}

/// Ends the application and starts it again, with nothing that it remembered.
fn restarted<'m>(module: &'m Module, states: [&State; 2]) -> Result<Actor<'m>, String> {
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
    initialize(module);
    let found = look(module, &states)?;
    Actor::start(module, found)
}

/// Makes a call again and again; each time one more of its writes passes. Until all do.
fn at_every_write(world: &World, fault: Fault, wish: Wish) {
    let faults = Faults::of_process();
    let mut actor = actor(world);
    let mut tally = Tally::default();
    let mut dice = Dice::new(2);
    for at in 1.. {
        let change = prepared(&mut actor, &mut dice, wish);
        let (before, after) = (actor.state.clone(), actor.state.after(&change));
        let outcome = actor.act(&change, |moment| match moment {
            Moment::Begins => faults.arm(fault, at),
            Moment::Ended | Moment::Failed => drop(faults.disarm()),
        });
        // It has fewer writes.
        let over = faults.disarm() < at;
        tally.note(at, over, outcome.as_ref().err());
        // A failed call changes nothing, and what was acknowledged is there: at once...
        let now = if outcome.is_ok() { &after } else { &before };
        let seen = things(&actor.session);
        tally.check(seen.as_ref() == Ok(now.things()), || {
            format!("write {at}: {seen:?} of {now:?}")
        });
        // ... and for an application that begins. Nobody promises that what was not acknowledged is
        // not there after all.
        if long() || at % 8 == 3 || over {
            let again = restarted(actor.session.module, [&before, &after]);
            let found = again.as_ref().map(|again| &again.state);
            let right = found.is_ok_and(|found| found.losses(now, &after) == 0);
            tally.check(right, || format!("write {at}, reopened: {found:?} of {now:?}"));
            let Ok(again) = again else { break };
            actor = again;
        }
        if over {
            break;
        }
        assert!(at < 2000, "{wish:?} never ends");
    }
    tally.judge();
}

/// The next call of this kind, which the token is ready for.
fn prepared(actor: &mut Actor<'_>, dice: &mut Dice, wish: Wish) -> Change {
    if !actor.state.has_user() {
        let change = actor.state.change(dice, Wish::InitPin);
        actor.act(&change, |_| ()).expect("a PIN of the user");
    }
    if matches!(wish, Wish::SetAttribute | Wish::Destroy) && !actor.state.has_secret() {
        let change = actor.state.change(dice, Wish::Generate);
        actor.act(&change, |_| ()).expect("a key");
    }
    actor.state.change(dice, wish)
}

/// SoftHSM2, by what it makes of each call.
const IN_PLACE: SoftHsm2 =
    Races("objects are written in place, and some failures to write are not noticed");

/// A row for each of these calls.
fn rows(calls: &'static [(&'static str, Wish)]) -> Vec<(&'static str, SoftHsm2, Wish)> {
    calls.iter().map(|(name, wish)| (*name, IN_PLACE, *wish)).collect()
}

#[test]
fn objects_on_a_full_disk() {
    table_among_faults(&rows(OBJECT_WISHES), |world, wish| {
        at_every_write(world, Fault::Full, *wish)
    });
}

#[test]
fn objects_on_a_broken_disk() {
    table_among_faults(&rows(OBJECT_WISHES), |world, wish| {
        at_every_write(world, Fault::Broken, *wish)
    });
}

#[test]
fn pins_on_a_full_disk() {
    table_among_faults(&rows(PIN_WISHES), |world, wish| at_every_write(world, Fault::Full, *wish));
}

#[test]
fn pins_on_a_broken_disk() {
    table_among_faults(&rows(PIN_WISHES), |world, wish| {
        at_every_write(world, Fault::Broken, *wish)
    });
}

/// Labels of the tokens that there are.
fn labels(module: &Module) -> BTreeSet<String> {
    let of = |slot| module.token_info(slot).expect("C_GetTokenInfo");
    let infos = slots(module).into_iter().map(of);
    infos
        .filter(|info| info.flags & CKF_TOKEN_INITIALIZED != 0)
        .map(|info| text(&info.label))
        .collect()
}

/// Makes tokens, the first with the directories and the seal key; each time one more write passes.
fn new_tokens(world: &World, fault: Fault) {
    let faults = Faults::of_process();
    let module = world.module();
    let mut tally = Tally::default();
    let mut made = BTreeSet::new();
    empty(world);
    initialize(module);
    for at in 1.. {
        let label = format!("token {at}");
        let blank = blank_slot(module);
        faults.arm(fault, at);
        let rv = module.init_token(blank, "12345678".into(), &label);
        let over = faults.disarm() < at;
        if rv == Rv::OK {
            made.insert(label);
        }
        tally.note(at, over, (rv != Rv::OK).then(|| format!("C_InitToken: {rv:?}")).as_ref());
        let seen = labels(module);
        tally.check(seen == made, || format!("write {at}: {seen:?} of {made:?}"));
        assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
        initialize(module);
        let seen = labels(module);
        tally.check(seen == made, || format!("write {at}, reopened: {seen:?} of {made:?}"));
        made = seen;
        if over {
            break;
        }
        assert!(at < 2000, "C_InitToken never ends");
    }
    tally.judge();
}

#[test]
fn a_disk_that_gives_no_new_token() {
    let rows = [("full", IN_PLACE, Fault::Full), ("broken", IN_PLACE, Fault::Broken)];
    table_among_faults(&rows, |world, fault| new_tokens(world, *fault));
}

/// A year, in seconds.
const YEAR: i64 = 366 * 24 * 3600;

#[test]
fn a_clock_that_is_set_back_or_ahead() {
    let reason = "it looks for tokens in C_Initialize alone";
    case_among_faults(Fails(reason), |world| {
        let faults = Faults::of_process();
        let (module, slot) = (world.started(), world.slot());
        let session = world.public();
        for (number, seconds) in [-YEAR, YEAR, 0].into_iter().enumerate() {
            // After these each attempt has to wait, and until when is in the store.
            for _ in 0..3 {
                assert_eq!(session.login(CKU_USER, "wrong-pin"), CKR_PIN_INCORRECT);
            }
            faults.turn_clock(seconds);
            let start = Instant::now();
            assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "{seconds} seconds off");
            assert!(start.elapsed() < Duration::from_secs(60), "it waits for the clock");
            assert_eq!(module.token_info(slot).expect("C_GetTokenInfo").flags & LOW, 0);
            let data = t![CKA_TOKEN => true, CKA_CLASS => CKO_DATA, CKA_LABEL => "x"];
            session.create(&data).expect("C_CreateObject");
            assert_eq!(session.find(&data).len(), number + 1);
            // Other processes' tokens are noticed, whatever the times of their files say.
            let label = format!("other {number}");
            let child = Forked::start(|| {
                // Of the parent nothing is left here, or all of it.
                let _ = module.finalize();
                initialize(module);
                let rv = module.init_token(blank_slot(module), "12345678".into(), &label);
                i32::from(rv != Rv::OK)
            });
            assert_eq!(child.wait(), Ended::Exit(0), "another process");
            assert!(labels(module).contains(&label), "{label}");
            assert_eq!(session.logout(), Rv::OK);
        }
    });
}

/// There was a wrong PIN since the last right one.
const LOW: CK_FLAGS = CKF_USER_PIN_COUNT_LOW;
