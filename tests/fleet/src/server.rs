//! TLS listeners that can be down: connections are cut when their server is, and new ones are closed at once.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

const HANDSHAKE: Duration = Duration::from_secs(10);

/// What a listener serves, which may change while it does.
#[derive(Clone)]
pub(crate) struct Face {
    /// Whether it takes connections.
    pub(crate) up: bool,
    /// With which certificate; plain HTTP without one.
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Serves until `stop`.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    face: watch::Receiver<Face>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, most likely: accepting again at once would only spin.
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut face = face.clone();
        if !face.borrow_and_update().up {
            continue;
        }
        let (router, stop) = (router.clone(), stop.clone());
        tasks.spawn(async move {
            let tls = face.borrow().tls.clone();
            tokio::select! {
                () = connection(stream, tls, router) => {}
                () = stop.cancelled() => {}
                // The sender goes with the fleet, which is an end like any other.
                _ = face.wait_for(|face| !face.up) => {}
            }
        });
    }
}

async fn connection(stream: TcpStream, tls: Option<Arc<ServerConfig>>, router: Router) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "failed to set TCP_NODELAY");
    }
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| router.clone().oneshot(request));
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new());
    let outcome = match tls {
        None => builder.serve_connection(TokioIo::new(stream), service).await,
        Some(config) => match tokio::time::timeout(HANDSHAKE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => builder.serve_connection(TokioIo::new(stream), service).await,
            Ok(Err(error)) => return debug!(%error, "TLS handshake failed"),
            Err(_) => return debug!("TLS handshake took too long"),
        },
    };
    if let Err(error) = outcome {
        debug!(%error, "connection ended early");
    }
}
