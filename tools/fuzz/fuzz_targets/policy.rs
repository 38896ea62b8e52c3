//! Whatever the fuzzer makes up: see `policy` in `tools/hostile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("policy", data));
