//! A daemon whose workers die: what clients get, and what the daemon does about it. Real processes, the real
//! model, real signals.

#[path = "../command_line/process.rs"]
#[expect(dead_code, reason = "each test binary uses its part of the kit")]
mod process;

mod asking;
mod deaths;
mod kills;
mod scarcity;
mod supervision;
