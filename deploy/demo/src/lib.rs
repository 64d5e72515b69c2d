//! Real programs as processes on loopback: what the demo runs and what the tests run against.
//!
//! [`Process`] starts and stops one program, [`parts`] knows how each is started, [`tool`] finds it. Everything lives
//! in a folder that the caller names; a process that is dropped is killed.

pub mod parts;
mod poll;
mod process;
mod tools;

pub use poll::eventually;
pub use process::Process;
pub use tools::{binary, free_port, repository, tool};
