//! Whatever the fuzzer makes up, at the wire of p11-kit.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("p11kit", data));
