//! TLS of outgoing connections: verified by default, against the system's roots, a CA file, or pinned certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
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
}

impl ClientTls {
    /// Checks what the user wrote at `key`.
    pub fn from_raw(raw: RawClientTls, key: &str, problems: &mut Problems) -> Option<Self> {
        if raw.ca_file.is_some() && !raw.pinned_sha256.is_empty() {
            problems.push(key, "at most one of `ca_file` and `pinned_sha256`", "both");
            return None;
        }
        if let Some(file) = raw.ca_file {
            let key = format!("{key}.ca_file");
            let path = problems.path(&key, &file)?;
            let to_read = path.clone();
            problems.when_loaded(key, "a PEM file of certificates", move || {
                ca_file(&to_read).map(drop).map_err(|error| error.to_string())
            });
            return Some(Self::CaFile(path));
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
        let provider = builder.crypto_provider().clone();
        let by = match self {
            Self::Pinned(pins) => By::Pins(pins.clone()),
            Self::CaFile(path) => By::Authorities(
                verifier(ca_file(path)?)
                    .map_err(|error| TlsError::CaFile { path: path.clone(), reason: error.to_string() })?,
            ),
            Self::SystemRoots => By::Authorities(verifier(system_roots()?).map_err(|_| TlsError::NoSystemRoots)?),
        };
        let verifier = Arc::new(Verifier { by, provider });
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

fn verifier(roots: RootCertStore) -> Result<Arc<WebPkiServerVerifier>, VerifierBuilderError> {
    WebPkiServerVerifier::builder(Arc::new(roots)).build()
}

/// What is wrong, in a user's words.
fn reason(error: &CertificateError) -> String {
    match error {
        // A bad signature is what an authority of the same name with another key looks like.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "is not signed by a trusted authority".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "has expired".to_owned(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "is not valid yet".to_owned(),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "is for another name than the one in the URL".to_owned()
        }
        other => format!("is not valid: {other}"),
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

/// Verifies as told, and names the certificate that it refuses.
///
/// With pins nothing but the fingerprint counts. The handshake's signature is verified in either case, so that the
/// peer has proven to hold the key.
#[derive(Debug)]
struct Verifier {
    by: By,
    provider: Arc<CryptoProvider>,
}

#[derive(Debug)]
enum By {
    Pins(Vec<[u8; 32]>),
    Authorities(Arc<WebPkiServerVerifier>),
}

/// A certificate that is not trusted.
#[derive(Debug)]
struct Untrusted {
    reason: String,
    fingerprint: String,
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, fingerprint } = self;
        write!(f, "the server's certificate {reason}; its SHA-256 fingerprint is {fingerprint}")
    }
}

impl std::error::Error for Untrusted {}

/// Why a connection's certificate was refused, where that is what the error comes from.
///
/// rustls prints its certificate errors as debug output; this finds the sentence for people inside.
pub fn untrusted_certificate(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))) = error.downcast_ref() {
            return Some(other.0.downcast_ref::<Untrusted>()?.to_string());
        }
        // An io::Error is skipped over by `source`: what it wraps is only behind `get_ref`.
        next = match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let reason = match &self.by {
            By::Pins(pins) if pins.contains(&Sha256::digest(end_entity).into()) => {
                return Ok(ServerCertVerified::assertion());
            }
            By::Pins(_) => "is not the pinned one".to_owned(),
            By::Authorities(verifier) => {
                match verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
                    Err(rustls::Error::InvalidCertificate(error)) => reason(&error),
                    verified_or_other => return verified_or_other,
                }
            }
        };
        let error = Untrusted { reason, fingerprint: fingerprint(end_entity) };
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
