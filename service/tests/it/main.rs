//! A small daemon as a real process image: flags, listeners, TLS, reload and shutdown as every Lynceus daemon has them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod life;
mod outgoing;
