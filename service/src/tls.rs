//! TLS of outgoing connections: verified by default, against the system's roots, a CA file, or pinned certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::Problems;

/// Makes ring the process' TLS implementation. Called by [`crate::run`]; tests and tools call it themselves.
pub fn install_provider() {
    // The second call finds the first one's provider, which is the same.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// What the user writes under `tls:`.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawClientTls {
    /// PEM file of the authorities to trust in place of the system's.
    pub ca_file: Option<String>,
    /// SHA-256 fingerprints of the server certificates to trust, whoever signed them; hex, colons allowed.
    pub pinned_sha256: Vec<String>,
}

/// How a server's certificate is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientTls {
    /// Signed by an authority of the system.
    SystemRoots,
    /// Signed by an authority in this PEM file.
    CaFile(PathBuf),
    /// The certificate has one of these SHA-256 fingerprints. Name and dates are not looked at: the pin is the identity.
    Pinned(Vec<[u8; 32]>),
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The CA file cannot be read, or holds no certificate.
    #[error("failed to read certificates from `{path}`: {reason}", path = path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system has no certificates that can be used.
    #[error("found no certificate authorities on this system; install `ca-certificates` or set `tls.ca_file`")]
    NoSystemRoots,
    /// rustls refused.
    #[error("failed to set up TLS")]
    Rustls(#[from] rustls::Error),
}

impl ClientTls {
    /// Checks what the user wrote at `key`.
    pub fn from_raw(raw: RawClientTls, key: &str, problems: &mut Problems) -> Option<Self> {
        if raw.ca_file.is_some() && !raw.pinned_sha256.is_empty() {
            problems.push(key, "at most one of `ca_file` and `pinned_sha256`", "both");
            return None;
        }
        if let Some(file) = raw.ca_file {
            return problems.path(&format!("{key}.ca_file"), &file).map(Self::CaFile);
        }
        if raw.pinned_sha256.is_empty() {
            return Some(Self::SystemRoots);
        }
        let mut pins = Vec::new();
        for (i, text) in raw.pinned_sha256.iter().enumerate() {
            match parse_fingerprint(text) {
                Some(pin) => pins.push(pin),
                None => problems.push(
                    format!("{key}.pinned_sha256[{i}]"),
                    "a SHA-256 fingerprint of 64 hex digits (`openssl x509 -noout -fingerprint -sha256` prints it)",
                    format!("`{text}`"),
                ),
            }
        }
        (pins.len() == raw.pinned_sha256.len()).then_some(Self::Pinned(pins))
    }

    /// The client configuration, for TLS 1.2 and 1.3: older vCenters cannot do 1.3.
    pub fn rustls(&self) -> Result<ClientConfig, TlsError> {
        install_provider();
        let builder = ClientConfig::builder();
        Ok(match self {
            Self::Pinned(pins) => {
                let provider = builder.crypto_provider().clone();
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(PinVerifier { pins: pins.clone(), provider }))
                    .with_no_client_auth()
            }
            Self::CaFile(path) => {
                let verifier = WebPkiServerVerifier::builder(Arc::new(ca_file(path)?))
                    .build()
                    .map_err(|error| TlsError::CaFile { path: path.clone(), reason: error.to_string() })?;
                builder.with_webpki_verifier(verifier).with_no_client_auth()
            }
            Self::SystemRoots => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
        })
    }
}

fn ca_file(path: &PathBuf) -> Result<RootCertStore, TlsError> {
    let failed = |reason: String| TlsError::CaFile { path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))? {
        let certificate = certificate.map_err(|error| failed(error.to_string()))?;
        roots.add(certificate).map_err(|error| failed(error.to_string()))?;
    }
    if roots.is_empty() { Err(failed("expected PEM certificates, found none".to_owned())) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let (added, _ignored) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 { Err(TlsError::NoSystemRoots) } else { Ok(roots) }
}

fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let digits: String = text.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut pin = [0; 32];
    for (byte, pair) in pin.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(pin)
}

/// A fingerprint as `openssl` prints it, without colons and in lower case.
fn fingerprint(certificate: &[u8]) -> String {
    Sha256::digest(certificate).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Accepts exactly the pinned certificates. The handshake's signature is verified as ever, so that the peer has
/// proven to hold the key.
#[derive(Debug)]
struct PinVerifier {
    pins: Vec<[u8; 32]>,
    provider: Arc<CryptoProvider>,
}

/// A certificate that is not pinned; its text reaches the user through the connection error.
#[derive(Debug)]
struct NotPinned(String);

impl fmt::Display for NotPinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server's certificate has the SHA-256 fingerprint {}, which is not pinned", self.0)
    }
}

impl std::error::Error for NotPinned {}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found: [u8; 32] = Sha256::digest(end_entity).into();
        if self.pins.contains(&found) {
            return Ok(ServerCertVerified::assertion());
        }
        let error = NotPinned(fingerprint(end_entity));
        Err(CertificateError::Other(rustls::OtherError(Arc::new(error))).into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_with_and_without_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(parse_fingerprint(&plain), Some([0xab; 32]));
        assert_eq!(parse_fingerprint(&colons), Some([0xab; 32]));
        assert_eq!(parse_fingerprint("ab"), None);
        assert_eq!(parse_fingerprint(&"zz".repeat(32)), None);
    }
}
