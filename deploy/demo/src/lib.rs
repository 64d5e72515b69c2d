//! Lynceus and the real programs around it, as processes on loopback: what the demo runs and the tests run against.
//!
//! [`Process`] starts and stops one program, [`parts`] knows how each real one is started, [`tool`] finds it.
//! [`stack`] is all of them together, [`smoke`] checks that data reaches the end of each branch. Everything lives in a
//! folder that the caller names; a process that is dropped is killed. Nothing here listens beyond loopback.

pub mod history;
pub mod parts;
mod poll;
mod ports;
mod process;
pub mod progress;
pub mod smoke;
pub mod stack;
mod tools;

pub use poll::eventually;
pub use ports::Ports;
pub use process::Process;
pub use tools::{binary, free_port, repository, tool};
