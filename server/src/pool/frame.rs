//! Values in frames on a byte stream: length, number, contents. A frame that is too long, cut off, out of
//! order or not what it should be ends the conversation. Knows neither processes nor messages.

use std::io::{self, Read, Write};

use super::wire::{Wire, WireError, from_bytes, to_bytes};

/// Contents of a frame, at most: a request of sixteen of the largest pictures is a quarter of it.
pub const MAX_FRAME: usize = 256 << 20;

/// Bytes before the contents: their length and the frame's number.
const HEAD: usize = 12;

/// Why no further frame can be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other end has closed, between two frames.
    #[error("the other end has closed")]
    Closed,
    /// The stream failed, or ended in the middle of a frame.
    #[error("the stream failed: {0}")]
    Stream(#[from] io::Error),
    /// A frame is longer than any can be.
    #[error("a frame of {len} bytes, where {MAX_FRAME} are the most")]
    TooLong {
        /// Bytes, as the frame says or as there are.
        len: usize,
    },
    /// A frame was left out, repeated or reordered.
    #[error("frame {found} where {wanted} is next")]
    OutOfOrder {
        /// Its number.
        found: u64,
        /// The number that is next.
        wanted: u64,
    },
    /// The other end is another build, or does not say which.
    #[error("the other end is another build")]
    Skewed,
    /// The contents are no such value.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// Reads frames.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    next: u64,
}

/// Writes frames.
#[derive(Debug)]
pub struct FrameWriter<W> {
    stream: W,
    next: u64,
}

impl<R: Read> FrameReader<R> {
    /// Nothing read yet.
    pub fn new(stream: R) -> Self {
        Self { stream, next: 0 }
    }

    /// What it reads from.
    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// The next frame's value.
    ///
    /// # Errors
    /// [`FrameError`]; nothing sensible can be read after it.
    pub fn read<T: Wire>(&mut self) -> Result<T, FrameError> {
        let mut head = [0; HEAD];
        self.read_head(&mut head)?;
        let (len, number) = head.split_at(4);
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        let found = u64::from_le_bytes(number.try_into().expect("eight bytes"));
        if len > MAX_FRAME {
            return Err(FrameError::TooLong { len });
        }
        if found != self.next {
            return Err(FrameError::OutOfOrder { found, wanted: self.next });
        }
        self.next += 1;
        // Grows as bytes come: a length alone takes no memory.
        let mut contents = Vec::new();
        let read = (&mut self.stream).take(len as u64).read_to_end(&mut contents)?;
        if read < len {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        Ok(from_bytes(&contents)?)
    }

    fn read_head(&mut self, head: &mut [u8; HEAD]) -> Result<(), FrameError> {
        let mut filled = 0;
        while filled < HEAD {
            match self.stream.read(&mut head[filled..]) {
                Ok(0) if filled == 0 => return Err(FrameError::Closed),
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl<W: Write> FrameWriter<W> {
    /// Nothing written yet.
    pub fn new(stream: W) -> Self {
        Self { stream, next: 0 }
    }

    /// What it writes to.
    pub fn into_stream(self) -> W {
        self.stream
    }

    /// Writes `value` as the next frame; a stream with a buffer keeps it until [`flush`](Self::flush).
    ///
    /// # Errors
    /// [`FrameError`]; nothing sensible can be written after it.
    pub fn write(&mut self, value: &impl Wire) -> Result<(), FrameError> {
        let contents = to_bytes(value);
        let len = contents.len();
        let short = u32::try_from(len).ok().filter(|_| len <= MAX_FRAME);
        let Some(short) = short else { return Err(FrameError::TooLong { len }) };
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(&short.to_le_bytes());
        head.extend_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        self.stream.write_all(&head)?;
        self.stream.write_all(&contents)?;
        Ok(())
    }

    /// Sends what a buffer has kept.
    ///
    /// # Errors
    /// [`FrameError::Stream`]; nothing sensible can be written after it.
    pub fn flush(&mut self) -> Result<(), FrameError> {
        Ok(self.stream.flush()?)
    }
}
