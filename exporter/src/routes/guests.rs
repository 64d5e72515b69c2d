//! The pages of guests, and the guests as targets.

use std::time::Instant;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::{Base, Shared, json, no_such_vcenter, refuse, serve};
use crate::guest::board::Guest;

/// The last page of a guest, or why there is none that is fresh.
pub(super) async fn page(
    State(shared): State<Shared>,
    Path((vcenter, vm_id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let Some(guest) = shared.board.guest(&vcenter, &vm_id) else {
        if shared.targets.estate(&vcenter).is_none() {
            return no_such_vcenter(&shared.targets, &vcenter);
        }
        let text = format!(
            "`{vcenter}` has no guest `{vm_id}` that is collected: it has to run, and to meet a rule of `guests.rules`\n"
        );
        return refuse(StatusCode::NOT_FOUND, text);
    };
    match guest.page(Instant::now()) {
        Ok(page) => serve(&page, &headers),
        Err(reason) => {
            let text = format!("nothing fresh is known of the guest of `{}`: {reason}\n", guest.labels.vm);
            refuse(StatusCode::SERVICE_UNAVAILABLE, text)
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Wanted {
    os: Option<String>,
}

/// A target of Prometheus' HTTP service discovery.
#[derive(Serialize)]
struct Target<'a> {
    targets: [&'a str; 1],
    labels: Labels<'a>,
}

#[derive(Serialize)]
struct Labels<'a> {
    #[serde(rename = "__metrics_path__")]
    metrics_path: String,
    #[serde(rename = "__scheme__", skip_serializing_if = "Option::is_none")]
    scheme: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exporter: Option<&'a str>,
    instance: &'a str,
    vcenter: &'a str,
    vm_id: &'a str,
    vm: &'a str,
    team: &'a str,
    os: &'a str,
}

/// All guests, once those of all vCenters are known: Prometheus keeps its targets on an error and drops those that are
/// missing in a list.
pub(super) async fn list(State(shared): State<Shared>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    let Some(guests) = shared.board.of(&shared.targets.names()) else {
        let text = "not all vCenters have an inventory yet, or `guests` is not in the config\n";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    };
    let Some(base) = Base::of(shared.external_url.as_ref(), &headers) else {
        let text = "the request has no usable `Host` header; set `--web.external-url`\n";
        return refuse(StatusCode::BAD_REQUEST, text.to_owned());
    };
    let is_wanted = |guest: &&std::sync::Arc<Guest>| wanted.os.as_deref().is_none_or(|os| os == guest.labels.os);
    let targets = guests.iter().filter(is_wanted).map(|guest| {
        let known = &guest.labels;
        Target {
            targets: [&base.address],
            labels: Labels {
                metrics_path: format!("{}/guest/{}/{}/metrics", base.prefix, known.vcenter, known.vm_id),
                scheme: base.scheme.as_deref(),
                exporter: shared.exporter.as_deref(),
                instance: &known.vm,
                vcenter: &known.vcenter,
                vm_id: &known.vm_id,
                vm: &known.vm,
                team: &known.team,
                os: known.os,
            },
        }
    });
    json(&targets.collect::<Vec<_>>())
}
