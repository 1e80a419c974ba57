//! The engine: one thread that owns the model and the scheduler, and turns requests into events.

pub mod document_engine;
pub mod event;
pub mod request;
