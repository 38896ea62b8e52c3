//! No number that a client sends has memory taken for it: alone in its process, because what is
//! measured is the process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use strongroom_p11kit::{CALLS, Limits, Module, serve};
use strongroom_token::{Application, Config};

/// The most address space that this process has had, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 16, 0, 0, 0, 0][..], &string(body)].concat()
}

#[test]
fn huge_numbers_take_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("strongroom.toml");
    fs::write(&config, format!("[store]\npath = \"{}/store\"\n", dir.path().display())).unwrap();
    let application = Application::open(Config::load(&config).unwrap()).unwrap();
    let module = Module::new(&application, strongroom_token::layouts);

    let greeting = string(b"PRIVATE-GNOME-KEYRING-PKCS11-PROTOCOL-V-1");
    let arguments = [&[1], &greeting[..], &[0, 0, 0, 0, 0, 0]].concat();
    let greeting = [&[0, 0, 0, 1], &string(b"ayyay")[..], &arguments].concat();
    let mut sent = vec![2];
    sent.extend(frame(&greeting));
    let quiet = |name: &str| !name.contains("Initialize") && !name.contains("Finalize");
    for call in CALLS.iter().filter(|call| quiet(call.name) && call.id != 65) {
        let signature = string(call.request.concat().as_bytes());
        let head = [&call.id.to_be_bytes(), &signature[..]].concat();
        // Wherever a number may stand, a huge one: of bytes, of room, of attributes.
        for number in [0x00FF_FFFF_u32, 0x7FFF_FFFF, 0xFFFF_FFFE] {
            for at in 0..60 {
                let rest = [&[0; 60][..at], &number.to_be_bytes(), &[1; 200]].concat();
                sent.extend(frame(&[&head[..], &rest].concat()));
            }
        }
    }
    let before = peak();
    let mut answers = Vec::new();
    serve(&sent[..], &mut answers, module, &Limits::default()).unwrap();
    assert!(answers.len() > 100_000, "all were answered");
    let taken = peak() - before;
    assert!(taken < 64 << 10, "{taken} KiB");
}
