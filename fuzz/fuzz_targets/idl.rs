#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| mldash_fuzz::targets::idl(data));
