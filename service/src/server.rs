//! Listeners: plain or TLS, with a limit on connections, time-outs, and a graceful end.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;
use tracing::{debug, warn};

use crate::body::TimedBody;
use crate::web::Web;

/// As Prometheus' `--web.max-connections`.
const MAX_CONNECTIONS: usize = 512;
/// Longer than any healthy peer needs; shorter than the patience of someone who holds connections open.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// The web config in force; a reload replaces what is inside.
pub(crate) type SharedWeb = Arc<RwLock<Arc<Web>>>;

/// Who is let in.
#[derive(Clone)]
pub(crate) struct Credentials {
    pub(crate) web: SharedWeb,
    /// Whether a path checks it by itself.
    pub(crate) elsewhere: fn(&str) -> bool,
}

pub(crate) fn current(web: &SharedWeb) -> Arc<Web> {
    web.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Accepts connections until `stop`, then lets each finish the request that it is in.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    credentials: Credentials,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let web = credentials.web.clone();
    let router = router.layer(axum::middleware::from_fn_with_state(credentials, require_credentials));
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (stream, peer, slot) = tokio::select! {
            () = stop.cancelled() => return,
            (accepted, slot) = accepted => match accepted {
                Ok((stream, peer)) => (stream, peer, slot),
                Err(error) => {
                    // Out of file descriptors, most likely: accepting again at once would only spin.
                    warn!(%error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let (router, web, stop) = (router.clone(), current(&web), stop.clone());
        connections.spawn(async move {
            handshake(stream, peer, router, web, stop).await;
            drop(slot);
        });
    }
}

async fn handshake(stream: TcpStream, peer: SocketAddr, router: Router, web: Arc<Web>, stop: CancellationToken) {
    // An answer is written in one piece: waiting for more to send only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, %peer, "failed to set TCP_NODELAY");
    }
    match web.tls.clone() {
        None => connection(stream, peer, router, stop).await,
        Some(config) => match tokio::time::timeout(HANDSHAKE_TIMEOUT, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => connection(stream, peer, router, stop).await,
            Ok(Err(error)) => debug!(%error, %peer, "TLS handshake failed"),
            Err(_) => debug!(%peer, "TLS handshake took too long"),
        },
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    router: Router,
    stop: CancellationToken,
) {
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(|body| Body::new(TimedBody::new(body)));
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, %peer, "connection ended early");
    }
}

async fn require_credentials(
    axum::extract::State(credentials): axum::extract::State<Credentials>,
    request: Request,
    next: Next,
) -> Response {
    let elsewhere = (credentials.elsewhere)(request.uri().path());
    if elsewhere || current(&credentials.web).authorised(request.headers()).await {
        return next.run(request).await;
    }
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic")], "Unauthorized\n").into_response()
}
