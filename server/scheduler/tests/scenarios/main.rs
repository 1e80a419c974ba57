//! Named stories with the plans spelled out.

mod kit;
mod kv_cache;
mod many_documents;
mod one_document;
mod pictures;
