//! The engine through its public doors. Refuses to know HTTP.

mod documents;
mod kit;
mod lifecycle;
