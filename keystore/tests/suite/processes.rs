//! Many processes, some of which die, fork, or may not write.

use std::{
    fs,
    io::{self, BufRead, BufReader, Lines, Read, Write},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    process::{Child, ChildStdout},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{Place, SO_PIN, USER_PIN, argument, create, first, id, long, private, term},
    rotation::found_by,
};
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use strongroom_keystore::{
    Change, Error, ObjectId, PinState, Role, Severity, Token, Unlocked, quiesce,
};

fn find_all(token: &Token, keys: &Unlocked) -> Vec<ObjectId> {
    let found = token.find(Some(keys), Some(true), &[], None, 1_000_000).unwrap();
    found.into_iter().map(|found| found.id).collect()
}

fn assert_sound(place: &Place) {
    let findings = place.store().check();
    assert!(findings.iter().all(|f| f.severity == Severity::Fine), "{findings:?}");
}

/// Says a line to who has started this process, which may be its last.
fn say(what: &str) {
    let mut out = io::stdout();
    // The test runner has begun a line of its own.
    writeln!(out, "\n{what}").unwrap();
    out.flush().unwrap();
}

/// What a process says.
fn heard(child: &mut Child) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

/// How often a process is killed.
fn rounds(few: u64) -> u64 {
    if long() { 300 } else { few }
}

/// Creates objects one by one until it is killed, and says so after each.
#[test]
#[ignore = "a process of another test"]
fn creator() {
    let place = Place::of_parent();
    let token = first(&place.store());
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    let base = argument().parse::<u64>().unwrap() << 32;
    for number in base.. {
        let body = vec![7; 700];
        token.commit(Some(&user), &[create(number, true, &body, &term(b"x"))]).unwrap();
        say(&format!("created {number}"));
    }
}

#[test]
fn a_killed_writer_loses_nothing_it_acknowledged() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let mut acknowledged = Vec::new();
    for round in 1..=rounds(8) {
        let mut child = place.start("creator", &round.to_string());
        let mut lines = heard(&mut child);
        let mut seen = 0;
        while seen < 5 + round % 9 * 3 {
            let line = lines.next().expect("the creator ended").unwrap();
            if let Some(number) = line.strip_prefix("created ") {
                acknowledged.push(id(number.parse().unwrap()));
                seen += 1;
            }
        }
        // In the middle of whatever it does just now.
        thread::sleep(Duration::from_micros(137 * round % 5000));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(number) = line.strip_prefix("created ") {
                acknowledged.push(id(number.parse().unwrap()));
            }
        }
        let found = find_all(&token, &user);
        assert!(acknowledged.iter().all(|id| found.binary_search(id).is_ok()));
        // At most the one that was under way may be there besides.
        assert!(found.len() <= acknowledged.len() + usize::try_from(round).unwrap());
    }
    assert_sound(&place);
    token.unlock(Role::User, USER_PIN).unwrap();
}

/// Creates the objects it is told on its standard input.
#[test]
#[ignore = "a process of another test"]
fn obeyer() {
    let place = Place::of_parent();
    let token = first(&place.store());
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    say("ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (what, number) = line.split_once(' ').unwrap();
        let number: u64 = number.parse().unwrap();
        let terms = term(b"x");
        let change = match what {
            "create" => create(number, true, b"", &terms),
            _ => Change::Delete { id: id(number) },
        };
        token.commit(Some(&user), &[change]).unwrap();
        let found = find_all(&token, &user);
        println!("done {}", found.len());
    }
}

struct Obeyer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Obeyer {
    fn start(place: &Place) -> Self {
        let mut child = place.start("obeyer", "");
        let lines = heard(&mut child);
        let mut obeyer = Self { child, lines };
        obeyer.wait_for("ready");
        obeyer
    }

    /// Has it do something; the number of objects that it sees then.
    fn tell(&mut self, order: &str) -> usize {
        writeln!(self.child.stdin.as_mut().unwrap(), "{order}").unwrap();
        self.wait_for("done ").parse().unwrap()
    }

    fn wait_for(&mut self, start: &str) -> String {
        loop {
            let line = self.lines.next().expect("the process ended").unwrap();
            if let Some(rest) = line.strip_prefix(start) {
                return rest.to_owned();
            }
        }
    }
}

impl Drop for Obeyer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn processes_see_each_others_commits_at_the_next_search() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let mut other = Obeyer::start(&place);
    for number in 0..50 {
        let before = token.version().unwrap();
        other.tell(&format!("create {number}"));
        assert!(token.version().unwrap() > before);
        let x = term(b"x");
        let found = token.find(Some(&user), Some(true), &x, None, 99).unwrap();
        assert_eq!(found.last(), Some(&private(number)));
        if number % 3 == 0 {
            token.commit(Some(&user), &[Change::Delete { id: id(number) }]).unwrap();
        }
    }
    // The other one sees ours as well: 33 are left, and one more is made.
    assert_eq!(other.tell("create 99"), 34);
    other.tell("delete 99");
    assert!(matches!(token.load(Some(&user), id(99)), Err(Error::NotFound)));
}

fn writers(count: u64) {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let mut children: Vec<_> =
        (1..=count).map(|number| place.start("creator", &number.to_string())).collect();
    let started = Instant::now();
    let made_by = |found: &[ObjectId], number: u64| {
        found.iter().filter(|id| id[8..12] == u32::try_from(number).unwrap().to_be_bytes()).count()
    };
    loop {
        thread::sleep(Duration::from_millis(20));
        let found = find_all(&token, &user);
        if (1..=count).all(|number| made_by(&found, number) >= 15) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "a writer starves");
    }
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert_sound(&place);
}

#[test]
fn two_writers_make_progress() {
    writers(2);
}

#[test]
fn eight_writers_make_progress() {
    writers(8);
}

/// Calls `fork`, as a host application may at any time, between the handlers of a module.
fn fork() -> i32 {
    let guard = quiesce();
    #[expect(unsafe_code, reason = "fork has no safe wrapper")]
    // SAFETY: the child runs on in this thread alone; all it uses of what other threads could
    // have held are the allocator, which glibc makes usable, and the keystore, which the guard is
    // for.
    let child = unsafe { libc::fork() };
    drop(guard);
    child
}

/// Leaves a forked child without running what belongs to its parent.
fn leave(code: i32) -> ! {
    #[expect(unsafe_code, reason = "exit without destructors has no safe wrapper")]
    // SAFETY: ends the process at once; nothing is used afterwards.
    unsafe {
        libc::_exit(code)
    }
}

fn wait_for(child: i32) -> i32 {
    let mut status = 0;
    #[expect(unsafe_code, reason = "a forked child has no handle of the standard library")]
    // SAFETY: `status` is a valid place for an `int` until the call returns.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(waited, child);
    status
}

/// Forks while threads read and write, and works in parent and children.
#[test]
#[ignore = "a process of another test"]
fn forker() {
    let place = Place::of_parent();
    let store = place.store();
    let token = first(&store);
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for thread in 1..=3_u64 {
            let (token, user, stop) = (&token, &user, &stop);
            scope.spawn(move || {
                for number in (thread << 32).. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    token.commit(Some(user), &[create(number, true, b"", &[])]).unwrap();
                    assert!(token.load(Some(user), id(number)).is_ok());
                }
            });
        }
        for round in 4..12_u64 {
            let child = fork();
            if child == 0 {
                leave(i32::from(!in_child(&place, round << 32)));
            }
            token.commit(Some(&user), &[create((round << 32) + 1, true, b"", &[])]).unwrap();
            assert_eq!(wait_for(child), 0);
            assert!(token.load(Some(&user), id(round << 32)).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
    });
    println!("\nforked");
}

/// What a child does: forget what it inherited, open anew. Says whether all went well.
fn in_child(place: &Place, number: u64) -> bool {
    let store = place.store();
    let token = first(&store);
    let Ok(user) = token.unlock(Role::User, USER_PIN) else { return false };
    let made = token.commit(Some(&user), &[create(number, true, b"", &[])]);
    made.is_ok() && token.load(Some(&user), id(number)).is_ok()
}

#[test]
fn a_process_may_fork_with_open_stores() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    let mut child = place.start("forker", "");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    assert!(text.contains("forked"), "{text}");
    let found = find_all(&token, &user);
    for round in 4..12_u64 {
        assert!(found.contains(&id(round << 32)) && found.contains(&id((round << 32) + 1)));
    }
    assert_sound(&place);
}

/// Forks while another thread checks PINs, and is killed at once; the child lives for as long as its
/// standard input is open.
#[test]
#[ignore = "a process of another test"]
fn forker_in_a_turn() {
    let place = Place::of_parent();
    let token = first(&place.store());
    token.verify(Role::User, USER_PIN).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                token.verify(Role::User, USER_PIN).unwrap();
            }
        });
        thread::sleep(Duration::from_millis(argument().parse().unwrap()));
        if fork() == 0 {
            say("forked");
            let _ = io::stdin().read_to_end(&mut Vec::new());
            leave(0);
        }
        kill_process(getpid(), Signal::KILL).unwrap();
    });
}

#[test]
fn a_child_does_not_keep_the_turn_of_a_parent_that_was_killed() {
    let place = Place::new();
    let (_store, token, _) = place.token();
    // A turn is most of the time of a check; but one may be just over.
    for moment in [50, 57, 64] {
        let mut parent = place.start("forker_in_a_turn", &moment.to_string());
        assert!(heard(&mut parent).any(|line| line.unwrap() == "forked"));
        let input = parent.stdin.take();
        parent.wait().unwrap();
        let start = Instant::now();
        token.verify(Role::User, USER_PIN).unwrap();
        assert!(start.elapsed() < Duration::from_secs(9), "the child has the turn");
        drop(input);
    }
}

#[test]
fn nothing_is_open_while_quiet() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"", &[])]).unwrap();
    let open = || {
        let names = fs::read_dir("/proc/self/fd").unwrap().flatten();
        names
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .filter(|path| path.starts_with(place.path("store")))
            .count()
    };
    assert!(open() > 0);
    let version = token.version().unwrap();
    let guard = quiesce();
    assert_eq!(open(), 0);
    // What did not change just now is still known, without opening anything.
    assert_eq!(token.version().unwrap(), version);
    thread::scope(|scope| {
        let search = scope.spawn(|| find_all(&token, &user).len());
        thread::sleep(Duration::from_millis(150));
        assert!(!search.is_finished());
        drop(guard);
        assert_eq!(search.join().unwrap(), 1);
    });
    assert_eq!(token.version().unwrap(), version);
}

/// Uses a store that it may only read.
#[test]
#[ignore = "a process of another test"]
fn reader() {
    let place = Place::of_parent();
    let store = place.store();
    let token = first(&store);
    assert!(matches!(token.verify(Role::User, b"bad"), Err(Error::WrongPin)));
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    assert_eq!(find_all(&token, &user), [id(1)]);
    assert_eq!(token.load(Some(&user), id(1)).unwrap().body.as_slice(), b"body");
    let outcome = token.commit(Some(&user), &[create(2, true, b"", &[])]);
    assert!(matches!(outcome, Err(Error::ReadOnly)));
    assert!(matches!(token.set_pin(Role::User, USER_PIN, b"x"), Err(Error::ReadOnly)));
    assert!(matches!(store.create(&[b'x'; 32], SO_PIN), Err(Error::ReadOnly)));
    assert!(matches!(store.remove(&token), Err(Error::ReadOnly)));
    println!("\nread");
}

#[test]
fn a_store_that_cannot_be_written_can_be_read() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can start a process of another user.
    }
    let place = Place::new();
    let (store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"body", &[])]).unwrap();
    let group = 65_534;
    let share = |name: &str, mode| {
        let path = place.path(name);
        chown(&path, None, Some(group)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let start = |place: &Place| {
        let mut command = place.command("reader", "");
        command.uid(65_534).gid(group);
        let mut child = command.spawn().unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(child.wait().unwrap().success(), "{text}");
        assert!(text.contains("read"), "{text}");
    };
    share("seal", 0o750);
    share("seal/seal.key", 0o440);
    share("store", 0o750);
    let shared = || {
        for entry in fs::read_dir(place.path("store")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            share(&format!("store/{name}"), 0o640);
        }
    };
    // While the writer is there, with commits in its log.
    shared();
    start(&place);
    // And when it is gone.
    drop((store, token, user));
    shared();
    start(&place);
}

/// Opens a store that it may only read again and again, and reads.
#[test]
#[ignore = "a process of another test"]
fn returning_reader() {
    let place = Place::of_parent();
    say("ready");
    let started = Instant::now();
    let mut looks = 0;
    while started.elapsed() < Duration::from_secs(3) {
        let store = place.store();
        first(&store).status().unwrap();
        looks += 1;
    }
    say(&format!("looked {looks}"));
}

#[test]
fn a_log_that_comes_and_goes_disturbs_no_reader() {
    if !rustix::process::geteuid().is_root() {
        return; // Only root can start a process of another user.
    }
    let place = Place::new();
    let (store, token, _user) = place.token();
    drop((token, store));
    let group = 65_534;
    let names = fs::read_dir(place.path("store")).unwrap().flatten();
    let files = names.map(|entry| (entry.path(), 0o640));
    let rest = [("seal", 0o750), ("seal/seal.key", 0o440), ("store", 0o750)];
    for (path, mode) in files.chain(rest.map(|(name, mode)| (place.path(name), mode))) {
        chown(&path, None, Some(group)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let mut child = place.command("returning_reader", "").uid(65_534).gid(group).spawn().unwrap();
    let mut lines = heard(&mut child);
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line == "ready"));
    let mut writers = 0;
    while child.try_wait().unwrap().is_none() {
        let store = place.store();
        let token = first(&store);
        token.commit(None, &[create(writers, false, b"", &[])]).unwrap();
        writers += 1;
    }
    assert!(child.wait().unwrap().success(), "a look that failed");
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("looked ")) && writers > 9);
}

/// Fills its disk, as the limit on file sizes simulates.
#[test]
#[ignore = "a process of another test"]
fn filler() {
    let place = Place::of_parent();
    let token = first(&place.store());
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    #[expect(unsafe_code, reason = "signals have no safe wrapper")]
    // SAFETY: ignoring a signal installs no handler; no other thread depends on it.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
    let limit = Rlimit { current: Some(600_000), maximum: Some(600_000) };
    setrlimit(Resource::Fsize, limit).unwrap();
    let body = vec![1; 20_000];
    let mut made = 0;
    let error = loop {
        match token.commit(Some(&user), &[create(made + 10, true, &body, &[])]) {
            Ok(()) => made += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full), "{error}");
    assert!(made > 5);
    assert_eq!(find_all(&token, &user).len(), usize::try_from(made).unwrap() + 1);
    // Wrong PINs that cannot be counted in the store slow this process down all the same.
    for _ in 0..3 {
        token.verify(Role::User, b"bad").unwrap_err();
    }
    println!("\nfilled {made}");
}

#[test]
fn a_full_disk_leaves_everything_intact() {
    let place = Place::new();
    let (_store, token, user) = place.token();
    token.commit(Some(&user), &[create(1, true, b"", &[])]).unwrap();
    let mut child = place.start("filler", "");
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{text}");
    let made = text.lines().find_map(|line| line.strip_prefix("filled ")).unwrap();
    let found = find_all(&token, &user);
    assert_eq!(found.len(), made.parse::<usize>().unwrap() + 1);
    token.commit(Some(&user), &[create(2, true, b"", &[])]).unwrap();
    token.unlock(Role::User, USER_PIN).unwrap();
    assert_sound(&place);
}

/// Guesses once.
#[test]
#[ignore = "a process of another test"]
fn guesser_once() {
    let token = first(&Place::of_parent().store());
    assert!(matches!(token.verify(Role::User, b"bad"), Err(Error::WrongPin)));
}

#[test]
fn wrong_pins_of_many_processes_are_all_counted() {
    let place = Place::new();
    let (_store, token, _user) = place.token();
    let children: Vec<_> = (0..8).map(|_| place.start("guesser_once", "")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let sql = rusqlite::Connection::open(place.database(&token)).unwrap();
    let fails = "SELECT fails FROM slot WHERE role=1";
    assert_eq!(sql.query_row(fails, [], |row| row.get::<_, i64>(0)).unwrap(), 8);
    drop(sql);
    token.unlock(Role::User, USER_PIN).unwrap();
}

/// Makes backups and takes them in again, until it is killed, and says so after each.
#[test]
#[ignore = "a process of another test"]
fn mover() {
    let place = Place::of_parent();
    let store = place.store();
    let token = first(&store);
    let user = token.unlock(Role::User, USER_PIN).unwrap();
    let base = argument().parse::<u64>().unwrap() << 32;
    for number in base.. {
        token.commit(Some(&user), &[create(number, true, &[7; 5000], &term(b"x"))]).unwrap();
        let backup = place.path(&format!("backup-{number}.db"));
        store.backup(&token, &backup).unwrap();
        say(&format!("backed up {number}"));
        store.restore(&backup, true).unwrap();
        say(&format!("restored {number}"));
    }
}

#[test]
fn backups_and_restores_that_are_killed_are_whole_or_not_there() {
    let place = Place::new();
    let (store, token, _user) = place.token();
    for round in 1..=rounds(6) {
        let mut child = place.start("mover", &round.to_string());
        let mut lines = heard(&mut child);
        let said = |line: &String| line.starts_with("backed up ") || line.starts_with("restored ");
        let words = 1 + usize::try_from(round % 7).unwrap();
        let mut heard: Vec<String> =
            lines.by_ref().map_while(Result::ok).filter(said).take(words).collect();
        thread::sleep(Duration::from_micros(1700 * round % 50_000));
        child.kill().unwrap();
        child.wait().unwrap();
        heard.extend(lines.map_while(Result::ok).filter(said));
        // The token is whole, with all that was there when a backup was acknowledged.
        assert_sound(&place);
        let user = token.unlock(Role::User, USER_PIN).unwrap();
        let found = find_all(&token, &user);
        let number = |line: &str| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap();
        let backups: Vec<u64> = heard
            .iter()
            .filter(|line| line.starts_with("backed"))
            .map(|line| number(line))
            .collect();
        assert!(!backups.is_empty());
        assert!(backups.iter().all(|number| found.contains(&id(*number))));
        // So is each backup that was acknowledged; the next may be cut short, and is refused then.
        let backup = |number| place.path(&format!("backup-{number}.db"));
        let last = backups.last().unwrap();
        store.restore(&backup(*last), true).unwrap();
        let cut = backup(last + 1);
        match store.restore(&cut, true) {
            Ok(_) | Err(Error::NotFound | Error::Corrupt(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert_sound(&place);
        backups.into_iter().for_each(|number| fs::remove_file(backup(number)).unwrap());
        // It may not be there.
        let _ = fs::remove_file(cut);
    }
}

/// Replaces the master key again and again, until it is killed, and says so after each time.
#[test]
#[ignore = "a process of another test"]
fn rotator() {
    let token = first(&Place::of_parent().store());
    loop {
        token.rotate(SO_PIN, Some(USER_PIN), found_by).unwrap();
        say("rotated");
    }
}

#[test]
fn a_killed_rotation_leaves_the_old_key_or_the_new_one() {
    let place = Place::new();
    let (_store, token, mut user) = place.token();
    let bodies: Vec<_> = (0..60_u64).map(|number| format!("object {number}")).collect();
    for (number, body) in (0..).zip(&bodies) {
        let (body, terms) = (body.as_bytes(), term(body.as_bytes()));
        token.commit(Some(&user), &[create(number, true, body, &terms)]).unwrap();
    }
    for round in 1..=rounds(10) {
        let mut child = place.start("rotator", "");
        let mut lines = heard(&mut child);
        let rotated = |line: &String| line == "rotated";
        let turns = usize::try_from(round % 3).unwrap();
        let mut said = lines.by_ref().map_while(Result::ok).filter(rotated).take(turns).count();
        // A rotation takes two PIN checks, two derivations, and then some milliseconds.
        thread::sleep(Duration::from_micros(7919 * round % 150_000));
        child.kill().unwrap();
        child.wait().unwrap();
        said += lines.map_while(Result::ok).filter(rotated).count();
        assert!(said == 0 || !token.holds(&user).unwrap(), "round {round}: acknowledged");
        token.verify(Role::SecurityOfficer, SO_PIN).unwrap();
        user = token.unlock(Role::User, USER_PIN).unwrap();
        assert_eq!(find_all(&token, &user).len(), bodies.len(), "round {round}");
        for (number, body) in (0..).zip(&bodies) {
            let found = token.find(Some(&user), None, &term(body.as_bytes()), None, 9).unwrap();
            assert_eq!(found, [private(number)]);
            let body_there = token.load(Some(&user), id(number)).unwrap().body;
            assert_eq!(body_there.as_slice(), body.as_bytes());
        }
        assert_sound(&place);
    }
}

/// Guesses until it is killed.
#[test]
#[ignore = "a process of another test"]
fn guesser() {
    let token = first(&Place::of_parent().store());
    loop {
        token.verify(Role::User, b"bad").unwrap_err();
        say("wrong");
    }
}

#[test]
fn counts_survive_a_kill() {
    let place = Place::new();
    let (_store, token, _user) = place.token();
    let mut child = place.start("guesser", "");
    let mut lines = heard(&mut child);
    let wrong = |line: String| (line == "wrong").then_some(());
    lines.by_ref().map_while(Result::ok).filter_map(wrong).take(2).for_each(drop);
    child.kill().unwrap();
    child.wait().unwrap();
    let mut config = place.config();
    config.pin_lockout = Some(2);
    let strict = strongroom_keystore::Store::open(&config).unwrap();
    assert_eq!(token.status().unwrap().user_pin, PinState::CountLow);
    assert_eq!(first(&strict).status().unwrap().user_pin, PinState::Locked);
}
