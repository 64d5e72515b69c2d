//! Custom attributes and licences.

use crate::objects::{Cx, Fields};
use crate::soap::{Record, Value, list, record};

/// `CustomFieldDef`s: all, or those that objects of a type may have.
pub(crate) fn field_definitions(cx: &Cx<'_>, kind: Option<&str>) -> Value {
    let fields = cx.moment.inventory.estate.attributes.iter();
    let matching = fields.filter(|field| kind.is_none_or(|kind| field.kind.is_none_or(|of| of == kind)));
    list(matching.map(|field| {
        record("CustomFieldDef")
            .with("key", field.key)
            .with("name", field.name)
            .with("type", "string")
            .with_some("managedObjectType", field.kind)
    }))
}

/// `LicenseManagerLicenseInfo`s.
pub(crate) fn licences(cx: &Cx<'_>) -> Vec<Record> {
    let licences = cx.moment.inventory.estate.licences.iter();
    licences
        .map(|licence| {
            let mut properties = vec![property("ProductName", Value::Typed("string", Box::new(licence.name.into())))];
            if let Some(expires) = licence.expires {
                properties.push(property("expirationDate", Value::Typed("dateTime", Box::new(Value::Time(expires.0)))));
            }
            record("LicenseManagerLicenseInfo")
                .with("licenseKey", licence.key.clone())
                .with("editionKey", licence.edition)
                .with("name", licence.name)
                .with("total", licence.total)
                .with("used", licence.used)
                .with("costUnit", licence.unit)
                .with("properties", list(properties))
        })
        .collect()
}

fn property(key: &'static str, value: Value) -> Record {
    record("KeyAnyValue").with("key", key).with("value", value)
}

/// Properties of the `LicenseManager`.
pub(crate) fn licence_manager(cx: &Cx<'_>, f: &mut Fields<'_>) {
    f.set("source", || record("LocalLicenseSource").with("licenseKeys", ""));
    f.set("sourceAvailable", || true);
    f.set("licensedEdition", || "");
    f.set("licenses", || list(licences(cx)));
    f.maybe("licenseAssignmentManager", || super::services::of_kind(cx.scope, "LicenseAssignmentManager"));
    f.set("evaluation", || record("").with("properties", Value::List(Vec::new())));
}

/// `QueryAssignedLicenses`: the vCenter has the vCenter licence, each host the host licence.
pub(crate) fn assigned(cx: &Cx<'_>, entity: Option<&str>) -> Vec<Record> {
    let inventory = &cx.moment.inventory;
    let licences = licences(cx);
    let of = |unit: &str| {
        inventory.estate.licences.iter().position(|licence| licence.unit.contains(unit)).and_then(|at| licences.get(at))
    };
    let mut all: Vec<(String, String, Option<&Record>)> =
        vec![(inventory.estate.instance_uuid.clone(), "vCenter Server".to_owned(), of("server"))];
    all.extend(
        inventory
            .hosts
            .iter()
            .map(|host| (host.id.to_string(), host.config.name.clone(), of("cpu").or_else(|| of("core")))),
    );
    all.into_iter()
        .filter(|(id, ..)| entity.is_none_or(|entity| entity == id))
        .filter_map(|(id, name, licence)| {
            let assignment = record("LicenseAssignmentManagerLicenseAssignment")
                .with("entityId", id)
                .with("entityDisplayName", name)
                .with("assignedLicense", licence?.clone());
            Some(assignment)
        })
        .collect()
}
