//! vSphere's types, as far as the fleet speaks them.
//!
//! The table beside this file is made by `schema.py` from pyVmomi. It is what makes the fleet name, type and order its
//! fields as vCenter does, and refuse a property path that does not exist while it leaves out one that is not set.

use std::collections::HashMap;
use std::sync::LazyLock;

/// What a type is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A managed object.
    Object,
    /// A data object.
    Data,
    /// An enumeration.
    Enum,
}

/// A field of a data object or a property of a managed object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The type of its value, or of the items of its array.
    pub of: &'static str,
    /// Whether it is an array.
    pub array: bool,
    /// Whether it may be left out.
    pub optional: bool,
}

/// A type.
#[derive(Debug)]
pub struct Type {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// The type it extends.
    pub base: Option<&'static str>,
    /// Its fields, those of its base first.
    pub fields: Vec<Field>,
}

impl Type {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

static TYPES: LazyLock<HashMap<&'static str, Type>> = LazyLock::new(|| {
    let own: HashMap<_, _> =
        include_str!("schema.txt").lines().filter_map(line).map(|found| (found.name, found)).collect();
    let whole = own.values().map(|found| {
        let mut chain = vec![found];
        while let Some(base) = chain.last().and_then(|found| own.get(found.base?)) {
            chain.push(base);
        }
        let fields = chain.into_iter().rev().flat_map(|found| found.fields.iter().copied()).collect();
        (found.name, Type { fields, ..*found })
    });
    whole.collect()
});

fn line(line: &'static str) -> Option<Type> {
    let mut words = line.split(' ');
    let kind = match words.next()? {
        "object" => Kind::Object,
        "data" => Kind::Data,
        "enum" => Kind::Enum,
        _ => return None,
    };
    let name = words.next()?;
    let base = words.next().filter(|base| *base != "-");
    Some(Type { name, kind, base, fields: words.filter_map(parse_field).collect() })
}

fn parse_field(text: &'static str) -> Option<Field> {
    let (name, of) = text.split_once(':')?;
    let (of, optional) = of.strip_suffix('?').map_or((of, false), |of| (of, true));
    let (of, array) = of.strip_suffix("[]").map_or((of, false), |of| (of, true));
    Some(Field { name, of, array, optional })
}

/// The type of this name.
pub fn find(name: &str) -> Option<&'static Type> {
    TYPES.get(name)
}

/// All types.
pub fn all() -> impl Iterator<Item = &'static Type> {
    TYPES.values()
}

/// Whether a type is another or extends it.
pub fn is_a(name: &str, base: &str) -> bool {
    let mut next = Some(name);
    while let Some(name) = next {
        if name == base {
            return true;
        }
        next = find(name).and_then(|found| found.base);
    }
    false
}

/// The field that a dotted path ends at. A path goes through data objects only, never into an array or a reference.
pub fn resolve(object: &str, path: &str) -> Option<Field> {
    let mut current = find(object)?;
    let mut steps = path.split('.').peekable();
    loop {
        let field = *current.field(steps.next()?)?;
        if steps.peek().is_none() {
            return Some(field);
        }
        if field.array {
            return None;
        }
        current = find(field.of).filter(|found| found.kind == Kind::Data)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_base_come_first() {
        let vm = find("VirtualMachine").unwrap();
        let position = |name: &str| vm.fields.iter().position(|field| field.name == name).unwrap();
        assert!(position("customValue") < position("name"));
        assert!(position("name") < position("config"));
        assert!(is_a("VirtualMachine", "ManagedEntity"));
        assert!(!is_a("ManagedEntity", "VirtualMachine"));
    }

    #[test]
    fn paths_go_through_data_objects() {
        assert_eq!(resolve("VirtualMachine", "summary.runtime.powerState").unwrap().of, "VirtualMachinePowerState");
        let disks = resolve("VirtualMachine", "guest.disk").unwrap();
        assert!(disks.array && disks.optional);
        for path in ["", "nosuch", "summary.nosuch", "guest.disk.capacity", "runtime.host.name", "name.x"] {
            assert_eq!(resolve("VirtualMachine", path), None, "{path}");
        }
    }

    #[test]
    fn every_type_that_is_named_is_in_the_table_or_primitive() {
        const PRIMITIVE: [&str; 12] = [
            "boolean",
            "byte",
            "short",
            "int",
            "long",
            "float",
            "double",
            "string",
            "dateTime",
            "anyType",
            "base64Binary",
            "anyURI",
        ];
        for kind in all() {
            for field in &kind.fields {
                let known = find(field.of).is_some() || PRIMITIVE.contains(&field.of);
                assert!(known || field.of == "ManagedObjectReference", "{}.{}: {}", kind.name, field.name, field.of);
            }
        }
    }
}
