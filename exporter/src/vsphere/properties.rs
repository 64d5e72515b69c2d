//! Answers of the property collector: objects, and what has changed of them.

use super::MoRef;
use super::value::{Value, decode_value};
use super::xml::{Xml, XmlError};

/// Some objects, and the token for the next ones.
#[derive(Debug, Default, PartialEq)]
pub struct ObjectPage {
    /// The objects.
    pub objects: Vec<Object>,
    /// For `ContinueRetrievePropertiesEx`; absent on the last page.
    pub token: Option<String>,
}

/// An object with those of the asked properties that it has and that may be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Which.
    pub reference: MoRef,
    /// Path and value, in the order in which they came.
    pub properties: Vec<(Box<str>, Value)>,
}

impl Object {
    /// The property of this path.
    pub fn get(&self, path: &str) -> Option<&Value> {
        self.properties.iter().find(|(name, _)| &**name == path).map(|(_, value)| value)
    }
}

/// What has changed since the version before.
#[derive(Debug, Default, PartialEq)]
pub struct UpdateSet {
    /// For the next `WaitForUpdatesEx`.
    pub version: String,
    /// Whether there is more of it.
    pub truncated: bool,
    /// By object, in order.
    pub updates: Vec<ObjectUpdate>,
}

/// What has changed of one object.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectUpdate {
    /// Whether it came, changed or went.
    pub kind: UpdateKind,
    /// Which.
    pub object: MoRef,
    /// Its properties: all of them when it comes.
    pub changes: Vec<Change>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateKind {
    /// It is new.
    Enter,
    /// It is another.
    Modify,
    /// It is gone.
    Leave,
}

/// A property that has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its path, which may lead deeper than the one that was asked for.
    pub path: String,
    /// Its new value; `None` when it has none any more.
    pub value: Option<Value>,
    /// Whether it is an item put into a list or taken out of it, and not the whole value.
    pub partial: bool,
}

/// Reads the children of a `RetrievePropertiesExResponse` or its continuation. No `returnval` at all means no objects.
pub fn decode_objects(mut xml: Xml<'_>) -> Result<ObjectPage, XmlError> {
    let mut page = ObjectPage::default();
    while let Some(element) = xml.child()? {
        if element.name() != "returnval" {
            xml.skip()?;
            continue;
        }
        while let Some(element) = xml.child()? {
            match element.name() {
                "objects" => page.objects.extend(object(&mut xml)?),
                "token" => page.token = Some(xml.text()?.into_owned()),
                _ => xml.skip()?,
            }
        }
    }
    Ok(page)
}

fn object(xml: &mut Xml<'_>) -> Result<Option<Object>, XmlError> {
    let (mut reference, mut properties) = (None, Vec::new());
    while let Some(element) = xml.child()? {
        match element.name() {
            "obj" => {
                let kind = element.ref_type().unwrap_or_default();
                reference = Some(MoRef { kind, id: xml.text()?.into_owned() });
            }
            "propSet" => properties.extend(property(xml)?),
            // `missingSet` says why a property is not there: most often a privilege on one object.
            _ => xml.skip()?,
        }
    }
    Ok(reference.map(|reference| Object { reference, properties }))
}

fn property(xml: &mut Xml<'_>) -> Result<Option<(Box<str>, Value)>, XmlError> {
    let (mut name, mut value) = (None, None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "name" => name = Some(xml.text()?.into()),
            "val" => value = Some(decode_value(xml, &element)?),
            _ => xml.skip()?,
        }
    }
    Ok(name.zip(value))
}

/// Reads the children of a `WaitForUpdatesExResponse`. `None` when the wait ended without news.
pub fn decode_updates(mut xml: Xml<'_>) -> Result<Option<UpdateSet>, XmlError> {
    let mut found = None;
    while let Some(element) = xml.child()? {
        if element.name() != "returnval" {
            xml.skip()?;
            continue;
        }
        let mut set = UpdateSet::default();
        while let Some(element) = xml.child()? {
            match element.name() {
                "version" => set.version = xml.text()?.into_owned(),
                "truncated" => set.truncated = xml.text()?.trim() == "true",
                "filterSet" => {
                    while let Some(element) = xml.child()? {
                        if element.name() == "objectSet" {
                            set.updates.extend(update(&mut xml)?);
                        } else {
                            xml.skip()?;
                        }
                    }
                }
                _ => xml.skip()?,
            }
        }
        if set.version.is_empty() {
            return Err(XmlError::Unexpected { expected: "version".to_owned(), found: "nothing".to_owned() });
        }
        found = Some(set);
    }
    Ok(found)
}

fn update(xml: &mut Xml<'_>) -> Result<Option<ObjectUpdate>, XmlError> {
    let (mut kind, mut object, mut changes) = (None, None, Vec::new());
    while let Some(element) = xml.child()? {
        match element.name() {
            "kind" => {
                kind = match &*xml.text()? {
                    "enter" => Some(UpdateKind::Enter),
                    "modify" => Some(UpdateKind::Modify),
                    "leave" => Some(UpdateKind::Leave),
                    other => {
                        let found = format!("`{other}`");
                        return Err(XmlError::Unexpected { expected: "enter, modify or leave".to_owned(), found });
                    }
                }
            }
            "obj" => {
                let kind = element.ref_type().unwrap_or_default();
                object = Some(MoRef { kind, id: xml.text()?.into_owned() });
            }
            "changeSet" => changes.extend(change(xml)?),
            _ => xml.skip()?,
        }
    }
    Ok(kind.zip(object).map(|(kind, object)| ObjectUpdate { kind, object, changes }))
}

fn change(xml: &mut Xml<'_>) -> Result<Option<Change>, XmlError> {
    let (mut path, mut op, mut value) = (None, String::new(), None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "name" => path = Some(xml.text()?.into_owned()),
            "op" => op = xml.text()?.into_owned(),
            "val" => value = Some(decode_value(xml, &element)?),
            _ => xml.skip()?,
        }
    }
    // `remove` names an item of a list by its key; `indirectRemove` says that what held the property has gone.
    let partial = op == "add" || op == "remove";
    Ok(path.map(|path| Change { path, value: value.filter(|_| op == "assign"), partial }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(xml: &str) -> Result<ObjectPage, XmlError> {
        let mut reader = Xml::new(xml);
        reader.expect("R")?;
        decode_objects(reader)
    }

    fn updates(xml: &str) -> Result<Option<UpdateSet>, XmlError> {
        let mut reader = Xml::new(xml);
        reader.expect("R")?;
        decode_updates(reader)
    }

    #[test]
    fn objects_have_the_properties_that_came() {
        let page = decode(
            r#"<R><returnval><token>7</token><objects><obj type="VirtualMachine">vm-1</obj>
               <propSet><name>name</name><val xmlns:x="y" x:type="xsd:string">a &amp; b</val></propSet>
               <propSet><name>runtime.host</name><val xmlns:x="y" x:type="ManagedObjectReference" type="HostSystem">host-1</val></propSet>
               <missingSet><path>config.version</path><fault><fault/></fault></missingSet></objects></returnval></R>"#,
        )
        .unwrap();
        assert_eq!(page.token.as_deref(), Some("7"));
        let vm = &page.objects[0];
        assert_eq!(vm.get("name").and_then(Value::text), Some("a & b"));
        assert_eq!(vm.get("runtime.host").and_then(Value::reference).unwrap().id, "host-1");
        assert_eq!(vm.get("config.version"), None);
    }

    #[test]
    fn an_answer_without_objects_is_an_empty_page() {
        assert_eq!(decode("<R></R>").unwrap(), ObjectPage::default());
        assert_eq!(decode("<R><returnval/></R>").unwrap(), ObjectPage::default());
    }

    #[test]
    fn updates_say_what_came_changed_and_went() {
        let set = updates(
            r#"<R><returnval><version>3</version><filterSet><filter type="PropertyFilter">f</filter>
               <objectSet><kind>enter</kind><obj type="VirtualMachine">vm-1</obj>
                 <changeSet><name>name</name><op>assign</op><val>a</val></changeSet></objectSet>
               <objectSet><kind>modify</kind><obj type="VirtualMachine">vm-2</obj>
                 <changeSet><name>guest.ipAddress</name><op>assign</op></changeSet>
                 <changeSet><name>snapshot</name><op>indirectRemove</op></changeSet>
                 <changeSet><name>network["n"]</name><op>remove</op><val>x</val></changeSet></objectSet>
               <objectSet><kind>leave</kind><obj type="VirtualMachine">vm-3</obj></objectSet>
               </filterSet><truncated>true</truncated></returnval></R>"#,
        )
        .unwrap()
        .unwrap();
        assert_eq!((set.version.as_str(), set.truncated), ("3", true));
        let kinds: Vec<_> = set.updates.iter().map(|update| (update.kind, update.object.id.as_str())).collect();
        assert_eq!(kinds, [(UpdateKind::Enter, "vm-1"), (UpdateKind::Modify, "vm-2"), (UpdateKind::Leave, "vm-3")]);
        let changes: Vec<_> = set.updates[1].changes.iter().map(|c| (c.path.as_str(), c.partial)).collect();
        assert_eq!(changes, [("guest.ipAddress", false), ("snapshot", false), ("network[\"n\"]", true)]);
        assert!(set.updates[1].changes.iter().all(|change| change.value.is_none()));
    }

    #[test]
    fn a_wait_without_news_is_none() {
        assert_eq!(updates("<R></R>").unwrap(), None);
        assert!(updates("<R><returnval></returnval></R>").is_err(), "without a version there is no next wait");
    }
}
