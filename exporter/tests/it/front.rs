//! An HTTPS server before the simulator: with a certificate that a test knows, and able to answer in its place.
//!
//! The simulator has another certificate after each start, and cannot fail on demand.

use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What becomes of a request.
pub(crate) enum Reaction {
    /// The simulator answers.
    Forward,
    /// The simulator answers, and this changes the answer.
    Edit(Box<dyn Fn(String) -> String + Send + Sync>),
    /// This is the answer.
    Answer(u16, String),
    /// There is no answer.
    Stall,
}

type React = Box<dyn Fn(&str, &str) -> Reaction + Send + Sync>;

pub(crate) struct Front {
    pub(crate) url: String,
    /// SHA-256 of the certificate.
    pub(crate) sha256: String,
    /// The authority that signed it.
    pub(crate) ca_pem: String,
    shared: Shared,
}

#[derive(Clone)]
struct Shared {
    upstream: String,
    http: reqwest::Client,
    react: Arc<Mutex<Arc<React>>>,
}

impl Front {
    /// In front of the simulator at this URL.
    pub(crate) async fn start(upstream: &str) -> Self {
        lynceus_service::tls::install_provider();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        // A name of its own: an authority is looked up by it.
        ca.distinguished_name.push(DnType::CommonName, ca_key.public_key_pem());
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(ca, ca_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let der = certificate.der().clone();
        let sha256 = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        let config = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![der], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/sdk", listener.local_addr().unwrap());

        let trusting = rustls::ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TrustAll))
            .with_no_client_auth();
        let http = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(trusting).build().unwrap();
        let forward: React = Box::new(|_, _| Reaction::Forward);
        let shared = Shared { upstream: upstream.to_owned(), http, react: Arc::new(Mutex::new(Arc::new(forward))) };
        let router = axum::Router::new().fallback(answer).with_state(shared.clone());
        let listener = Tls { listener, acceptor: TlsAcceptor::from(Arc::new(config)) };
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, sha256, ca_pem: ca.pem(), shared }
    }

    /// From now on, requests meet this: it gets the method's name and the request. What is not SOAP has its verb and path
    /// for a name, such as `POST /api/session`.
    pub(crate) fn react(&self, react: impl Fn(&str, &str) -> Reaction + Send + Sync + 'static) {
        *self.shared.react.lock().unwrap() = Arc::new(Box::new(react));
    }

    /// A config for it, with more lines for the vCenter and more sections.
    pub(crate) fn config(&self, vcenter: &str, more: &str) -> String {
        let (url, sha256) = (&self.url, &self.sha256);
        format!(
            "vcenters:\n  - name: vc01\n    url: {url}\n    username: lynceus\n    password_file: password\n    \
             tls: {{ pinned_sha256: [{sha256}] }}\n    max_retries: 0\n{vcenter}\
             collection: {{ interval: 1s, max_back_off: 1s }}\n{more}"
        )
    }
}

async fn answer(State(shared): State<Shared>, verb: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let soap = uri.path() == "/sdk";
    let method = if soap {
        let called = body.split_once("<soapenv:Body><").map(|(_, rest)| rest.split([' ', '>']).next().unwrap_or(""));
        called.unwrap_or("").to_owned()
    } else {
        format!("{verb} {uri}")
    };
    let upstream = if soap {
        shared.upstream.clone()
    } else {
        format!("{}{uri}", shared.upstream.strip_suffix("/sdk").unwrap_or(""))
    };
    let react = shared.react.lock().unwrap().clone();
    match react(&method, &body) {
        Reaction::Stall => std::future::pending().await,
        Reaction::Answer(status, text) => {
            (StatusCode::from_u16(status).unwrap(), [(header::CONTENT_TYPE, "text/xml")], text).into_response()
        }
        Reaction::Forward => forward(shared.http.request(verb, upstream), &headers, body, |text| text).await,
        Reaction::Edit(edit) => {
            let edit = move |bytes: Bytes| Bytes::from(edit(String::from_utf8_lossy(&bytes).into_owned()));
            forward(shared.http.request(verb, upstream), &headers, body, edit).await
        }
    }
}

async fn forward(
    mut request: reqwest::RequestBuilder,
    headers: &HeaderMap,
    body: String,
    edit: impl Fn(Bytes) -> Bytes + Send + Sync,
) -> Response {
    let session = HeaderName::from_static("vmware-api-session-id");
    for name in [header::COOKIE, header::CONTENT_TYPE, header::AUTHORIZATION, session] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    // Without an answer there is none: dropping the connection is what a stopped vCenter does.
    let Ok(answer) = request.body(body).send().await else { return StatusCode::BAD_GATEWAY.into_response() };
    let (status, cookie) = (answer.status(), answer.headers().get(header::SET_COOKIE).cloned());
    let mut response = (status, edit(answer.bytes().await.unwrap_or_default())).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // A client that does not trust the certificate ends the handshake.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

#[derive(Debug)]
struct TrustAll;

impl ServerCertVerifier for TrustAll {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
