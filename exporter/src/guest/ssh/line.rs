//! A connection that ends when nobody wants it any more.
//!
//! The SSH library runs each session as a task of its own, which does not hear during a key exchange, nor while a guest takes
//! no input, that its owner has given up. A guest that hangs, or means ill, would keep such tasks and sockets for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The stream, until the token is cancelled: then it ends.
pub(super) struct Line {
    stream: TcpStream,
    given_up: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Line {
    pub(super) fn new(stream: TcpStream, given_up: CancellationToken) -> Self {
        Self { stream, given_up: Box::pin(given_up.cancelled_owned()) }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.given_up.as_mut().poll(cx).is_ready() {
            // Nothing read: the end.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.given_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
