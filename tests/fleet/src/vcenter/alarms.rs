//! Alarms: their definitions, and what is triggered.

use crate::model::{Alarm, Counter, Watched};
use crate::objects::{Cx, Path};
use crate::soap::{MoRef, Record, Value, list, record};

/// The property of an alarm definition at a path.
pub(crate) fn property(cx: &Cx<'_>, alarm: &Alarm, path: Path<'_>) -> Option<Value> {
    path.record("Alarm", |f| {
        f.set("value", || Value::List(Vec::new()));
        f.set("availableField", || Value::List(Vec::new()));
        f.set("info", || {
            record("AlarmInfo")
                .with("name", alarm.name)
                .with("systemName", alarm.system_name)
                .with("description", alarm.description)
                .with("enabled", true)
                .with("expression", expression(alarm.watches))
                .with("actionFrequency", 0)
                .with("setting", record("").with("toleranceRange", 0).with("reportingFrequency", 300))
                .with("key", alarm.id.to_string())
                .with("alarm", MoRef::of("Alarm", alarm.id.to_string()))
                .with("entity", cx.root())
                .with("lastModifiedTime", Value::Time(cx.origin()))
                .with("lastModifiedUser", "")
                .with("creationEventId", 0)
        });
    })
}

fn expression(watches: Watched) -> Record {
    let any = |expression: Record| record("OrAlarmExpression").with("expression", list([expression]));
    let metric = |kind: &'static str, counter: Counter, yellow: u32, red: u32| {
        any(record("MetricAlarmExpression")
            .with("operator", "isAbove")
            .with("type", kind)
            .with("metric", record("").with("counterId", counter.info().key).with("instance", ""))
            .with("yellow", yellow)
            .with("red", red))
    };
    match watches {
        Watched::HostConnection => any(record("StateAlarmExpression")
            .with("operator", "isEqual")
            .with("type", "HostSystem")
            .with("statePath", "runtime.connectionState")
            .with("red", "notResponding")),
        Watched::DatastoreUsage { yellow, red } => metric("Datastore", Counter::DiskUsed, yellow, red),
    }
}

/// `AlarmDescription`, as far as it says anything about the alarms that there are.
pub(crate) fn description() -> Record {
    let none = || Value::List(Vec::new());
    let states = |keys: &[&'static str]| {
        list(keys.iter().map(|key| record("").with("label", *key).with("summary", *key).with("key", *key)))
    };
    record("AlarmDescription")
        .with("expr", none())
        .with("stateOperator", states(&["isEqual", "isUnequal"]))
        .with("metricOperator", states(&["isAbove", "isBelow"]))
        .with("hostSystemConnectionState", states(&["connected", "disconnected", "notResponding"]))
        .with("virtualMachinePowerState", states(&["poweredOff", "poweredOn", "suspended"]))
        .with("datastoreConnectionState", none())
        .with("hostSystemPowerState", states(&["poweredOn", "poweredOff", "standBy", "unknown"]))
        .with("virtualMachineGuestHeartbeatStatus", states(&["gray", "green", "red", "yellow"]))
        .with("entityStatus", states(&["gray", "green", "red", "yellow"]))
        .with("action", none())
}
