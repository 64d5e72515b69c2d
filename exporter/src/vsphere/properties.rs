//! Answers of the property collector.

use std::collections::HashMap;

use super::MoRef;
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
    /// By path.
    pub properties: HashMap<String, Property>,
}

/// A simple value, or a reference to an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// The value as text.
    pub text: String,
    /// The type of the object it refers to, if it is a reference.
    pub ref_type: Option<String>,
}

impl Object {
    /// A property that is there and not empty.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.properties.get(path).map(|property| property.text.as_str()).filter(|text| !text.is_empty())
    }

    /// A property that is there and can be parsed.
    pub fn parse<T: std::str::FromStr>(&self, path: &str) -> Option<T> {
        self.text(path)?.trim().parse().ok()
    }

    /// A reference to another object.
    pub fn reference(&self, path: &str) -> Option<MoRef> {
        let property = self.properties.get(path)?;
        Some(MoRef { kind: property.ref_type.clone()?, id: property.text.clone() })
    }
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
    let (mut reference, mut properties) = (None, HashMap::new());
    while let Some(element) = xml.child()? {
        match element.name() {
            "obj" => {
                let kind = element.ref_type().unwrap_or_default();
                reference = Some(MoRef { kind, id: xml.text()?.into_owned() });
            }
            "propSet" => {
                if let Some((name, property)) = property(xml)? {
                    properties.insert(name, property);
                }
            }
            // `missingSet` says why a property is not there: most often a privilege on one object.
            _ => xml.skip()?,
        }
    }
    Ok(reference.map(|reference| Object { reference, properties }))
}

fn property(xml: &mut Xml<'_>) -> Result<Option<(String, Property)>, XmlError> {
    let (mut name, mut value) = (None, None);
    while let Some(element) = xml.child()? {
        match element.name() {
            "name" => name = Some(xml.text()?.into_owned()),
            "val" => value = Some(Property { ref_type: element.ref_type(), text: xml.text()?.into_owned() }),
            _ => xml.skip()?,
        }
    }
    Ok(name.zip(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(xml: &str) -> Result<ObjectPage, XmlError> {
        let mut reader = Xml::new(xml);
        reader.expect("R")?;
        decode_objects(reader)
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
        assert_eq!(vm.text("name"), Some("a & b"));
        assert_eq!(vm.reference("runtime.host").unwrap().id, "host-1");
        assert_eq!(vm.reference("name"), None);
        assert_eq!(vm.text("config.version"), None);
    }

    #[test]
    fn an_answer_without_objects_is_an_empty_page() {
        assert_eq!(decode("<R></R>").unwrap(), ObjectPage::default());
        assert_eq!(decode("<R><returnval/></R>").unwrap(), ObjectPage::default());
    }
}
