//! What can go wrong between the bridge and ClickHouse, and whether trying again may help.

use std::error::Error as _;
use std::time::Duration;

use clickhouse::error::Error;
use lynceus_service::{SecretError, tls};
use url::Url;

use super::schema::SchemaError;

/// Codes of ClickHouse that are about what is in a batch, and will not change: CANNOT_READ_ALL_DATA, CANNOT_PARSE_DATE,
/// CANNOT_PARSE_DATETIME, TYPE_MISMATCH, INCORRECT_DATA, CANNOT_CONVERT_TYPE, VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
/// VIOLATED_CONSTRAINT.
const OF_THE_ROWS: [u32; 8] = [33, 38, 41, 53, 70, 117, 321, 469];
/// UNKNOWN_TABLE, UNKNOWN_DATABASE.
const MISSING: [u32; 2] = [60, 81];
/// CANNOT_COMPILE_REGEXP.
const BAD_REGEX: u32 = 427;

/// Why the archive cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("the archive is not ready: {0}")]
    NotReady(String),
    #[error("the connection to ClickHouse was replaced meanwhile, by a reload or because a table had gone")]
    Replaced,
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("failed to reach ClickHouse at `{url}`: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("ClickHouse has not answered within {0:?} (clickhouse.request_timeout)")]
    TimedOut(Duration),
    #[error("ClickHouse answered: {message}")]
    Refused { code: Option<u32>, message: String },
    #[error(transparent)]
    Schema(SchemaError),
    #[error("the answer has more than {limit} {what}; ask for less, or raise read.max_{what}")]
    TooMany { what: &'static str, limit: usize },
}

/// What an operation failed with, before it is known which server it was.
pub(crate) enum Cause {
    Client(Error),
    Schema(SchemaError),
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl From<SchemaError> for Cause {
    fn from(error: SchemaError) -> Self {
        match error {
            SchemaError::ClickHouse(error) => Self::Client(error),
            other => Self::Schema(other),
        }
    }
}

impl ArchiveError {
    pub(super) fn from_cause(cause: Cause, url: &Url) -> Self {
        match cause {
            Cause::Client(error) => Self::from_client(error, url),
            Cause::Schema(error) => Self::Schema(error),
        }
    }

    pub(super) fn from_client(error: Error, url: &Url) -> Self {
        match error {
            Error::Network(_) => Self::Unreachable { url: url.to_string(), reason: reason(&error) },
            Error::BadResponse(message) => Self::Refused { code: code(&message), message },
            other => Self::Refused { code: None, message: other.to_string() },
        }
    }

    /// Whether what was sent will be refused for ever.
    pub(crate) fn is_of_the_rows(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if OF_THE_ROWS.contains(code))
    }

    /// Whether the tables have gone.
    pub(crate) fn table_is_missing(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if MISSING.contains(code))
    }

    /// Whether the asker is at fault, not the server.
    pub(crate) fn is_askers_fault(&self) -> bool {
        matches!(self, Self::TooMany { .. } | Self::Refused { code: Some(BAD_REGEX), .. })
    }
}

/// The last cause: what stands before it says "client error" in three ways.
fn reason(error: &Error) -> String {
    if let Some(reason) = tls::untrusted_certificate(error) {
        return reason;
    }
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = cause.to_string();
        next = cause.source();
    }
    text
}

fn code(message: &str) -> Option<u32> {
    let rest = message.split_once("Code: ")?.1;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_answer_is_found() {
        assert_eq!(code("Code: 60. DB::Exception: Unknown table (UNKNOWN_TABLE)"), Some(60));
        assert_eq!(code("502 Bad Gateway"), None);
    }
}
