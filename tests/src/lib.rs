//! What the tests of Reverie as a whole share: a server in this process, answers read as a client reads
//! them, the recorded goldens, and small checkpoints of other shapes. Refuses to know the engine's insides.

pub mod answer;
pub mod folders;
pub mod goldens;
pub mod pictures;
pub mod server;
pub mod tiny_checkpoint;
