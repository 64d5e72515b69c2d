//! One REST call over HTTPS, with the limits and retries of the SOAP calls beside it.

use http::Method as Verb;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::error::Problem;
use super::transport::Transport;
use super::{Error, Method};

/// Longer than a server's reason for a refusal has to be.
const MAX_REASON: usize = 200;

/// A call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) verb: Verb,
    /// Below the server's root.
    pub(super) path: Vec<String>,
    pub(super) query: Option<String>,
    pub(super) body: Option<bytes::Bytes>,
}

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) enum Caller<'a> {
    /// Somebody who signs in: with this password.
    New(&'a str),
    /// Somebody with a session.
    Session(&'a str),
}

impl Transport {
    /// The answer's text, which may be empty.
    pub(super) async fn rest(&self, call: &Call, caller: Caller<'_>) -> Result<String, Error> {
        self.retrying(call.method, || self.attempt_rest(call, caller)).await
    }

    async fn attempt_rest(&self, call: &Call, caller: Caller<'_>) -> Result<String, Problem> {
        let mut request = self.request(call.verb.clone(), self.url(call));
        request = match caller {
            Caller::New(password) => request.basic_auth(&self.config().username, Some(password)),
            Caller::Session(token) => request.header("vmware-api-session-id", token),
        };
        if let Some(body) = &call.body {
            request = request.header(http::header::CONTENT_TYPE, "application/json").body(body.clone());
        }
        let raw = self.exchange(call.method, request.header(http::header::ACCEPT, "application/json")).await?;
        if (200..300).contains(&raw.status) {
            return Ok(raw.text);
        }
        Err(Problem::Rest { status: raw.status, reason: reason(&raw.text) })
    }

    /// On the same server as the SOAP endpoint: credentials go nowhere else.
    fn url(&self, call: &Call) -> Url {
        let mut url = self.config().url.clone();
        // An https URL always has a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(&call.path);
        }
        url.set_query(call.query.as_deref());
        url
    }
}

/// Decodes an answer. The text of a decoder's error may quote what it found, so only its place is told.
pub(super) fn decode<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| Problem::Json { line: error.line(), column: error.column() })
}

/// What the server says of a refusal, in either of the two dialects; empty where it says nothing that can be read.
fn reason(text: &str) -> String {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        error_type: String,
        r#type: String,
        messages: Vec<Message>,
        value: Option<Messages>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Messages {
        messages: Vec<Message>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Message {
        default_message: String,
    }
    let Ok(refusal) = serde_json::from_str::<Refusal>(text) else { return String::new() };
    let kind = refusal.r#type.rsplit('.').next().filter(|kind| !kind.is_empty()).unwrap_or(&refusal.error_type);
    let messages = refusal.messages.into_iter().chain(refusal.value.unwrap_or_default().messages);
    let message = messages.map(|message| message.default_message).find(|message| !message.is_empty());
    let words = [Some(kind.to_owned()).filter(|kind| !kind.is_empty()), message];
    let reason = words.into_iter().flatten().collect::<Vec<_>>().join(": ");
    reason.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_both_dialects() {
        let check = |text: &str, expected: &str| assert_eq!(reason(text), expected);
        check(r#"{"error_type":"UNAUTHORIZED","messages":[{"default_message":"no right"}]}"#, "UNAUTHORIZED: no right");
        check(
            r#"{"type":"com.vmware.vapi.std.errors.unauthorized","value":{"messages":[{"default_message":"no\nright"}]}}"#,
            "unauthorized: noright",
        );
        check(r#"{"type":"com.vmware.vapi.std.errors.not_found","value":{"messages":[]}}"#, "not_found");
        check("<html>busy</html>", "");
        check("{}", "");
        assert_eq!(reason(&format!(r#"{{"error_type":"{}"}}"#, "x".repeat(10_000))).len(), MAX_REASON);
    }
}
