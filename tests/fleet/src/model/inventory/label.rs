//! What people attach to objects, and what the vCenter knows besides them: tags, custom attributes, licences, alarms.

use crate::model::{AlarmId, Entity, Time};

/// Place of a tag in [`super::Estate::tags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TagId(pub u32);

/// A tag category of the REST API (`com.vmware.cis.tagging.category`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagCategory {
    /// `id`
    pub id: String,
    /// `name`
    pub name: &'static str,
    /// `cardinality`: whether an object may have several of its tags.
    pub multiple: bool,
    /// `associable_types`; empty for all.
    pub kinds: &'static [&'static str],
}

/// A tag of the REST API (`com.vmware.cis.tagging.tag`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Its place in the list.
    pub place: TagId,
    /// `id`
    pub id: String,
    /// `name`
    pub name: &'static str,
    /// Place of its category in [`super::Estate::tag_categories`].
    pub category: usize,
}

/// `CustomFieldDef`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeDef {
    /// `key`
    pub key: i32,
    /// `name`
    pub name: &'static str,
    /// `managedObjectType`; none for all types.
    pub kind: Option<&'static str>,
}

/// `CustomFieldStringValue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeValue {
    /// `key`
    pub key: i32,
    /// `value`
    pub value: String,
}

/// `LicenseManagerLicenseInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licence {
    /// `licenseKey`; none of them is valid anywhere.
    pub key: String,
    /// `editionKey`
    pub edition: &'static str,
    /// `name`
    pub name: &'static str,
    /// `costUnit`
    pub unit: &'static str,
    /// `total`
    pub total: u32,
    /// `used`
    pub used: u32,
    /// Property `expirationDate`; none for a perpetual one.
    pub expires: Option<Time>,
}

/// `AlarmInfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// The managed object.
    pub id: AlarmId,
    /// `info.name`
    pub name: &'static str,
    /// `info.systemName`
    pub system_name: &'static str,
    /// `info.description`
    pub description: &'static str,
    /// What it looks at.
    pub watches: Watched,
}

/// What an alarm looks at, and from where on it is yellow and red.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Whether a host responds; red when not.
    HostConnection,
    /// Used space of a datastore, percent x 100.
    DatastoreUsage {
        /// Yellow from here on.
        yellow: u32,
        /// Red from here on.
        red: u32,
    },
}

/// `AlarmState` of an alarm that is triggered (`triggeredAlarmState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggeredAlarm {
    /// `entity`
    pub entity: Entity,
    /// `alarm`
    pub alarm: AlarmId,
    /// `overallStatus`: red, or else yellow
    pub red: bool,
    /// `time`: when it took this colour
    pub since: Time,
}
