//! A small daemon as a real process image: flags, listeners, TLS, reload and shutdown as every Lynceus daemon has them.

mod life;
mod outgoing;
