//! Whether a host is the one that it says it is: by its key, before anything secret is sent to it.
//!
//! A guest's address comes from VMware Tools, that is, from the guest, and one that is cloned or moved brings its key along.
//! So keys that were seen are kept by the VM's id. A key that changed stops the collection of that guest.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use ring::hmac;
use russh::keys::ssh_key::Fingerprint;
use russh::keys::ssh_key::certificate::CertType;
use russh::keys::ssh_key::known_hosts::{Entry, HostPatterns, KnownHosts, Marker};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use thiserror::Error;
use tracing::error;

/// How a host has shown who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Somebody said that this is its key.
    Pinned,
    /// An authority that is trusted signed its key.
    Signed,
    /// It is the key of the first time.
    Seen,
}

/// Why a host is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Distrust {
    /// There is nothing to compare its key with.
    #[error(
        "its host key `{found}` is not known: add it to `known_hosts`, pin it, or let it be learned (`learn: true`)"
    )]
    Unknown {
        /// Fingerprint of the key.
        found: String,
    },
    /// It had another one before.
    #[error(
        "its host key is `{found}`, and was `{before}`: if the guest was installed anew, remove its line with \
         `ssh-keygen -R {host} -f {file}`", file = file.display()
    )]
    Changed {
        /// Fingerprint of the key.
        found: String,
        /// Fingerprint of the known one.
        before: String,
        /// What the line begins with.
        host: String,
        /// Where the line is.
        file: PathBuf,
    },
    /// Somebody said that this key must not be trusted.
    #[error("its host key `{0}` is revoked")]
    Revoked(String),
    /// Its certificate says something else, or nothing that counts.
    #[error("its host certificate `{id}` is not valid: {reason}")]
    Certificate {
        /// What the certificate is called.
        id: String,
        /// Why it is not.
        reason: &'static str,
    },
    /// It cannot be kept, and a key that is not kept would be learned again each time.
    #[error("its host key cannot be kept: {0}")]
    NotKept(String),
}

/// Which guest it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What its key is kept by: `vcenter/vm_id`.
    pub id: String,
    /// The names that a certificate or a line of `known_hosts` may have for it: its address, its name.
    pub names: Vec<String>,
    /// The port it is reached at.
    pub port: u16,
}

/// What is known of the keys of hosts.
#[derive(Debug, Default)]
pub struct HostKeys {
    known: Option<KeyFile>,
    /// Keys that are trusted wherever they are found.
    pinned: Vec<Fingerprint>,
    /// Keys that were seen.
    learned: Option<KeyFile>,
}

/// A file in the format of `known_hosts`. It is read anew when it changed, so that neither a new line nor a removed one
/// needs a restart.
#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    read: Mutex<Read>,
}

#[derive(Debug, Default)]
struct Read {
    /// When the file was changed last, and how long it was.
    version: Option<(SystemTime, u64)>,
    entries: Arc<Vec<Entry>>,
}

/// A file that cannot be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("failed to read `{path}`: {error}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It cannot be written.
    #[error("failed to write `{path}`: {error}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A line is not one of `known_hosts`.
    #[error("`{path}`: line {line} is not a line of known_hosts(5): {error}", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 1.
        line: usize,
        /// Why.
        error: russh::keys::ssh_key::Error,
    },
}

impl HostKeys {
    /// From a file in the format of sshd(8), fingerprints as `ssh-keygen -l` prints them, and the file that this exporter
    /// keeps keys in that it sees for the first time, where it may.
    pub fn load(
        known_hosts: Option<&Path>,
        pinned: Vec<Fingerprint>,
        learned: Option<PathBuf>,
    ) -> Result<Self, FileError> {
        let known = known_hosts.map(|path| KeyFile::open(path.to_owned())).transpose()?;
        if let Some(path) = known_hosts {
            // Without it no guest would be known, and nobody would know why.
            std::fs::metadata(path).map_err(|error| FileError::Read { path: path.to_owned(), error })?;
        }
        let learned = learned.map(KeyFile::open);
        Ok(Self { known, pinned, learned: learned.transpose()? })
    }

    /// Whether any authority can sign for a host: only then is a certificate asked for.
    pub fn has_authorities(&self) -> bool {
        let known = self.known.as_ref().map(KeyFile::entries).unwrap_or_default();
        known.iter().any(|entry| entry.marker() == Some(&Marker::CertAuthority))
    }

    /// Judges the key that a host presents. One that is seen for the first time is kept, where that is allowed.
    pub fn judge(&self, found: &PublicKeyOrCertificate, who: &Identity, now: u64) -> Result<Trust, Distrust> {
        if let Some(certificate) = found.certificate() {
            return self.judge_certificate(certificate, who, now);
        }
        let key = found.public_key();
        let fingerprint = key.fingerprint(HashAlg::Sha256);
        let mut other = None;
        for entry in self.known_as(who) {
            let is_same = entry.public_key().key_data() == key.key_data();
            match (entry.marker(), is_same) {
                (Some(Marker::Revoked), true) => return Err(Distrust::Revoked(fingerprint.to_string())),
                (None, true) => return Ok(Trust::Pinned),
                (None, false) => other = Some(entry),
                _ => {}
            }
        }
        if self.pinned.contains(&fingerprint) {
            return Ok(Trust::Pinned);
        }
        if let Some((entry, file)) = other.zip(self.known.as_ref()) {
            let before = entry.public_key().fingerprint(HashAlg::Sha256).to_string();
            let host = entry.host_patterns().to_string();
            return Err(Distrust::Changed { found: fingerprint.to_string(), before, host, file: file.path.clone() });
        }
        match &self.learned {
            Some(learned) => learn(learned, &key, who),
            None => Err(Distrust::Unknown { found: fingerprint.to_string() }),
        }
    }

    fn judge_certificate(
        &self,
        certificate: &russh::keys::Certificate,
        who: &Identity,
        now: u64,
    ) -> Result<Trust, Distrust> {
        let wrong = |reason| Err(Distrust::Certificate { id: certificate.key_id().to_owned(), reason });
        let signer = certificate.signature_key().fingerprint(HashAlg::Sha256);
        let lines = self.known_as(who);
        let revoked = lines.iter().find(|entry| {
            let key = entry.public_key().key_data();
            let is_it = key == certificate.signature_key() || key == certificate.public_key();
            entry.marker() == Some(&Marker::Revoked) && is_it
        });
        if let Some(entry) = revoked {
            return Err(Distrust::Revoked(entry.public_key().fingerprint(HashAlg::Sha256).to_string()));
        }
        let is_authority = lines.iter().any(|entry| {
            entry.marker() == Some(&Marker::CertAuthority) && entry.public_key().fingerprint(HashAlg::Sha256) == signer
        });
        if !is_authority {
            return wrong("the authority that signed it is not in `known_hosts`");
        }
        if certificate.cert_type() != CertType::Host {
            return wrong("it is the certificate of a user");
        }
        // A certificate for nobody would be one for everybody.
        if !certificate.valid_principals().iter().any(|principal| who.names.contains(principal)) {
            return wrong("it is for a host of another name");
        }
        if !certificate.critical_options().is_empty() {
            return wrong("it has a critical option, of which there are none for hosts");
        }
        match certificate.validate_at(now, [&signer]) {
            Ok(()) => Ok(Trust::Signed),
            Err(_) => wrong("its signature is wrong, or it is not its time"),
        }
    }

    /// The lines about a host.
    fn known_as(&self, who: &Identity) -> Vec<Entry> {
        let known = self.known.as_ref().map(KeyFile::entries).unwrap_or_default();
        let is_about = |entry: &&Entry| who.names.iter().any(|name| names(entry.host_patterns(), name, who.port));
        known.iter().filter(is_about).cloned().collect()
    }
}

/// Takes a key that is seen for the first time, and no other from then on.
fn learn(file: &KeyFile, key: &PublicKey, who: &Identity) -> Result<Trust, Distrust> {
    let is_of = |entry: &&Entry| match entry.host_patterns() {
        HostPatterns::Patterns(ids) => ids.contains(&who.id),
        HostPatterns::HashedName { .. } => false,
    };
    if let Some(known) = file.entries().iter().find(is_of) {
        if known.public_key().key_data() == key.key_data() {
            return Ok(Trust::Seen);
        }
        let fingerprint = |key: &PublicKey| key.fingerprint(HashAlg::Sha256).to_string();
        let (found, before) = (fingerprint(key), fingerprint(known.public_key()));
        return Err(Distrust::Changed { found, before, host: who.id.clone(), file: file.path.clone() });
    }
    let mut bare = key.clone();
    bare.set_comment("");
    let written = bare
        .to_openssh()
        .map_err(|error| error.to_string())
        .and_then(|text| file.append(&format!("{} {}\n", who.id, text.trim_end())).map_err(|error| error.to_string()));
    match written {
        Ok(()) => Ok(Trust::Seen),
        Err(reason) => Err(Distrust::NotKept(reason)),
    }
}

impl KeyFile {
    /// One that is not there has no lines.
    fn open(path: PathBuf) -> Result<Self, FileError> {
        let file = Self { path, read: Mutex::default() };
        file.read.lock().unwrap_or_else(PoisonError::into_inner).renew(&file.path)?;
        Ok(file)
    }

    /// The lines. Where the file cannot be read any more, those that it had.
    fn entries(&self) -> Arc<Vec<Entry>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = read.renew(&self.path) {
            error!(%error, "host keys are those of before");
        }
        read.entries.clone()
    }

    fn append(&self, line: &str) -> Result<(), FileError> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let write = || -> std::io::Result<Option<(SystemTime, u64)>> {
            let mut file: File = OpenOptions::new().create(true).append(true).open(&self.path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()?;
            Ok(version(&file.metadata()?))
        };
        read.version = write().map_err(|error| FileError::Write { path: self.path.clone(), error })?;
        // One line of many: the others are known.
        Arc::make_mut(&mut read.entries).extend(entries(&self.path, line)?);
        Ok(())
    }
}

impl Read {
    fn renew(&mut self, path: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::Read { path: path.to_owned(), error };
        let version = match std::fs::metadata(path) {
            Ok(metadata) => version(&metadata),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            Err(error) => return Err(failed(error)),
        };
        if self.version.is_some() && self.version == version {
            return Ok(());
        }
        self.version = version;
        self.entries = Arc::new(entries(path, &std::fs::read_to_string(path).map_err(failed)?)?);
        Ok(())
    }
}

fn version(metadata: &Metadata) -> Option<(SystemTime, u64)> {
    Some((metadata.modified().ok()?, metadata.len()))
}

fn entries(path: &Path, text: &str) -> Result<Vec<Entry>, FileError> {
    let mut entries = Vec::new();
    for (at, line) in text.lines().enumerate() {
        // One line at a time, to tell which one is wrong.
        for entry in KnownHosts::new(line) {
            let wrong = |error| FileError::Line { path: path.to_owned(), line: at + 1, error };
            entries.push(entry.map_err(wrong)?);
        }
    }
    Ok(entries)
}

/// Whether a line of `known_hosts` is about the host of this name.
fn names(patterns: &HostPatterns, name: &str, port: u16) -> bool {
    let bracketed = format!("[{name}]:{port}");
    let candidates: &[&str] = if port == 22 { &[name, &bracketed] } else { &[&bracketed] };
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
            candidates.iter().any(|name| hmac::verify(&key, name.as_bytes(), hash).is_ok())
        }
        HostPatterns::Patterns(patterns) => {
            let is = |pattern: &str| candidates.iter().any(|name| is_like(name, pattern));
            let denied = patterns.iter().filter_map(|pattern| pattern.strip_prefix('!')).any(is);
            !denied && patterns.iter().any(|pattern| is(pattern))
        }
    }
}

/// `*` is any text, `?` any character.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut pattern_left = pattern.chars();
    match pattern_left.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = pattern_left.as_str();
            is_like(name, rest) || name.chars().next().is_some_and(|c| is_like(&name[c.len_utf8()..], pattern))
        }
        Some(wanted) => {
            let mut name_left = name.chars();
            let found = name_left.next();
            let is_it = found.is_some_and(|c| wanted == '?' || c.eq_ignore_ascii_case(&wanted));
            is_it && is_like(name_left.as_str(), pattern_left.as_str())
        }
    }
}
