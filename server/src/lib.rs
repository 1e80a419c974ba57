//! The Reverie daemon.

pub mod engine;
