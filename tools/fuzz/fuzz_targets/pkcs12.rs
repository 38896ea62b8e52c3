//! Whatever the fuzzer makes up: see `pkcs12` in `tools/hostile`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("pkcs12", data));
