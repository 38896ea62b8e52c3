//! What is wrong with a store, and what to do about it.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use crate::{
    Error, Store, Token,
    backend::sqlite::files::{stem, token_of},
    config::Config,
    filesystem,
    locks::Locks,
    queue,
    seal::{DRAFT, EXPOSED},
};

/// Something that [`Store::check`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was found, in a sentence.
    pub what: String,
    /// What to do about it, in a sentence; empty if there is nothing to do.
    pub remedy: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// As it should be.
    Fine,
    /// Works, and should be changed.
    Warning,
    /// Does not work, or protects nothing.
    Fault,
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, severity: Severity, what: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { severity, what: what.into(), remedy: remedy.into() });
    }

    fn fine(&mut self, what: impl Into<String>) {
        self.add(Severity::Fine, what, "");
    }
}

impl Store {
    /// Looks at everything that can be looked at without a PIN: the configuration, the file
    /// system, permissions, the seal key, the database files, every object against the set hash,
    /// every public object opened, and files that belong to nothing.
    ///
    /// Takes about 20 ms per thousand objects.
    #[must_use]
    pub fn check(&self) -> Vec<Finding> {
        let mut findings = Findings(Vec::new());
        self.check_config(&mut findings);
        let there = self.check_dir(&mut findings);
        self.check_seal(&mut findings);
        if there {
            self.check_names(&mut findings);
            self.check_tokens(&mut findings);
        }
        findings.0
    }

    fn check_config(&self, findings: &mut Findings) {
        match &self.config.source {
            Some(path) => findings.fine(format!("the configuration is {}", path.display())),
            None => findings.fine("there is no configuration; everything lies under the home"),
        }
        for remark in &self.config.remarks {
            findings.add(Severity::Warning, remark, "correct or remove the line");
        }
        for (_, what, remedy) in costs(&self.config).into_iter().filter(|(paid, ..)| *paid) {
            findings.add(Severity::Fine, what, remedy);
        }
    }

    fn check_dir(&self, findings: &mut Findings) -> bool {
        let dir = self.dir();
        let Ok(about) = fs::metadata(dir) else {
            findings.add(
                Severity::Warning,
                format!("the store {} is not there", dir.display()),
                "initialize a token; it is made together with the first",
            );
            return false;
        };
        check_mode(findings, dir, &about, 0o007);
        if about.mode() & 0o070 != 0 && about.mode() & 0o2000 == 0 {
            findings.add(
                Severity::Warning,
                format!("{} is shared by a group, but new files get another", dir.display()),
                format!("run `chmod g+s {}`", dir.display()),
            );
        }
        match filesystem::check(dir) {
            Ok(()) => findings.fine(format!("the store is {}, on a local volume", dir.display())),
            Err(error) => findings.add(
                Severity::Fault,
                error.to_string(),
                "move the store to a local volume and change [store] path",
            ),
        }
        true
    }

    fn check_seal(&self, findings: &mut Findings) {
        let Some(path) = self.seal.path() else {
            findings.add(
                Severity::Warning,
                "there is no seal: whoever copies the store can guess PINs, and reads and \
                 changes public objects",
                "make new tokens with a seal key, in [seal] file",
            );
            return;
        };
        match self.seal.key() {
            Ok(_) => findings.fine(format!("the seal key is {}", path.display())),
            Err(Error::SealMissing(_)) if self.names().is_ok_and(|names| names.is_empty()) => {
                findings.fine("there is no seal key yet; it is made with the first token");
            }
            Err(Error::Sealed) => match Locks::read(path) {
                Ok(locks) => findings.fine(format!(
                    "the seal key {} has {} locks",
                    path.display(),
                    locks.list().count()
                )),
                Err(error) => findings.add(
                    Severity::Fault,
                    error.to_string(),
                    "put the locked seal key back in its place, with mode 0600",
                ),
            },
            Err(error) => findings.add(
                Severity::Fault,
                error.to_string(),
                "put the seal key back in its place, with mode 0600",
            ),
        }
        let Some(beside) = path.parent() else { return };
        if beside == self.dir() {
            findings.add(
                Severity::Warning,
                "the seal key lies in the store: whoever copies the one has the other",
                "move it elsewhere, out of the backups of the store, and change [seal] file",
            );
        } else {
            check_drafts(findings, beside);
        }
    }

    /// Files that belong to no token, and their permissions.
    fn check_names(&self, findings: &mut Findings) {
        let stems: Vec<_> = self.names().unwrap_or_default().iter().map(stem).collect();
        let Ok(entries) = fs::read_dir(self.dir()) else {
            findings.add(Severity::Fault, "the store cannot be read", "give this user access");
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            let of_token = name.split_once('.').is_some_and(|(stem, end)| {
                matches!(end, "db" | "db-wal" | "db-shm" | "gen" | "lock")
                    && stems.iter().any(|known| known == stem)
            });
            let seal = self.seal_path().is_some_and(|seal| seal == path);
            // SoftHSM2 has a directory for each of its tokens.
            let of_softhsm2 = self.config.compatible && path.is_dir();
            if !of_token && !seal && !of_softhsm2 && name != queue::NAME {
                findings.add(
                    Severity::Warning,
                    format!("{} belongs to no token", path.display()),
                    "remove it, unless you put it there; a process that was killed may leave such",
                );
            } else if !of_softhsm2 && let Ok(about) = entry.metadata() {
                let forbidden = if seal { EXPOSED } else { 0o007 };
                check_mode(findings, &path, &about, forbidden);
            }
            if token_of(&name).is_some() && !entry.file_type().is_ok_and(|kind| kind.is_file()) {
                findings.add(
                    Severity::Fault,
                    format!("{} is not a regular file", path.display()),
                    "put the file itself there; links lead the locks astray",
                );
            }
        }
    }

    fn check_tokens(&self, findings: &mut Findings) {
        if self.is_sealed() {
            findings.fine("the store is sealed, so its tokens were not looked into");
            return;
        }
        match self.tokens() {
            Ok(tokens) => tokens.iter().for_each(|token| check_token(findings, token)),
            Err(error) => {
                findings.add(Severity::Fault, error.to_string(), "give this user access");
            }
        }
    }
}

/// What the configuration allows for the sake of old programs: whether it does, what that costs, and
/// how to have it otherwise.
fn costs(config: &Config) -> [(bool, &'static str, &'static str); 3] {
    [
        (
            config.legacy,
            "what is too weak for new uses is on: DES, 3DES, MD5, SHA-1 signatures, RSA keys \
             of less than 2048 bits",
            "once no program needs it, have a strongroom.toml without `legacy = true`",
        ),
        (
            config.compatible,
            "the module keeps SoftHSM2's habits: among others, of two values in a template the \
             last counts, a private key is filled up with zeros for AES key wrap, and nobody can \
             wait for a new token",
            "once no program needs it, have a strongroom.toml without `compatible = true`",
        ),
        (
            config.child_inherits,
            "forked children go on with sessions and logins: secrets are in memory that they get a \
             copy of, and a fork waits for the calls of other threads",
            "if no program needs it, say `library.reset_on_fork = true` in softhsm2.conf",
        ),
    ]
}

/// Seal keys that were never finished, or never came into use.
fn check_drafts(findings: &mut Findings, dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(DRAFT) {
            findings.add(
                Severity::Warning,
                format!("{} was left by a process that was killed", entry.path().display()),
                "remove it, unless a token is being made at this moment",
            );
        }
    }
}

fn check_token(findings: &mut Findings, token: &Token) {
    let serial = String::from_utf8_lossy(&token.serial()).into_owned();
    match inspect(token) {
        Ok(count) => findings.fine(format!("token {serial} is sound, with {count} objects")),
        Err(why) => findings.add(
            Severity::Fault,
            format!("token {serial}: {why}"),
            "restore it from a backup; if the seal key is wrong or missing, put that back first",
        ),
    }
}

/// Everything about a token that needs no PIN; the number of its objects.
fn inspect(token: &Token) -> Result<u64, String> {
    let text = |error: Error| error.to_string();
    if let Some(fault) = token.file.faults().map_err(text)? {
        return Err(format!("the database is damaged ({fault})"));
    }
    token.status().map_err(text)?;
    token.audit().map_err(text)?;
    token.verify_slots().map_err(text)?;
    let mut after = None;
    loop {
        let page = token.find(None, Some(false), &[], after, 1000).map_err(text)?;
        let Some(last) = page.last() else { break };
        after = Some(*last);
        for found in page {
            match token.load(None, found.id) {
                // Removed meanwhile by another process.
                Ok(_) | Err(Error::NotFound) => {}
                Err(error) => return Err(text(error)),
            }
        }
    }
    Ok(token.known().map_err(text)?.head.count)
}

fn check_mode(findings: &mut Findings, path: &Path, about: &Metadata, forbidden: u32) {
    let mode = about.mode() & 0o777;
    if mode & forbidden != 0 {
        findings.add(
            Severity::Fault,
            format!("{} is open to others (mode {mode:04o})", path.display()),
            format!("run `chmod {:04o} {}`", mode & !forbidden, path.display()),
        );
    }
}
