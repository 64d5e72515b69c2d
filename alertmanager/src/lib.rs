//! Brings what Alertmanager decided to people: webhook in, mail out.
//!
//! One notification goes through these steps, in this order:
//! `webhook` reads and checks the request, `route` decides who gets which of its alerts, `mail` writes
//! one mail for each of them, `smtp` hands it over, `memory` remembers it, so that Alertmanager's retry of a
//! notification that went out in part reaches only the rest. `notify` holds these together.
//!
//! Alertmanager is told 200 only when every mail was accepted by the mail server, else 503: then it tries
//! again. Nothing is queued here, so what Alertmanager has not seen acknowledged is still Alertmanager's.
//!
//! Never: it decides nothing about grouping, silences or inhibition (Alertmanager does), evaluates no rule,
//! writes no full mail address into a log, and asks no other Lynceus service for anything.

mod app;
mod config;
mod mail;
mod mask;
mod memory;
mod metrics;
mod notify;
mod route;
mod smtp;
mod webhook;

pub use app::App;
pub use config::Config;
