//! `--web.config.file`: TLS and basic authentication of the listeners, in exporter-toolkit's format.
//!
//! Supported are `tls_server_config` with `cert_file`, `key_file`, `client_ca_file`, `client_auth_type`
//! (`NoClientCert`, `RequireAndVerifyClientCert`) and `min_version: TLS13`, and `basic_auth_users` with bcrypt
//! hashes. Any other key is refused rather than ignored. Listeners speak TLS 1.3 only.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::problems::Problems;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawWeb {
    tls_server_config: Option<RawTls>,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTls {
    cert_file: String,
    key_file: String,
    client_ca_file: Option<String>,
    client_auth_type: Option<String>,
    min_version: Option<String>,
}

/// The checked file.
#[derive(Debug, Default)]
pub(crate) struct WebConfig {
    tls: Option<TlsFiles>,
    users: BTreeMap<String, String>,
}

#[derive(Debug)]
struct TlsFiles {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
}

impl Config for WebConfig {
    type Raw = RawWeb;

    fn validate(raw: RawWeb, problems: &mut Problems) -> Option<Self> {
        let mut users = BTreeMap::new();
        for (name, hash) in raw.basic_auth_users {
            if hash.parse::<bcrypt::HashParts>().is_err() {
                // The value is not repeated: a plain password in the wrong place stays out of the log.
                problems.push(
                    format!("basic_auth_users.{name}"),
                    "a bcrypt hash (`htpasswd -nBC 12 NAME`)",
                    "something else",
                );
            }
            users.insert(name, hash);
        }
        let tls = match raw.tls_server_config {
            None => None,
            Some(raw) => Some(validate_tls(raw, problems)?),
        };
        Some(Self { tls, users })
    }
}

fn validate_tls(raw: RawTls, problems: &mut Problems) -> Option<TlsFiles> {
    let key = |name: &str| format!("tls_server_config.{name}");
    if let Some(version) = raw.min_version.filter(|version| version != "TLS13") {
        problems.push(key("min_version"), "`TLS13`, the only version that is served", format!("`{version}`"));
    }
    let client_ca = match (raw.client_auth_type.as_deref(), raw.client_ca_file) {
        (None | Some("NoClientCert"), None) => None,
        (Some("RequireAndVerifyClientCert"), Some(file)) => Some(problems.path(&key("client_ca_file"), &file)?),
        (Some("RequireAndVerifyClientCert"), None) => {
            problems.push(key("client_ca_file"), "a PEM file of authorities", "nothing");
            None
        }
        (None | Some("NoClientCert"), Some(_)) => {
            problems.push(
                key("client_auth_type"),
                "`RequireAndVerifyClientCert` beside `client_ca_file`",
                "no such type",
            );
            None
        }
        (Some(other), _) => {
            problems.push(
                key("client_auth_type"),
                "`NoClientCert` or `RequireAndVerifyClientCert`",
                format!("`{other}`"),
            );
            None
        }
    };
    Some(TlsFiles {
        cert: problems.path(&key("cert_file"), &raw.cert_file)?,
        key: problems.path(&key("key_file"), &raw.key_file)?,
        client_ca,
    })
}

/// What the listeners do with each connection and request.
pub(crate) struct Web {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    users: BTreeMap<String, String>,
    /// Digests of credentials that bcrypt has accepted: it takes a quarter of a second, scrapes come every few.
    accepted: Mutex<HashSet<[u8; 32]>>,
    /// One after the other: wrong passwords must not take the threads of everything else.
    verifying: tokio::sync::Mutex<()>,
}

/// More distinct credentials than a daemon has users; the set is emptied when it is full.
const MAX_ACCEPTED: usize = 1_000;

/// A listener file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("failed to use `{path}`: {reason}", path = path.display())]
pub(crate) struct WebError {
    path: PathBuf,
    reason: String,
}

impl Web {
    /// Reads certificates and keys.
    pub(crate) fn open(config: WebConfig) -> Result<Self, WebError> {
        let tls = config.tls.as_ref().map(server_config).transpose()?.map(Arc::new);
        Ok(Self { tls, users: config.users, accepted: Mutex::default(), verifying: tokio::sync::Mutex::default() })
    }

    /// Whether the request carries the credentials of a user, or none are asked for.
    pub(crate) async fn authorised(&self, headers: &HeaderMap) -> bool {
        if self.users.is_empty() {
            return true;
        }
        let Some((user, password)) = basic_credentials(headers) else { return false };
        // An unknown user costs the same time as a wrong password.
        let (known, hash) = match self.users.get(&user) {
            Some(hash) => (true, hash.clone()),
            None => (false, self.users.values().next().cloned().unwrap_or_default()),
        };
        let digest: [u8; 32] = Sha256::digest(format!("{hash}\0{user}\0{password}")).into();
        if self.accepted.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return true;
        }
        let _turn = self.verifying.lock().await;
        let verified = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await;
        let accepted = known && verified.unwrap_or(false);
        if accepted {
            let mut cache = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
            if cache.len() >= MAX_ACCEPTED {
                cache.clear();
            }
            cache.insert(digest);
        }
        accepted
    }
}

fn basic_credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64.decode(encoded).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn server_config(files: &TlsFiles) -> Result<ServerConfig, WebError> {
    let builder = ServerConfig::builder_with_protocol_versions(&[&rustls::version::TLS13]);
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| web_error(path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| web_error(path, error))?)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| web_error(&files.key, error))?;
    builder.with_single_cert(certificates(&files.cert)?, key).map_err(|error| web_error(&files.cert, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, WebError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => Err(web_error(path, "expected PEM certificates, found none")),
        Ok(all) => Ok(all),
        Err(error) => Err(web_error(path, error)),
    }
}

fn web_error(path: &Path, reason: impl ToString) -> WebError {
    WebError { path: path.to_owned(), reason: reason.to_string() }
}
