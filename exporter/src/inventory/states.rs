//! States as vSphere names them, and as the label `state` does.

use crate::exposition::State;

/// Power of a VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum VmPower {
    On,
    Off,
    Suspended,
}

impl VmPower {
    pub(super) fn from_vsphere(state: &str) -> Option<Self> {
        match state {
            "poweredOn" => Some(Self::On),
            "poweredOff" => Some(Self::Off),
            "suspended" => Some(Self::Suspended),
            _ => None,
        }
    }
}

impl State for VmPower {
    const ALL: &'static [Self] = &[Self::On, Self::Off, Self::Suspended];

    fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Suspended => "suspended",
        }
    }
}

/// Whether vCenter has a host under control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HostConnection {
    Connected,
    Disconnected,
    NotResponding,
}

impl HostConnection {
    pub(super) fn from_vsphere(state: &str) -> Option<Self> {
        match state {
            "connected" => Some(Self::Connected),
            "disconnected" => Some(Self::Disconnected),
            "notResponding" => Some(Self::NotResponding),
            _ => None,
        }
    }
}

impl State for HostConnection {
    const ALL: &'static [Self] = &[Self::Connected, Self::Disconnected, Self::NotResponding];

    fn as_str(self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::NotResponding => "not_responding",
        }
    }
}

/// Power of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum HostPower {
    On,
    Off,
    Standby,
    Unknown,
}

impl HostPower {
    pub(super) fn from_vsphere(state: &str) -> Option<Self> {
        match state {
            "poweredOn" => Some(Self::On),
            "poweredOff" => Some(Self::Off),
            "standBy" => Some(Self::Standby),
            "unknown" => Some(Self::Unknown),
            _ => None,
        }
    }
}

impl State for HostPower {
    const ALL: &'static [Self] = &[Self::On, Self::Off, Self::Standby, Self::Unknown];

    fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
            Self::Standby => "standby",
            Self::Unknown => "unknown",
        }
    }
}
