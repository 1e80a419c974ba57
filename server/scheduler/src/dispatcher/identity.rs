//! Names and quantities of the front: who, where, which life, when. Knows no behaviour.

pub use crate::content::TenantId;

/// A point or a span of monotonic time, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// This much later; stays at the end of time rather than wrap.
    #[must_use]
    pub fn after(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to here, 0 if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// Names one client's wish for an answer; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names one place for a worker; its processes come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u32);

/// Which life of a worker: 1 is the first process. What an earlier life says no longer counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// Names one attempt at one piece of work on one worker; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub u64);

/// Names the beginning of a context, salted by tenant: equal keys, equal contexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrefixKey(pub u128);

/// A SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Kernel set, instruction set, dtype and device family, hashed: within one, the same request has the
/// same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NumericsClass(pub u64);

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Writes documents, and asks for their pictures.
    Decode,
    /// Draws pictures from conditions.
    Denoise,
    /// Writes documents and draws their pictures; also draws for others.
    Both,
}

impl Role {
    /// Whether documents can be written there.
    pub fn writes(self) -> bool {
        match self {
            Self::Decode | Self::Both => true,
            Self::Denoise => false,
        }
    }

    /// Whether pictures can be drawn there.
    pub fn draws(self) -> bool {
        match self {
            Self::Denoise | Self::Both => true,
            Self::Decode => false,
        }
    }
}
