//! The real binary as an operator uses it: exit codes, messages, files, signals.

mod asking;
mod measuring;
mod offline;
#[expect(dead_code, reason = "each test binary uses its part of the kit")]
mod process;
mod refusals;
mod replay;
mod serving;
