//! What `reverie complete` makes of a document: parts in order, and one self-contained page.

pub mod document;
pub mod html;
