//! Targets of a fuzzer: everything that reads what strangers wrote, each with what must be true of whatever it makes
//! of it. A target panics where that is not so. Knows no fuzzer.

mod checkpoint_files;
mod event_streams;
mod frames;
mod pictures;
mod requests;

// The kit of the server's own tests: an engine that plays a script, behind the real routes.
#[path = "../../../server/tests/http_kit/mod.rs"]
mod http_kit;

/// Takes an input; panics if something is wrong.
pub type Target = fn(&[u8]);

/// By name.
pub const TARGETS: [(&str, Target); 11] = [
    ("request_json", requests::request_json),
    ("data_url", requests::data_url),
    ("picture_url", requests::picture_url),
    ("picture_header", pictures::header),
    ("picture_decode", pictures::decoded),
    ("safetensors", checkpoint_files::safetensors),
    ("shard_index", checkpoint_files::shard_index),
    ("pickle", checkpoint_files::pickle),
    ("torch_archive", checkpoint_files::torch_archive),
    ("ipc_frame", frames::frame),
    ("sse_writer", event_streams::chat_stream),
];
