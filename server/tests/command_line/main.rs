//! The real binary as an operator uses it: exit codes, messages, files, signals.

mod asking;
mod measuring;
mod offline;
mod process;
mod refusals;
mod replay;
mod serving;
