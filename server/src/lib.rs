//! The Reverie daemon: HTTP edge, engine loop and command line around the model and the scheduler.

pub mod args;
pub mod assets;
pub mod capacity;
pub mod command;
pub mod complete;
pub mod config;
pub mod control_group;
pub mod daemon;
pub mod device;
pub mod engine;
pub mod http;
pub mod listener;
pub mod model_hash;
pub mod picture_codec;
pub mod pool;
pub mod probe_listener;
pub mod prompt;
pub mod provenance;
pub mod replay;
pub mod request;
pub mod shutdown;
pub mod startup;
pub mod telemetry;
pub mod template;
pub mod verify;
