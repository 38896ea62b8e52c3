//! What protects the process, as others see it.

use std::fs;

use strongroom_functions::{Cryptoki, Remote};

use crate::world::{Daemon, token};

#[test]
fn the_process_is_locked_in() {
    let daemon = Daemon::start("relax = ['not dumpable']");
    token(&daemon);
    let caller = daemon.connect();
    Remote::new(&caller).info().expect("a thread serves it");
    daemon.says("not protected by not dumpable: the configuration relaxes it; so ");
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.child.id())).unwrap();
    let threads: Vec<_> = threads.map(|thread| thread.unwrap().path().join("status")).collect();
    assert!(threads.len() > 1);
    /// `CAP_IPC_LOCK`, which is kept where the limit of locked memory is lower than what is locked.
    const LOCK: u64 = 1 << 14;
    for thread in threads {
        let status = fs::read_to_string(thread).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_else(|| panic!("{name} is not in {status}")).trim().to_owned()
        };
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Seccomp"), "2");
        for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
            let left = u64::from_str_radix(&field(set), 16).unwrap();
            assert_eq!(left & !LOCK, 0, "{set}: {left:x}");
        }
        let granted = !daemon.log().contains("not protected by locked memory");
        assert_eq!(field("VmLck") != "0 kB", granted, "{}", daemon.log());
    }
}
