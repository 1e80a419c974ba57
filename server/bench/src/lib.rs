//! Loads a server from outside and measures what its clients get: a seeded workload of texts, questions about
//! pictures, pictures and illustrated documents, sent at times that do not wait for answers.
//!
//! A leaf: it knows the wire and pictures, no engine, no model, no tensor. `workload`, `arrivals`, `trace`,
//! `summary` and `report` are pure; `client`, `generator` and `scenario` wait and look at the clock.

pub mod arrivals;
pub mod bounds;
pub mod client;
pub mod distribution;
mod event_lines;
pub mod generator;
pub mod micros;
pub mod record;
pub mod report;
pub mod scenario;
pub mod stopwatch;
pub mod summary;
pub mod trace;
pub mod workload;
