//! Sign-in and team isolation in front of Prometheus.
//!
//! ```text
//! browser ─▶ path in one form only ─▶ session? ─▶ query parsed ─▶ team's matcher in every selector ─▶ Prometheus
//!                 no: 400                no: 401      no: 400        no team and not platform: 403
//! ```
//!
//! Order of a query: `web` refuses paths that could be read in two ways and finds the session; the gateway rebuilds
//! the request from the parameters that it knows, with the query as printed from the rewritten tree; the answer is
//! streamed back with headers of our own.
//!
//! What it never does: forward a header, a parameter or a byte of query text that a client sent; replace what a query
//! asks for; answer a path that is not in its router; tell who does not exist from who has the wrong password; keep a
//! password or a session id in clear.

mod app;
mod cli;
mod config;
mod metrics;
mod password;
mod session;
mod store;
mod throttle;
mod user;
mod web;

pub use app::{App, Args};
pub use cli::{UserArgs, manage_users};
pub use config::Config;
