//! The services of a server: what they are called, and their properties.

use crate::model::{COUNTERS, CounterInfo};
use crate::objects::{Cx, Path, Scope, product};
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Now, alarms, labels};

/// The version that the vCenter says it is.
pub const VERSION: &str = "8.0.2";
/// Its build.
pub const BUILD: &str = "22617221";
/// Its API; what a client may ask of it is in `vimServiceVersions.xml`.
pub const API_VERSION: &str = "8.0.2.0";

/// Singletons by the property of `ServiceContent` that names them: property, type, id in a vCenter, id on a host.
const SERVICES: [(&str, &str, &str, &str); 11] = [
    ("propertyCollector", "PropertyCollector", "propertyCollector", "ha-property-collector"),
    ("viewManager", "ViewManager", "ViewManager", "ViewManager"),
    ("setting", "OptionManager", "VpxSettings", "HostAgentSettings"),
    ("sessionManager", "SessionManager", "SessionManager", "ha-sessionmgr"),
    ("perfManager", "PerformanceManager", "PerfMgr", "ha-perfmgr"),
    ("alarmManager", "AlarmManager", "AlarmManager", ""),
    ("eventManager", "EventManager", "EventManager", "ha-eventmgr"),
    ("customFieldsManager", "CustomFieldsManager", "CustomFieldsManager", ""),
    ("licenseManager", "LicenseManager", "LicenseManager", "ha-license-manager"),
    ("searchIndex", "SearchIndex", "SearchIndex", "ha-searchindex"),
    ("", "LicenseAssignmentManager", "LicenseAssignmentManager", ""),
];

fn id(scope: Scope, service: &(&'static str, &'static str, &'static str, &'static str)) -> &'static str {
    if scope == Scope::VCenter { service.2 } else { service.3 }
}

/// The service of this type, where there is one.
pub(crate) fn of_kind(scope: Scope, kind: &str) -> Option<MoRef> {
    let service = SERVICES.iter().find(|service| service.1 == kind)?;
    let id = id(scope, service);
    (!id.is_empty()).then(|| MoRef::of(service.1, id))
}

/// The type of a service.
pub(crate) fn kind(scope: Scope, this: &MoRef) -> Option<&'static str> {
    if this.kind == "ServiceInstance" && this.id == "ServiceInstance" {
        return Some("ServiceInstance");
    }
    let service = SERVICES.iter().find(|service| service.1 == this.kind && id(scope, service) == this.id)?;
    (!this.id.is_empty()).then_some(service.1)
}

/// `AboutInfo` of the server.
pub(crate) fn about(cx: &Cx<'_>) -> Record {
    if let Scope::Host(id) = cx.scope
        && let Some(host) = cx.moment.inventory.host(id)
    {
        return product(host);
    }
    record("AboutInfo")
        .with("name", "VMware vCenter Server")
        .with("fullName", format!("VMware vCenter Server {VERSION} build-{BUILD}"))
        .with("vendor", "VMware, Inc.")
        .with("version", VERSION)
        .with("build", BUILD)
        .with("localeVersion", "INTL")
        .with("localeBuild", "000")
        .with("osType", "linux-x64")
        .with("productLineId", "vpx")
        .with("apiType", "VirtualCenter")
        .with("apiVersion", API_VERSION)
        .with("instanceUuid", cx.moment.inventory.estate.instance_uuid.clone())
        .with("licenseProductName", "VMware VirtualCenter Server")
        .with("licenseProductVersion", "8.0")
}

/// `ServiceContent`: the services that are there, and no others.
pub(crate) fn content(cx: &Cx<'_>) -> Record {
    let start = record("ServiceContent").with("rootFolder", cx.root()).with("about", about(cx));
    SERVICES.iter().fold(start, |content, service| {
        let id = id(cx.scope, service);
        if service.0.is_empty() || id.is_empty() { content } else { content.with(service.0, MoRef::of(service.1, id)) }
    })
}

/// The property of a service at a path.
pub(crate) fn property(now: &Now<'_>, this: &MoRef, path: &str) -> Option<Value> {
    let (cx, session, path) = (&now.cx, now.session, Path(path));
    path.record("", |f| match this.kind.as_ref() {
        "ServiceInstance" => {
            f.set("serverClock", || Value::Time(cx.moment.now.0));
            f.nest("content", |path| crate::objects::whole(content(cx), path));
            f.set("capability", || {
                let vcenter = cx.scope == Scope::VCenter;
                record("")
                    .with("provisioningSupported", false)
                    .with("multiHostSupported", vcenter)
                    .with("userShellAccessSupported", false)
            });
        }
        "PropertyCollector" => {
            let filters = session.and_then(|session| session.collector(super::session::DEFAULT_COLLECTOR));
            let filters = filters.map(|collector| collector.filters()).unwrap_or_default();
            f.set("filter", || list(filters.into_iter().map(|id| MoRef::of("PropertyFilter", id))));
        }
        "ViewManager" => f.set("viewList", || {
            let views = session.map(|session| session.state().views.keys().cloned().collect::<Vec<_>>());
            list(views.unwrap_or_default().into_iter().map(|id| MoRef::of("ContainerView", id)))
        }),
        "SessionManager" => {
            f.set("sessionList", || list(now.server.sessions.all().iter().map(|session| super::user_session(session))));
            f.maybe("currentSession", || session.map(super::user_session));
            f.set("defaultLocale", || "en");
            f.set("messageLocaleList", || list(["en"]));
            f.set("supportedLocaleList", || list(["en"]));
        }
        "PerformanceManager" => {
            f.set("description", perf_description);
            f.set("historicalInterval", intervals);
            f.set("perfCounter", || list(COUNTERS.iter().map(counter)));
        }
        "EventManager" => f.set("maxCollector", || 1000),
        "AlarmManager" => {
            f.set("defaultExpression", || Value::List(Vec::new()));
            f.set("description", alarms::description);
        }
        "CustomFieldsManager" => f.set("field", || labels::field_definitions(cx, None)),
        "LicenseManager" => labels::licence_manager(cx, f),
        "OptionManager" => f.set("setting", || list(cx.moment.options.iter().map(option))),
        _ => {}
    })
}

/// An `OptionValue`.
pub(crate) fn option((key, value): &(&'static str, Value)) -> Record {
    record("OptionValue").with("key", *key).with("value", value.clone())
}

fn element(kind: &'static str, key: &'static str, label: &'static str) -> Record {
    record(kind).with("label", label).with("summary", label).with("key", key)
}

/// A `PerfCounterInfo`.
pub(crate) fn counter(info: &CounterInfo) -> Record {
    let unit = match info.unit {
        "percent" => "%",
        "megaHertz" => "MHz",
        "millisecond" => "ms",
        "microsecond" => "µs",
        "kiloBytes" => "KB",
        "megaBytes" => "MB",
        "kiloBytesPerSecond" => "KBps",
        "number" => "num",
        "second" => "s",
        "watt" => "W",
        "joule" => "J",
        other => other,
    };
    let group = match info.group {
        "cpu" => "CPU",
        "mem" => "Memory",
        "disk" => "Disk",
        "virtualDisk" => "Virtual disk",
        "datastore" => "Datastore",
        "net" => "Network",
        "sys" => "System",
        "power" => "Power",
        "clusterServices" => "Cluster services",
        other => other,
    };
    record("PerfCounterInfo")
        .with("key", info.key)
        .with("nameInfo", element("", info.name, info.name))
        .with("groupInfo", element("", info.group, group))
        .with("unitInfo", element("", info.unit, unit))
        .with("rollupType", info.rollup.name())
        .with("statsType", info.stats.name())
        .with("level", info.level)
        .with("perDeviceLevel", info.per_device_level)
}

fn perf_description() -> Record {
    let types = ["average", "maximum", "minimum", "latest", "summation", "none"];
    let stats = ["absolute", "delta", "rate"];
    record("")
        .with("counterType", list(types.map(|key| element("", key, key))))
        .with("statsType", list(stats.map(|key| element("", key, key))))
}

/// vCenter's four roll-ups, as they are set up by default: level 1.
fn intervals() -> Value {
    let day = 86_400;
    let all = [
        (1, 300, "Past day", day),
        (2, 1800, "Past week", 7 * day),
        (3, 7200, "Past month", 30 * day),
        (4, day, "Past year", 365 * day),
    ];
    list(all.map(|(key, period, name, length)| {
        record("PerfInterval")
            .with("key", key)
            .with("samplingPeriod", period)
            .with("name", name)
            .with("length", length)
            .with("level", 1)
            .with("enabled", true)
    }))
}
