//! A process that is measured: it has one module, or the bare library, and does what it is told,
//! line by line. A line is a row, a number of threads and milliseconds; the answer is what one
//! call costs, in seconds, or why it cannot be done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::Path;
use std::time::Duration;

use crate::rows::{self, Bare, Row, Turn, Work};
use crate::token::Token;
use crate::{Result, clock, objects};

/// Who does what it is told.
trait Subject {
    /// What a call of a row costs.
    fn cost(&mut self, row: &Row, threads: u32, time: Duration) -> Result<f64>;
    /// The memory that it takes when its objects have been used, in bytes.
    fn memory(&mut self) -> Result<f64>;
}

/// Serves with a module, whose token holds so many objects.
pub(crate) fn module(path: &Path, objects: u32) -> Result {
    let before = memory(std::process::id())?;
    let mut token = Token::open(path)?;
    token.open_all()?;
    serve(&mut Client { token, objects, before, works: BTreeMap::new() }, &rows::all(objects))
}

/// Serves with the bare library.
pub(crate) fn bare() -> Result {
    serve(&mut Library { works: BTreeMap::new() }, &rows::all(0))
}

struct Client {
    token: Token,
    objects: u32,
    before: f64,
    works: BTreeMap<String, Work>,
}

struct Library {
    works: BTreeMap<String, Bare>,
}

impl Subject for Client {
    fn cost(&mut self, row: &Row, threads: u32, time: Duration) -> Result<f64> {
        if !self.works.contains_key(&row.name) {
            self.works.insert(row.name.clone(), (row.module)(&self.token)?);
        }
        match self.works.get(&row.name).ok_or("there is no such work")? {
            Work::Part(work) => {
                let turn = Turn::new(&self.token, 0)?;
                clock::part(time, &|| work(&turn))
            }
            Work::Each(work) => clock::cost(threads, time, &|thread| {
                let turn = Turn::new(&self.token, thread)?;
                Ok(Box::new(move || work(&turn)))
            }),
        }
    }

    fn memory(&mut self) -> Result<f64> {
        objects::touch(&self.token, self.objects)?;
        Ok(memory(std::process::id())? - self.before)
    }
}

impl Subject for Library {
    fn cost(&mut self, row: &Row, threads: u32, time: Duration) -> Result<f64> {
        let start = row.bare.as_ref().ok_or("the library has no such thing")?;
        if !self.works.contains_key(&row.name) {
            self.works.insert(row.name.clone(), start()?);
        }
        let work = self.works.get(&row.name).ok_or("there is no such work")?;
        clock::cost(threads, time, &|_| Ok(Box::new(work)))
    }

    fn memory(&mut self) -> Result<f64> {
        memory(std::process::id())
    }
}

fn serve(subject: &mut dyn Subject, rows: &[Row]) -> Result {
    for line in stdin().lock().lines() {
        let answer = match answer(subject, rows, &line?) {
            Ok(figure) => format!("ok\t{figure:e}"),
            Err(error) => format!("no\t{error}"),
        };
        let mut out = stdout().lock();
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

fn answer(subject: &mut dyn Subject, rows: &[Row], line: &str) -> Result<f64> {
    let mut words = line.split('\t');
    let mut word = || words.next().ok_or("the line is too short");
    let name = word()?;
    if name == MEMORY {
        return subject.memory();
    }
    let row = rows.iter().find(|row| row.name == name).ok_or("there is no such row")?;
    let (threads, milliseconds) = (word()?.parse()?, word()?.parse()?);
    subject.cost(row, threads, Duration::from_millis(milliseconds))
}

/// The line that asks for memory.
pub(crate) const MEMORY: &str = "memory";

/// The memory of a process, in bytes.
pub(crate) fn memory(process: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kibibytes: f64 = kibibytes.ok_or("the kernel does not say the memory")?.parse()?;
    Ok(kibibytes * 1024.0)
}
