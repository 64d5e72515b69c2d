//! What can go wrong between the exporter and a vCenter, in words that say what to do next.

use std::error::Error as _;
use std::fmt;
use std::time::Duration;

use lynceus_service::SecretError;
use lynceus_service::tls::{TlsError, untrusted_certificate};

use super::xml::XmlError;
use super::{Method, MoRef};

/// A call that failed.
#[derive(Debug, thiserror::Error)]
#[error("{server}: {method} failed")]
pub struct Error {
    /// Who was asked: the vCenter by its name in the config, or one of its hosts.
    pub server: String,
    /// What was called.
    pub method: Method,
    /// Why.
    #[source]
    pub problem: Box<Problem>,
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The password cannot be read.
    #[error("no password")]
    Secret(#[from] SecretError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP client cannot be set up.
    #[error("failed to set up the HTTP client: {0}")]
    Http(String),
    /// The certificate is not one that may be trusted.
    #[error("{0}: set `tls.ca_file`, or list the fingerprint under `tls.pinned_sha256` if it is the vCenter's own")]
    Certificate(String),
    /// TLS fails for another reason than trust.
    #[error(
        "the TLS handshake with {address} failed ({reason}); TLS 1.2 and, with RSA, a key of 2048 bits are the least"
    )]
    Handshake {
        /// Host and port.
        address: String,
        /// rustls' words.
        reason: String,
    },
    /// There is no connection.
    #[error("{address} cannot be reached ({reason}); check `url`, the network and that vCenter runs")]
    Connect {
        /// Host and port.
        address: String,
        /// The system's words.
        reason: String,
    },
    /// There is no connection, and no refusal either.
    #[error("no connection to {address} within {limit:?} (`connect_timeout`); check `url`, the network and firewalls")]
    ConnectTimeout {
        /// Host and port.
        address: String,
        /// The limit.
        limit: Duration,
    },
    /// The answer took too long.
    #[error("no complete answer within {limit:?} (`request_timeout`)")]
    Timeout {
        /// The limit.
        limit: Duration,
    },
    /// The connection broke while the answer was read.
    #[error("the answer broke off: {0}")]
    Broken(String),
    /// Not SOAP, and not a success.
    #[error("HTTP status {0}, and no SOAP answer; check that `url` is the vCenter's `/sdk`")]
    Status(u16),
    /// More than `max_response_bytes`.
    #[error("the answer is larger than {0} bytes (`max_response_bytes`)")]
    TooLarge(usize),
    /// Not the XML that it should be.
    #[error("the answer cannot be read; check that `url` is the vCenter's `/sdk`")]
    Xml(#[from] XmlError),
    /// The answer lacks what the call is for.
    #[error("the answer has no {0}")]
    Missing(&'static str),
    /// Not a success, from the REST API.
    #[error("HTTP status {status} from the REST API{}{reason}", if reason.is_empty() { "" } else { ": " })]
    Rest {
        /// The status.
        status: u16,
        /// vCenter's words, which may be none.
        reason: String,
    },
    /// Not the JSON that it should be.
    #[error("the answer is not the JSON that it should be, at line {line}, column {column}")]
    Json {
        /// Where.
        line: usize,
        /// Where in it.
        column: usize,
    },
    /// vCenter says no.
    #[error("{0}")]
    Fault(Fault),
    /// vCenter refuses the user.
    #[error("user `{0}` was refused: wrong name or password; check `username` and `password_file` or `password_env`")]
    InvalidLogin(String),
}

/// A SOAP fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Its type.
    pub kind: FaultKind,
    /// vCenter's words, which may be none.
    pub message: String,
    /// The object that it is about.
    pub object: Option<MoRef>,
    /// The property that it is about: that of `InvalidProperty`.
    pub property: Option<String>,
}

/// Types of fault that are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The session has ended, or never was.
    NotAuthenticated,
    /// Wrong user or password.
    InvalidLogin,
    /// A privilege is missing.
    NoPermission,
    /// The object is gone.
    ManagedObjectNotFound,
    /// The type has no such property in this version of vSphere.
    InvalidProperty,
    /// More was asked for than the administrator allows in one query.
    RestrictedByAdministrator,
    /// Any other, by its name.
    Other(String),
}

impl FaultKind {
    pub(super) fn from_name(name: &str) -> Self {
        match name {
            "NotAuthenticated" => Self::NotAuthenticated,
            "InvalidLogin" => Self::InvalidLogin,
            "NoPermission" => Self::NoPermission,
            "ManagedObjectNotFound" => Self::ManagedObjectNotFound,
            "InvalidProperty" => Self::InvalidProperty,
            "RestrictedByAdministrator" => Self::RestrictedByAdministrator,
            other => Self::Other(other.to_owned()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::NotAuthenticated => "NotAuthenticated",
            Self::InvalidLogin => "InvalidLogin",
            Self::NoPermission => "NoPermission",
            Self::ManagedObjectNotFound => "ManagedObjectNotFound",
            Self::InvalidProperty => "InvalidProperty",
            Self::RestrictedByAdministrator => "RestrictedByAdministrator",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fault `{}`", self.kind.name())?;
        if let Some(object) = &self.object {
            write!(f, " on {} `{}`", object.kind, object.id)?;
        }
        if !self.message.is_empty() {
            write!(f, ": {}", self.message)?;
        }
        if self.kind == FaultKind::NoPermission {
            write!(f, "; give the user the role `Read-only` on the vCenter, propagating to children")?;
        }
        Ok(())
    }
}

/// Why a request failed, as a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureReason {
    /// Nothing was sent: password or TLS set-up.
    Setup,
    /// The certificate is not trusted.
    Certificate,
    /// No connection, or a broken one.
    Connection,
    /// Too slow.
    Timeout,
    /// Not SOAP, too large or not readable.
    Answer,
    /// A SOAP fault, or a refusal of the REST API.
    Fault,
}

impl FailureReason {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Setup, Self::Certificate, Self::Connection, Self::Timeout, Self::Answer, Self::Fault];

    /// The label's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Certificate => "certificate",
            Self::Connection => "connection",
            Self::Timeout => "timeout",
            Self::Answer => "answer",
            Self::Fault => "fault",
        }
    }
}

impl Problem {
    /// The label's value.
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Secret(_) | Self::Tls(_) | Self::Http(_) => FailureReason::Setup,
            Self::Certificate(_) => FailureReason::Certificate,
            Self::Handshake { .. } | Self::Connect { .. } | Self::Broken(_) => FailureReason::Connection,
            Self::ConnectTimeout { .. } | Self::Timeout { .. } => FailureReason::Timeout,
            Self::Status(_) | Self::TooLarge(_) | Self::Xml(_) | Self::Json { .. } | Self::Missing(_) => {
                FailureReason::Answer
            }
            Self::Fault(_) | Self::Rest { .. } | Self::InvalidLogin(_) => FailureReason::Fault,
        }
    }

    /// Whether the same request may succeed in a moment.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } | Self::Timeout { .. } | Self::Broken(_) => true,
            Self::Status(status) | Self::Rest { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }

    /// Whether the request never reached vCenter.
    pub(super) fn is_before_request(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::ConnectTimeout { .. })
    }
}

impl Error {
    /// The fault, if vCenter answered with one.
    pub fn fault(&self) -> Option<&Fault> {
        if let Problem::Fault(fault) = &*self.problem { Some(fault) } else { None }
    }

    /// The HTTP status, if the REST API refused.
    pub(super) fn rest_status(&self) -> Option<u16> {
        if let Problem::Rest { status, .. } = &*self.problem { Some(*status) } else { None }
    }

    /// Whether a new session may help: it has ended, or what belonged to it is gone.
    pub(super) fn is_session_lost(&self) -> bool {
        self.fault().is_some_and(|fault| {
            let of_session = |object: &MoRef| {
                ["View", "Collector", "Filter", "Manager"].iter().any(|end| object.kind.ends_with(end))
                    && object.kind != "HostCertificateManager"
            };
            fault.kind == FaultKind::NotAuthenticated
                || (fault.kind == FaultKind::ManagedObjectNotFound && fault.object.as_ref().is_none_or(of_session))
        })
    }

    /// The object of the inventory that is gone, if that is what is wrong.
    pub fn gone(&self) -> Option<&MoRef> {
        self.fault().filter(|fault| fault.kind == FaultKind::ManagedObjectNotFound)?.object.as_ref()
    }

    /// Whether less work in a call, or at the same time, may help: vCenter was too slow, broke down or set a limit.
    pub fn is_overload(&self) -> bool {
        match &*self.problem {
            Problem::Timeout { .. } | Problem::Broken(_) | Problem::TooLarge(_) => true,
            Problem::Status(status) => *status == 429 || *status >= 500,
            Problem::Fault(fault) => match &fault.kind {
                FaultKind::RestrictedByAdministrator => true,
                // Such as "XML document element count exceeds configured maximum 500000".
                FaultKind::Other(_) => true,
                _ => false,
            },
            _ => false,
        }
    }

    /// Whether vCenter took longer than it may.
    pub fn is_timeout(&self) -> bool {
        matches!(&*self.problem, Problem::Timeout { .. })
    }

    /// Whether there is no way in, so that other calls would fail in the same way.
    pub fn is_no_connection(&self) -> bool {
        let no_connection = matches!(
            &*self.problem,
            Problem::Connect { .. }
                | Problem::ConnectTimeout { .. }
                | Problem::Handshake { .. }
                | Problem::Certificate(_)
                | Problem::Secret(_)
        );
        no_connection || self.method == Method::Login
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// Sorts reqwest's errors, whose kinds say less than their causes do.
pub(super) fn from_reqwest(error: &reqwest::Error, address: String, connect: Duration, request: Duration) -> Problem {
    if let Some(refused) = untrusted_certificate(error) {
        return Problem::Certificate(refused);
    }
    if let Some(tls) = find_rustls(error) {
        return Problem::Handshake { address, reason: tls.to_string() };
    }
    match (error.is_timeout(), error.is_connect()) {
        (true, true) => Problem::ConnectTimeout { address, limit: connect },
        (true, false) => Problem::Timeout { limit: request },
        (false, true) => Problem::Connect { address, reason: innermost(error) },
        (false, false) => Problem::Broken(innermost(error)),
    }
}

fn find_rustls(error: &reqwest::Error) -> Option<&rustls::Error> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // `io::Error::source` skips the error that it wraps, so it has to be opened by hand.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = wrapped.map(|wrapped| wrapped as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(cause) = error.source() {
        error = cause;
    }
    error.to_string()
}
