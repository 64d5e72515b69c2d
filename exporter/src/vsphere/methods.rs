//! The SOAP methods: one function each.

use std::fmt;

use super::counters::{CounterIds, decode_counters};
use super::error::Problem;
use super::performance::{EntityPerformance, decode_performance};
use super::properties::{ObjectPage, decode_objects};
use super::transport::Transport;
use super::xml::{Xml, XmlError, escape};
use super::{Error, MoRef, Session};

/// Objects in one answer. vCenter pages at this size; the simulator of Debian 12 sends all at once.
const PAGE_OBJECTS: u32 = 500;

/// The methods that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are VMware's")]
pub enum Method {
    RetrieveServiceContent,
    Login,
    Logout,
    CreateContainerView,
    RetrievePropertiesEx,
    ContinueRetrievePropertiesEx,
    QueryPerf,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RetrieveServiceContent,
        Self::Login,
        Self::Logout,
        Self::CreateContainerView,
        Self::RetrievePropertiesEx,
        Self::ContinueRetrievePropertiesEx,
        Self::QueryPerf,
    ];

    /// Its name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetrieveServiceContent => "RetrieveServiceContent",
            Self::Login => "Login",
            Self::Logout => "Logout",
            Self::CreateContainerView => "CreateContainerView",
            Self::RetrievePropertiesEx => "RetrievePropertiesEx",
            Self::ContinueRetrievePropertiesEx => "ContinueRetrievePropertiesEx",
            Self::QueryPerf => "QueryPerf",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a vCenter's services are.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names are VMware's")]
pub struct ServiceContent {
    pub root_folder: MoRef,
    pub property_collector: MoRef,
    pub view_manager: MoRef,
    pub session_manager: MoRef,
    pub perf_manager: MoRef,
}

/// Which properties to read of which type.
pub type PropertySet = (&'static str, &'static [&'static str]);

pub(super) async fn retrieve_service_content(transport: &Transport) -> Result<ServiceContent, Error> {
    const BODY: &str = r#"<RetrieveServiceContent xmlns="urn:vim25"><_this type="ServiceInstance">ServiceInstance</_this></RetrieveServiceContent>"#;
    let method = Method::RetrieveServiceContent;
    let references = transport.call(method, BODY, None, references).await?.value;
    let find = |name: &'static str| {
        let found = references.iter().find(|(element, _)| element == name);
        found.map(|(_, reference)| reference.clone()).ok_or_else(|| transport.error(method, Problem::Missing(name)))
    };
    Ok(ServiceContent {
        root_folder: find("rootFolder")?,
        property_collector: find("propertyCollector")?,
        view_manager: find("viewManager")?,
        session_manager: find("sessionManager")?,
        perf_manager: find("perfManager")?,
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

pub(super) async fn logout(transport: &Transport, content: &ServiceContent, cookie: &str) -> Result<(), Error> {
    let body = format!(r#"<Logout xmlns="urn:vim25">{}</Logout>"#, this(&content.session_manager));
    transport.call(Method::Logout, &body, Some(cookie), |_| Ok(())).await?;
    Ok(())
}

/// A view of all objects of these types. It lives as long as the session.
pub(super) async fn create_container_view(
    transport: &Transport,
    content: &ServiceContent,
    cookie: &str,
    types: &[&str],
) -> Result<MoRef, Error> {
    let (manager, root) = (this(&content.view_manager), reference("container", &content.root_folder));
    let types: String = types.iter().map(|name| format!("<type>{name}</type>")).collect();
    let body = format!(
        r#"<CreateContainerView xmlns="urn:vim25">{manager}{root}{types}<recursive>true</recursive></CreateContainerView>"#
    );
    let method = Method::CreateContainerView;
    let answer = transport
        .call(method, &body, Some(cookie), |mut xml| {
            let element = xml.expect("returnval")?;
            let kind = element.ref_type().unwrap_or_else(|| "ContainerView".to_owned());
            Ok(MoRef { kind, id: xml.text()?.into_owned() })
        })
        .await?;
    Ok(answer.value)
}

/// The performance counters that the vCenter knows.
pub(super) async fn perf_counters(
    transport: &Transport,
    content: &ServiceContent,
    cookie: &str,
) -> Result<CounterIds, Error> {
    let (collector, manager) = (this(&content.property_collector), reference("obj", &content.perf_manager));
    let body = format!(
        r#"<RetrievePropertiesEx xmlns="urn:vim25">{collector}<specSet><propSet><type>PerformanceManager</type><pathSet>perfCounter</pathSet></propSet><objectSet>{manager}</objectSet></specSet><options></options></RetrievePropertiesEx>"#
    );
    Ok(transport.call(Method::RetrievePropertiesEx, &body, Some(cookie), decode_counters).await?.value)
}

/// These properties of all objects in the session's view, page by page.
pub async fn retrieve_properties(
    transport: &Transport,
    session: &Session,
    sets: &[PropertySet],
    mut each: impl FnMut(super::properties::Object),
) -> Result<(), Error> {
    let collector = this(&session.content.property_collector);
    let mut prop_sets = String::new();
    for (kind, paths) in sets {
        let paths: String = paths.iter().map(|path| format!("<pathSet>{path}</pathSet>")).collect();
        prop_sets.push_str(&format!("<propSet><type>{kind}</type>{paths}</propSet>"));
    }
    let view = reference("obj", &session.view);
    let body = format!(
        r#"<RetrievePropertiesEx xmlns="urn:vim25">{collector}<specSet>{prop_sets}<objectSet>{view}<skip>true</skip><selectSet xsi:type="TraversalSpec"><name>view</name><type>ContainerView</type><path>view</path><skip>false</skip></selectSet></objectSet></specSet><options><maxObjects>{PAGE_OBJECTS}</maxObjects></options></RetrievePropertiesEx>"#
    );
    let (mut method, mut body) = (Method::RetrievePropertiesEx, body);
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

/// Performance samples; the body comes from a [`super::PerfRequest`].
pub async fn query_perf(transport: &Transport, session: &Session, body: &str) -> Result<Vec<EntityPerformance>, Error> {
    Ok(transport.call(Method::QueryPerf, body, Some(&session.cookie), decode_performance).await?.value)
}

/// `_this`, the object whose method is called.
pub(super) fn this(object: &MoRef) -> String {
    reference("_this", object)
}

fn reference(element: &str, object: &MoRef) -> String {
    format!(r#"<{element} type="{}">{}</{element}>"#, escape(&object.kind), escape(&object.id))
}

/// All references among the children of the return value, by element.
fn references(mut xml: Xml<'_>) -> Result<Vec<(String, MoRef)>, XmlError> {
    let mut found = Vec::new();
    xml.expect("returnval")?;
    while let Some(element) = xml.child()? {
        match element.ref_type() {
            Some(kind) => found.push((element.name().to_owned(), MoRef { kind, id: xml.text()?.into_owned() })),
            None => xml.skip()?,
        }
    }
    Ok(found)
}
