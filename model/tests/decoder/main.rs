//! The decoder against the reference's vectors and against a second, plain implementation. Knows files under
//! `tests/goldens`, no server.

#![expect(clippy::unwrap_used, reason = "a test that cannot read or compute its side has failed")]

mod beam;
mod dream;
mod golden;
mod naive;
mod parity;
mod ragged;
