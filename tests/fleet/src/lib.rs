//! A simulated VMware estate: a vCenter and its ESXi hosts, with the load, the limits and the faults of real ones.
//!
//! ```text
//!  scenario (YAML) ──▶ model: a pure function of seed, time and events
//!                        │ inventory, changes, samples
//!                        ▼
//!  client ─SOAP─▶ http ─▶ vcenter (methods) ─▶ objects (properties of the inventory)
//!         ─REST─▶ rest    control (the fleet's own HTTP interface)
//! ```
//!
//! [`model`] and [`scenario`] know nothing of protocols, [`vcenter`] and [`soap`] nothing of sockets. Nothing here is a
//! copy of a vCenter's behaviour that no client can see: there are no tasks, no permissions, and nothing can be operated.

mod app;
pub mod backfill;
mod certificate;
mod condition;
mod config;
mod control;
pub mod cost;
mod http;
pub mod lab;
mod log;
pub mod model;
pub mod objects;
mod rest;
pub mod scenario;
mod server;
pub mod soap;
pub mod vcenter;

pub use app::{Address, Addresses, Fleet, Options, host_address};
pub use config::{Cli, Command};
