//! What a context consists of, as far as two contexts can be told apart: opaque numbers that are compared
//! and never read.

/// A token's id. Two are the same token exactly if they are equal; nothing else is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenId(pub u32);

/// SHA-256 of everything that a picture's block depends on: its pixels as the vision tower is given them,
/// and the version of its preprocessing. Computed by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentHash(pub [u8; 32]);

/// Whose a request is: a keyed hash of its API key, or any number that names it. It is the root of the
/// keys of all its blocks, so that nobody meets another tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TenantId(pub u128);

/// A stretch of the context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Span {
    /// These tokens.
    Tokens(Vec<TokenId>),
    /// A picture block.
    Picture(ContentHash),
    /// A dream block; all are alike.
    Dream,
}

/// The part of a span that lies in one block.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ContentRun {
    Tokens(Box<[TokenId]>),
    Picture { content: ContentHash, start: usize, len: usize },
    Dream { start: usize, len: usize },
}

impl Span {
    /// Positions `start .. start + len` of this span.
    pub(crate) fn run(&self, start: usize, len: usize) -> ContentRun {
        match self {
            Self::Tokens(ids) => ContentRun::Tokens(ids[start..start + len].into()),
            Self::Picture(content) => ContentRun::Picture { content: *content, start, len },
            Self::Dream => ContentRun::Dream { start, len },
        }
    }
}
