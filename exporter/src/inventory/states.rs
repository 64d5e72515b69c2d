//! States as vSphere names them, and as the label `state` does.

use serde::{Deserialize, Serialize};

use crate::exposition::State;

/// Declares states: each by its name, that in vSphere's API and that in the label.
macro_rules! states {
    ($(#[$doc:meta])* $name:ident { $($state:ident = $vsphere:pat => $label:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the names say it")]
        pub enum $name { $($state),* }

        impl $name {
            /// `None` for a state of a later vSphere: what it means is not known.
            pub(super) fn from_vsphere(state: &str) -> Option<Self> {
                match state {
                    $($vsphere => Some(Self::$state),)*
                    _ => None,
                }
            }
        }

        impl State for $name {
            const ALL: &'static [Self] = &[$(Self::$state),*];

            fn as_str(self) -> &'static str {
                match self { $(Self::$state => $label),* }
            }
        }
    };
}

states! {
    /// Power of a VM.
    VmPower { On = "poweredOn" => "on", Off = "poweredOff" => "off", Suspended = "suspended" => "suspended" }
}

states! {
    /// Whether vCenter has a host under control.
    HostConnection {
        Connected = "connected" => "connected",
        Disconnected = "disconnected" => "disconnected",
        NotResponding = "notResponding" => "not_responding",
    }
}

states! {
    /// Power of a host.
    HostPower {
        On = "poweredOn" => "on",
        Off = "poweredOff" => "off",
        Standby = "standBy" => "standby",
        Unknown = "unknown" => "unknown",
    }
}

states! {
    /// How something is, in vSphere's colours. Gray is "not known".
    Status { Gray = "gray" => "gray", Green = "green" => "green", Yellow = "yellow" => "yellow", Red = "red" => "red" }
}

states! {
    /// Whether VMware Tools run.
    ToolsState {
        Running = "guestToolsRunning" => "running",
        NotRunning = "guestToolsNotRunning" => "not_running",
        ExecutingScripts = "guestToolsExecutingScripts" => "executing_scripts",
    }
}

states! {
    /// Whether a datastore is being emptied.
    DatastoreMaintenance {
        Normal = "normal" => "normal",
        Entering = "enteringMaintenance" => "entering",
        In = "inMaintenance" => "in",
    }
}

states! {
    /// What DRS does by itself.
    Automation {
        Manual = "manual" => "manual",
        Partial = "partiallyAutomated" => "partially_automated",
        Full = "fullyAutomated" => "fully_automated",
    }
}

states! {
    /// Whether a storage adapter works.
    AdapterState {
        Online = "online" => "online",
        Offline = "offline" => "offline",
        Fault = "fault" => "fault",
        Unbound = "unbound" => "unbound",
        Unknown = "unknown" => "unknown",
    }
}

states! {
    /// Whether a storage path works.
    PathState {
        Active = "active" => "active",
        Standby = "standby" => "standby",
        Disabled = "disabled" => "disabled",
        Dead = "dead" => "dead",
        Unknown = "unknown" => "unknown",
    }
}
