//! The parameters of a request: of its address, and of its body where that is a form.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header;
use jiff::Timestamp;
use lynceus_promql::{Expr, Matcher};
use lynceus_service::parse_duration;
use url::form_urlencoded;

use super::error::ApiError;
use crate::body::{header_text, receive};
use crate::select::matchers;
use crate::time;

/// A query of a dashboard has some kilobytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Names and values, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    pub(super) async fn of(request: Request) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let mut params = Self::default();
        // Prometheus lets the form win, where both have a parameter.
        if header_text(&parts.headers, header::CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
            params.add(&receive(body, MAX_BODY_BYTES).await?);
        } else {
            drop::<Body>(body);
        }
        params.add(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(params)
    }

    fn add(&mut self, encoded: &[u8]) {
        self.0.extend(form_urlencoded::parse(encoded).into_owned());
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    pub(super) fn query(&self) -> Result<&str, ApiError> {
        require("query", self.get("query"))
    }

    /// In milliseconds since 1970.
    pub(super) fn time(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let parse = |text: &str| {
            parse_time(text).ok_or_else(|| invalid(name, &format!("cannot parse {text:?} to a valid timestamp")))
        };
        self.get(name).map(parse).transpose()
    }

    /// In milliseconds.
    pub(super) fn duration(&self, name: &'static str) -> Result<Option<i64>, ApiError> {
        let parse = |text: &str| {
            let millis = match text.parse::<f64>() {
                Ok(seconds) => whole_millis(seconds),
                Err(_) => parse_duration(text).and_then(|duration| i64::try_from(duration.as_millis()).ok()),
            };
            millis.ok_or_else(|| invalid(name, &format!("cannot parse {text:?} to a valid duration")))
        };
        self.get(name).map(parse).transpose()
    }

    pub(super) fn flag(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| invalid(name, "expected true or false"));
        self.get(name).map(parse).transpose()
    }

    /// 0 means that there is none.
    pub(super) fn limit(&self, name: &'static str) -> Result<Option<usize>, ApiError> {
        let parse = |text: &str| text.parse().map_err(|_| invalid(name, "limit must be a non-negative number"));
        Ok(self.get(name).map(parse).transpose()?.filter(|limit| *limit > 0))
    }

    /// The selectors of all `match[]`.
    pub(super) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let all = self.0.iter().filter(|(name, _)| name == "match[]");
        all.map(|(_, text)| {
            let expr = lynceus_promql::parse(text).map_err(|error| invalid("match[]", &error.to_string()))?;
            match &expr {
                Expr::Vector(selector) if selector.offset.is_none() && selector.at.is_none() => Ok(matchers(selector)),
                _ => Err(invalid("match[]", &format!("expected a selector, found {text}"))),
            }
        })
        .collect()
    }
}

/// A parameter that has to be there.
pub(super) fn require<T>(name: &'static str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| invalid(name, "it is missing"))
}

fn invalid(name: &str, reason: &str) -> ApiError {
    ApiError::BadData(format!("invalid parameter {name:?}: {reason}"))
}

/// Seconds since 1970, or RFC 3339.
fn parse_time(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<f64>() {
        return whole_millis(seconds);
    }
    match text {
        // As Go names the earliest and the latest time, which Prometheus takes for "all".
        "-292273086-05-16T16:47:06Z" => Some(0),
        "292277025-08-18T07:12:54.999999999Z" => Some(time::LATEST),
        _ => text.parse::<Timestamp>().ok().map(Timestamp::as_millisecond),
    }
}

fn whole_millis(seconds: f64) -> Option<i64> {
    let millis = (seconds * 1000.).round();
    // Beyond, it is no whole number of milliseconds.
    (millis.abs() < 9e15).then_some(millis as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str) -> Params {
        let mut params = Params::default();
        params.add(text.as_bytes());
        params
    }

    #[test]
    fn times_and_durations_are_numbers_or_words() {
        let found = |text: &str| params(&format!("x={text}")).time("x").ok().flatten();
        assert_eq!(found("1.5"), Some(1500));
        assert_eq!(found("2026-01-01T00:00:00.25Z"), Some(1_767_225_600_250));
        assert_eq!(found("2026-01-01T01:00:00%2B01:00"), Some(1_767_225_600_000));
        assert_eq!((found("tomorrow"), found("NaN"), found("1e300")), (None, None, None));
        let found = |text: &str| params(&format!("x={text}")).duration("x").ok().flatten();
        assert_eq!(
            (found("15"), found("1m30s"), found("0.5"), found("x")),
            (Some(15_000), Some(90_000), Some(500), None)
        );
        let error = params("x=no").time("x").unwrap_err().to_string();
        assert_eq!(error, "invalid parameter \"x\": cannot parse \"no\" to a valid timestamp");
    }

    #[test]
    fn selectors_have_their_name_among_the_matchers() {
        let found = params("match[]=up{a!=\"b\"}&match[]={c=~\"d\"}").selectors().unwrap();
        let plain: Vec<Vec<_>> =
            found.iter().map(|set| set.iter().map(|m| (m.name.as_str(), m.value.as_str())).collect()).collect();
        assert_eq!(plain, [vec![("__name__", "up"), ("a", "b")], vec![("c", "d")]]);
        let error = params("match[]=rate(x[5m])").selectors().unwrap_err().to_string();
        assert_eq!(error, "invalid parameter \"match[]\": expected a selector, found rate(x[5m])");
    }
}
