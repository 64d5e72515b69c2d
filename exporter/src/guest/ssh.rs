//! A connection to a Linux guest: one, kept open, and one command on it at a time.
//!
//! No program is started on our side, and on the guest only the shell of the user that signs in.

mod host_keys;
mod line;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use lynceus_service::{SecretError, SecretSource};
use russh::client::{self, Handle, Handler};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{
    Algorithm, HashAlg, PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_openssh_certificate, load_secret_key,
};
use russh::{ChannelMsg, Preferred};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::line::Line;
pub use host_keys::{Distrust, FileError, HostKeys, Identity, Trust};

/// Given to the guest's shell; all that is said about what to collect comes to it as input, so that no shell that a user
/// may have reads it.
const COMMAND: &str = "exec /bin/sh -s";

/// A guest that says nothing for so long is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Who signs in, and how: each way is tried, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user on the guest.
    pub username: String,
    /// A private key.
    pub key: Option<Key>,
    /// The socket of an agent that has keys.
    pub agent: Option<PathBuf>,
    /// A password, which only a host gets whose key is pinned or signed.
    pub password: Option<SecretSource>,
}

/// A private key, read at each sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// In the format of OpenSSH, or PKCS#8.
    pub file: PathBuf,
    /// What it is encrypted with.
    pub passphrase: Option<SecretSource>,
    /// Signed by an authority that guests trust.
    pub certificate: Option<PathBuf>,
}

/// What went wrong with a guest.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts say it")]
pub enum Failure {
    #[error("no connection to {address} within {limit:?}")]
    ConnectTimeout { address: SocketAddr, limit: Duration },
    #[error("{address} cannot be reached: {error}")]
    Unreachable { address: SocketAddr, error: std::io::Error },
    #[error(transparent)]
    Distrust(#[from] Distrust),
    #[error("{address} does not speak SSH as it should: {error}")]
    Protocol { address: SocketAddr, error: russh::Error },
    #[error("`{username}` may not sign in: the guest refuses {tried}")]
    Refused { username: String, tried: String },
    #[error(
        "`{username}` has only a password, which is not sent to a host whose key was merely seen before: pin its key, or have it signed"
    )]
    PasswordKeptBack { username: String },
    #[error("the key `{file}` cannot be used: {reason}", file = file.display())]
    Key { file: PathBuf, reason: String },
    #[error("the agent at `{socket}` cannot be used: {reason}", socket = socket.display())]
    Agent { socket: PathBuf, reason: String },
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the guest refuses to run a command")]
    NoCommand,
    #[error("the guest did not answer within {0:?}")]
    Timeout(Duration),
    #[error("the guest printed more than {0} bytes")]
    TooLong(usize),
    #[error("the connection ended: {0}")]
    Closed(russh::Error),
}

impl Failure {
    /// One of few, to count by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ConnectTimeout { .. } => "connect_timeout",
            Self::Unreachable { .. } => "unreachable",
            Self::Distrust(_) => "host_key",
            Self::Protocol { .. } => "protocol",
            Self::Refused { .. } | Self::PasswordKeptBack { .. } => "sign_in",
            Self::Key { .. } | Self::Agent { .. } | Self::Secret(_) => "credential",
            Self::NoCommand => "command",
            Self::Timeout(_) => "timeout",
            Self::TooLong(_) => "too_long",
            Self::Closed(_) => "closed",
        }
    }
}

/// What one command may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the first packet to the end of the sign-in.
    pub connect: Duration,
    /// From sending a command to the end of its output.
    pub command: Duration,
    /// What of its output is read.
    pub bytes: usize,
}

/// A guest that somebody has signed in to.
pub struct Connection {
    handle: Handle<Doorman>,
    limits: Limits,
    /// Ends it when this is dropped.
    _line: DropGuard,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// Judges the host's key; its verdict is read after the handshake.
struct Doorman {
    keys: Arc<HostKeys>,
    who: Identity,
    verdict: Arc<Mutex<Option<Result<Trust, Distrust>>>>,
}

impl Handler for Doorman {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let verdict = self.keys.judge(key, &self.who, now.as_secs());
        let is_trusted = verdict.is_ok();
        *self.verdict.lock().unwrap_or_else(PoisonError::into_inner) = Some(verdict);
        Ok(is_trusted)
    }
}

impl Connection {
    /// Connects, has the host's key judged, signs in.
    pub async fn open(
        address: SocketAddr,
        who: Identity,
        keys: Arc<HostKeys>,
        login: &Login,
        limits: Limits,
    ) -> Result<Self, Failure> {
        let opening = async {
            let (mut handle, trust, line) = shake_hands(address, who, keys).await?;
            sign_in(&mut handle, login, trust, address).await?;
            Ok(Self { handle, limits, _line: line })
        };
        let late = Failure::ConnectTimeout { address, limit: limits.connect };
        timeout(limits.connect, opening).await.unwrap_or(Err(late))
    }

    /// Whether it was closed by anyone.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Has the guest's shell run a script; what that prints. After an error the connection is of no more use.
    pub async fn run(&self, script: String) -> Result<Vec<u8>, Failure> {
        self.run_within(script, self.limits.command, self.limits.bytes).await
    }

    /// The same within other limits.
    pub async fn run_within(&self, script: String, limit: Duration, bytes: usize) -> Result<Vec<u8>, Failure> {
        timeout(limit, self.run_without_limit(script, bytes)).await.unwrap_or(Err(Failure::Timeout(limit)))
    }

    async fn run_without_limit(&self, script: String, most: usize) -> Result<Vec<u8>, Failure> {
        let mut channel = self.handle.channel_open_session().await.map_err(Failure::Closed)?;
        channel.exec(true, COMMAND).await.map_err(Failure::Closed)?;
        channel.data_bytes(script).await.map_err(Failure::Closed)?;
        channel.eof().await.map_err(Failure::Closed)?;
        let (mut output, mut read) = (Vec::new(), 0);
        while let Some(message) = channel.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    read += data.len();
                    output.extend_from_slice(&data);
                }
                // What it says of errors may be anything, a password too: it is counted and goes nowhere.
                ChannelMsg::ExtendedData { data, .. } => read += data.len(),
                ChannelMsg::Failure => return Err(Failure::NoCommand),
                ChannelMsg::Close => return Ok(output),
                _ => {}
            }
            if read > most {
                return Err(Failure::TooLong(most));
            }
        }
        Err(Failure::Closed(russh::Error::HUP))
    }
}

/// Connects, and has the host's key judged. The session ends when the guard is dropped.
async fn shake_hands(
    address: SocketAddr,
    who: Identity,
    keys: Arc<HostKeys>,
) -> Result<(Handle<Doorman>, Trust, DropGuard), Failure> {
    let mut preferred = Preferred::DEFAULT;
    if keys.has_authorities() {
        preferred.host_key_certificates = preferred.key.clone();
    }
    // The output of a command is some 20 kB: it need not be compressed, nor wait for a packet to be full.
    preferred.compression = Cow::Borrowed(&[russh::compression::NONE]);
    let config = client::Config { preferred, keepalive_interval: Some(KEEP_ALIVE), ..client::Config::default() };
    let verdict = Arc::default();
    let doorman = Doorman { keys, who, verdict: Arc::clone(&verdict) };
    let unreachable = |error| Failure::Unreachable { address, error };
    let stream = TcpStream::connect(address).await.map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    let given_up = CancellationToken::new();
    let line = Line::new(stream, given_up.clone());
    let guard = given_up.drop_guard();
    let connected = client::connect_stream(Arc::new(config), line, doorman).await;
    let verdict = verdict.lock().unwrap_or_else(PoisonError::into_inner).take();
    match (connected, verdict) {
        (_, Some(Err(distrust))) => Err(distrust.into()),
        (Ok(handle), Some(Ok(trust))) => Ok((handle, trust, guard)),
        (Err(russh::Error::IO(error)), _) => Err(unreachable(error)),
        (Err(error), _) => Err(Failure::Protocol { address, error }),
        (Ok(_), None) => Err(Failure::Protocol { address, error: russh::Error::UnknownKey }),
    }
}

/// Tries each way in turn.
async fn sign_in(
    handle: &mut Handle<Doorman>,
    login: &Login,
    trust: Trust,
    address: SocketAddr,
) -> Result<(), Failure> {
    let protocol = |error| Failure::Protocol { address, error };
    let username = &login.username;
    let mut tried = Vec::new();
    if let Some(Key { file, passphrase, certificate }) = &login.key {
        let unusable = |reason: String| Failure::Key { file: file.clone(), reason };
        let passphrase = passphrase.as_ref().map(SecretSource::read).transpose()?;
        let key = load_secret_key(file, passphrase.as_ref().map(|secret| secret.expose().as_str()));
        let key = Arc::new(key.map_err(|error| unusable(error.to_string()))?);
        if let Some(path) = certificate {
            let certificate = load_openssh_certificate(path).map_err(|error| unusable(error.to_string()))?;
            let result = handle.authenticate_openssh_cert(username, Arc::clone(&key), certificate).await;
            if result.map_err(protocol)?.success() {
                return Ok(());
            }
            tried.push(format!("the certificate `{}`", path.display()));
        }
        let hash = rsa_hash(handle, key.algorithm()).await.map_err(protocol)?;
        let result = handle.authenticate_publickey(username, PrivateKeyWithHashAlg::new(key, hash)).await;
        if result.map_err(protocol)?.success() {
            return Ok(());
        }
        tried.push(format!("the key `{}`", file.display()));
    }
    if let Some(socket) = &login.agent {
        if sign_in_by_agent(handle, username, socket).await? {
            return Ok(());
        }
        tried.push(format!("the keys of the agent at `{}`", socket.display()));
    }
    if let Some(password) = &login.password {
        if trust == Trust::Seen {
            if tried.is_empty() {
                return Err(Failure::PasswordKeptBack { username: username.clone() });
            }
        } else {
            let password = password.read()?;
            let result = handle.authenticate_password(username, password.expose()).await;
            if result.map_err(protocol)?.success() {
                return Ok(());
            }
            tried.push("the password".to_owned());
        }
    }
    Err(Failure::Refused { username: username.clone(), tried: tried.join(", ") })
}

async fn sign_in_by_agent(handle: &mut Handle<Doorman>, username: &str, socket: &PathBuf) -> Result<bool, Failure> {
    let unusable = |reason: String| Failure::Agent { socket: socket.clone(), reason };
    let mut agent = AgentClient::connect_uds(socket).await.map_err(|error| unusable(error.to_string()))?;
    let identities = agent.request_identities().await.map_err(|error| unusable(error.to_string()))?;
    for identity in identities {
        let AgentIdentity::PublicKey { key, .. } = identity else { continue };
        let hash = rsa_hash(handle, key.algorithm()).await.map_err(|error| unusable(error.to_string()))?;
        let result = handle.authenticate_publickey_with(username, key, hash, &mut agent).await;
        if result.map_err(|error| unusable(format!("{error:?}")))?.success() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Only of a key of RSA the guest is asked which hash it knows.
async fn rsa_hash(handle: &Handle<Doorman>, algorithm: Algorithm) -> Result<Option<HashAlg>, russh::Error> {
    if algorithm.is_rsa() { Ok(handle.best_supported_rsa_hash().await?.flatten()) } else { Ok(None) }
}
