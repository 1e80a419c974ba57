//! Judges a server from outside: sends the cases of a suite over HTTP, reads the pictures it draws with a
//! reader of its own, and counts what is right. Also runs batches of requests against a server.
//!
//! A leaf: it knows the wire and pictures, no engine, no model, no tensor. The toy world in `world/` is
//! the Python one of `training/`, byte for byte; `tests/vectors/` hold both to each other.

pub mod batch;
pub mod client;
pub mod evaluation;
pub mod file_error;
pub mod report;
pub mod suite;
pub mod verdict;
pub mod world;
