//! The Reverie daemon.

pub mod args;
pub mod config;
pub mod engine;
pub mod http;
pub mod picture_codec;
pub mod prompt;
pub mod request;
pub mod shutdown;
pub mod telemetry;
pub mod template;
