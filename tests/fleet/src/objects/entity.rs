//! What all entities of the inventory have: `ManagedEntity`.

use crate::model::{Entity, TriggeredAlarm};
use crate::soap::{MoRef, Record, Value, list, record};

use super::{Cx, Fields};

pub(crate) fn fields(cx: &Cx<'_>, this: &MoRef, f: &mut Fields<'_>) {
    f.set("value", || custom_values(cx, this));
    f.set("availableField", || if cx.is_vcenter() { cx.available_fields(&this.kind) } else { Value::List(Vec::new()) });
    f.maybe("parent", || cx.parent(this));
    f.set("customValue", || custom_values(cx, this));
    f.set("overallStatus", || cx.status(this));
    f.set("configStatus", || "green");
    f.set("configIssue", || Value::List(Vec::new()));
    f.set("effectiveRole", || list([-1]));
    f.set("permission", || Value::List(Vec::new()));
    f.maybe("name", || cx.name(this));
    f.set("disabledMethod", || Value::List(Vec::new()));
    f.set("recentTask", || Value::List(Vec::new()));
    f.set("declaredAlarmState", || list(cx.declared_alarms(this)));
    f.set("triggeredAlarmState", || list(cx.triggered(this).into_iter().map(|alarm| alarm_state(cx, alarm))));
    f.set("alarmActionsEnabled", || true);
    f.set("tag", || Value::List(Vec::new()));
}

pub(crate) fn custom_values(cx: &Cx<'_>, this: &MoRef) -> Value {
    let Some(vm) = cx.find_vm(this).filter(|_| cx.is_vcenter()) else { return Value::List(Vec::new()) };
    list(vm.config.attributes.iter().map(|attribute| {
        record("CustomFieldStringValue").with("key", attribute.key).with("value", attribute.value.clone())
    }))
}

pub(crate) fn alarm_state(cx: &Cx<'_>, alarm: &TriggeredAlarm) -> Record {
    let entity = reference(cx, alarm.entity);
    record("AlarmState")
        .with("key", format!("{}.{}", alarm.alarm, entity.id))
        .with("entity", entity)
        .with("alarm", MoRef::of("Alarm", alarm.alarm.to_string()))
        .with("overallStatus", if alarm.red { "red" } else { "yellow" })
        .with("time", Value::Time(alarm.since.0))
        .with("acknowledged", false)
}

pub(crate) fn reference(cx: &Cx<'_>, entity: Entity) -> MoRef {
    match entity {
        Entity::Vm(id) => cx.vm(id),
        Entity::Host(id) => cx.host(id),
        Entity::Cluster(id) => cx.cluster(id),
        Entity::Pool(id) => cx.pool(id),
        Entity::Datastore(id) => cx.datastore(id),
    }
}
