//! `WaitForUpdatesEx`: what has changed since the client last looked.
//!
//! A collector remembers of each object that it has sent a hash of each property. What differs is sent, in pages; nothing
//! is queued between two calls, so a client that is away for long costs nothing and then sees the newest state.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use crate::soap::{Fault, MoRef, escape, write_property};

use super::spec::{FilterSpec, Plan, Plans};
use super::walk::{Objects, find, write_reference};

/// Objects in one answer when the client names no limit: vCenter's page.
pub const PAGE: usize = 100;

/// A property collector.
#[derive(Debug, Default)]
pub struct Collector {
    state: Mutex<State>,
    /// Which wait is the newest; an older one ends when it sees another number.
    wait: AtomicU64,
    /// Wakes the waits: a filter came, or they are cancelled.
    pub wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    filters: Vec<Filter>,
    version: u64,
    /// The newest answer and the version that it followed: a client whose connection broke asks for it again.
    last: Option<(u64, String)>,
}

#[derive(Debug)]
struct Filter {
    id: String,
    spec: FilterSpec,
    known: HashMap<MoRef, Known>,
    sent: bool,
}

#[derive(Debug)]
struct Known {
    /// One hash a path of the plan; 0 where it is not set.
    hashes: Vec<u64>,
    /// The state of the estate that it was compared with last.
    generation: u64,
}

impl Collector {
    /// Adds a filter.
    pub fn add(&self, id: String, spec: FilterSpec) {
        self.state().filters.push(Filter { id, spec, known: HashMap::new(), sent: false });
        self.wake.notify_waiters();
    }

    /// Removes a filter; `false` if there is none of this id.
    pub fn remove(&self, id: &str) -> bool {
        let mut state = self.state();
        let before = state.filters.len();
        state.filters.retain(|filter| filter.id != id);
        state.filters.len() < before
    }

    /// Ids of the filters.
    pub fn filters(&self) -> Vec<String> {
        self.state().filters.iter().map(|filter| filter.id.clone()).collect()
    }

    /// Begins a wait, which ends any other.
    pub fn begin(&self) -> u64 {
        let ticket = self.wait.fetch_add(1, Ordering::SeqCst) + 1;
        self.wake.notify_waiters();
        ticket
    }

    /// Whether this wait is still the newest.
    pub fn is_current(&self, ticket: u64) -> bool {
        self.wait.load(Ordering::SeqCst) == ticket
    }

    /// Checks the client's version before its first look: the empty one starts anew.
    pub fn rewind(&self, version: &str) -> Result<Option<String>, Fault> {
        let mut state = self.state();
        if version.is_empty() {
            for filter in &mut state.filters {
                filter.known.clear();
                filter.sent = false;
            }
            state.last = None;
            return Ok(None);
        }
        let version: u64 = version.parse().map_err(|_| Fault::InvalidCollectorVersion)?;
        if version == state.version && version != 0 {
            return Ok(None);
        }
        match &state.last {
            Some((before, answer)) if *before == version && version != 0 => Ok(Some(answer.clone())),
            _ => Err(Fault::InvalidCollectorVersion),
        }
    }

    /// The next page of what differs, as `<returnval>`, or `None` when nothing does.
    pub fn next(&self, objects: &impl Objects, generation: u64, page: usize) -> Result<Option<String>, Fault> {
        let mut state = self.state();
        let (mut sets, mut room, mut truncated) = (String::new(), page, false);
        for filter in &mut state.filters {
            let mut updates = String::new();
            let found = find(objects, &filter.spec)?;
            truncated |= filter.look(objects, &found, generation, &mut room, &mut updates);
            if !updates.is_empty() || !filter.sent {
                filter.sent = true;
                sets.push_str("<filterSet>");
                write_reference(&mut sets, "filter", &MoRef::of("PropertyFilter", filter.id.clone()));
                sets.push_str(&updates);
                sets.push_str("</filterSet>");
            }
        }
        if sets.is_empty() {
            return Ok(None);
        }
        let before = state.version;
        state.version += 1;
        let mut answer = format!("<returnval><version>{}</version>{sets}", state.version);
        if truncated {
            answer.push_str("<truncated>true</truncated>");
        }
        answer.push_str("</returnval>");
        state.last = Some((before, answer.clone()));
        Ok(Some(answer))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Filter {
    /// Appends what differs, as far as there is room; whether some had to be left for the next page.
    fn look(
        &mut self,
        objects: &impl Objects,
        found: &[MoRef],
        generation: u64,
        room: &mut usize,
        out: &mut String,
    ) -> bool {
        let present: HashSet<&MoRef> = found.iter().collect();
        let mut gone: Vec<MoRef> = self.known.keys().filter(|known| !present.contains(known)).cloned().collect();
        gone.sort();
        for object in gone {
            if !take(room) {
                return true;
            }
            self.known.remove(&object);
            open_update(out, "leave", &object);
            out.push_str("</objectSet>");
        }
        let mut plans = Plans::new(&self.spec);
        for object in found {
            let Some(plan) = objects.kind(object).and_then(|kind| plans.of(kind)) else { continue };
            let known = self.known.get(object);
            if known.is_some_and(|known| known.generation == generation) {
                continue;
            }
            let (hashes, changes) = changes(objects, object, &plan, known.map(|known| known.hashes.as_slice()));
            if known.is_none() || !changes.is_empty() {
                if !take(room) {
                    return true;
                }
                open_update(out, if known.is_none() { "enter" } else { "modify" }, object);
                out.push_str(&changes);
                out.push_str("</objectSet>");
            }
            self.known.insert(object.clone(), Known { hashes, generation });
        }
        false
    }
}

fn take(room: &mut usize) -> bool {
    let taken = *room > 0;
    *room = room.saturating_sub(1);
    taken
}

fn open_update(out: &mut String, kind: &str, object: &MoRef) {
    for part in ["<objectSet><kind>", kind, "</kind>"] {
        out.push_str(part);
    }
    write_reference(out, "obj", object);
}

/// The hashes of all properties, and a `changeSet` for each that differs from what is known.
fn changes(objects: &impl Objects, object: &MoRef, plan: &Plan, known: Option<&[u64]>) -> (Vec<u64>, String) {
    let (mut out, mut value) = (String::new(), String::new());
    let mut hashes = Vec::with_capacity(plan.len());
    for (place, (path, field)) in plan.iter().enumerate() {
        value.clear();
        if let Some(found) = objects.property(object, path) {
            write_property(&mut value, "val", &found, field.of, field.array);
        }
        let hash = hash(&value);
        hashes.push(hash);
        // On entering, what is not set is not mentioned; a value that goes away later is an assignment of nothing.
        if known.map_or(hash != 0, |known| known.get(place) != Some(&hash)) {
            for part in ["<changeSet><name>", &escape(path), "</name><op>assign</op>", &value, "</changeSet>"] {
                out.push_str(part);
            }
        }
    }
    (hashes, out)
}

fn hash(value: &str) -> u64 {
    if value.is_empty() {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    hasher.write(value.as_bytes());
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::soap::{Value, list};
    use crate::vcenter::spec::{ObjectSpec, PropertySpec, Selection, Traversal};

    /// Folder `f` with VMs that have a name.
    #[derive(Clone)]
    struct Estate(BTreeMap<&'static str, Option<&'static str>>);

    impl Objects for Estate {
        fn kind(&self, object: &MoRef) -> Option<&'static str> {
            match object.id.as_ref() {
                "f" => Some("Folder"),
                id => self.0.contains_key(id).then_some("VirtualMachine"),
            }
        }

        fn property(&self, object: &MoRef, path: &str) -> Option<Value> {
            match path {
                "childEntity" => Some(list(self.0.keys().map(|id| MoRef::of("VirtualMachine", *id)))),
                _ => self.0.get(object.id.as_ref()).copied().flatten().map(Value::from),
            }
        }
    }

    fn collector() -> Collector {
        let traversal = Traversal {
            name: None,
            kind: "Folder".to_owned(),
            path: "childEntity".to_owned(),
            skip: false,
            select: Vec::new(),
        };
        let spec = FilterSpec {
            properties: vec![PropertySpec { kind: "VirtualMachine".to_owned(), paths: vec!["name".to_owned()] }],
            objects: vec![ObjectSpec {
                object: MoRef::of("Folder", "f"),
                skip: true,
                select: vec![Selection::Traversal(traversal)],
            }],
            skip_missing: false,
        };
        let collector = Collector::default();
        collector.add("filter-1".to_owned(), spec);
        collector
    }

    fn summary(answer: Option<String>) -> String {
        let Some(answer) = answer else { return "nothing".to_owned() };
        let mut words = Vec::new();
        for update in answer.split("<objectSet><kind>").skip(1) {
            let kind = update.split('<').next().unwrap();
            let id = update.split("\">").nth(1).unwrap().split('<').next().unwrap();
            let value = update.split("xsd:string\">").nth(1).map_or("-", |rest| rest.split('<').next().unwrap());
            words.push(format!("{kind} {id} {value}"));
        }
        if answer.contains("<truncated>true") {
            words.push("more".to_owned());
        }
        words.join(", ")
    }

    #[test]
    fn objects_enter_change_and_leave() {
        let collector = collector();
        let mut estate = Estate([("a", Some("one")), ("b", Some("two"))].into());
        assert_eq!(collector.rewind(""), Ok(None));
        assert_eq!(summary(collector.next(&estate, 1, PAGE).unwrap()), "enter a one, enter b two");
        assert_eq!(summary(collector.next(&estate, 2, PAGE).unwrap()), "nothing");
        estate.0.insert("a", Some("uno"));
        estate.0.remove("b");
        estate.0.insert("c", None);
        assert_eq!(summary(collector.next(&estate, 3, PAGE).unwrap()), "leave b -, modify a uno, enter c -");
        estate.0.insert("a", None);
        assert_eq!(summary(collector.next(&estate, 4, PAGE).unwrap()), "modify a -");
    }

    #[test]
    fn a_page_ends_where_the_client_wants_and_the_next_goes_on() {
        let collector = collector();
        let estate = Estate([("a", Some("1")), ("b", Some("2")), ("c", Some("3"))].into());
        assert_eq!(summary(collector.next(&estate, 1, 2).unwrap()), "enter a 1, enter b 2, more");
        assert_eq!(summary(collector.next(&estate, 1, 2).unwrap()), "enter c 3");
        assert_eq!(summary(collector.next(&estate, 1, 2).unwrap()), "nothing");
    }

    #[test]
    fn a_version_is_the_newest_or_the_one_before_or_refused() {
        let collector = collector();
        let estate = Estate([("a", Some("1")), ("b", Some("2"))].into());
        let first = collector.next(&estate, 1, 1).unwrap();
        assert_eq!(collector.rewind("1"), Ok(None));
        let second = collector.next(&estate, 1, 1).unwrap();
        assert_ne!(first, second);
        assert_eq!(collector.rewind("1"), Ok(second));
        for version in ["0", "3", "x", "-1"] {
            assert_eq!(collector.rewind(version), Err(Fault::InvalidCollectorVersion), "{version}");
        }
        assert_eq!(collector.rewind(""), Ok(None));
        assert_eq!(summary(collector.next(&estate, 1, 1).unwrap()), "enter a 1, more");
    }
}
