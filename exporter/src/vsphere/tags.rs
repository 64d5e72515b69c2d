//! vCenter's tags, which only its REST API knows.
//!
//! The API has two dialects that say the same. `/api` is that of vCenter 7.0 U2 and later; the older one, which later
//! vCenters have as well, puts every answer into `{"value": ...}`. Which one a vCenter has shows at the sign-in.

use std::sync::Arc;
use std::time::Duration;

use http::Method as Verb;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tracing::{debug, info};

use super::error::Problem;
use super::rest::{Call, Caller, decode};
use super::transport::Transport;
use super::{Error, Method};

/// How long signing out may take when the exporter stops.
const SIGN_OUT_LIMIT: Duration = Duration::from_secs(5);

/// The tag service of one vCenter, with a session of its own there.
#[derive(Debug)]
pub struct TagService {
    transport: Arc<Transport>,
    session: Mutex<Option<Arc<TagSession>>>,
}

#[derive(Debug)]
struct TagSession {
    token: String,
    dialect: Dialect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    Api,
    Rest,
}

/// A tag.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tag {
    /// Its name.
    pub name: String,
    /// The id of its category.
    pub category_id: String,
}

#[derive(Deserialize)]
struct Category {
    name: String,
}

#[derive(Serialize)]
struct Objects<'a> {
    object_ids: Vec<Object<'a>>,
}

#[derive(Serialize)]
struct Object<'a> {
    r#type: &'static str,
    id: &'a str,
}

#[derive(Deserialize)]
struct Attached {
    object_id: Id,
    tag_ids: Vec<String>,
}

#[derive(Deserialize)]
struct Id {
    id: String,
}

#[derive(Deserialize)]
struct Wrapped<T> {
    value: T,
}

impl Dialect {
    fn path(self, parts: &[&str]) -> Vec<String> {
        let root: &[&str] = match self {
            Self::Api => &["api"],
            Self::Rest => &["rest", "com", "vmware", "cis"],
        };
        // Below `/api` tagging is one part of `cis`; the older root is `cis` already.
        let cis: &[&str] = if self == Self::Api && parts.first() == Some(&"tagging") { &["cis"] } else { &[] };
        [root, cis, parts].concat().into_iter().map(str::to_owned).collect()
    }

    fn action(self, name: &str) -> String {
        match self {
            Self::Api => format!("action={name}"),
            Self::Rest => format!("~action={name}"),
        }
    }

    fn id(self, id: &str) -> String {
        match self {
            Self::Api => id.to_owned(),
            Self::Rest => format!("id:{id}"),
        }
    }

    fn decode<T: DeserializeOwned>(self, text: &str) -> Result<T, Problem> {
        match self {
            Self::Api => decode(text),
            Self::Rest => decode::<Wrapped<T>>(text).map(|wrapped| wrapped.value),
        }
    }

    fn session(self, method: Method, verb: Verb) -> Call {
        Call { method, verb, path: self.path(&["session"]), query: None, body: None }
    }
}

impl TagService {
    /// Opens no connection yet.
    pub fn new(transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self { transport, session: Mutex::default() })
    }

    /// The ids of the tags on each of these VMs, by the VM's id. A VM that vCenter says nothing of is left out.
    pub async fn attached(self: &Arc<Self>, vms: &[String]) -> Result<Vec<(String, Vec<String>)>, Error> {
        let objects = Objects { object_ids: vms.iter().map(|id| Object { r#type: "VirtualMachine", id }).collect() };
        // Texts alone cannot fail to become JSON.
        let body = bytes::Bytes::from(serde_json::to_vec(&objects).unwrap_or_default());
        let found: Vec<Attached> = self
            .call(|dialect| Call {
                method: Method::Tags,
                verb: Verb::POST,
                path: dialect.path(&["tagging", "tag-association"]),
                query: Some(dialect.action("list-attached-tags-on-objects")),
                body: Some(body.clone()),
            })
            .await?;
        Ok(found.into_iter().map(|attached| (attached.object_id.id, attached.tag_ids)).collect())
    }

    /// A tag; `None` where there is none any more.
    pub async fn tag(self: &Arc<Self>, id: &str) -> Result<Option<Tag>, Error> {
        self.one("tag", id).await
    }

    /// The name of a category; `None` where there is none any more.
    pub async fn category(self: &Arc<Self>, id: &str) -> Result<Option<String>, Error> {
        Ok(self.one::<Category>("category", id).await?.map(|category| category.name))
    }

    async fn one<T: DeserializeOwned>(self: &Arc<Self>, kind: &str, id: &str) -> Result<Option<T>, Error> {
        let call = |dialect: Dialect| Call {
            method: Method::Tags,
            verb: Verb::GET,
            path: dialect.path(&["tagging", kind, &dialect.id(id)]),
            query: None,
            body: None,
        };
        match self.call(call).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.rest_status() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Calls within a session: the present one or a new one, and once more in another one if that has ended.
    async fn call<T: DeserializeOwned>(self: &Arc<Self>, call: impl Fn(Dialect) -> Call) -> Result<T, Error> {
        let mut session = self.session().await?;
        let mut answer = self.within(&session, &call).await;
        if answer.as_ref().is_err_and(|error| error.rest_status() == Some(401)) {
            debug!(vcenter = self.transport.config().name, "the session for tags has ended");
            let mut slot = self.session.lock().await;
            if slot.as_ref().is_some_and(|present| Arc::ptr_eq(present, &session)) {
                *slot = None;
            }
            drop(slot);
            session = self.session().await?;
            answer = self.within(&session, &call).await;
        }
        let text = answer?;
        session.dialect.decode(&text).map_err(|problem| self.transport.error(Method::Tags, problem))
    }

    async fn within(&self, session: &TagSession, call: impl Fn(Dialect) -> Call) -> Result<String, Error> {
        self.transport.rest(&call(session.dialect), Caller::Session(&session.token)).await
    }

    async fn session(self: &Arc<Self>) -> Result<Arc<TagSession>, Error> {
        let this = self.clone();
        // A task of its own: a caller that is cancelled in mid-sign-in must not leave a session on the vCenter that
        // nobody knows. `sign_out` waits for the lock, so for this task.
        let opening = tokio::spawn(async move {
            let mut slot = this.session.lock().await;
            if let Some(session) = &*slot {
                return Ok(session.clone());
            }
            let session = Arc::new(sign_in(&this.transport).await?);
            debug!(vcenter = this.transport.config().name, dialect = ?session.dialect, "signed in for tags");
            *slot = Some(session.clone());
            Ok(session)
        });
        match opening.await {
            Ok(outcome) => outcome,
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        }
    }

    /// Ends the session, if there is one, so that none is left on the vCenter.
    pub async fn sign_out(&self) {
        let sign_out = async {
            let Some(session) = self.session.lock().await.take() else { return Ok(()) };
            let call = session.dialect.session(Method::TagsLogout, Verb::DELETE);
            self.transport.rest(&call, Caller::Session(&session.token)).await.map(drop)
        };
        let vcenter = &self.transport.config().name;
        match tokio::time::timeout(SIGN_OUT_LIMIT, sign_out).await {
            Ok(Ok(())) => {}
            // It has ended by itself.
            Ok(Err(error)) if error.rest_status() == Some(401) => {}
            Ok(Err(error)) => info!(error = error.chain(), vcenter, "could not sign out: the session ends when idle"),
            Err(_) => info!(vcenter, "could not sign out in time: the session ends when idle"),
        }
    }
}

/// Signs in, in the newer dialect where vCenter has it.
async fn sign_in(transport: &Transport) -> Result<TagSession, Error> {
    let method = Method::TagsLogin;
    let _turn = transport.may_sign_in(method).await?;
    let config = transport.config();
    let password = config.password.read().map_err(|error| transport.error(method, error.into()))?;
    let caller = Caller::New(password.expose());
    let mut dialect = Dialect::Api;
    let mut answer = transport.rest(&dialect.session(method, Verb::POST), caller).await;
    if answer.as_ref().is_err_and(|error| error.rest_status() == Some(404)) {
        dialect = Dialect::Rest;
        answer = transport.rest(&dialect.session(method, Verb::POST), caller).await;
    }
    if answer.as_ref().is_err_and(|error| error.rest_status() == Some(401)) {
        transport.signed_in(true);
        return Err(transport.error(method, Problem::InvalidLogin(config.username.clone())));
    }
    let token = dialect.decode::<String>(&answer?).ok().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| transport.error(method, Problem::Missing("session")))?;
    transport.signed_in(false);
    transport.metrics().signed_in(&config.name);
    Ok(TagSession { token, dialect })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_paths_of_its_own() {
        let check = |dialect: Dialect, expected: [&str; 3]| {
            let tag = dialect.path(&["tagging", "tag", &dialect.id("urn:1")]).join("/");
            let session = dialect.path(&["session"]).join("/");
            assert_eq!([tag.as_str(), session.as_str(), dialect.action("x").as_str()], expected);
        };
        check(Dialect::Api, ["api/cis/tagging/tag/urn:1", "api/session", "action=x"]);
        check(Dialect::Rest, ["rest/com/vmware/cis/tagging/tag/id:urn:1", "rest/com/vmware/cis/session", "~action=x"]);
    }

    #[test]
    fn an_answer_of_another_shape_is_refused_without_its_text() {
        let error = Dialect::Api.decode::<String>(r#"{"secret-token": 1}"#).unwrap_err();
        assert_eq!(error.to_string(), "the answer is not the JSON that it should be, at line 1, column 0");
        assert_eq!(Dialect::Rest.decode::<String>(r#"{"value": "t"}"#).unwrap(), "t");
        assert!(Dialect::Rest.decode::<String>("\"t\"").is_err());
    }
}
