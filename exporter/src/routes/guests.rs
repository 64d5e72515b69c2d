//! The pages of guests, and the guests as targets.

use std::time::Instant;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::{Base, Shared, json, no_such_vcenter, refuse, serve};
use crate::guest::board::Labels;

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

/// All guests, once those of all vCenters are known: Prometheus keeps its targets on an error and drops those that are
/// missing in a list.
pub(super) async fn list(State(shared): State<Shared>, Query(wanted): Query<Wanted>, headers: HeaderMap) -> Response {
    if !shared.targets.have_guests() {
        return refuse(StatusCode::NOT_FOUND, "no guests are collected: the config has no `guests`\n".to_owned());
    }
    let Some(guests) = shared.board.of(&shared.targets.names()) else {
        let text = "not all vCenters have an inventory yet\n";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, text.to_owned());
    };
    let Some(base) = Base::of(shared.external_url.as_ref(), &headers) else {
        let text = "the request has no usable `Host` header; set `--web.external-url`\n";
        return refuse(StatusCode::BAD_REQUEST, text.to_owned());
    };
    let guests = guests.iter().map(|guest| &guest.labels);
    let wanted = guests.filter(|labels| wanted.os.as_deref().is_none_or(|os| os == labels.os));
    let target = |labels: &Labels| {
        let Labels { vcenter, vm_id, vm, team, os } = labels.clone();
        let path = format!("/guest/{vcenter}/{vm_id}/metrics");
        let labels = [("vm_id", vm_id), ("team", team), ("os", os.to_owned()), ("vcenter", vcenter)];
        base.target(&path, &shared, labels.into_iter().chain([("instance", vm.clone()), ("vm", vm)]))
    };
    json(&wanted.map(target).collect::<Vec<_>>())
}
