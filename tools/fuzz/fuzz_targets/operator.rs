//! Whatever the fuzzer makes up, at the wire of the operator.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| strongroom_hostile::run("operator", data));
