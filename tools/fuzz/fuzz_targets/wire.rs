//! Whatever the fuzzer makes up, at the wire of the module.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("wire", data));
