//! Prometheus exporter for VMware vCenter: virtual machines, hosts and datastores.
//!
//! Data flow, one way: [`watch`] runs the loops of [`collect`] for each vCenter; they ask [`vsphere`] and keep a mirror of
//! the [`inventory`] and the [`ledger`] of samples true; [`publish`] has [`page`] walk the [`catalogue`] and write what is
//! fresh as text; [`routes`] serves that text. A scrape reads memory and never waits for a vCenter. While a vCenter does not
//! answer, [`standby`] runs the same loops for each of its hosts. Of two exporters on the same vCenters one does all that, and
//! [`ha`] says which.
//!
//! It never changes anything on a vCenter, never sends a credential to an address that is not in its config, and
//! never shows a number that it had to guess: what is not known is absent.

pub mod app;
pub mod catalogue;
pub mod collect;
pub mod config;
pub mod dry_run;
pub mod events;
pub mod exposition;
pub mod guest;
pub mod ha;
pub mod inventory;
pub mod last;
pub mod ledger;
pub mod metrics;
pub mod ownership;
pub mod page;
pub mod publish;
pub mod routes;
pub mod standby;
pub mod state;
pub mod store;
pub mod vsphere;
pub mod watch;

pub use app::App;
pub use config::Config;
