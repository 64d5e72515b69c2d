//! Every property of every object of an estate, against the schema.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Cx, Moment, Scope};
use crate::cost::Cost;
use crate::lab::{Lab, Plan};
use crate::model::{Size, Time};
use crate::soap::schema::{self, Kind};
use crate::soap::{MoRef, Value};

fn lab() -> Lab {
    // 2026-11-23, 14:00.
    let origin = Time(1_795_442_400_000);
    Lab::new(Plan { seed: 1, size: Size::of(60), origin, factor: 1.0, account: None, cost: Cost::off() })
}

fn all(cx: &Cx<'_>) -> Vec<MoRef> {
    let below = crate::vcenter::views::contents(cx, &cx.root(), &[], true);
    let alarms = cx.moment.inventory.estate.alarms.iter().filter(|_| cx.is_vcenter());
    let alarms = alarms.map(|alarm| MoRef::of("Alarm", alarm.id.to_string()));
    let snapshots = cx.moment.inventory.vms.iter().flat_map(|vm| &vm.snapshots).map(|taken| cx.snapshot(taken.id));
    let visible = snapshots.filter(|snapshot| cx.kind(snapshot).is_some()).collect::<Vec<_>>();
    std::iter::once(cx.root()).chain(below).chain(alarms).chain(visible).collect()
}

/// What a value lacks, or has too much, for its declared type.
fn problems(value: &Value, declared: &str, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::List(items) => items.iter().for_each(|item| problems(item, declared, path, found)),
        Value::Record(record) => {
            let kind = if record.kind.is_empty() { declared } else { &record.kind };
            let Some(known) = schema::find(kind) else {
                found.insert(format!("{path}: no type `{kind}`"));
                return;
            };
            if !schema::is_a(kind, declared) {
                found.insert(format!("{path}: `{kind}` is no `{declared}`"));
            }
            for field in &known.fields {
                match record.fields.iter().find(|(name, _)| *name == field.name) {
                    Some((_, value)) => problems(value, field.of, &format!("{path}.{}", field.name), found),
                    // An empty array cannot be told from one that is not there.
                    None if !field.optional && !field.array => {
                        found.insert(format!("{path}: `{}` is missing", field.name));
                    }
                    None => {}
                }
            }
            for (name, _) in &record.fields {
                if known.field(name).is_none() {
                    found.insert(format!("{path}: no field `{name}` in `{kind}`"));
                }
            }
        }
        Value::Ref(_) if declared != "ManagedObjectReference" => {
            found.insert(format!("{path}: a reference where `{declared}` stands"));
        }
        Value::Text(_) if schema::find(declared).is_some_and(|known| known.kind != Kind::Enum) => {
            found.insert(format!("{path}: a text where `{declared}` stands"));
        }
        _ => {}
    }
}

fn check(scope: impl FnOnce(&Lab) -> Scope) {
    let lab = lab();
    let (scope, moment) = (scope(&lab), lab.moment());
    let cx = Cx { scope, moment: &moment };
    let mut found = BTreeSet::new();
    let objects = all(&cx);
    assert!(objects.len() > 20, "{}", objects.len());
    for object in objects {
        let kind = cx.kind(&object).unwrap();
        for field in &schema::find(kind).unwrap().fields {
            let path = format!("{kind}.{}", field.name);
            match cx.property(&object, field.name) {
                Some(value) => problems(&value, field.of, &path, &mut found),
                None if !field.optional && !field.array => {
                    found.insert(format!("{path} is missing"));
                }
                None => {}
            }
        }
    }
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn every_object_of_a_vcenter_has_what_the_schema_requires() {
    check(|_| Scope::VCenter);
}

#[test]
fn every_object_of_a_host_has_what_the_schema_requires() {
    check(|lab| Scope::Host(lab.moment().inventory.hosts[0].id));
}

#[test]
fn a_reference_that_nobody_gave_out_leads_nowhere() {
    let lab = lab();
    let moment = lab.moment();
    let cx = Cx { scope: Scope::VCenter, moment: &moment };
    for (kind, id) in [
        ("VirtualMachine", "vm-0"),
        ("VirtualMachine", "vm-"),
        ("VirtualMachine", "vm-99999999999999999999"),
        ("VirtualMachine", "host-1"),
        ("Folder", "group-"),
        ("Folder", "group-é1"),
        ("HostSystem", "ha-host"),
        ("Nosuch", "vm-1"),
        ("", ""),
    ] {
        assert_eq!(cx.kind(&MoRef::new(kind, id)), None, "{kind}:{id}");
    }
}

#[test]
fn a_leaf_is_what_stands_in_the_whole() {
    let lab = lab();
    let moment = lab.moment();
    let cx = Cx { scope: Scope::VCenter, moment: &moment };
    let vm = cx.vm(moment.inventory.vms[0].id);
    let Some(Value::Record(summary)) = cx.property(&vm, "summary") else { panic!("no summary") };
    for (name, value) in summary.fields {
        assert_eq!(cx.property(&vm, &format!("summary.{name}")), Some(value), "{name}");
    }
}

#[test]
fn space_is_that_of_the_moment_however_old_the_inventory_is() {
    let lab = lab();
    let first = lab.moment();
    let later = Time(first.at.0 + 3_600_000);
    let moment = Moment {
        at: later,
        now: later,
        generation: first.generation + 1,
        inventory: first.inventory.clone(),
        model: first.model.clone(),
        migrations: first.migrations.clone(),
        options: first.options.clone(),
        relations: first.relations.clone(),
        live: Arc::default(),
    };
    let cx = Cx { scope: Scope::VCenter, moment: &moment };
    for datastore in &moment.inventory.estate.datastores {
        let free = datastore.capacity - moment.model.datastore_used(datastore.id, later);
        let shown = cx.property(&cx.datastore(datastore.id), "summary.freeSpace");
        assert_eq!(shown, Some(free.into()), "{}", datastore.name);
    }
}
