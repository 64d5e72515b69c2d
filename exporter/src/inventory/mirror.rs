//! All properties that are known of a vCenter's objects: a copy that updates keep true.

use std::collections::HashMap;

use super::{Licence, paths};
use crate::vsphere::{MoRef, Object, ObjectUpdate, UpdateKind, Value};

/// Deeper than any inventory; ends a walk through references that lead in a circle.
const MAX_DEPTH: usize = 100;

/// The copy.
#[derive(Debug, Clone, Default)]
pub struct Mirror {
    objects: HashMap<MoRef, Known>,
    /// Names of custom attributes by key.
    pub attribute_names: HashMap<i32, String>,
    /// Names of alarms by the id of their definition.
    pub alarm_names: HashMap<String, String>,
    /// Category and name of the tags of VMs, by the VM's id; `None` before they were read.
    pub tags: Option<HashMap<String, Vec<(String, String)>>>,
    /// Licences.
    pub licences: Vec<Licence>,
}

/// What is known of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    live: Vec<(&'static str, Value)>,
    slow: Vec<(&'static str, Value)>,
}

impl Known {
    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let mut all = self.live.iter().chain(&self.slow);
        all.find(|(known, _)| *known == path).map(|(_, value)| value)
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.get(path)?.text()
    }

    pub(super) fn owned(&self, path: &str) -> String {
        self.text(path).unwrap_or_default().to_owned()
    }

    pub(super) fn parse<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.get(path)?.parse()
    }

    pub(super) fn reference(&self, path: &str) -> Option<&MoRef> {
        self.get(path)?.reference()
    }
}

impl Mirror {
    /// Takes in an update. Gives back the object when the update does not say all: it names something within a
    /// property, so the object's properties have to be read again.
    #[must_use]
    pub fn apply(&mut self, update: ObjectUpdate) -> Option<MoRef> {
        if update.kind == UpdateKind::Leave {
            self.objects.remove(&update.object);
            return None;
        }
        let known = self.objects.entry(update.object.clone()).or_default();
        if update.kind == UpdateKind::Enter {
            known.live.clear();
        }
        let mut incomplete = false;
        for change in update.changes {
            match paths::known(&change.path) {
                Some(path) if !change.partial => set(&mut known.live, path, change.value),
                _ => incomplete = true,
            }
        }
        incomplete.then_some(update.object)
    }

    /// Takes in what was read of an object that is followed.
    pub fn refresh(&mut self, object: Object) {
        if let Some(known) = self.objects.get_mut(&object.reference) {
            known.live = keep_known(object);
        }
    }

    /// Takes in what was read now and then of all objects; what was read of an object before is forgotten.
    pub fn set_slow(&mut self, objects: Vec<Object>) {
        self.objects.values_mut().for_each(|known| known.slow.clear());
        for object in objects {
            // A certificate manager is no object of the view; it is kept while its host refers to it.
            if object.reference.kind == "HostCertificateManager" {
                self.objects.insert(object.reference.clone(), Known { live: Vec::new(), slow: keep_known(object) });
            } else if let Some(known) = self.objects.get_mut(&object.reference) {
                known.slow.extend(keep_known(object));
            }
        }
    }

    /// Replaces what is followed with a copy that was begun anew; what is read now and then stays.
    pub fn replace_live(&mut self, fresh: Self) {
        let mut old = std::mem::replace(&mut self.objects, fresh.objects);
        for (reference, known) in &mut self.objects {
            if let Some(old) = old.remove(reference) {
                known.slow = old.slow;
            }
        }
        old.retain(|reference, _| reference.kind == "HostCertificateManager");
        self.objects.extend(old);
        self.attribute_names = fresh.attribute_names;
    }

    /// The ids of VMs, sorted: of all, or of those whose tags are not known.
    pub fn vms(&self, all: bool) -> Vec<String> {
        let known = |id: &str| self.tags.as_ref().is_some_and(|tags| tags.contains_key(id));
        let vms = self.objects.keys().filter(|reference| reference.kind == "VirtualMachine");
        let mut ids: Vec<_> = vms.map(|vm| &vm.id).filter(|id| all || !known(id)).cloned().collect();
        ids.sort_unstable();
        ids
    }

    /// Takes in the tags of VMs: of all that there are, or of some.
    pub fn set_tags(&mut self, tags: HashMap<String, Vec<(String, String)>>, all: bool) {
        match &mut self.tags {
            Some(known) if !all => known.extend(tags),
            known => *known = Some(tags),
        }
    }

    /// Objects that are asked for more than others: VMs with snapshots, and the certificate managers of hosts.
    pub fn special(&self) -> Vec<MoRef> {
        let mut special = Vec::new();
        for (reference, known) in &self.objects {
            if reference.kind == "VirtualMachine" && known.get("snapshot").is_some_and(|s| !s.fields().is_empty()) {
                special.push(reference.clone());
            }
            special.extend(known.reference("configManager.certificateManager").cloned());
        }
        special.sort();
        special
    }

    /// Alarms that nobody knows the name of yet.
    pub fn nameless_alarms(&self) -> Vec<MoRef> {
        let alarms = self.triggered().filter_map(|state| state.at("alarm")?.reference());
        let mut nameless: Vec<_> = alarms.filter(|alarm| !self.alarm_names.contains_key(&alarm.id)).cloned().collect();
        nameless.sort();
        nameless.dedup();
        nameless
    }

    /// The states of all triggered alarms.
    pub(super) fn triggered(&self) -> impl Iterator<Item = &Value> {
        let all = self.objects.values().filter_map(|known| known.get(paths::TRIGGERED));
        all.flat_map(|states| states.fields().iter().map(|field| &field.value))
    }

    /// How many values there are of which nothing can be read.
    pub(super) fn unreadable(&self) -> usize {
        let values = self.objects.values().flat_map(|known| known.live.iter().chain(&known.slow));
        values.filter(|(_, value)| *value == Value::TooDeep).count()
    }

    /// All objects of a type, sorted by their reference.
    pub(super) fn of<'a>(&'a self, kind: &str) -> Vec<(&'a MoRef, &'a Known)> {
        let mut found: Vec<_> = self.objects.iter().filter(|(reference, _)| reference.kind == kind).collect();
        found.sort_unstable_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        found
    }

    pub(super) fn get(&self, reference: &MoRef) -> Option<&Known> {
        self.objects.get(reference)
    }

    /// An object and all that hold it, from the inside out.
    pub(super) fn upwards<'a>(&'a self, from: &'a MoRef) -> impl Iterator<Item = (&'a MoRef, &'a Known)> {
        let entry = |reference: &'a MoRef| Some((reference, self.objects.get(reference)?));
        std::iter::successors(entry(from), move |(_, known)| entry(known.reference("parent")?)).take(MAX_DEPTH)
    }
}

fn set(properties: &mut Vec<(&'static str, Value)>, path: &'static str, value: Option<Value>) {
    let place = properties.iter().position(|(known, _)| *known == path);
    match (place, value) {
        (Some(place), Some(value)) => properties[place].1 = value,
        (None, Some(value)) => properties.push((path, value)),
        (Some(place), None) => drop(properties.swap_remove(place)),
        (None, None) => {}
    }
}

fn keep_known(object: Object) -> Vec<(&'static str, Value)> {
    object.properties.into_iter().filter_map(|(path, value)| Some((paths::known(&path)?, value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsphere::Change;

    fn vm() -> MoRef {
        MoRef { kind: "VirtualMachine".to_owned(), id: "vm-1".to_owned() }
    }

    fn update(kind: UpdateKind, changes: &[(&str, Option<&str>)]) -> ObjectUpdate {
        let change = |(path, value): &(&str, Option<&str>)| Change {
            path: (*path).to_owned(),
            value: value.map(|value| Value::Text(value.into())),
            partial: false,
        };
        ObjectUpdate { kind, object: vm(), changes: changes.iter().map(change).collect() }
    }

    fn text<'a>(mirror: &'a Mirror, path: &str) -> Option<&'a str> {
        mirror.get(&vm())?.text(path)
    }

    #[test]
    fn an_object_comes_changes_and_goes() {
        let mut mirror = Mirror::default();
        assert_eq!(
            mirror.apply(update(UpdateKind::Enter, &[("name", Some("a")), ("guest.ipAddress", Some("x"))])),
            None
        );
        assert_eq!(mirror.apply(update(UpdateKind::Modify, &[("name", Some("b")), ("guest.ipAddress", None)])), None);
        assert_eq!((text(&mirror, "name"), text(&mirror, "guest.ipAddress")), (Some("b"), None));
        assert_eq!(mirror.apply(update(UpdateKind::Enter, &[("name", Some("c"))])), None);
        assert_eq!(text(&mirror, "name"), Some("c"));
        assert_eq!(mirror.apply(update(UpdateKind::Leave, &[])), None);
        assert!(mirror.get(&vm()).is_none());
    }

    #[test]
    fn a_change_within_a_property_asks_for_the_object() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(update(UpdateKind::Modify, &[("snapshot.currentSnapshot", Some("x"))])), Some(vm()));
    }

    #[test]
    fn what_is_read_slowly_survives_a_new_beginning_and_not_the_object() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.apply(update(UpdateKind::Enter, &[("name", Some("a"))])), None);
        let slow =
            Object { reference: vm(), properties: vec![("summary.storage.committed".into(), Value::Text("7".into()))] };
        mirror.set_slow(vec![slow]);
        let mut fresh = Mirror::default();
        assert_eq!(fresh.apply(update(UpdateKind::Enter, &[("name", Some("b"))])), None);
        mirror.replace_live(fresh);
        assert_eq!((text(&mirror, "name"), text(&mirror, "summary.storage.committed")), (Some("b"), Some("7")));
        mirror.set_slow(Vec::new());
        assert_eq!(text(&mirror, "summary.storage.committed"), None);
        mirror.replace_live(Mirror::default());
        assert!(mirror.get(&vm()).is_none());
    }
}
