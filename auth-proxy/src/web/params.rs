//! Parameters of a query: known ones, each once.

use lynceus_promql::limits::MAX_BYTES;
use url::form_urlencoded;

/// Longest value beside the query itself: a time with zone and fraction, a number, a duration.
const MAX_VALUE: usize = 64;

/// The two ways to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Instant,
    Range,
}

impl Endpoint {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Endpoint::Instant => "query",
            Endpoint::Range => "query_range",
        }
    }

    /// Beside `query`.
    fn known(self) -> &'static [&'static str] {
        match self {
            Endpoint::Instant => &["time", "timeout", "limit", "lookback_delta"],
            Endpoint::Range => &["start", "end", "step", "timeout", "limit", "lookback_delta"],
        }
    }
}

/// What is wrong with the parameters.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamError {
    #[error("expected parameter `query`, found none")]
    NoQuery,
    #[error("expected parameter `{0}` once, found it twice")]
    Twice(String),
    #[error("unknown parameter `{name}`, expected {known}")]
    Unknown { name: String, known: String },
    #[error("expected at most {most} bytes in parameter `{name}`, found {found}")]
    TooLong { name: &'static str, most: usize, found: usize },
}

/// A query and the other parameters, as typed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Params {
    pub(crate) query: String,
    pub(crate) others: Vec<(&'static str, String)>,
}

/// Reads the parameters of the URL and of the body together. Servers differ in which of two equal ones they take, so
/// none may come twice.
pub(crate) fn read(endpoint: Endpoint, url: &str, body: &[u8]) -> Result<Params, ParamError> {
    let mut query = None;
    let mut others: Vec<(&'static str, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(url.as_bytes()).chain(form_urlencoded::parse(body)) {
        if name == "query" {
            if value.len() > MAX_BYTES {
                return Err(ParamError::TooLong { name: "query", most: MAX_BYTES, found: value.len() });
            }
            if query.replace(value.into_owned()).is_some() {
                return Err(ParamError::Twice("query".to_owned()));
            }
            continue;
        }
        let Some(known) = endpoint.known().iter().find(|known| **known == name) else {
            let name = name.chars().take(MAX_VALUE).collect();
            return Err(ParamError::Unknown { name, known: format!("query, {}", endpoint.known().join(", ")) });
        };
        if others.iter().any(|(other, _)| other == known) {
            return Err(ParamError::Twice((*known).to_owned()));
        }
        if value.len() > MAX_VALUE {
            return Err(ParamError::TooLong { name: known, most: MAX_VALUE, found: value.len() });
        }
        others.push((known, value.into_owned()));
    }
    Ok(Params { query: query.ok_or(ParamError::NoQuery)?, others })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, body: &str, expected: &str) {
        let found = match read(Endpoint::Instant, url, body.as_bytes()) {
            Ok(params) => format!("{} {:?}", params.query, params.others),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn parameters_come_from_the_url_and_the_body() {
        check("query=up%7Ba%3D%22b%22%7D&time=5", "", r#"up{a="b"} [("time", "5")]"#);
        check("", "query=a+%2B+b", "a + b []");
        check("time=5", "query=up", r#"up [("time", "5")]"#);
    }

    #[test]
    fn a_second_query_is_refused_wherever_it_stands() {
        check("query=a&query=b", "", "expected parameter `query` once, found it twice");
        check("query=a", "query=a", "expected parameter `query` once, found it twice");
        check("q%75ery=a&query=b", "", "expected parameter `query` once, found it twice");
        check("query=a&time=1&time=1", "", "expected parameter `time` once, found it twice");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let known = "expected query, time, timeout, limit, lookback_delta";
        check("query=a&extra=b", "", &format!("unknown parameter `extra`, {known}"));
        check("query=a&start=1", "", &format!("unknown parameter `start`, {known}"));
        check("QUERY=a", "", &format!("unknown parameter `QUERY`, {known}"));
        check("query[]=a", "", &format!("unknown parameter `query[]`, {known}"));
        check("", "", "expected parameter `query`, found none");
        check(
            &format!("query=a&time={}", "1".repeat(65)),
            "",
            "expected at most 64 bytes in parameter `time`, found 65",
        );
    }

    #[test]
    fn a_semicolon_separates_nothing() {
        check("query=a;query=b", "", "a;query=b []");
    }
}
