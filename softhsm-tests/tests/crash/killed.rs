//! kill -9, at any moment of any call that changes a token.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use strongroom_softhsm_tests::SoftHsm2::Races;
use strongroom_softhsm_tests::raw::{Ended, Forked, alarm};
use strongroom_softhsm_tests::{Module, Rv, World, case, count, long};

use crate::model::{Actor, Dice, HANGS, Moment, State, WISHES, Wish, initialize, look, make_token};

/// How many processes are killed.
fn rounds() -> usize {
    if long() { 2000 } else { 27 }
}

/// What a process says to who will kill it.
const BEGINS: u8 = b'b';
const ENDED: u8 = b'e';
/// A call failed, for the reason that follows.
const FAILED: u8 = b'f';

/// Makes changes until it is killed, and says when each begins and when each is acknowledged.
fn work(module: &Module, state: &State, mut dice: Dice, wish: Wish, mut line: PipeWriter) {
    alarm(HANGS);
    let mut run = || -> Result<(), String> {
        initialize(module);
        let mut actor = Actor::start(module, state.clone())?;
        loop {
            let change = actor.state.next(&mut dice, wish);
            actor.act(&change, |moment| {
                let byte: &[u8] = match moment {
                    Moment::Begins => &[BEGINS],
                    Moment::Ended => &[ENDED],
                    // Why is said in the end.
                    Moment::Failed => &[],
                };
                line.write_all(byte).expect("the line");
            })?;
        }
    };
    // It goes on until it is killed, or a call fails.
    let why = match catch_unwind(AssertUnwindSafe(&mut run)) {
        Ok(outcome) => outcome.expect_err("a call that failed"),
        Err(_) => "a call failed that never does".to_owned(),
    };
    line.write_all(&[&[FAILED], why.as_bytes()].concat()).expect("the line");
    // To be killed, as it expects.
    thread::sleep(Duration::from_secs(600));
}

/// What was said until the end.
struct Heard {
    before: State,
    /// If a call was under way, the state after it.
    after: State,
    acknowledged: usize,
    failed: Option<String>,
}

impl Heard {
    /// Repeats the changes of which a process spoke: they follow from the same seed.
    fn new(said: &[u8], state: &State, mut dice: Dice, wish: Wish) -> Self {
        let mut heard =
            Self { before: state.clone(), after: state.clone(), acknowledged: 0, failed: None };
        for (at, byte) in said.iter().enumerate() {
            match *byte {
                BEGINS => {
                    let change = heard.before.next(&mut dice, wish);
                    heard.after = heard.before.after(&change);
                }
                ENDED => {
                    heard.before = heard.after.clone();
                    heard.acknowledged += 1;
                }
                _ => {
                    let why = String::from_utf8_lossy(&said[at + 1..]).into_owned();
                    heard.failed = Some(why);
                    break;
                }
            }
        }
        heard
    }
}

/// Listens until a process has said so many words, or has failed.
fn listen(line: &mut PipeReader, words: usize) -> Vec<u8> {
    let mut said = Vec::new();
    let mut word = [0];
    while said.len() < words && line.read(&mut word).expect("the line") > 0 {
        said.push(word[0]);
        if word[0] == FAILED {
            break;
        }
    }
    said
}

/// What came of all rounds.
#[derive(Default)]
struct Tally {
    acknowledged: usize,
    lost: usize,
    tokens: usize,
    refused: usize,
    notes: Vec<String>,
}

impl Tally {
    fn note(&mut self, note: String) {
        if self.notes.len() < 5 {
            self.notes.push(note);
        }
    }
}

/// Kills a process in the middle of whatever it does, and looks at what is left.
fn round(world: &World, number: usize, state: &mut State, tally: &mut Tally) {
    let (_, wish) = WISHES[number % WISHES.len()];
    let mut dice = Dice::new(number as u64);
    let words = dice.below(8) as usize;
    // Most calls take less than a millisecond, and those about PINs some dozens.
    let most = if (number / WISHES.len()).is_multiple_of(2) { 700 } else { 45_000 };
    let patience = Duration::from_micros(dice.below(most));
    let module = world.module();
    let (mut line, end) = pipe().expect("a pipe");
    let child = {
        let (state, dice, end) = (&*state, dice.clone(), &end);
        Forked::start(move || {
            work(module, state, dice, wish, end.try_clone().expect("the line"));
            0
        })
    };
    drop(end);
    let mut said = listen(&mut line, words);
    thread::sleep(patience);
    child.kill();
    assert_eq!(child.wait(), Ended::Signal(9), "round {number}");
    // So does what answers its calls, or its last one would be carried out while somebody looks.
    world.replace_daemon();
    line.read_to_end(&mut said).expect("the line");
    let heard = Heard::new(&said, state, dice, wish);
    tally.acknowledged += heard.acknowledged;
    if let Some(why) = heard.failed {
        tally.refused += 1;
        tally.note(format!("round {number}, {wish:?}: {why}"));
    }
    initialize(module);
    match look(module, &[&heard.before, &heard.after]) {
        Ok(found) => {
            let losses = found.losses(&heard.before, &heard.after);
            if losses > 0 {
                tally.lost += losses;
                tally.note(format!("round {number}, {wish:?}: {found:?} of {:?}", heard.before));
            }
            *state = found;
            assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
        }
        Err(why) => {
            tally.tokens += 1;
            tally.lost += heard.before.things().len();
            tally.note(format!("round {number}, {wish:?}: {why}"));
            assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
            *state = make_token(world);
        }
    }
}

#[test]
fn at_any_moment() {
    let reason = "objects and PINs are written in place, without a rename or an fsync";
    case(Races(reason), |world| {
        let mut state = make_token(world);
        let mut tally = Tally::default();
        for number in 0..rounds() {
            round(world, number, &mut state, &mut tally);
        }
        count("kill -9: processes killed", rounds());
        count("kill -9: changes acknowledged before", tally.acknowledged);
        count("kill -9: objects lost or half changed", tally.lost);
        count("kill -9: tokens that no PIN opens", tally.tokens);
        count("kill -9: calls refused by what an earlier kill left", tally.refused);
        let notes = mem::take(&mut tally.notes);
        assert_eq!((tally.lost, tally.tokens, tally.refused), (0, 0, 0), "{notes:#?}");
        assert!(tally.acknowledged > rounds(), "{} changes", tally.acknowledged);
    });
}
