//! Prometheus exporter for VMware vCenter: virtual machines, hosts and datastores.
//!
//! Data flow, one way: [`watch`] runs a loop for each vCenter; in it [`collect`] asks [`vsphere`] for the inventory and
//! for performance samples; [`state`] keeps the newest of each and when it was news; [`page`] walks the [`catalogue`]
//! and writes what is fresh as text; [`routes`] serves that text. A scrape reads memory and never waits for a vCenter.
//!
//! It never changes anything on a vCenter, never sends a credential to an address that is not in its config, and
//! never shows a number that it had to guess: what is not known is absent.

pub mod app;
pub mod catalogue;
pub mod collect;
pub mod config;
pub mod exposition;
pub mod inventory;
pub mod metrics;
pub mod ownership;
pub mod page;
pub mod routes;
pub mod state;
pub mod vsphere;
pub mod watch;

pub use app::App;
pub use config::Config;
