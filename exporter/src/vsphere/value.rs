//! Values of properties: a text, a reference, or a structure with fields.

use std::str::FromStr;

use super::MoRef;
use super::xml::{Element, Xml, XmlError};

/// Deeper than any value that is asked for: snapshots may be nested to a depth of 32.
const MAX_DEPTH: usize = 100;

/// A value. Structures are small trees: what is asked for is a leaf, a list or a snapshot tree, never a whole object.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A simple value as text; empty for nothing.
    Text(Box<str>),
    /// A reference to an object.
    Reference(MoRef),
    /// A structure or a list.
    Fields(Vec<Field>),
    /// Nested deeper than any value that is asked for: what is in it is not known.
    TooDeep,
}

/// A field of a structure, or an item of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its `xsi:type`, where it has one.
    pub kind: Option<Box<str>>,
    /// What it holds.
    pub value: Value,
}

impl Value {
    /// The text, unless it is empty.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(&**text).filter(|text| !text.is_empty()) } else { None }
    }

    /// The text, parsed.
    pub fn parse<T: FromStr>(&self) -> Option<T> {
        self.text()?.trim().parse().ok()
    }

    /// The reference.
    pub fn reference(&self) -> Option<&MoRef> {
        if let Self::Reference(reference) = self { Some(reference) } else { None }
    }

    /// All fields.
    pub fn fields(&self) -> &[Field] {
        if let Self::Fields(fields) = self { fields } else { &[] }
    }

    /// All fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.fields().iter().filter(move |field| &*field.name == name).map(|field| &field.value)
    }

    /// What is at a path such as `info.name`; of a list the first.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(self, |value, name| {
            value.fields().iter().find(|field| &*field.name == name).map(|field| &field.value)
        })
    }

    /// The text at a path, unless it is empty.
    pub fn text_at(&self, path: &str) -> Option<&str> {
        self.at(path)?.text()
    }

    /// The text at a path, parsed.
    pub fn parse_at<T: FromStr>(&self, path: &str) -> Option<T> {
        self.at(path)?.parse()
    }
}

/// Reads the element that was read last.
pub(super) fn decode_value(xml: &mut Xml<'_>, element: &Element<'_>) -> Result<Value, XmlError> {
    value(xml, element, MAX_DEPTH)
}

fn value(xml: &mut Xml<'_>, element: &Element<'_>, depth: usize) -> Result<Value, XmlError> {
    if let Some(kind) = element.ref_type() {
        return Ok(Value::Reference(MoRef { kind, id: xml.text()?.into_owned() }));
    }
    let mut text = String::new();
    let (mut fields, mut too_deep) = (Vec::new(), false);
    while let Some(child) = xml.child_or_text(&mut text)? {
        // One object that is like this must not cost all others, nor the stack.
        if depth == 0 || too_deep {
            too_deep = true;
            xml.skip()?;
            continue;
        }
        let kind = child.xsi_type().map(String::into_boxed_str);
        let inner = value(xml, &child, depth - 1)?;
        too_deep = inner == Value::TooDeep;
        fields.push(Field { name: child.name().into(), kind, value: inner });
    }
    if too_deep {
        return Ok(Value::TooDeep);
    }
    Ok(if fields.is_empty() { Value::Text(text.into_boxed_str()) } else { Value::Fields(fields) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Value, XmlError> {
        let mut reader = Xml::new(xml);
        let element = reader.expect("val")?;
        decode_value(&mut reader, &element)
    }

    #[test]
    fn a_leaf_is_text() {
        assert_eq!(read("<val>a &amp; b</val>").unwrap().text(), Some("a & b"));
        assert_eq!(read("<val/>").unwrap().text(), None);
        assert_eq!(read("<val> 7 </val>").unwrap().parse(), Some(7));
    }

    #[test]
    fn a_reference_keeps_its_type() {
        let value = read(r#"<val type="HostSystem">host-1</val>"#).unwrap();
        assert_eq!(value.reference().unwrap().kind, "HostSystem");
    }

    #[test]
    fn a_structure_is_read_by_path() {
        let value = read(
            r#"<val xmlns:x="y"> <item x:type="A"><key>1</key><deep><name>one</name></deep></item><item><key>2</key></item></val>"#,
        )
        .unwrap();
        assert_eq!(value.text_at("item.deep.name"), Some("one"));
        assert_eq!(value.all("item").map(|item| item.parse_at("key").unwrap()).collect::<Vec<i32>>(), [1, 2]);
        assert_eq!(value.fields()[0].kind.as_deref(), Some("A"));
        assert_eq!(value.at("item.nothing"), None);
    }

    #[test]
    fn what_is_nested_without_end_is_not_known_and_ends_nothing_else() {
        for depth in [101, 5_000, 200_000] {
            let deep = format!("<R><val>{}{}</val><b>7</b></R>", "<a>".repeat(depth), "</a>".repeat(depth));
            let mut xml = Xml::new(&deep);
            xml.expect("R").unwrap();
            let element = xml.expect("val").unwrap();
            assert_eq!(decode_value(&mut xml, &element).unwrap(), Value::TooDeep);
            xml.expect("b").unwrap();
            assert_eq!(xml.text().unwrap(), "7");
        }
        let deep = format!("<val>{}x{}</val>", "<a>".repeat(100), "</a>".repeat(100));
        assert!(matches!(read(&deep).unwrap(), Value::Fields(_)));
    }
}
