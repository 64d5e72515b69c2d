//! An HTTPS server before the simulator that keeps what goes by: which calls there were, and each `QueryPerf` whole.
//!
//! Nothing is timed while it stands in between.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use lynceus_demo::parts::Vcenter;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::soap;
use crate::text::between;

/// What went by.
#[derive(Default)]
pub(crate) struct Tape {
    /// Calls by method.
    pub(crate) calls: BTreeMap<String, f64>,
    pub(crate) queries: Vec<Query>,
}

impl Tape {
    /// Points in time that an object was answered with.
    pub(crate) fn samples(&self) -> f64 {
        let (samples, objects) = self
            .queries
            .iter()
            .fold((0, 0), |(samples, objects), query| (samples + query.samples, objects + query.objects));
        samples as f64 / objects.max(1) as f64
    }
}

/// A `QueryPerf`.
pub(crate) struct Query {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    /// Points in time that the answer has samples of, over all its objects.
    pub(crate) samples: usize,
    /// Objects in the answer.
    pub(crate) objects: usize,
}

pub(crate) struct Front {
    pub(crate) url: String,
    /// SHA-256 of its certificate.
    pub(crate) sha256: String,
    tape: Arc<Mutex<Tape>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    /// Scheme and authority of the simulator.
    upstream: String,
    http: reqwest::Client,
    tape: Arc<Mutex<Tape>>,
}

impl Front {
    /// Before this simulator, on this address.
    pub(crate) async fn start(vcenter: &Vcenter, address: (Ipv4Addr, u16)) -> anyhow::Result<Self> {
        let certificate = rcgen::generate_simple_self_signed(vec![address.0.to_string()])?;
        let der: CertificateDer<'static> = certificate.cert.der().clone();
        let sha256 = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = PrivateKeyDer::try_from(certificate.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
        let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![der], key)?;
        let listener = TcpListener::bind(SocketAddr::from(address)).await?;
        let url = format!("https://{}/sdk", listener.local_addr()?);
        let tape = Arc::new(Mutex::default());
        let upstream = vcenter.url.strip_suffix("/sdk").context("the simulator's URL does not end in /sdk")?.to_owned();
        let shared = Shared { upstream, http: soap::client(&vcenter.sha256)?, tape: Arc::clone(&tape) };
        let router = axum::Router::new().fallback(forward).layer(DefaultBodyLimit::disable()).with_state(shared);
        let listener = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(tls)) };
        let server = tokio::spawn(async move {
            // It serves until it is dropped.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { url, sha256, tape, server })
    }

    /// What went by since the last time.
    pub(crate) fn take(&self) -> Tape {
        std::mem::take(&mut self.tape.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn forward(
    State(shared): State<Shared>,
    verb: Method,
    uri: Uri,
    mut headers: HeaderMap,
    body: Bytes,
) -> Response {
    for own in [header::HOST, header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING] {
        headers.remove(own);
    }
    let method = method(&body).unwrap_or_else(|| format!("{verb} {}", uri.path()));
    let began = Instant::now();
    let request = shared.http.request(verb, format!("{}{uri}", shared.upstream));
    let Ok(answer) = request.headers(headers.clone()).body(body.clone()).send().await else {
        return StatusCode::BAD_GATEWAY.into_response();
    };
    let (status, mut answered) = (answer.status(), answer.headers().clone());
    let Ok(answer) = answer.bytes().await else { return StatusCode::BAD_GATEWAY.into_response() };
    for own in [header::CONTENT_LENGTH, header::CONNECTION, header::TRANSFER_ENCODING] {
        answered.remove(own);
    }
    let mut tape = shared.tape.lock().unwrap_or_else(PoisonError::into_inner);
    if method == "QueryPerf" {
        let text = String::from_utf8_lossy(&answer);
        let (samples, objects) = (text.matches("<sampleInfo>").count(), text.matches("<returnval").count());
        headers.remove(header::COOKIE);
        tape.queries.push(Query { headers, body, began, ended: Instant::now(), samples, objects });
    }
    *tape.calls.entry(method).or_default() += 1.0;
    drop(tape);
    (status, answered, answer).into_response()
}

/// The method that a SOAP request calls.
fn method(body: &[u8]) -> Option<String> {
    // It stands at the beginning, and the body may be long.
    let text = String::from_utf8_lossy(body.get(..2_000).unwrap_or(body));
    let element = between(&text, "Body>", ">")?.trim_start().strip_prefix('<')?;
    let name = element.split([' ', '/', '\n']).next()?;
    Some(name.rsplit(':').next()?.to_owned())
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}
