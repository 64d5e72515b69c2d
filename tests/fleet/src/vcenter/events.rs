//! The event manager: what happened, asked for at once or followed with a collector.

use std::sync::Arc;

use crate::log::{Entry, What};
use crate::model::{EventKind, HostId, Time, VcenterEvent};
use crate::objects::Cx;
use crate::soap::{Element, Fault, MoRef, Record, Value, list, record, schema};

use super::perf::parse_time;
use super::session::{EventCollector, Session};
use super::{Call, Server};

/// The most that `QueryEvents` gives.
const MOST: usize = 1000;
/// `latestPage` of a collector, unless it is set.
const PAGE: usize = 10;

/// Which events.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventFilter {
    /// Types, in either of their forms (`VmPoweredOnEvent`, `vim.event.VmPoweredOnEvent`); all if empty.
    kinds: Vec<String>,
    /// Not before and not after, by the server's clock.
    begin: Option<Time>,
    end: Option<Time>,
    /// About this object; and about what is below it, unless the recursion is `self`.
    entity: Option<(MoRef, bool)>,
}

impl EventFilter {
    fn read(element: Option<&Element<'_>>) -> Result<Self, Fault> {
        let Some(element) = element else { return Ok(Self::default()) };
        let invalid = |name: &str| Fault::InvalidArgument(format!("filter.{name}"));
        let time = |name: &str| {
            let text = element.child("time").and_then(|time| time.text_of(name));
            text.map(|text| parse_time(text.trim()).ok_or_else(|| invalid(&format!("time.{name}")))).transpose()
        };
        let kinds = element.all("eventTypeId").chain(element.all("type"));
        let kinds = kinds.map(|kind| {
            let text = kind.text.trim();
            text.rsplit('.').next().unwrap_or(text).to_owned()
        });
        let entity = element.child("entity").map(|entity| {
            let object = entity.child("entity").ok_or_else(|| invalid("entity.entity"))?.moref();
            Ok::<_, Fault>((object, entity.text_of("recursion").map(str::trim) != Some("self")))
        });
        Ok(Self {
            kinds: kinds.collect(),
            begin: time("beginTime")?,
            end: time("endTime")?,
            entity: entity.transpose()?,
        })
    }

    fn wants(&self, cx: &Cx<'_>, entry: &Entry) -> bool {
        let (kind, objects) = subject(cx, entry);
        let at = clock(cx, entry.at);
        let about = |(object, below): &(MoRef, bool)| {
            objects.iter().any(|about| if *below { cx.is_within(about, object) } else { about == object })
        };
        (self.kinds.is_empty() || self.kinds.iter().any(|wanted| schema::is_a(kind, wanted)))
            && self.begin.is_none_or(|begin| at >= begin)
            && self.end.is_none_or(|end| at <= end)
            && self.entity.as_ref().is_none_or(|entity| entity.0 == cx.root() || about(entity))
    }
}

/// What the server's clock showed.
fn clock(cx: &Cx<'_>, at: Time) -> Time {
    Time(at.0 + cx.moment.now.0 - cx.moment.at.0)
}

/// The events that a filter wants, oldest first.
fn matching(server: &Server, cx: &Cx<'_>, filter: &EventFilter) -> Vec<Arc<Entry>> {
    let all: Vec<Arc<Entry>> = server.lab.log(|log| log.entries().cloned().collect());
    all.into_iter().filter(|entry| visible(cx, entry) && filter.wants(cx, entry)).collect()
}

/// A host knows what happened to it, not what happened to the vCenter.
fn visible(cx: &Cx<'_>, entry: &Entry) -> bool {
    cx.is_vcenter() || matches!(entry.what, What::Estate(_)) && !subject(cx, entry).1.is_empty()
}

impl Call<'_> {
    pub(crate) fn events(&mut self) -> Result<(), Fault> {
        match (self.this.kind.as_ref(), self.method.name) {
            ("EventManager", "QueryEvents") => {
                let filter = EventFilter::read(self.method.child("filter"))?;
                let found = matching(self.server, &self.cx(), &filter);
                let newest = found.len().saturating_sub(MOST);
                self.send(found.into_iter().skip(newest));
                Ok(())
            }
            ("EventManager", "CreateCollectorForEvents") => {
                let filter = EventFilter::read(self.method.child("filter"))?;
                let id = self.session.name();
                let newest = matching(self.server, &self.cx(), &filter).last().map(|entry| entry.key);
                let collector = EventCollector { filter, page: PAGE, position: newest };
                self.session.state().events.insert(id.clone(), collector);
                self.reference("returnval", &MoRef::of("EventHistoryCollector", id));
                Ok(())
            }
            ("EventHistoryCollector", method) => self.collector(method),
            _ => Err(self.unknown()),
        }
    }

    fn collector(&mut self, method: &str) -> Result<(), Fault> {
        let id = self.this.id.to_string();
        let found = self.session.state().events.get(&id).cloned();
        let mut collector = found.ok_or_else(|| Fault::ManagedObjectNotFound(self.this.clone()))?;
        let count = || {
            let count = self.method.parse::<usize>("maxCount").filter(|count| (1..=MOST).contains(count));
            count.ok_or_else(|| Fault::InvalidArgument("maxCount".to_owned()))
        };
        let all = || matching(self.server, &self.cx(), &collector.filter);
        match method {
            "ReadNextEvents" => {
                let after = collector.position;
                let next: Vec<_> = all()
                    .into_iter()
                    .filter(|entry| after.is_none_or(|after| entry.key > after))
                    .take(count()?)
                    .collect();
                collector.position = next.last().map(|entry| entry.key).or(after);
                self.send(next);
            }
            "ReadPreviousEvents" => {
                let before = collector.position;
                let count = count()?;
                let older: Vec<_> = all()
                    .into_iter()
                    .rev()
                    .filter(|entry| before.is_none_or(|before| entry.key <= before))
                    .take(count)
                    .collect();
                collector.position = older.last().map(|entry| entry.key - 1).or(before);
                self.send(older);
            }
            "RewindCollector" => collector.position = Some(0),
            "ResetCollector" => collector.position = all().last().map(|entry| entry.key),
            "SetCollectorPageSize" => collector.page = count()?,
            "DestroyCollector" => {
                self.session.state().events.remove(&id);
                return Ok(());
            }
            _ => return Err(self.unknown()),
        }
        self.session.state().events.insert(id, collector);
        Ok(())
    }

    fn send(&mut self, entries: impl IntoIterator<Item = Arc<Entry>>) {
        let cx = self.cx();
        for entry in entries {
            self.value(describe(&cx, &entry), "Event");
        }
    }
}

/// The property of a collector.
pub(crate) fn collector_property(
    server: &Server,
    cx: &Cx<'_>,
    session: &Session,
    object: &MoRef,
    path: &str,
) -> Option<Value> {
    let collector = session.state().events.get(object.id.as_ref()).cloned()?;
    match path {
        "latestPage" => {
            let all = matching(server, cx, &collector.filter);
            Some(list(all.iter().rev().take(collector.page).map(|entry| describe(cx, entry))))
        }
        "initialized" => Some(true.into()),
        _ => None,
    }
}

/// The type of an event, and the objects that it is about.
fn subject(cx: &Cx<'_>, entry: &Entry) -> (&'static str, Vec<MoRef>) {
    let event = match &entry.what {
        What::Session { kind, .. } => return (kind, vec![cx.root()]),
        What::Estate(event) => event,
    };
    let mut objects: Vec<MoRef> = event.vm.map(|id| cx.vm(id)).into_iter().collect();
    objects.extend(event.host.filter(|id| cx.sees_host(*id)).map(|id| cx.host(id)));
    if let EventKind::AlarmStatusChanged { entity, .. } = event.kind {
        objects.push(cx.reference(entity));
    }
    (event.kind.name(), objects)
}

/// The event as a data object.
fn describe(cx: &Cx<'_>, entry: &Entry) -> Record {
    let common = |kind: &'static str, user: String, message: String| {
        record(kind)
            .with("key", entry.key)
            .with("chainId", entry.key)
            .with("createdTime", Value::Time(clock(cx, entry.at).0))
            .with("userName", user)
            .with("fullFormattedMessage", message)
    };
    let event = match &entry.what {
        What::Estate(event) => event,
        What::Session { kind, user } => {
            let message = match *kind {
                "UserLoginSessionEvent" => format!("User {user}@127.0.0.1 logged in"),
                "UserLogoutSessionEvent" => format!("User {user}@127.0.0.1 logged out"),
                _ => format!("Cannot login {user}@127.0.0.1"),
            };
            let event = common(kind, user.clone(), message).with("ipAddress", "127.0.0.1");
            return match *kind {
                "UserLoginSessionEvent" => event.with("locale", "en").with("sessionId", ""),
                _ => event,
            };
        }
    };
    let estate = &cx.moment.inventory.estate;
    let host_argument = |id: HostId| {
        let name = estate.host(id).map(|host| host.name.clone()).unwrap_or_default();
        record("").with("name", name).with("host", cx.host(id))
    };
    let described = common(event.kind.name(), event.user.to_owned(), event.message.clone());
    let mut described = described
        .with_some("host", event.host.map(host_argument))
        .with_some("vm", event.vm.map(|id| record("").with("name", event.vm_name.clone()).with("vm", cx.vm(id))));
    if let Some(config) = event.host.and_then(|id| estate.host(id)).filter(|_| cx.is_vcenter()) {
        let cluster = estate.cluster(config.cluster).map(|cluster| {
            record("").with("name", cluster.name.clone()).with("computeResource", cx.cluster(cluster.id))
        });
        let datacenter = estate.datacenter(config.datacenter).map(|datacenter| {
            record("").with("name", datacenter.name.clone()).with("datacenter", cx.datacenter(datacenter.id))
        });
        described = described.with_some("computeResource", cluster).with_some("datacenter", datacenter);
    }
    match event.kind {
        EventKind::DrsVmMigrated { from } | EventKind::VmRestartedOnAlternateHost { from } => {
            let vm = event.vm.and_then(|id| cx.moment.inventory.vm(id));
            let template = vm.is_some_and(|vm| vm.config.template);
            described.with("template", template).with("sourceHost", host_argument(from))
        }
        EventKind::VmCreated
        | EventKind::VmRemoved
        | EventKind::VmPoweredOn
        | EventKind::VmPoweredOff
        | EventKind::VmSuspended => described.with("template", false),
        EventKind::AlarmStatusChanged { alarm, entity, from, to } => {
            let name = estate.alarm(alarm).map_or("", |alarm| alarm.name);
            let object = cx.reference(entity);
            let about = || record("").with("name", cx.name(&object).unwrap_or_default()).with("entity", object.clone());
            described
                .with("alarm", record("").with("name", name).with("alarm", MoRef::of("Alarm", alarm.to_string())))
                .with("source", record("").with("name", "Datacenters").with("entity", cx.root()))
                .with("entity", about())
                .with("from", from)
                .with("to", to)
        }
        EventKind::SnapshotCreated => described.with("info", task(cx, entry, event, "VirtualMachine.createSnapshot")),
        EventKind::SnapshotRemoved => described.with("info", task(cx, entry, event, "vm.Snapshot.remove")),
        EventKind::HostConnectionLost
        | EventKind::HostConnected
        | EventKind::EnteredMaintenanceMode
        | EventKind::ExitMaintenanceMode => described,
    }
}

/// What a `TaskEvent` says of its task, which is over.
fn task(cx: &Cx<'_>, entry: &Entry, event: &VcenterEvent, name: &'static str) -> Record {
    let at = Value::Time(clock(cx, entry.at).0);
    record("")
        .with("key", format!("task-{}", entry.key))
        .with("task", MoRef::of("Task", format!("task-{}", entry.key)))
        .with("descriptionId", name)
        .with_some("entity", event.vm.map(|id| cx.vm(id)))
        .with("entityName", event.vm_name.clone())
        .with("state", "success")
        .with("cancelled", false)
        .with("cancelable", false)
        .with("reason", record("TaskReasonUser").with("userName", event.user))
        .with("queueTime", at.clone())
        .with("startTime", at.clone())
        .with("completeTime", at)
        .with("eventChainId", entry.key)
}
