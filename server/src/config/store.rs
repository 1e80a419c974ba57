//! What is kept between requests, and where, as flags say it.

use std::path::PathBuf;

use crate::args::ServeArgs;
use crate::store::StoreLimits;

/// What is kept between requests, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// The folder, perhaps shared; `None` is this process's memory.
    pub folder: Option<PathBuf>,
    /// How much.
    pub limits: StoreLimits,
    /// Whether other processes will find and be able to open what this one keeps.
    pub is_shareable: bool,
}

impl StoreConfig {
    pub(super) fn new(args: &ServeArgs) -> Self {
        let limits = StoreLimits {
            max_bytes: args.store_bytes,
            max_records: args.store_records,
            max_age: args.store_ttl,
        };
        let folder = args.store_dir.clone();
        Self { folder, limits, is_shareable: is_shareable(args) }
    }
}

/// Whether what stands in a folder can be found and opened by another process, or by this one's successor.
fn is_shareable(args: &ServeArgs) -> bool {
    let is_signed = args.signing_key.is_some() || args.signing_key_file.is_some();
    let has_tenants = !args.api_key.is_empty() || args.api_key_file.is_some();
    is_signed && (!has_tenants || args.tenant_secret.is_some())
}
