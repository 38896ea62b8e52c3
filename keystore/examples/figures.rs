//! Measures the keystore at several sizes and prints a table.
//!
//! ```text
//! cargo run --release --package strongroom-keystore --example figures [directory] [sizes...]
//! ```
//!
//! The directory must be on the disk to be measured; without one it is the temporary directory.
//! Times are medians, in microseconds unless another unit is named. "Open" is everything from
//! opening the store to the first status, in a process that has not opened it yet.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    time::{Duration, Instant},
};

use strongroom_keystore::{
    Change, Config, Found, ObjectId, OwnTerm, Role, Store, Term, Token, Unlocked, config::Seal,
};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const PIN: &[u8] = b"1234";
const BODY: usize = 700;
/// Objects in one commit while the store is filled.
const BULK: u64 = 1000;
const LABEL: u32 = 3;
const CLASS: u32 = 0;
const ID: u32 = 0x102;
const KEY_TYPE: u32 = 0x100;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [mode, dir] = arguments.as_slice()
        && mode == "--reader"
    {
        return reader(Path::new(dir));
    }
    let base = arguments.first().map_or_else(env::temp_dir, PathBuf::from);
    let mut sizes = Vec::new();
    for size in arguments.iter().skip(1) {
        sizes.push(size.parse()?);
    }
    if sizes.is_empty() {
        sizes = vec![100, 10_000, 100_000];
    }
    println!(
        "{:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8}",
        "objects",
        "open",
        "find 1",
        "find 2",
        "load",
        "version",
        "create",
        "replace",
        "delete",
        "find all",
        "login ms",
        "check ms",
        "rotate ms",
        "RSS MB",
        "file MB"
    );
    for size in sizes {
        let dir = base.join(format!("strongroom-figures-{}-{size}", process::id()));
        let outcome = measure(&dir, size);
        fs::remove_dir_all(&dir)?;
        outcome?;
    }
    Ok(())
}

fn config(dir: &Path) -> Config {
    Config::plain(dir.join("store"), Seal::File(dir.join("seal.key")))
}

fn id(number: u64) -> ObjectId {
    // Spread like random names, and the same each time.
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (u128::from(mixed) << 64 | u128::from(number)).to_be_bytes()
}

fn label(number: u64) -> Vec<u8> {
    format!("object {number}").into_bytes()
}

/// A body that says which object it is.
fn body(number: u64) -> [u8; BODY] {
    let mut body = [0; BODY];
    for (place, byte) in body.iter_mut().zip(number.to_be_bytes()) {
        *place = byte;
    }
    body
}

/// What an object is found by, from its body.
fn found_by(body: &[u8]) -> Option<Vec<OwnTerm>> {
    let number = u64::from_be_bytes(*body.first_chunk()?);
    let own = |term: &Term<'_>| (term.name, term.value.to_vec().into());
    Some(with_terms(number, |terms| terms.iter().map(own).collect()))
}

/// The four terms that an object of a PKCS#11 token has.
fn with_terms<T>(number: u64, run: impl FnOnce(&[Term<'_>]) -> T) -> T {
    let (label, id) = (label(number), number.to_be_bytes());
    run(&[
        Term { name: LABEL, value: &label },
        Term { name: ID, value: &id },
        Term { name: CLASS, value: &[3] },
        Term { name: KEY_TYPE, value: &[0] },
    ])
}

fn measure(dir: &Path, size: u64) -> Outcome<()> {
    fs::create_dir_all(dir)?;
    let store = Store::open(&config(dir))?;
    let token = store.create(&[b' '; 32], PIN)?;
    let so = token.unlock(Role::SecurityOfficer, PIN)?;
    token.set_user_pin(&so, PIN)?;
    fill(&token, &so, size)?;

    let create = median(200, |turn| create(&token, &so, size + turn))?;
    let replace = median(200, |turn| {
        let (body, id) = ([1; BODY], id(size + turn));
        with_terms(size + turn, |terms| {
            let change = Change::Replace { id, revision: 1, private: true, body: &body, terms };
            token.commit(Some(&so), &[change])
        })?;
        Ok(())
    })?;
    let delete =
        median(
            200,
            |turn| Ok(token.commit(Some(&so), &[Change::Delete { id: id(size + turn) }])?),
        )?;
    let started = Instant::now();
    let faults =
        store.check().into_iter().filter(|f| f.severity == strongroom_keystore::Severity::Fault);
    assert_eq!(faults.count(), 0);
    let check = started.elapsed();
    let started = Instant::now();
    token.rotate(PIN, Some(PIN), found_by)?;
    let rotate = started.elapsed();
    drop(so);
    let file: u64 = fs::read_dir(dir.join("store"))?
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|about| about.len())
        .sum();
    drop((token, store));

    // In a process of its own, which has not filled the store.
    let output = Command::new(env::current_exe()?).arg("--reader").arg(dir).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let text = String::from_utf8(output.stdout)?;
    let read: Vec<&str> = text.split_whitespace().collect();
    let [open, one, two, load, version, all, login, rss] = read.as_slice() else {
        return Err("the reader said something else".into());
    };
    println!(
        "{size:>8} {open:>8} {one:>8} {two:>8} {load:>8} {version:>8} {:>8} {:>8} {:>8} {all:>8} \
         {login:>8} {:>8} {:>9} {rss:>8} {:>8}",
        micros(create),
        micros(replace),
        micros(delete),
        check.as_millis(),
        rotate.as_millis(),
        file >> 20,
    );
    Ok(())
}

fn fill(token: &Token, keys: &Unlocked, size: u64) -> Outcome<()> {
    for start in (0..size).step_by(usize::try_from(BULK)?) {
        let numbers = start..size.min(start + BULK);
        let labels: Vec<_> = numbers.clone().map(|n| (label(n), n.to_be_bytes())).collect();
        let terms: Vec<_> = labels
            .iter()
            .map(|(label, id)| {
                [
                    Term { name: LABEL, value: label },
                    Term { name: ID, value: id },
                    Term { name: CLASS, value: &[3] },
                    Term { name: KEY_TYPE, value: &[0] },
                ]
            })
            .collect();
        let bodies: Vec<_> = numbers.clone().map(body).collect();
        let changes: Vec<_> = numbers
            .zip(&bodies)
            .zip(&terms)
            .map(|((n, body), terms)| Change::Create { id: id(n), private: true, body, terms })
            .collect();
        token.commit(Some(keys), &changes)?;
    }
    Ok(())
}

fn create(token: &Token, keys: &Unlocked, number: u64) -> Outcome<()> {
    let body = body(number);
    with_terms(number, |terms| {
        let change = Change::Create { id: id(number), private: true, body: &body, terms };
        token.commit(Some(keys), &[change])
    })?;
    Ok(())
}

/// Measures what a process does that only reads.
fn reader(dir: &Path) -> Outcome<()> {
    let started = Instant::now();
    let store = Store::open(&config(dir))?;
    let tokens = store.tokens()?;
    let token = tokens.first().ok_or("there is no token")?;
    token.status()?;
    let open = started.elapsed();
    let started = Instant::now();
    let user = token.unlock(Role::User, PIN)?;
    let login = started.elapsed();
    let size = u64::try_from(token.find(Some(&user), None, &[], None, usize::MAX)?.len())?;
    let some = |turn: u64| turn.wrapping_mul(7919) % size;

    let one = median(2000, |turn| {
        let label = label(some(turn));
        let terms = [Term { name: LABEL, value: &label }];
        expect_one(token.find(Some(&user), None, &terms, None, 2)?)
    })?;
    let two = median(2000, |turn| {
        let id = some(turn).to_be_bytes();
        let terms = [Term { name: ID, value: &id }, Term { name: CLASS, value: &[3] }];
        expect_one(token.find(Some(&user), None, &terms, None, 2)?)
    })?;
    let load = median(2000, |turn| {
        token.load(Some(&user), id(some(turn)))?;
        Ok(())
    })?;
    let version = {
        let started = Instant::now();
        for _ in 0..1_000_000 {
            token.version()?;
        }
        started.elapsed().as_nanos() / 1_000_000
    };
    let all = median(5, |_| {
        token.find(Some(&user), None, &[], None, usize::MAX)?;
        Ok(())
    })?;
    let status = fs::read_to_string("/proc/self/status")?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse()?;
    println!(
        "{} {} {} {} {}ns {} {} {}.{}",
        micros(open),
        micros(one),
        micros(two),
        micros(load),
        version,
        micros(all),
        login.as_millis(),
        rss / 1024,
        rss % 1024 * 10 / 1024
    );
    Ok(())
}

fn expect_one(found: Vec<Found>) -> Outcome<()> {
    if found.len() == 1 { Ok(()) } else { Err("an object was not found once".into()) }
}

fn median(turns: u64, mut run: impl FnMut(u64) -> Outcome<()>) -> Outcome<Duration> {
    let mut times = Vec::new();
    for turn in 0..turns {
        let started = Instant::now();
        run(turn)?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() / 2).copied().ok_or_else(|| "nothing was measured".into())
}

fn micros(time: Duration) -> String {
    let tenths = time.as_nanos() / 100;
    if tenths < 1000 {
        format!("{}.{}", tenths / 10, tenths % 10)
    } else {
        (tenths / 10).to_string()
    }
}
