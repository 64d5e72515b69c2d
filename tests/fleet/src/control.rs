//! The fleet's own HTTP interface, beside the simulated one: what runs, and new scenarios.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::app::Addresses;
use crate::lab::{Lab, Running};
use crate::model::Connection;
use crate::scenario::Scenario;

/// Bigger than any scenario that a person writes.
const MAX_SCENARIO: usize = 1 << 20;

#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) lab: Arc<Lab>,
    pub(crate) addresses: Arc<Addresses>,
}

pub(crate) fn router(control: Control) -> Router {
    Router::new()
        .route("/", get(|| async { "lynceus-fleet: GET /state, GET /scenario, POST /scenario (YAML)\n" }))
        .route("/state", get(state))
        .route("/scenario", get(scenarios).post(start))
        .layer(DefaultBodyLimit::max(MAX_SCENARIO))
        .with_state(control)
}

async fn state(State(control): State<Control>) -> axum::Json<Value> {
    let moment = control.lab.moment();
    let condition = control.lab.condition();
    let plan = control.lab.plan();
    let hosts: Vec<Value> = moment
        .inventory
        .hosts
        .iter()
        .map(|host| {
            json!({
                "name": host.config.name,
                "id": host.id.to_string(),
                "up": host.connection == Connection::Connected,
                "maintenance": host.maintenance,
                "sick": moment.model.sick(host.id, moment.at).is_some(),
                "url": control.addresses.hosts.get(&host.id).map(|address| address.url.clone()),
                "sha256": control.addresses.hosts.get(&host.id).map(|address| address.sha256.clone()),
            })
        })
        .collect();
    axum::Json(json!({
        "now": moment.at.to_string(),
        "seed": plan.seed,
        "time_factor": plan.factor,
        "vms": moment.inventory.vms.len(),
        "vcenter": {
            "url": control.addresses.vcenter.url,
            "sha256": control.addresses.fingerprint(),
            "up": !condition.down,
            "clock": moment.now.to_string(),
            "slow": condition.slow,
        },
        "hosts": hosts,
        "scenarios": running(&control.lab),
    }))
}

async fn scenarios(State(control): State<Control>) -> axum::Json<Value> {
    axum::Json(running(&control.lab))
}

fn running(lab: &Lab) -> Value {
    let now = lab.now();
    let describe = |running: Running| {
        let steps: Vec<Value> = running
            .scenario
            .starting(running.start)
            .iter()
            .map(|event| {
                json!({
                    "kind": event.action.kind(),
                    "from": event.at.to_string(),
                    "until": event.until.map(|until| until.to_string()),
                    "active": event.lasts_at(now),
                    "metrics": event.expect.metrics,
                    "alerts": event.expect.alerts,
                })
            })
            .collect();
        json!({
            "name": running.scenario.name,
            "description": running.scenario.description,
            "start": running.start.to_string(),
            "events": steps,
        })
    };
    lab.scenarios().into_iter().map(describe).collect()
}

async fn start(State(control): State<Control>, body: String) -> Response {
    let scenario = match Scenario::parse(&body, Path::new("request")) {
        Ok(scenario) => scenario,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let name = scenario.name.clone();
    match control.lab.start(scenario) {
        Ok(start) => {
            (StatusCode::CREATED, axum::Json(json!({ "name": name, "start": start.to_string() }))).into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    }
}
