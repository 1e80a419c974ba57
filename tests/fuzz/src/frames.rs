//! Frames between the front and its workers: whatever a worker that has lost its mind may write.

use std::io::Cursor;

use reverie_server::engine::order::{EngineMessage, EngineOrder};
use reverie_server::pool::frame::{FrameError, FrameReader};
use reverie_server::pool::vocabulary::{Setup, Speech};
use reverie_server::pool::wire::{Wire, from_bytes, to_bytes};

/// The first byte says which values, and whether the frames' heads are the input's own or good ones around it.
pub(crate) fn frame(input: &[u8]) {
    let Some((kind, rest)) = input.split_first() else { return };
    let framed = kind & 4 == 0;
    match kind & 3 {
        0 => read::<Speech>(rest, framed),
        1 => read::<Setup>(rest, framed),
        2 => read::<EngineOrder>(rest, framed),
        _ => read::<EngineMessage>(rest, framed),
    }
}

/// Reads until nothing more can be read. What is read is the same once it was written and read again.
fn read<T: Wire>(input: &[u8], framed: bool) {
    let mut stream = Vec::with_capacity(input.len() + 12);
    if framed {
        stream.extend((input.len() as u32).to_le_bytes());
        stream.extend(0_u64.to_le_bytes());
    }
    stream.extend(input);
    let mut frames = FrameReader::new(Cursor::new(stream));
    loop {
        match frames.read::<T>() {
            Ok(value) => {
                let bytes = to_bytes(&value);
                let again: T = from_bytes(&bytes).expect("what was written is read");
                assert!(to_bytes(&again) == bytes, "written again it is the same");
            }
            Err(FrameError::Closed) => return,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
}
