//! `strongroomd`: holds the keys in a process of its own, and lets others use them.
//!
//! Callers speak to it through a Unix socket, with the frames of `strongroom-functions`;
//! `PROTOCOL.md` says them byte by byte. Each process that calls has an
//! [`Application`](strongroom_token::Application) of its own, over tokens that all share; a thread
//! serves each connection. When the last connection of a process goes, so do its sessions, its
//! login and its session objects.
//!
//! Rooms: `peer` says who calls, `applications` whose sessions are
//! whose, `at_work` which calls are at work, `connection` serves one caller and `p11kit` one that
//! speaks as p11-kit's client does, `requests` waits for what they ask next, `manager` tells systemd,
//! `handed` takes sockets over from it, `door` makes the others, `refusals` keeps the log of those who
//! are refused short, `confinement` locks the process in, `metrics` counts and tells, `operator` seals
//! and unseals the store, `server` takes callers in and stops.
//!
//! Locks, outermost first: the connections, the applications. Neither is held while a request is
//! served.

#![forbid(unsafe_code)]

mod applications;
mod at_work;
mod confinement;
mod connection;
mod door;
mod handed;
mod log;
mod manager;
mod metrics;
mod operator;
mod p11kit;
mod peer;
mod refusals;
mod requests;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use strongroom_heap::Heap;
use strongroom_settings::Settings;
use strongroom_token::Config;

use crate::log::Level;
use crate::server::Server;

/// Keys are on it, those that AWS-LC computes with among them.
#[global_allocator]
static HEAP: Heap = Heap;

/// Holds the keys of Strongroom in one process, and lets others use them through a socket.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; else the one that the module would find
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            log::say(Level::Error, &why);
            ExitCode::FAILURE
        }
    }
}

/// Serves until a signal says to stop. Errors are sentences.
fn run(arguments: &Arguments) -> Result<(), String> {
    let config = match &arguments.config {
        Some(path) => Config::load(path),
        None => Config::find(),
    }
    .map_err(|error| error.to_string())?;
    log::up_to(config.log.level);
    for remark in &config.remarks {
        log::say(Level::Warning, remark);
    }
    let settings = Settings::load(config.source.as_deref())?;
    confinement::keep_keys_secret(HEAP, &settings);
    strongroom_token::keep_at_most(settings.operation);
    Server::open(config, settings)?.run()
}
