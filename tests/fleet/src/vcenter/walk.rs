//! Finding the objects of a filter, and reading them.

use std::collections::{HashMap, HashSet};

use crate::soap::{Fault, MoRef, Value, schema, write_property};

use super::spec::{FilterSpec, ObjectSpec, Plan, Selection, Traversal};

/// Objects with properties, at one moment.
pub trait Objects {
    /// The type of an object, or `None` when there is no such object.
    fn kind(&self, object: &MoRef) -> Option<&'static str>;
    /// The value at a path that the schema knows, or `None` when it is not set. The object exists.
    fn property(&self, object: &MoRef, path: &str) -> Option<Value>;
}

/// All objects that the spec leads to, in the order in which they are found, each once.
pub fn find(objects: &impl Objects, spec: &FilterSpec) -> Result<Vec<MoRef>, Fault> {
    let mut found = Found { objects, order: Vec::new(), reported: HashSet::new(), visited: HashSet::new() };
    for start in &spec.objects {
        let Some(kind) = objects.kind(&start.object) else {
            if spec.skip_missing {
                continue;
            }
            return Err(Fault::ManagedObjectNotFound(start.object.clone()));
        };
        if !start.skip {
            found.report(&start.object);
        }
        let named = named(start);
        found.follow(&start.object, kind, &start.select, &named);
    }
    Ok(found.order)
}

struct Found<'a, O> {
    objects: &'a O,
    order: Vec<MoRef>,
    reported: HashSet<MoRef>,
    /// Traversals already followed from an object: folders refer to themselves by name, and estates may have cycles.
    visited: HashSet<(MoRef, *const Traversal)>,
}

impl<O: Objects> Found<'_, O> {
    fn report(&mut self, object: &MoRef) {
        if self.reported.insert(object.clone()) {
            self.order.push(object.clone());
        }
    }

    fn follow(&mut self, object: &MoRef, kind: &str, select: &[Selection], named: &HashMap<&str, &Traversal>) {
        for selection in select {
            let traversal = match selection {
                Selection::Traversal(traversal) => traversal,
                Selection::Named(name) => match named.get(name.as_str()) {
                    Some(traversal) => traversal,
                    None => continue,
                },
            };
            let new = || (object.clone(), std::ptr::from_ref(traversal));
            if !schema::is_a(kind, &traversal.kind) || !self.visited.insert(new()) {
                continue;
            }
            let value = self.objects.property(object, &traversal.path);
            for next in references(value) {
                let Some(kind) = self.objects.kind(&next) else { continue };
                if !traversal.skip {
                    self.report(&next);
                }
                if !traversal.select.is_empty() {
                    self.follow(&next, kind, &traversal.select, named);
                }
            }
        }
    }
}

fn references(value: Option<Value>) -> Vec<MoRef> {
    match value {
        Some(Value::Ref(reference)) => vec![reference],
        Some(Value::List(items)) => items
            .into_iter()
            .filter_map(|item| if let Value::Ref(reference) = item { Some(reference) } else { None })
            .collect(),
        _ => Vec::new(),
    }
}

fn named(start: &ObjectSpec) -> HashMap<&str, &Traversal> {
    let mut named = HashMap::new();
    let mut open: Vec<&Selection> = start.select.iter().collect();
    while let Some(selection) = open.pop() {
        if let Selection::Traversal(traversal) = selection {
            if let Some(name) = &traversal.name {
                named.insert(name.as_str(), traversal);
            }
            open.extend(&traversal.select);
        }
    }
    named
}

/// Writes `<element>` with the reference to an object.
pub fn write_reference(out: &mut String, element: &str, object: &MoRef) {
    let (kind, id) = (crate::soap::escape(&object.kind), crate::soap::escape(&object.id));
    for part in ["<", element, " type=\"", &kind, "\">", &id, "</", element, ">"] {
        out.push_str(part);
    }
}

/// Writes an object with those of the properties that are set, as `ObjectContent`.
pub fn write_object(out: &mut String, element: &str, objects: &impl Objects, object: &MoRef, plan: &Plan) {
    for part in ["<", element, ">"] {
        out.push_str(part);
    }
    write_reference(out, "obj", object);
    for (path, field) in plan {
        if let Some(value) = objects.property(object, path) {
            for part in ["<propSet><name>", path, "</name>"] {
                out.push_str(part);
            }
            write_property(out, "val", &value, field.of, field.array);
            out.push_str("</propSet>");
        }
    }
    for part in ["</", element, ">"] {
        out.push_str(part);
    }
}
