//! The alarms of an object, and its colour that comes from them.

use super::{Cx, Handle, entity};
use crate::model::TriggeredAlarm;
use crate::soap::{MoRef, Record, Value};

impl<'a> Cx<'a> {
    /// Alarms that are triggered on an entity or on anything below it.
    pub(crate) fn triggered(&self, this: &MoRef) -> Vec<&'a TriggeredAlarm> {
        if !self.is_vcenter() {
            return Vec::new();
        }
        let alarms = self.moment.inventory.alarms.iter();
        alarms.filter(|alarm| self.is_within(&entity::reference(self, alarm.entity), this)).collect()
    }

    /// `overallStatus`: the worst of its own alarms; grey where nobody knows.
    pub(crate) fn status(&self, this: &MoRef) -> &'static str {
        match self.find(this) {
            Some(Handle::Vm(vm)) if !vm.connected => return "gray",
            Some(Handle::Host(_) | Handle::Vm(_) | Handle::Datastore(_)) => {}
            // Of the others, the vCenter's alarms look at none.
            _ => return "green",
        }
        let alarms = self.moment.inventory.alarms.iter();
        let own = alarms.filter(|alarm| self.is_vcenter() && entity::reference(self, alarm.entity) == *this);
        own.fold("green", |worst, alarm| if alarm.red || worst == "red" { "red" } else { "yellow" })
    }

    /// The state of each alarm that is declared on an entity.
    pub(crate) fn declared_alarms(&self, this: &MoRef) -> Vec<Record> {
        if *this != self.root() || !self.is_vcenter() {
            return Vec::new();
        }
        let alarms = self.moment.inventory.estate.alarms.iter();
        alarms
            .map(|alarm| {
                crate::soap::record("AlarmState")
                    .with("key", format!("{}.{}", alarm.id, this.id))
                    .with("entity", this.clone())
                    .with("alarm", MoRef::of("Alarm", alarm.id.to_string()))
                    .with("overallStatus", "gray")
                    .with("time", Value::Time(self.origin()))
                    .with("acknowledged", false)
            })
            .collect()
    }
}
