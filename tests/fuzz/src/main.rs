//! A fuzzer of one target, which `REVERIE_FUZZ_TARGET` names. libFuzzer brings the rest of it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use reverie_fuzz::{TARGETS, Target};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("REVERIE_FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("REVERIE_FUZZ_TARGET names no target: `{name}`")).1
});

fuzz_target!(|input: &[u8]| (*TARGET)(input));
