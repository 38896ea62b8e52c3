//! Callers whose process number the kernel can not tell: it is of another process namespace.

use std::process::Command;

use strongroom_functions::frame::{Hello, Refusal, VERSION, Welcome, Wish};
use strongroom_functions::{Cryptoki, Remote};

use crate::world::{Daemon, log_file, stranger};

/// A daemon in a process namespace of its own, out of which it sees no other process.
fn secluded(settings: &str) -> Daemon {
    Daemon::start_as(settings, |command| {
        let config = command.get_args().last().map(std::path::Path::new).unwrap();
        Command::new("unshare")
            .args(["--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(command.get_program())
            .args(command.get_args())
            .stderr(log_file(config.parent().unwrap()))
            .spawn()
    })
}

#[test]
fn callers_without_a_number_are_served_and_told_apart_by_their_user() {
    if !rustix::process::geteuid().is_root() {
        // Only the superuser makes process namespaces.
        return;
    }
    let daemon = secluded("users = [65534]");
    let one = daemon.connect();
    Remote::new(&one).info().expect("served");
    let joined = daemon.ask(Wish::Join(one.secret())).expect("by the secret");
    Remote::new(&joined).info().expect("served");

    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let join = Hello { version: VERSION, wish: Wish::Join(one.secret()) }.encode();
    let told = stranger(&daemon, &nobody, &join);
    assert_eq!(told, Welcome::Refused(Refusal::Application), "another user, who knows the secret");
    let found = Hello { version: VERSION, wish: Wish::Found(0) }.encode();
    assert!(matches!(stranger(&daemon, &nobody, &found), Welcome::Served(_)));
}

#[test]
fn a_caller_without_a_number_is_not_called_by_anothers_name() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let daemon = secluded("users = []");
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    assert_eq!(stranger(&daemon, &nobody, &[]), Welcome::Refused(Refusal::User));
    daemon.says("user 65534, a process of another namespace: is not on the list");
}
