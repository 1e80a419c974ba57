//! The checkpoint reader against real files and against files made to break it. Everything is
//! written by the tests themselves or is in the repository; nothing is fetched.

mod configuration;
mod conversion;
mod fixtures;
mod hostile_archives;
mod hostile_safetensors;
mod inventory;
mod layouts;
mod pickle_writer;
mod zip_writer;
