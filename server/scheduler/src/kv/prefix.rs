//! The name of a block's content: what stands in it, behind what. Names are compared part by part, never
//! as hashes, so that no choice of tokens can make two prefixes look alike; pictures alone are compared
//! by their SHA-256.

use crate::content::{ContentRun, TenantId};

/// Names one published block; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PrefixId(pub(super) u64);

/// What stands before a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Parent {
    /// Nothing: it is the first of one of this tenant's contexts.
    Tenant(TenantId),
    /// This block, and all before it.
    Prefix(PrefixId),
}

/// The content of a full block. Through its parents it names the whole prefix and the tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PrefixKey {
    pub(crate) parent: Parent,
    pub(crate) content: Vec<ContentRun>,
}
