//! vCenter's events: what it writes down of what happened.

use super::change::{Change, What};
use super::inventory::{Connection, Power, TriggeredAlarm, Vm};
use super::{AlarmId, Entity, HostId, Model, Time, VmId};

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct VcenterEvent {
    /// `createdTime`
    pub at: Time,
    /// Its type, and what belongs to it.
    pub kind: EventKind,
    /// `userName`: who did it; empty for vCenter itself.
    pub user: &'static str,
    /// `fullFormattedMessage`
    pub message: String,
    /// `vm`
    pub vm: Option<VmId>,
    /// `vm.name`, which stays when the VM is gone
    pub vm_name: String,
    /// `host`
    pub host: Option<HostId>,
}

/// Types of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// `VmCreatedEvent`
    VmCreated,
    /// `VmRemovedEvent`
    VmRemoved,
    /// `VmPoweredOnEvent`
    VmPoweredOn,
    /// `VmPoweredOffEvent`
    VmPoweredOff,
    /// `VmSuspendedEvent`
    VmSuspended,
    /// `DrsVmMigratedEvent`
    DrsVmMigrated {
        /// `sourceHost`
        from: HostId,
    },
    /// `VmRestartedOnAlternateHostEvent`
    VmRestartedOnAlternateHost {
        /// `sourceHost`
        from: HostId,
    },
    /// `HostConnectionLostEvent`
    HostConnectionLost,
    /// `HostConnectedEvent`
    HostConnected,
    /// `EnteredMaintenanceModeEvent`
    EnteredMaintenanceMode,
    /// `ExitMaintenanceModeEvent`
    ExitMaintenanceMode,
    /// `AlarmStatusChangedEvent`
    AlarmStatusChanged {
        /// `alarm`
        alarm: AlarmId,
        /// `entity`
        entity: Entity,
        /// `from`: `green`, `yellow` or `red`
        from: &'static str,
        /// `to`
        to: &'static str,
    },
    /// `TaskEvent` of the task `VirtualMachine.createSnapshot`
    SnapshotCreated,
    /// `TaskEvent` of the task `vm.Snapshot.remove`
    SnapshotRemoved,
}

impl EventKind {
    /// The type in vim25.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::VmCreated => "VmCreatedEvent",
            EventKind::VmRemoved => "VmRemovedEvent",
            EventKind::VmPoweredOn => "VmPoweredOnEvent",
            EventKind::VmPoweredOff => "VmPoweredOffEvent",
            EventKind::VmSuspended => "VmSuspendedEvent",
            EventKind::DrsVmMigrated { .. } => "DrsVmMigratedEvent",
            EventKind::VmRestartedOnAlternateHost { .. } => "VmRestartedOnAlternateHostEvent",
            EventKind::HostConnectionLost => "HostConnectionLostEvent",
            EventKind::HostConnected => "HostConnectedEvent",
            EventKind::EnteredMaintenanceMode => "EnteredMaintenanceModeEvent",
            EventKind::ExitMaintenanceMode => "ExitMaintenanceModeEvent",
            EventKind::AlarmStatusChanged { .. } => "AlarmStatusChangedEvent",
            EventKind::SnapshotCreated | EventKind::SnapshotRemoved => "TaskEvent",
        }
    }
}

const OPERATOR: &str = "VSPHERE.LOCAL\\operator";
const BACKUP: &str = "VSPHERE.LOCAL\\backup";

pub(super) fn between(model: &Model, after: Time, until: Time) -> Vec<VcenterEvent> {
    model.changes(after, until).iter().flat_map(|change| of(model, change)).collect()
}

fn of(model: &Model, change: &Change) -> Vec<VcenterEvent> {
    let estate = model.estate();
    let host_name = |id: HostId| estate.host(id).map_or("", |host| host.name.as_str());
    let at = change.at;
    let of_host = |host: HostId, kind, message| VcenterEvent {
        at,
        kind,
        user: "",
        message,
        vm: None,
        vm_name: String::new(),
        host: Some(host),
    };
    let of_vm = |vm: &Vm, kind, user, message| VcenterEvent {
        at,
        kind,
        user,
        message,
        vm: Some(vm.id),
        vm_name: vm.config.name.clone(),
        host: Some(vm.host),
    };
    let found = |id: VmId| {
        let seat = model.world.seat_of(id)?;
        model.world.vm_at(&model.effects, seat, at).filter(|vm| vm.id == id)
    };
    match &change.what {
        What::HostState { host, connection, .. } => {
            let name = host_name(*host);
            vec![match connection {
                Connection::NotResponding => {
                    of_host(*host, EventKind::HostConnectionLost, format!("Host {name} is not responding"))
                }
                Connection::Connected => of_host(*host, EventKind::HostConnected, format!("Connected to {name}")),
            }]
        }
        What::HostMaintenance { host, on } => {
            let (kind, what) = if *on {
                (EventKind::EnteredMaintenanceMode, "entered")
            } else {
                (EventKind::ExitMaintenanceMode, "exited")
            };
            let message = format!("Host {} has {what} maintenance mode", host_name(*host));
            vec![VcenterEvent { user: OPERATOR, ..of_host(*host, kind, message) }]
        }
        What::VmCreated { vm } => {
            let message = format!("Created virtual machine {} on {}", vm.config.name, host_name(vm.host));
            vec![of_vm(vm, EventKind::VmCreated, OPERATOR, message)]
        }
        What::VmDestroyed { vm } => {
            let message = format!("Removed {} on {}", vm.config.name, host_name(vm.host));
            vec![of_vm(vm, EventKind::VmRemoved, OPERATOR, message)]
        }
        What::VmMoved { vm, from, to, restarted } => {
            let Some(vm) = found(*vm) else { return Vec::new() };
            let (name, from_name, to_name) = (&vm.config.name, host_name(*from), host_name(*to));
            let from = *from;
            vec![if *restarted {
                let message = format!("Virtual machine {name} was restarted on {to_name} since {from_name} failed");
                of_vm(&vm, EventKind::VmRestartedOnAlternateHost { from }, "", message)
            } else {
                let message = format!("DRS migrated {name} from {from_name} to {to_name}");
                of_vm(&vm, EventKind::DrsVmMigrated { from }, "", message)
            }]
        }
        What::VmPower { vm, from, to, .. } => {
            let Some(vm) = found(*vm).filter(|_| from != to) else { return Vec::new() };
            let (kind, what) = match to {
                Power::On => (EventKind::VmPoweredOn, "powered on"),
                Power::Off => (EventKind::VmPoweredOff, "powered off"),
                Power::Suspended => (EventKind::VmSuspended, "suspended"),
            };
            let message = format!("{} on {} is {what}", vm.config.name, host_name(vm.host));
            vec![of_vm(&vm, kind, OPERATOR, message)]
        }
        What::VmConnection { .. } => Vec::new(),
        What::VmSnapshots { vm, from, to } => {
            let Some(vm) = found(*vm) else { return Vec::new() };
            let user = |quiesced| if quiesced { BACKUP } else { OPERATOR };
            let new = to.iter().filter(|snapshot| !from.iter().any(|old| old.id == snapshot.id));
            let gone = from.iter().filter(|snapshot| !to.iter().any(|left| left.id == snapshot.id));
            let new = new.map(|snapshot| {
                let message = "Task: Create virtual machine snapshot".to_owned();
                of_vm(&vm, EventKind::SnapshotCreated, user(snapshot.quiesced), message)
            });
            let gone = gone.map(|snapshot| {
                of_vm(&vm, EventKind::SnapshotRemoved, user(snapshot.quiesced), "Task: Remove snapshot".to_owned())
            });
            new.chain(gone).collect()
        }
        What::AlarmState { entity, alarm, from, to } => {
            let colour = |state: &Option<TriggeredAlarm>| match state {
                None => "green",
                Some(state) if state.red => "red",
                Some(_) => "yellow",
            };
            let (from, to) = (colour(from), colour(to));
            if from == to {
                return Vec::new();
            }
            let name = estate.alarm(*alarm).map_or("", |alarm| alarm.name);
            let (about, host) = match entity {
                Entity::Host(id) => (host_name(*id), Some(*id)),
                Entity::Datastore(id) => (estate.datastore(*id).map_or("", |datastore| datastore.name.as_str()), None),
                Entity::Vm(_) | Entity::Cluster(_) | Entity::Pool(_) => ("", None),
            };
            let message = format!("Alarm '{name}' on {about} changed from {from} to {to}");
            let kind = EventKind::AlarmStatusChanged { alarm: *alarm, entity: *entity, from, to };
            vec![VcenterEvent { at, kind, user: "", message, vm: None, vm_name: String::new(), host }]
        }
    }
}
