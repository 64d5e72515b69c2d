//! Inventories for tests, from properties as they come over the wire.

use super::{Inventory, Mirror, Terms, build};
use crate::vsphere::{Change, Object, ObjectUpdate, UpdateKind, Xml, decode_objects};

/// An object with properties: each is `path=XML`, or `path>Kind:id` for a reference.
pub(super) fn object(kind: &str, id: &str, properties: &[&str]) -> Object {
    let property = |property: &&str| {
        let (path, value) = match property.split_once('>') {
            Some((path, target)) if !path.contains('=') => {
                let (kind, id) = target.split_once(':').unwrap();
                (path, format!(r#"<val type="{kind}">{id}</val>"#))
            }
            _ => {
                let (path, value) = property.split_once('=').unwrap();
                (path, format!("<val>{value}</val>"))
            }
        };
        format!("<propSet><name>{path}</name>{value}</propSet>")
    };
    let properties: String = properties.iter().map(property).collect();
    let text = format!(r#"<R><returnval><objects><obj type="{kind}">{id}</obj>{properties}</objects></returnval></R>"#);
    let mut xml = Xml::new(&text);
    xml.expect("R").unwrap();
    decode_objects(xml).unwrap().objects.remove(0)
}

/// A VM that has what every VM has.
pub(super) fn vm(id: &str, more: &[&str]) -> Object {
    let basics = ["name=web", "config.instanceUuid=U-1", "runtime.powerState=poweredOn"];
    object("VirtualMachine", id, &[&basics, more].concat())
}

/// A host that has a name.
pub(super) fn host(id: &str, more: &[&str]) -> Object {
    object("HostSystem", id, &[&["name=esx1"], more].concat())
}

/// A mirror of these objects.
pub(super) fn mirror(objects: Vec<Object>) -> Mirror {
    let mut mirror = Mirror::default();
    for Object { reference, properties } in objects {
        let change = |(path, value): (Box<str>, _)| Change { path: path.into(), value: Some(value), partial: false };
        let changes = properties.into_iter().map(change).collect();
        let update = ObjectUpdate { kind: UpdateKind::Enter, object: reference, changes };
        assert_eq!(mirror.apply(update), None, "a path that is asked for");
    }
    mirror
}

/// What is made of these objects.
pub(super) fn built(objects: Vec<Object>) -> Inventory {
    build(&mirror(objects), &Terms::default())
}
