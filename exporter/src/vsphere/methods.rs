//! The SOAP methods: one function each.

use std::fmt;
use std::fmt::Write;

use super::counters::{CounterIds, decode_counters};
use super::error::Problem;
use super::events::{Event, decode_events};
use super::performance::{EntityPerformance, decode_performance};
use super::properties::{Object, ObjectPage, UpdateSet, decode_objects, decode_updates};
use super::transport::{MAX_UPDATE_WAIT, Transport};
use super::value::{Value, decode_value};
use super::xml::{Xml, XmlError, escape};
use super::{Error, FaultKind, MoRef, Session};

/// Objects in one answer. vCenter pages at this size; the simulator of Debian 12 sends all at once.
const PAGE_OBJECTS: u32 = 500;

/// The types whose objects a session's view holds.
const VIEW_TYPES: [&str; 12] = [
    "VirtualMachine",
    "HostSystem",
    "Datastore",
    "Network",
    "DistributedVirtualPortgroup",
    "DistributedVirtualSwitch",
    "Folder",
    "Datacenter",
    "ComputeResource",
    "ClusterComputeResource",
    "ResourcePool",
    "VirtualApp",
];

/// Declares the methods that are called: the names are VMware's, but for tags, which are not SOAP.
macro_rules! methods {
    ($($name:ident),* $(,)?) => {
        /// The methods that are called.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "the names are VMware's")]
        pub enum Method { $($name),* }

        impl Method {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }
        }
    };
}

methods! {
    RetrieveServiceContent,
    Login,
    Logout,
    CurrentTime,
    CreateContainerView,
    CreatePropertyCollector,
    CreateFilter,
    WaitForUpdatesEx,
    RetrievePropertiesEx,
    ContinueRetrievePropertiesEx,
    QueryOptions,
    QueryPerf,
    QueryEvents,
    TagsLogin,
    Tags,
    TagsLogout,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a vCenter's services are, and what it is. Those that a host does not have are optional.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are VMware's")]
pub struct ServiceContent {
    pub root_folder: MoRef,
    pub property_collector: MoRef,
    pub view_manager: MoRef,
    pub session_manager: MoRef,
    pub perf_manager: MoRef,
    pub about: About,
    services: Value,
}

/// What a server says of itself.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are VMware's")]
pub struct About {
    pub version: String,
    pub build: String,
    pub api_type: String,
    pub instance_uuid: String,
}

impl ServiceContent {
    /// A service that not every server has, by its name in `ServiceContent`.
    pub fn service(&self, name: &str) -> Option<&MoRef> {
        self.services.at(name)?.reference()
    }
}

/// Which properties to read of which type.
pub type PropertySet = (&'static str, Vec<&'static str>);

/// Where the services are. No session is needed, and the connection is a new one.
pub async fn retrieve_service_content(transport: &Transport) -> Result<ServiceContent, Error> {
    const BODY: &str = r#"<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>"#;
    let method = Method::RetrieveServiceContent;
    let services = transport.call(method, BODY, None, return_value).await?.value;
    let find = |name: &'static str| {
        let found = services.at(name).and_then(Value::reference);
        found.cloned().ok_or_else(|| transport.error(method, Problem::Missing(name)))
    };
    let about = |name: &str| services.text_at(&format!("about.{name}")).unwrap_or_default().to_owned();
    Ok(ServiceContent {
        root_folder: find("rootFolder")?,
        property_collector: find("propertyCollector")?,
        view_manager: find("viewManager")?,
        session_manager: find("sessionManager")?,
        perf_manager: find("perfManager")?,
        about: About {
            version: about("version"),
            build: about("build"),
            api_type: about("apiType"),
            instance_uuid: about("instanceUuid"),
        },
        services,
    })
}

/// Signs in, and gives the session's cookie.
pub(super) async fn login(transport: &Transport, manager: &MoRef, user: &str, password: &str) -> Result<String, Error> {
    let (manager, user, password) = (this(manager), escape(user), escape(password));
    let body = format!(
        r#"<Login xmlns="urn:vim25">{manager}<userName>{user}</userName><password>{password}</password></Login>"#
    );
    let answer = transport.call(Method::Login, &body, None, |_| Ok(())).await?;
    answer.cookie.ok_or_else(|| transport.error(Method::Login, Problem::Missing("session cookie")))
}

pub(super) async fn logout(transport: &Transport, session: &Session) -> Result<(), Error> {
    let body = format!(r#"<Logout xmlns="urn:vim25">{}</Logout>"#, this(&session.content.session_manager));
    transport.call(Method::Logout, &body, Some(&session.cookie), |_| Ok(())).await?;
    Ok(())
}

/// The server's clock, in Unix milliseconds. Any session may ask for it, and it keeps the session alive.
pub async fn current_time(transport: &Transport, session: &Session) -> Result<i64, Error> {
    const BODY: &str =
        r#"<CurrentTime xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></CurrentTime>"#;
    let method = Method::CurrentTime;
    let value = transport.call(method, BODY, Some(&session.cookie), return_value).await?.value;
    let time = value.parse::<jiff::Timestamp>();
    time.map(|time| time.as_millisecond()).ok_or_else(|| transport.error(method, Problem::Missing("time")))
}

/// A view of all objects. It lives as long as the session.
pub(super) async fn create_container_view(transport: &Transport, session: &Session) -> Result<MoRef, Error> {
    let content = &session.content;
    let (manager, root) = (this(&content.view_manager), reference("container", &content.root_folder));
    let types: String = VIEW_TYPES.iter().map(|name| format!("<type>{name}</type>")).collect();
    let body = format!(
        r#"<CreateContainerView xmlns="urn:vim25">{manager}{root}{types}<recursive>true</recursive></CreateContainerView>"#
    );
    returned_reference(transport, session, Method::CreateContainerView, &body).await
}

/// The performance counters that the vCenter knows.
pub(super) async fn perf_counters(transport: &Transport, session: &Session) -> Result<CounterIds, Error> {
    let content = &session.content;
    let (collector, manager) = (this(&content.property_collector), reference("obj", &content.perf_manager));
    let body = format!(
        r#"<RetrievePropertiesEx xmlns="urn:vim25">{collector}<specSet><propSet><type>PerformanceManager</type><pathSet>perfCounter</pathSet></propSet><objectSet>{manager}</objectSet></specSet><options></options></RetrievePropertiesEx>"#
    );
    Ok(transport.call(Method::RetrievePropertiesEx, &body, Some(&session.cookie), decode_counters).await?.value)
}

/// A setting of the server; `None` where it has no such setting.
pub(super) async fn query_option(
    transport: &Transport,
    session: &Session,
    name: &str,
) -> Result<Option<String>, Error> {
    let Some(manager) = session.content.service("setting") else { return Ok(None) };
    let body = format!(r#"<QueryOptions xmlns="urn:vim25">{}<name>{name}</name></QueryOptions>"#, this(manager));
    match transport.call(Method::QueryOptions, &body, Some(&session.cookie), return_value).await {
        Ok(reply) => Ok(reply.value.text_at("value").map(str::to_owned)),
        // `InvalidName`, or no privilege for settings, which the role Read-only does not have everywhere.
        Err(error) if error.fault().is_some_and(|fault| fault.kind != FaultKind::NotAuthenticated) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A property collector of its own: a wait on it does not get in the way of anything else in the session.
pub async fn create_property_collector(transport: &Transport, session: &Session) -> Result<MoRef, Error> {
    let body = format!(
        r#"<CreatePropertyCollector xmlns="urn:vim25">{}</CreatePropertyCollector>"#,
        this(&session.content.property_collector)
    );
    returned_reference(transport, session, Method::CreatePropertyCollector, &body).await
}

/// Has the collector follow these properties of all objects that [`Objects`] means.
pub async fn create_filter(
    transport: &Transport,
    session: &Session,
    collector: &MoRef,
    sets: &[PropertySet],
    objects: &Objects<'_>,
) -> Result<MoRef, Error> {
    let (collector, spec) = (this(collector), filter_spec(sets, objects));
    let body = format!(
        r#"<CreateFilter xmlns="urn:vim25">{collector}<spec>{spec}</spec><partialUpdates>false</partialUpdates></CreateFilter>"#
    );
    returned_reference(transport, session, Method::CreateFilter, &body).await
}

/// What has changed since this version; the empty version is the beginning. `None` when nothing did for a while.
pub async fn wait_for_updates(
    transport: &Transport,
    session: &Session,
    collector: &MoRef,
    version: &str,
) -> Result<Option<UpdateSet>, Error> {
    let (collector, version, wait) = (this(collector), escape(version), MAX_UPDATE_WAIT.as_secs());
    let body = format!(
        r#"<WaitForUpdatesEx xmlns="urn:vim25">{collector}<version>{version}</version><options><maxWaitSeconds>{wait}</maxWaitSeconds><maxObjectUpdates>{PAGE_OBJECTS}</maxObjectUpdates></options></WaitForUpdatesEx>"#
    );
    Ok(transport.call(Method::WaitForUpdatesEx, &body, Some(&session.cookie), decode_updates).await?.value)
}

/// Whose properties are meant.
#[derive(Debug, Clone, Copy)]
pub enum Objects<'a> {
    /// All in this view.
    View(&'a MoRef),
    /// These.
    These(&'a [MoRef]),
}

/// Reads these properties, page by page.
pub async fn retrieve_properties(
    transport: &Transport,
    session: &Session,
    sets: &[PropertySet],
    objects: &Objects<'_>,
    mut each: impl FnMut(Object),
) -> Result<(), Error> {
    let (collector, spec) = (this(&session.content.property_collector), filter_spec(sets, objects));
    let mut body = format!(
        r#"<RetrievePropertiesEx xmlns="urn:vim25">{collector}<specSet>{spec}</specSet><options><maxObjects>{PAGE_OBJECTS}</maxObjects></options></RetrievePropertiesEx>"#
    );
    let mut method = Method::RetrievePropertiesEx;
    loop {
        let page: ObjectPage = transport.call(method, &body, Some(&session.cookie), decode_objects).await?.value;
        page.objects.into_iter().for_each(&mut each);
        let Some(token) = page.token else { return Ok(()) };
        method = Method::ContinueRetrievePropertiesEx;
        let token = escape(&token);
        body = format!(
            r#"<ContinueRetrievePropertiesEx xmlns="urn:vim25">{collector}<token>{token}</token></ContinueRetrievePropertiesEx>"#
        );
    }
}

fn filter_spec(sets: &[PropertySet], objects: &Objects<'_>) -> String {
    let mut spec = String::new();
    for (kind, paths) in sets {
        // Writing to a String cannot fail.
        let _infallible = write!(spec, "<propSet><type>{kind}</type>");
        for path in paths {
            let _infallible = write!(spec, "<pathSet>{path}</pathSet>");
        }
        spec.push_str("</propSet>");
    }
    match objects {
        Objects::View(view) => {
            let view = reference("obj", view);
            let _infallible = write!(
                spec,
                r#"<objectSet>{view}<skip>true</skip><selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet>"#
            );
        }
        Objects::These(objects) => {
            for object in *objects {
                let _infallible = write!(spec, "<objectSet>{}</objectSet>", reference("obj", object));
            }
        }
    }
    spec
}

/// Performance samples; the body comes from a [`super::PerfRequest`].
pub async fn query_perf(
    transport: &Transport,
    session: &Session,
    body: String,
) -> Result<Vec<EntityPerformance>, Error> {
    Ok(transport.call(Method::QueryPerf, body, Some(&session.cookie), decode_performance).await?.value)
}

/// Events in one answer. vCenter gives no more.
pub const PAGE_EVENTS: usize = 1000;

/// Events between two moments of the server's clock, in Unix milliseconds and both included. There may be more where a
/// whole page of them comes. `None` as the end is now.
pub async fn query_events(
    transport: &Transport,
    session: &Session,
    manager: &MoRef,
    begin: i64,
    end: Option<i64>,
) -> Result<Vec<Event>, Error> {
    let time = |name: &str, milliseconds: i64| {
        let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!("<{name}>{time}</{name}>")
    };
    let (manager, begin) = (this(manager), time("beginTime", begin));
    let end = end.map(|end| time("endTime", end)).unwrap_or_default();
    // vCenter's simulator gives ten of them where the number is not said.
    let body = format!(
        r#"<QueryEvents xmlns="urn:vim25">{manager}<filter><time>{begin}{end}</time><maxCount>{PAGE_EVENTS}</maxCount></filter></QueryEvents>"#
    );
    Ok(transport.call(Method::QueryEvents, &body, Some(&session.cookie), decode_events).await?.value)
}

/// `_this`, the object whose method is called.
pub(super) fn this(object: &MoRef) -> String {
    reference("_this", object)
}

fn reference(element: &str, object: &MoRef) -> String {
    format!(r#"<{element} type="{}">{}</{element}>"#, escape(&object.kind), escape(&object.id))
}

async fn returned_reference(
    transport: &Transport,
    session: &Session,
    method: Method,
    body: &str,
) -> Result<MoRef, Error> {
    let value = transport.call(method, body, Some(&session.cookie), return_value).await?.value;
    value.reference().cloned().ok_or_else(|| transport.error(method, Problem::Missing("reference")))
}

/// The return value of a method that has one.
fn return_value(mut xml: Xml<'_>) -> Result<Value, XmlError> {
    let element = xml.expect("returnval")?;
    decode_value(&mut xml, &element)
}
