//! A vCenter or an ESXi host over SOAP: which method does what.
//!
//! [`Server::call`] takes a request's body and gives an answer's; it blocks no one but itself and knows nothing of HTTP.
//! `WaitForUpdatesEx` is the exception: it comes back as [`Reply::Wait`], for the caller to repeat until there is news.

pub(crate) mod alarms;
pub(crate) mod events;
pub(crate) mod labels;
mod perf;
mod properties;
pub mod services;
pub mod session;
pub mod spec;
pub mod updates;
pub mod views;
pub mod walk;

use std::sync::Arc;
use std::time::Duration;

use crate::cost::Cost;
use crate::lab::Lab;
use crate::log::What;
use crate::objects::{Cx, Moment, Scope};
use crate::soap::{Element, Fault, MoRef, Record, Value, parse, record, write_property, write_value};

use session::{Session, Sessions};
use updates::Collector;
use walk::Objects;

/// A vCenter or a host.
pub struct Server {
    /// The estate that it is part of.
    pub lab: Arc<Lab>,
    /// Which one.
    pub scope: Scope,
    /// Who is signed in.
    pub sessions: Sessions,
}

/// What a call leads to.
pub enum Reply {
    /// An answer.
    Done(Answer),
    /// News is awaited.
    Wait(Wait),
}

/// An answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// What stands in `<...Response>`.
    pub body: String,
    /// The name of the method.
    pub method: String,
    /// How long a real server would take.
    pub cost: Duration,
    /// How long it waits for a host that does not answer.
    pub vain: Duration,
    /// The cookie to set: a session's key, or nothing at its end.
    pub cookie: Option<String>,
}

/// A `WaitForUpdatesEx` under way.
pub struct Wait {
    /// The session.
    pub session: Arc<Session>,
    /// Whose news.
    pub collector: Arc<Collector>,
    /// Which wait of the collector.
    pub ticket: u64,
    /// Objects in an answer.
    pub page: usize,
    /// How long the client waits.
    pub patience: Duration,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, Default)]
pub struct Caller<'a> {
    /// The session cookie.
    pub cookie: Option<&'a str>,
    /// What the client calls itself.
    pub agent: &'a str,
}

/// One call.
pub(crate) struct Call<'a> {
    pub(crate) server: &'a Server,
    pub(crate) moment: &'a Moment,
    pub(crate) session: &'a Arc<Session>,
    pub(crate) this: MoRef,
    pub(crate) method: &'a Element<'a>,
    pub(crate) cost: Duration,
    pub(crate) vain: Duration,
    pub(crate) out: String,
}

/// How long `WaitForUpdatesEx` waits when the client does not say.
const PATIENCE: Duration = Duration::from_secs(1800);

impl Server {
    /// A server with nobody signed in.
    pub fn new(lab: Arc<Lab>, scope: Scope) -> Self {
        Self { lab, scope, sessions: Sessions::default() }
    }

    /// Does what a request asks.
    pub fn call(&self, body: &str, caller: Caller<'_>) -> Result<Reply, Fault> {
        let limits = &self.lab.cost.limits;
        let method = parse(body, limits.max_elements)?;
        let this = method.child("_this").map(Element::moref);
        let this = this.ok_or_else(|| Fault::InvalidRequest(format!("no `_this` in `{}`", method.name)))?;
        let moment = self.lab.moment();
        let session = caller.cookie.and_then(|key| self.sessions.find(key, limits.session_timeout));
        if let Some(session) = &session {
            session.called(moment.now.0);
        }
        let answer = |body: String| Answer {
            body,
            method: method.name.to_owned(),
            cost: self.lab.cost.call,
            ..Answer::default()
        };
        let cx = Cx { scope: self.scope, moment: &moment };
        match (this.kind.as_ref(), method.name) {
            ("ServiceInstance", "RetrieveServiceContent") => {
                let content = returnval(&services::content(&cx).into(), "ServiceContent");
                return Ok(Reply::Done(answer(content)));
            }
            ("SessionManager", "Login") => {
                let session = self.login(&method, caller, &moment)?;
                let body = returnval(&user_session(&session).into(), "UserSession");
                return Ok(Reply::Done(Answer { cookie: Some(session.key.clone()), ..answer(body) }));
            }
            _ => {}
        }
        let Some(session) = session else {
            return Err(Fault::NotAuthenticated { object: this, privilege: "System.View" });
        };
        let now = Now { server: self, cx, session: Some(&session) };
        if now.kind(&this).is_none() {
            return Err(Fault::ManagedObjectNotFound(this));
        }
        if (this.kind.as_ref(), method.name) == ("PropertyCollector", "WaitForUpdatesEx") {
            return self.wait(&session, &this, &method).map(|waiting| match waiting {
                Ok(wait) => Reply::Wait(wait),
                Err(again) => Reply::Done(answer(again)),
            });
        }
        let mut call = Call {
            server: self,
            moment: &moment,
            session: &session,
            this,
            method: &method,
            cost: self.lab.cost.call,
            vain: Duration::ZERO,
            out: String::new(),
        };
        call.run()?;
        let ended = method.name == "Logout";
        let Call { cost, vain, out: body, .. } = call;
        Ok(Reply::Done(Answer { body, method: method.name.to_owned(), cost, vain, cookie: ended.then(String::new) }))
    }

    /// The news that a wait is for, as the body of the answer, or `None` when there is none yet.
    pub fn look(&self, wait: &Wait) -> Result<Option<String>, Fault> {
        let gone = || Fault::NotAuthenticated {
            object: services::of_kind(self.scope, "PropertyCollector")
                .unwrap_or_else(|| MoRef::of("PropertyCollector", "")),
            privilege: "System.View",
        };
        // Waiting is using: the session does not end of it, but it may be logged out or lost in a restart.
        self.sessions.find(&wait.session.key, self.lab.cost.limits.session_timeout).ok_or_else(gone)?;
        if !wait.collector.is_current(wait.ticket) {
            return Err(Fault::RequestCanceled);
        }
        let moment = self.lab.moment();
        let cx = Cx { scope: self.scope, moment: &moment };
        let now = Now { server: self, cx, session: Some(&wait.session) };
        wait.collector.next(&now, moment.generation, wait.page)
    }

    /// How long a call takes now.
    pub fn slowed(&self, cost: Duration) -> Duration {
        match self.scope {
            Scope::VCenter => self.lab.condition().slowed(cost, Cost::default().call),
            Scope::Host(_) => cost,
        }
    }

    fn login(&self, method: &Element<'_>, caller: Caller<'_>, moment: &Moment) -> Result<Arc<Session>, Fault> {
        let text = |name| method.text_of(name).unwrap_or_default();
        let (user, password) = (text("userName"), text("password"));
        if !self.lab.admits(user, password) {
            self.note("BadUsernameSessionEvent", user, moment);
            return Err(Fault::InvalidLogin);
        }
        let (limits, now) = (&self.lab.cost.limits, moment.now.0);
        let session = self.sessions.open(user, caller.agent, now, limits.max_sessions, limits.session_timeout);
        if session.is_some() {
            self.note("UserLoginSessionEvent", user, moment);
        }
        session.ok_or_else(|| {
            let limit = limits.max_sessions;
            Fault::SystemError(format!("the maximum number of sessions ({limit}) has been exceeded"))
        })
    }

    /// Logs what happened to a session.
    fn note(&self, kind: &'static str, user: &str, moment: &Moment) {
        if self.scope == Scope::VCenter {
            let what = What::Session { kind, user: user.to_owned() };
            self.lab.log(|log| log.push(moment.at, what));
        }
    }

    /// Begins a wait, or gives the answer that was lost on its way.
    fn wait(&self, session: &Arc<Session>, this: &MoRef, method: &Element<'_>) -> Result<Result<Wait, String>, Fault> {
        let collector =
            session.collector(&self.collector_key(this)).ok_or_else(|| Fault::ManagedObjectNotFound(this.clone()))?;
        if let Some(again) = collector.rewind(method.text_of("version").unwrap_or_default().trim())? {
            return Ok(Err(again));
        }
        let options = method.child("options");
        let number = |name| options.and_then(|options| options.parse::<i64>(name));
        let patience = match number("maxWaitSeconds") {
            None => PATIENCE,
            Some(seconds) => Duration::from_secs(
                u64::try_from(seconds).map_err(|_| Fault::InvalidArgument("options.maxWaitSeconds".to_owned()))?,
            ),
        };
        let page = match number("maxObjectUpdates") {
            None => updates::PAGE,
            Some(page) => usize::try_from(page)
                .ok()
                .filter(|page| *page > 0)
                .ok_or_else(|| Fault::InvalidArgument("options.maxObjectUpdates".to_owned()))?,
        };
        let ticket = collector.begin();
        Ok(Ok(Wait { session: session.clone(), collector, ticket, page, patience }))
    }

    /// Under which name a session keeps a collector: the one that it always has is called differently on hosts.
    fn collector_key(&self, this: &MoRef) -> String {
        if services::of_kind(self.scope, "PropertyCollector").as_ref() == Some(this) {
            session::DEFAULT_COLLECTOR.to_owned()
        } else {
            this.id.to_string()
        }
    }
}

impl<'a> Call<'a> {
    pub(crate) fn cx(&self) -> Cx<'a> {
        Cx { scope: self.server.scope, moment: self.moment }
    }

    pub(crate) fn now(&self) -> Now<'a> {
        Now { server: self.server, cx: self.cx(), session: Some(self.session) }
    }

    fn run(&mut self) -> Result<(), Fault> {
        match (self.this.kind.as_ref(), self.method.name) {
            (_, "Fetch") => self.fetch(),
            ("ServiceInstance", "CurrentTime") => {
                let now = Value::Time(self.moment.now.0);
                write_value(&mut self.out, "returnval", &now, "dateTime");
                Ok(())
            }
            ("SessionManager", "Logout") => {
                self.server.sessions.close(&self.session.key);
                self.server.note("UserLogoutSessionEvent", &self.session.user, self.moment);
                Ok(())
            }
            ("SessionManager", "SessionIsActive") if self.cx().is_vcenter() => {
                let active = self.method.text_of("sessionID").is_some_and(|key| self.server.sessions.has(key.trim()));
                write_value(&mut self.out, "returnval", &active.into(), "boolean");
                Ok(())
            }
            ("PropertyCollector" | "PropertyFilter", _) => self.property_collector(),
            ("ViewManager" | "ContainerView" | "ListView", _) => self.views(),
            ("PerformanceManager", _) => self.performance(),
            ("EventManager" | "EventHistoryCollector", _) => self.events(),
            ("AlarmManager", "GetAlarm") => {
                let alarms = &self.moment.inventory.estate.alarms;
                // Definitions are on the root folder; asked about another entity, there are none of its own.
                let all = self.method.child("entity").is_none_or(|entity| entity.moref() == self.cx().root());
                for alarm in alarms.iter().filter(|_| all) {
                    self.reference("returnval", &MoRef::of("Alarm", alarm.id.to_string()));
                }
                Ok(())
            }
            ("OptionManager", "QueryOptions") => self.query_options(),
            ("LicenseAssignmentManager", "QueryAssignedLicenses") => {
                for assignment in labels::assigned(&self.cx(), self.method.text_of("entityId").map(str::trim)) {
                    self.value(assignment, "LicenseAssignmentManagerLicenseAssignment");
                }
                Ok(())
            }
            ("SearchIndex", "FindByUuid") => {
                if let Some(found) = self.find_by_uuid() {
                    self.reference("returnval", &found);
                }
                Ok(())
            }
            _ => Err(self.unknown()),
        }
    }

    pub(crate) fn unknown(&self) -> Fault {
        Fault::MethodNotFound { receiver: self.this.clone(), method: self.method.name.to_owned() }
    }

    /// Appends a `<returnval>`.
    pub(crate) fn value(&mut self, value: impl Into<Value>, declared: &str) {
        write_value(&mut self.out, "returnval", &value.into(), declared);
    }

    /// Appends a reference.
    pub(crate) fn reference(&mut self, element: &str, object: &MoRef) {
        walk::write_reference(&mut self.out, element, object);
    }

    /// The object that an argument refers to, which has to exist.
    pub(crate) fn argument(&self, name: &str) -> Result<MoRef, Fault> {
        let object = self.method.child(name).ok_or_else(|| Fault::InvalidArgument(name.to_owned()))?.moref();
        match self.now().kind(&object) {
            Some(_) => Ok(object),
            None => Err(Fault::ManagedObjectNotFound(object)),
        }
    }

    /// One property of any object: undocumented, and what pyVmomi reads properties with.
    fn fetch(&mut self) -> Result<(), Fault> {
        let now = self.now();
        let path = self.method.text_of("prop").unwrap_or_default().trim();
        let field = now
            .kind(&self.this)
            .and_then(|kind| crate::soap::schema::resolve(kind, path))
            .ok_or_else(|| Fault::InvalidProperty(path.to_owned()))?;
        self.cost = self.server.lab.cost.reading(1, 1);
        if let Some(value) = now.property(&self.this, path) {
            write_property(&mut self.out, "returnval", &value, field.of, field.array);
        }
        Ok(())
    }

    fn query_options(&mut self) -> Result<(), Fault> {
        let name = self.method.text_of("name").unwrap_or_default().trim();
        // A name that ends in a dot asks for all below it.
        let matches = |key: &str| name.is_empty() || key == name || (name.ends_with('.') && key.starts_with(name));
        let found: Vec<Record> =
            self.moment.options.iter().filter(|(key, _)| matches(key)).map(services::option).collect();
        if found.is_empty() {
            return Err(Fault::InvalidName(name.to_owned()));
        }
        found.into_iter().for_each(|option| self.value(option, "OptionValue"));
        Ok(())
    }

    fn find_by_uuid(&self) -> Option<MoRef> {
        let cx = self.cx();
        let uuid = self.method.text_of("uuid")?.trim().to_ascii_lowercase();
        let inventory = &self.moment.inventory;
        let visible = |object: MoRef| cx.find(&object).is_some().then_some(object);
        if !self.method.flag("vmSearch") {
            let host = inventory.hosts.iter().find(|host| host.config.uuid.eq_ignore_ascii_case(&uuid))?;
            return visible(cx.host(host.id));
        }
        let by_instance = self.method.flag("instanceUuid");
        let vms = inventory.vms.iter().filter(|vm| {
            let own = if by_instance { &vm.config.instance_uuid } else { &vm.config.bios_uuid };
            own.eq_ignore_ascii_case(&uuid)
        });
        vms.map(|vm| cx.vm(vm.id)).find_map(visible)
    }
}

fn returnval(value: &Value, declared: &str) -> String {
    let mut out = String::new();
    write_value(&mut out, "returnval", value, declared);
    out
}

/// What is told of a session.
pub(crate) fn user_session(session: &Session) -> Record {
    let (last_call, calls) = session.calls();
    record("UserSession")
        .with("key", session.key.clone())
        .with("userName", session.user.clone())
        .with("fullName", session.user.clone())
        .with("loginTime", Value::Time(session.login))
        .with("lastActiveTime", Value::Time(last_call))
        .with("locale", "en")
        .with("messageLocale", "en")
        .with("extensionSession", false)
        .with("ipAddress", "127.0.0.1")
        .with("userAgent", session.agent.clone())
        .with("callCount", calls)
}

/// All objects that a session sees: the inventory, the services, and what the session has made.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) server: &'a Server,
    pub(crate) cx: Cx<'a>,
    pub(crate) session: Option<&'a Session>,
}

impl Objects for Now<'_> {
    fn kind(&self, object: &MoRef) -> Option<&'static str> {
        if let Some(kind) = self.cx.kind(object) {
            return Some(kind);
        }
        if let Some(kind) = services::kind(self.cx.scope, object) {
            return Some(kind);
        }
        let state = self.session?.state();
        let id = object.id.as_ref();
        match object.kind.as_ref() {
            "ContainerView" | "ListView" => state.views.get(id).map(views::kind),
            "PropertyCollector" => state.collectors.contains_key(id).then_some("PropertyCollector"),
            "PropertyFilter" => {
                let known =
                    state.collectors.values().any(|collector| collector.filters().iter().any(|filter| filter == id));
                known.then_some("PropertyFilter")
            }
            "EventHistoryCollector" => state.events.contains_key(id).then_some("EventHistoryCollector"),
            _ => None,
        }
    }

    fn property(&self, object: &MoRef, path: &str) -> Option<Value> {
        if self.cx.kind(object).is_some() {
            return self.cx.property(object, path);
        }
        if services::kind(self.cx.scope, object).is_some() {
            return services::property(self, object, path);
        }
        match object.kind.as_ref() {
            "ContainerView" | "ListView" => {
                let view = self.session?.state().views.get(object.id.as_ref()).cloned()?;
                views::property(&self.cx, &view, path)
            }
            "EventHistoryCollector" => events::collector_property(self.server, &self.cx, self.session?, object, path),
            _ => None,
        }
    }
}
