//! vCenter's REST API, as far as tags go: `/rest/com/vmware/cis` as vCenter 6.5 speaks it, `/api` as 7 and 8 do.
//!
//! Both say the same; the older puts everything into `{"value": ...}`, its actions into `~action` and `id:` before ids.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use serde_json::{Value, json};

use crate::model::{Tag, TagCategory, TagId};
use crate::objects::{Cx, Handle, Moment, Scope};
use crate::soap::MoRef;
use crate::vcenter::Server;

const SESSION: &str = "vmware-api-session-id";

#[derive(Clone)]
struct Rest {
    server: Arc<Server>,
    /// The older dialect.
    wrapped: bool,
}

#[derive(serde::Deserialize)]
struct Action {
    action: Option<String>,
    #[serde(rename = "~action")]
    old: Option<String>,
}

/// Tags over REST.
pub(crate) fn router(server: Arc<Server>) -> Router {
    let dialect = |prefix: &str, tagging: &str, wrapped: bool| {
        Router::new()
            .route(&format!("{prefix}/session"), post(login).delete(logout))
            .route(&format!("{tagging}/category"), get(categories))
            .route(&format!("{tagging}/category/{{id}}"), get(category))
            .route(&format!("{tagging}/tag"), get(tags).post(tags_of_category))
            .route(&format!("{tagging}/tag/{{id}}"), get(tag).post(tags_of_this_category))
            .route(&format!("{tagging}/tag-association"), post(associations))
            .route(&format!("{tagging}/tag-association/{{id}}"), post(objects_of_tag))
            .with_state(Rest { server: server.clone(), wrapped })
    };
    dialect("/api", "/api/cis/tagging", false).merge(dialect(
        "/rest/com/vmware/cis",
        "/rest/com/vmware/cis/tagging",
        true,
    ))
}

/// What goes wrong: status, error of the newer dialect, error of the older.
type Refusal = (StatusCode, &'static str, &'static str);
const UNAUTHENTICATED: Refusal = (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED", "unauthenticated");
const NOT_FOUND: Refusal = (StatusCode::NOT_FOUND, "NOT_FOUND", "not_found");
const INVALID: Refusal = (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT", "invalid_argument");

impl Rest {
    fn answer(&self, result: Result<Value, Refusal>) -> Response {
        match result {
            Ok(value) if self.wrapped => axum::Json(json!({ "value": value })).into_response(),
            Ok(value) => axum::Json(value).into_response(),
            Err((status, name, _)) if !self.wrapped => {
                (status, axum::Json(json!({ "error_type": name, "messages": [] }))).into_response()
            }
            Err((status, _, name)) => {
                let kind = format!("com.vmware.vapi.std.errors.{name}");
                (status, axum::Json(json!({ "type": kind, "value": { "messages": [] } }))).into_response()
            }
        }
    }

    fn token<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let header = headers.get(SESSION).and_then(|value| value.to_str().ok());
        header.or_else(|| {
            let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
            let mut pairs = cookies.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
            pairs.find(|(name, _)| *name == SESSION).map(|(_, value)| value)
        })
    }

    /// Answers someone who is signed in.
    fn with(&self, headers: &HeaderMap, answer: impl FnOnce(&Moment) -> Result<Value, Refusal>) -> Response {
        let timeout = self.server.lab.cost.limits.session_timeout;
        let session = self.token(headers).and_then(|token| self.server.sessions.find(token, timeout));
        self.answer(session.ok_or(UNAUTHENTICATED).and_then(|_| answer(&self.server.lab.moment())))
    }

    /// Ids come with `id:` in front in the older dialect.
    fn id<'i>(&self, id: &'i str) -> &'i str {
        if self.wrapped { id.strip_prefix("id:").unwrap_or(id) } else { id }
    }
}

impl Action {
    fn name(&self) -> &str {
        self.action.as_deref().or(self.old.as_deref()).unwrap_or_default()
    }
}

async fn login(State(rest): State<Rest>, headers: HeaderMap) -> Response {
    let credentials = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let decoded = credentials
        .and_then(|value| value.strip_prefix("Basic "))
        .and_then(|value| base64::engine::general_purpose::STANDARD.decode(value.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let Some((user, password)) = decoded.as_deref().and_then(|text| text.split_once(':')) else {
        return rest.answer(Err(UNAUTHENTICATED));
    };
    if !rest.server.lab.admits(user, password) {
        return rest.answer(Err(UNAUTHENTICATED));
    }
    let limits = &rest.server.lab.cost.limits;
    let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let now = rest.server.lab.now().0;
    match rest.server.sessions.open(user, agent, now, limits.max_sessions, limits.session_timeout) {
        None => rest.answer(Err((StatusCode::SERVICE_UNAVAILABLE, "SERVICE_UNAVAILABLE", "service_unavailable"))),
        Some(session) => {
            let mut response = rest.answer(Ok(json!(session.key)));
            if !rest.wrapped {
                *response.status_mut() = StatusCode::CREATED;
            }
            response
        }
    }
}

async fn logout(State(rest): State<Rest>, headers: HeaderMap) -> Response {
    match rest.token(&headers).filter(|token| rest.server.sessions.close(token)) {
        None => rest.answer(Err(UNAUTHENTICATED)),
        Some(_) if rest.wrapped => StatusCode::OK.into_response(),
        Some(_) => StatusCode::NO_CONTENT.into_response(),
    }
}

async fn categories(State(rest): State<Rest>, headers: HeaderMap) -> Response {
    rest.with(&headers, |moment| {
        Ok(moment.inventory.estate.tag_categories.iter().map(|category| json!(category.id)).collect())
    })
}

async fn category(State(rest): State<Rest>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    rest.with(&headers, |moment| {
        let mut categories = moment.inventory.estate.tag_categories.iter();
        categories.find(|category| category.id == rest.id(&id)).map(describe_category).ok_or(NOT_FOUND)
    })
}

fn describe_category(category: &TagCategory) -> Value {
    json!({
        "id": category.id,
        "name": category.name,
        "description": "",
        "cardinality": if category.multiple { "MULTIPLE" } else { "SINGLE" },
        "associable_types": category.kinds,
        "used_by": [],
    })
}

async fn tags(State(rest): State<Rest>, headers: HeaderMap) -> Response {
    rest.with(&headers, |moment| Ok(moment.inventory.estate.tags.iter().map(|tag| json!(tag.id)).collect()))
}

async fn tag(State(rest): State<Rest>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    rest.with(&headers, |moment| {
        let tag = find_tag(moment, rest.id(&id)).ok_or(NOT_FOUND)?;
        let category = moment.inventory.estate.tag_categories.get(tag.category).map_or("", |category| &category.id);
        Ok(json!({ "id": tag.id, "name": tag.name, "description": "", "category_id": category, "used_by": [] }))
    })
}

fn find_tag<'m>(moment: &'m Moment, id: &str) -> Option<&'m Tag> {
    moment.inventory.estate.tags.iter().find(|tag| tag.id == id)
}

fn tags_in(moment: &Moment, category: &str) -> Result<Value, Refusal> {
    let estate = &moment.inventory.estate;
    let place = estate.tag_categories.iter().position(|found| found.id == category).ok_or(NOT_FOUND)?;
    Ok(estate.tags.iter().filter(|tag| tag.category == place).map(|tag| json!(tag.id)).collect())
}

async fn tags_of_category(
    State(rest): State<Rest>,
    Query(action): Query<Action>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    rest.with(&headers, |moment| match action.name() {
        "list-tags-for-category" => {
            let body: Value = serde_json::from_slice(&body).map_err(|_| INVALID)?;
            tags_in(moment, body["category_id"].as_str().ok_or(INVALID)?)
        }
        _ => Err(NOT_FOUND),
    })
}

async fn tags_of_this_category(
    State(rest): State<Rest>,
    Path(id): Path<String>,
    Query(action): Query<Action>,
    headers: HeaderMap,
) -> Response {
    rest.with(&headers, |moment| match action.name() {
        "list-tags-for-category" => tags_in(moment, rest.id(&id)),
        _ => Err(NOT_FOUND),
    })
}

/// Only VMs have tags here.
fn objects_with(moment: &Moment, tag: TagId) -> Value {
    let cx = Cx { scope: Scope::VCenter, moment };
    let vms = moment.inventory.vms.iter().filter(|vm| vm.config.tags.contains(&tag));
    vms.map(|vm| json!({ "type": "VirtualMachine", "id": cx.vm(vm.id).id })).collect()
}

fn tags_on(moment: &Moment, object: &Value) -> Result<Value, Refusal> {
    let (Some(kind), Some(id)) = (object["type"].as_str(), object["id"].as_str()) else { return Err(INVALID) };
    let cx = Cx { scope: Scope::VCenter, moment };
    let tags: &[TagId] = match cx.find(&MoRef::new(kind, id)) {
        Some(Handle::Vm(vm)) => &vm.config.tags,
        _ => &[],
    };
    let all = &moment.inventory.estate.tags;
    Ok(tags.iter().filter_map(|tag| all.iter().find(|found| found.place == *tag)).map(|tag| json!(tag.id)).collect())
}

async fn associations(
    State(rest): State<Rest>,
    Query(action): Query<Action>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    rest.with(&headers, |moment| {
        let body: Value = serde_json::from_slice(&body).map_err(|_| INVALID)?;
        let list = |name: &str| body[name].as_array().ok_or(INVALID);
        match action.name() {
            "list-attached-objects-on-tags" => list("tag_ids")?
                .iter()
                .map(|id| {
                    let tag = find_tag(moment, id.as_str().ok_or(INVALID)?).ok_or(NOT_FOUND)?;
                    Ok(json!({ "tag_id": tag.id, "object_ids": objects_with(moment, tag.place) }))
                })
                .collect(),
            "list-attached-tags-on-objects" => list("object_ids")?
                .iter()
                .map(|object| Ok(json!({ "object_id": object, "tag_ids": tags_on(moment, object)? })))
                .collect(),
            "list-attached-tags" => tags_on(moment, &body["object_id"]),
            _ => Err(NOT_FOUND),
        }
    })
}

async fn objects_of_tag(
    State(rest): State<Rest>,
    Path(id): Path<String>,
    Query(action): Query<Action>,
    headers: HeaderMap,
) -> Response {
    rest.with(&headers, |moment| match action.name() {
        "list-attached-objects" => {
            find_tag(moment, rest.id(&id)).map(|tag| objects_with(moment, tag.place)).ok_or(NOT_FOUND)
        }
        _ => Err(NOT_FOUND),
    })
}
