//! The notifier as a process, against programs that we did not write: Alertmanager, and aiosmtpd as mail server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod alertmanager;
mod harness;
mod mail_server;
mod requests;
