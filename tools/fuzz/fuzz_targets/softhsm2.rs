//! Whatever the fuzzer makes up: see `softhsm2` in `tools/hostile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("softhsm2", data));
