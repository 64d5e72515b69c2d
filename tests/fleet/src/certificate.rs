//! Certificates as VMware's authority makes them: one authority for the estate, one certificate for each server.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

/// Signs the certificates of the vCenter and the hosts. Its own is `ca.pem` in `--tls-dir`.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A server's certificate.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    /// For the listener.
    pub(crate) config: Arc<ServerConfig>,
    /// Fingerprint of the certificate, in lower-case hex.
    pub sha256: String,
}

impl Authority {
    /// A new authority.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, "lynceus-fleet CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    /// Writes `ca.pem`, for clients that verify.
    pub(crate) fn write(&self, dir: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
        let file = dir.join("ca.pem");
        std::fs::write(&file, &self.pem).with_context(|| format!("failed to write `{}`", file.display()))
    }

    /// A certificate for a server at this address, valid between the starts of these days.
    pub(crate) fn issue(&self, name: &str, address: IpAddr, from: i64, until: i64) -> anyhow::Result<Certificate> {
        let mut params = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned(), address.to_string()])?;
        params.distinguished_name.push(DnType::CommonName, name);
        let ((year, month, first), (end_year, end_month, last)) = (day(from)?, day(until)?);
        params.not_before = date_time_ymd(year, month, first);
        params.not_after = date_time_ymd(end_year, end_month, last);
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let der = certificate.der().clone();
        let sha256 = Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![der], private)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Certificate { config: Arc::new(config), sha256 })
    }
}

/// Year, month and day: the library takes no finer times.
fn day(time: i64) -> anyhow::Result<(i32, u8, u8)> {
    let date = jiff::tz::Offset::UTC.to_datetime(jiff::Timestamp::from_millisecond(time)?).date();
    Ok((i32::from(date.year()), u8::try_from(date.month())?, u8::try_from(date.day())?))
}
