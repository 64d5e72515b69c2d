//! Which labels, values and series there are.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;

use super::error::ApiError;
use super::json;
use super::params::Params;
use crate::app::Shared;
use crate::archive::SeriesRow;
use crate::labels::METRIC_NAME;
use crate::select::Selection;
use crate::time::LATEST;

/// `labels`: the names of labels.
pub(super) async fn labels(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let select = "DISTINCT arrayJoin(arrayConcat(mapKeys(labels), if(metric_name = '', [], ['__name__']))) AS name";
    list(&shared, &params, &[], select, "ORDER BY name").await
}

/// `label/{name}/values`: the values of a label.
pub(super) async fn values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    if name == METRIC_NAME {
        let select = "DISTINCT metric_name AS value";
        return list(&shared, &params, &[], select, "AND metric_name != '' ORDER BY value").await;
    }
    let select = "DISTINCT labels[?] AS value";
    list(&shared, &params, &[&unescaped(&name)], select, "AND value != '' ORDER BY value").await
}

/// Strings, sorted.
async fn list(
    shared: &Shared,
    params: &Params,
    before: &[&str],
    select: &str,
    rest: &str,
) -> Result<Response, ApiError> {
    let selection = selection(params)?;
    let (limit, most) = (params.limit("limit")?, shared.live().config.read.max_series);
    let take = limit.unwrap_or(most + 1).min(most + 1);
    let rest = format!("{rest} LIMIT {take}");
    let connection = shared.archive.prepared()?;
    let found: Vec<String> =
        connection.fetch(|client| selection.of_series(client, before, select, &rest), "series", most).await?;
    let mut data = String::new();
    json::push_list(&mut data, &found, |out, text| json::push_text(out, text));
    Ok(json::success(&data))
}

/// `series`: label sets.
pub(super) async fn series(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let params = Params::of(request).await?;
    let selection = selection(&params)?;
    if params.selectors()?.is_empty() {
        return Err(ApiError::BadData("no match[] parameter provided".to_owned()));
    }
    let (limit, most) = (params.limit("limit")?, shared.live().config.read.max_series);
    let take = limit.unwrap_or(most + 1).min(most + 1);
    let connection = shared.archive.prepared()?;
    let mut found: Vec<SeriesRow> = connection.fetch(|client| selection.series(client, take), "series", most).await?;
    found.sort_unstable_by(|a, b| (&a.metric_name, &a.labels).cmp(&(&b.metric_name, &b.labels)));
    let mut data = String::new();
    json::push_list(&mut data, &found, |out, row: &SeriesRow| {
        let name = [(METRIC_NAME, row.metric_name.as_str())].into_iter().filter(|(_, name)| !name.is_empty());
        json::push_map(out, name.chain(row.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
    });
    Ok(json::success(&data))
}

/// By default all there is.
fn selection(params: &Params) -> Result<Selection, ApiError> {
    let start = params.time("start")?.unwrap_or(0);
    let end = params.time("end")?.unwrap_or(LATEST);
    if end < start {
        return Err(ApiError::BadData("end timestamp must not be before start timestamp".to_owned()));
    }
    Ok(Selection::new(start, end, &params.selectors()?))
}

/// Names that are no plain word may come as Prometheus escapes them: `U__a_2e_b` is `a.b`.
fn unescaped(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let (mut plain, mut rest) = (String::new(), escaped);
    while let Some((before, after)) = rest.split_once('_') {
        plain.push_str(before);
        if let Some(after) = after.strip_prefix('_') {
            plain.push('_');
            rest = after;
            continue;
        }
        let code = after.split_once('_').and_then(|(code, after)| Some((u32::from_str_radix(code, 16).ok()?, after)));
        let Some((Some(letter), after)) = code.map(|(code, after)| (char::from_u32(code), after)) else {
            return name.to_owned();
        };
        plain.push(letter);
        rest = after;
    }
    plain + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read() {
        assert_eq!(unescaped("job"), "job");
        assert_eq!(unescaped("U__a_2e_b__c_1f4_"), "a.b_cǴ");
        assert_eq!(unescaped("U__a_zz_b"), "U__a_zz_b");
    }
}
