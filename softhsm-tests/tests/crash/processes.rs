//! Several processes of several threads on one token: whatever each of them sees fits one order in
//! which things were created and destroyed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use cryptoki_sys::*;
use strongroom_softhsm_tests::SoftHsm2::Races;
use strongroom_softhsm_tests::raw::{Ended, Forked, alarm};
use strongroom_softhsm_tests::{
    LABEL, Module, Rv, Session, SoftHsm2, USER_PIN, count, long, t, table,
};

use crate::model::{Dice, HANGS, find_token, initialize};

/// How many names there are; objects of several threads share each.
const NAMES: u64 = 3;

/// An object of this test: whose it is and which, and so what it is called.
type Id = u64;

fn name(id: Id) -> String {
    format!("name {}", id % NAMES)
}

/// What a thread did, and between which moments, in nanoseconds.
#[derive(Debug)]
struct Event {
    from: u64,
    to: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Created(Id),
    Destroyed(Id),
    /// Those that a search for a name has met; not all of them could be told apart, if one was
    /// destroyed before its number was read.
    Found {
        name: String,
        ids: BTreeSet<Id>,
        all: bool,
    },
}

/// A thread at work: what it did, as lines of a file.
struct Worker<'m> {
    session: Session<'m>,
    start: Instant,
    log: String,
}

impl Worker<'_> {
    /// Does something, and says between which moments.
    fn timed<T>(&self, run: impl FnOnce(&Session<'_>) -> T) -> (u64, u64, T) {
        let now = || u64::try_from(self.start.elapsed().as_nanos()).expect("a time");
        let from = now();
        let outcome = run(&self.session);
        (from, now(), outcome)
    }

    fn create(&mut self, id: Id) {
        let template = t![
            CKA_CLASS => CKO_SECRET_KEY, CKA_KEY_TYPE => CKK_GENERIC_SECRET, CKA_TOKEN => true,
            CKA_PRIVATE => true, CKA_VALUE => &[7; 32], CKA_LABEL => name(id).as_str(),
            CKA_ID => id.to_string().as_str(),
        ];
        let (from, to, outcome) = self.timed(|session| session.create(&template));
        outcome.expect("C_CreateObject");
        let _ = writeln!(self.log, "created {from} {to} {id}");
    }

    /// Searches for a name; the handles and the numbers of what it met.
    fn find(&mut self, name: &str) -> Vec<(CK_OBJECT_HANDLE, Id)> {
        let (from, to, found) = self.timed(|session| session.find(&t![CKA_LABEL => name]));
        let mut met: Vec<(CK_OBJECT_HANDLE, Id)> = Vec::new();
        let mut all = true;
        for object in found {
            match self.session.get(object, CKA_ID) {
                Ok(id) => {
                    let digits = String::from_utf8(id).expect("digits");
                    met.push((object, digits.parse().expect("a number")));
                }
                Err(rv) => {
                    assert_eq!(rv, CKR_OBJECT_HANDLE_INVALID, "C_GetAttributeValue");
                    all = false;
                }
            }
        }
        let ids: Vec<_> = met.iter().map(|(_, id)| id.to_string()).collect();
        let _ = writeln!(self.log, "found {from} {to} {all} {name}:{}", ids.join(","));
        met
    }

    fn destroy(&mut self, object: CK_OBJECT_HANDLE, id: Id) {
        let (from, to, rv) = self.timed(|session| session.destroy(object));
        if rv == Rv::OK {
            let _ = writeln!(self.log, "destroyed {from} {to} {id}");
        } else {
            assert_eq!(rv, CKR_OBJECT_HANDLE_INVALID, "another was faster");
        }
    }

    /// Creates, looks, and destroys what it finds, whosever it is.
    fn work(&mut self, me: u64, rounds: u64) {
        let mut dice = Dice::new(me);
        for round in 0..rounds {
            self.create(me * 1_000_000 + round);
            let found = self.find(&name(dice.below(NAMES)));
            if !found.is_empty() && dice.below(3) > 0 {
                let (object, id) = found[dice.below(found.len() as u64) as usize];
                self.destroy(object, id);
            }
            self.find(&name(dice.below(NAMES)));
        }
    }
}

/// One process: its threads work, and leave what they did in a file each.
fn process(module: &Module, number: u64, threads: u64, start: Instant, directory: &Path) {
    initialize(module);
    let slot = find_token(module).expect("the token");
    let rounds = if long() { 300 } else { 12 };
    alarm(if long() { 3600 } else { HANGS });
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let session = Session::open(module, slot, CKF_RW_SESSION);
                let rv = session.login(CKU_USER, USER_PIN);
                assert!(rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN, "C_Login: {rv:?}");
                let mut worker = Worker { session, start, log: String::new() };
                let me = number * threads + thread;
                worker.work(me, rounds);
                fs::write(directory.join(format!("history {me}")), worker.log).expect("a file");
            });
        }
    });
    assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
}

fn parse(line: &str) -> Event {
    let mut words = line.splitn(4, ' ');
    let mut word = || words.next().expect("a word");
    let (kind, from, to, rest) = (word(), word(), word(), word());
    let id = || rest.parse().expect("a number");
    let what = match kind {
        "created" => What::Created(id()),
        "destroyed" => What::Destroyed(id()),
        _ => {
            let (all, rest) = rest.split_once(' ').expect("a word");
            let (name, ids) = rest.split_once(':').expect("a name");
            let numbers = ids.split(',').filter(|id| !id.is_empty());
            let ids = numbers.map(|id| id.parse().expect("a number")).collect();
            What::Found { name: name.to_owned(), ids, all: all == "true" }
        }
    };
    let time = |word: &str| word.parse().expect("a time");
    Event { from: time(from), to: time(to), what }
}

/// Whether there is a moment at which this object was created, and a later one at which it was
/// destroyed, if it was, that fit all that was seen of it.
///
/// It is taken to be created as late as possible, and destroyed as early as possible: if that explains
/// why a search has not met it, any explanation does.
fn fits(id: Id, history: &[Event]) -> Result<(), String> {
    let (mut born, mut dead) = (None, Vec::new());
    let (mut first_seen, mut last_seen) = (u64::MAX, 0);
    for Event { from, to, what } in history {
        match what {
            What::Created(of) if *of == id => born = Some((*from, *to)),
            What::Destroyed(of) if *of == id => dead.push((*from, *to)),
            What::Found { ids, .. } if ids.contains(&id) => {
                first_seen = first_seen.min(*to);
                last_seen = last_seen.max(*from);
            }
            _ => {}
        }
    }
    let (from, to) = born.ok_or_else(|| format!("nobody has created {id}"))?;
    let created = to.min(first_seen);
    if created < from {
        return Err(format!("{id} was seen before it was created"));
    }
    let dead = match *dead.as_slice() {
        [] => None,
        [one] => Some(one),
        _ => return Err(format!("{id} was destroyed twice")),
    };
    let destroyed = dead.map_or(u64::MAX, |(from, _)| from.max(last_seen));
    if dead.is_some_and(|(_, to)| destroyed > to) {
        return Err(format!("{id} was seen after it was destroyed"));
    }
    let missed = |event: &&Event| match &event.what {
        What::Found { name: of, ids, all: true } => {
            *of == name(id) && !ids.contains(&id) && event.from > created && event.to < destroyed
        }
        _ => false,
    };
    match history.iter().find(missed) {
        Some(event) => Err(format!("{id} was not seen while it was there: {event:?}")),
        None => Ok(()),
    }
}

#[test]
fn what_each_sees_fits_one_order() {
    let reason = "processes and threads trip over each other's files (#573, #358, #757)";
    let races: SoftHsm2 = Races(reason);
    let rows = [("2 of 4 threads", races, (2, 4)), ("8 of 2 threads", races, (8, 2))];
    table(&rows, |world, &(processes, threads)| {
        world.slot();
        let module = world.module();
        let directory = world.directory().join(format!("histories of {processes}"));
        fs::create_dir(&directory).expect("a directory");
        assert_eq!(module.finalize(), Rv::OK, "C_Finalize");
        let start = Instant::now();
        let child = |number| {
            let directory = directory.as_path();
            Forked::start(move || {
                process(module, number, threads, start, directory);
                0
            })
        };
        let children: Vec<_> = (0..processes).map(child).collect();
        let ends: Vec<_> = children.into_iter().map(Forked::wait).collect();
        assert!(ends.iter().all(|end| *end == Ended::Exit(0)), "{ends:?}");
        let mut history = Vec::new();
        for entry in fs::read_dir(&directory).expect("a directory") {
            let text = fs::read_to_string(entry.expect("an entry").path()).expect("a history");
            history.extend(text.lines().map(parse));
        }
        initialize(module);
        let session = Session::open(module, find_token(module).expect("the token"), CKF_RW_SESSION);
        assert_eq!(session.login(CKU_USER, USER_PIN), Rv::OK, "C_Login");
        let mut last = Worker { session, start, log: String::new() };
        for number in 0..NAMES {
            last.find(&name(number)).into_iter().for_each(|(object, id)| last.destroy(object, id));
        }
        history.extend(last.log.lines().map(parse));
        assert!(last.session.find(&[]).is_empty(), "something of {LABEL} is left");
        let ids: Vec<Id> = history
            .iter()
            .filter_map(|event| match event.what {
                What::Created(id) => Some(id),
                _ => None,
            })
            .collect();
        let wrong: Vec<String> = ids.iter().filter_map(|id| fits(*id, &history).err()).collect();
        count("many processes: calls in their histories", history.len());
        count("many processes: objects that fit no order", wrong.len());
        assert!(wrong.is_empty(), "{} of {}: {:?}", wrong.len(), ids.len(), wrong.first());
    });
}

#[test]
fn a_history_that_fits_no_order_is_told_from_one_that_does() {
    let event = |from, to, what| Event { from, to, what };
    let found = |from, to, ids: &[Id]| {
        event(
            from,
            to,
            What::Found { name: name(3), ids: ids.iter().copied().collect(), all: true },
        )
    };
    let history = |seen: Vec<Event>| {
        let own = [event(10, 20, What::Created(3)), event(50, 60, What::Destroyed(3))];
        own.into_iter().chain(seen).collect::<Vec<_>>()
    };
    for fine in [
        vec![],
        vec![found(0, 12, &[3]), found(15, 30, &[3]), found(55, 90, &[3]), found(61, 62, &[])],
        vec![found(5, 15, &[]), found(19, 21, &[]), found(51, 52, &[]), found(0, 90, &[])],
        vec![found(14, 16, &[]), found(17, 18, &[3]), found(58, 70, &[])],
    ] {
        assert_eq!(fits(3, &history(fine)), Ok(()));
    }
    for bad in [
        vec![found(0, 5, &[3])],
        vec![found(61, 70, &[3])],
        vec![found(21, 49, &[])],
        vec![found(11, 12, &[3]), found(13, 14, &[])],
        vec![found(51, 52, &[]), found(53, 54, &[3])],
        vec![event(52, 55, What::Destroyed(3))],
    ] {
        assert!(fits(3, &history(bad)).is_err());
    }
}
