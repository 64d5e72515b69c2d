//! A pull parser for elements: the caller asks for the children it knows and skips the others.
//!
//! Every element that [`Xml::child`] yields has to be consumed, by [`Xml::text`], by [`Xml::skip`], or by reading its
//! children until there are none; that is what lets the code work without keeping a stack.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// An answer that is not the XML it should be.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// No XML at all, or an unknown entity in it.
    #[error("malformed XML at byte {position}: {reason}")]
    Malformed {
        /// Where.
        position: u64,
        /// The parser's words.
        reason: String,
    },
    /// It ends in the middle.
    #[error("the XML ends inside an element")]
    Truncated,
    /// Another element than the protocol has there.
    #[error("expected the element `{expected}`, found {found}")]
    Unexpected {
        /// The element that belongs there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// A value that cannot be read.
    #[error("expected {expected} in `{element}`, found `{found}`")]
    Value {
        /// Where.
        element: String,
        /// What belongs there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// A reader of one answer.
pub struct Xml<'a> {
    reader: Reader<&'a [u8]>,
}

/// The start of an element.
pub struct Element<'a>(BytesStart<'a>);

impl Element<'_> {
    /// Its name, without a prefix.
    pub fn name(&self) -> &str {
        let name = self.0.name().into_inner();
        name.rsplit_once(':').map_or(name, |(_, local)| local)
    }

    /// Its `xsi:type`, without a prefix. Servers differ in the prefix for `xsi`; `type` without one is another attribute.
    pub fn xsi_type(&self) -> Option<String> {
        let value = self.attribute(|key| key.ends_with(":type"))?;
        Some(value.rsplit_once(':').map_or(value.as_str(), |(_, local)| local).to_owned())
    }

    /// The type of the object that a reference refers to.
    pub fn ref_type(&self) -> Option<String> {
        self.attribute(|key| key == "type")
    }

    fn attribute(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        let mut attributes = self.0.attributes();
        attributes
            .with_checks(false)
            .flatten()
            .filter(|attribute| wanted(attribute.key.into_inner()))
            .find_map(|attribute| quick_xml::escape::unescape(&attribute.value).ok().map(Cow::into_owned))
    }
}

impl<'a> Xml<'a> {
    /// Starts before the root element.
    pub fn new(text: &'a str) -> Self {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { reader }
    }

    /// The next child of the element that was read last, or `None` at its end.
    pub fn child(&mut self) -> Result<Option<Element<'a>>, XmlError> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some(Element(start))),
                Event::End(_) => return Ok(None),
                Event::Eof => return Err(XmlError::Truncated),
                _ => {}
            }
        }
    }

    /// The next child, or `None` at the end; the text before it is appended. For elements that may hold either.
    pub fn child_or_text(&mut self, text: &mut String) -> Result<Option<Element<'a>>, XmlError> {
        loop {
            match self.event()? {
                Event::Start(start) => return Ok(Some(Element(start))),
                Event::End(_) => return Ok(None),
                Event::Eof => return Err(XmlError::Truncated),
                Event::Text(part) => text.push_str(&part.into_inner()),
                Event::CData(part) => text.push_str(&part.into_inner()),
                Event::GeneralRef(reference) => text.push_str(&self.resolve(&reference)?),
                _ => {}
            }
        }
    }

    /// The next child, which has to be this one.
    pub fn expect(&mut self, name: &str) -> Result<Element<'a>, XmlError> {
        let unexpected = |found: String| XmlError::Unexpected { expected: name.to_owned(), found };
        match self.child() {
            Ok(Some(child)) if child.name() == name => Ok(child),
            Ok(Some(child)) => Err(unexpected(format!("`{}`", child.name()))),
            Ok(None) => Err(unexpected("nothing".to_owned())),
            Err(XmlError::Truncated) => Err(unexpected("the end of the answer".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// The text of the element that was read last. Elements within it are skipped.
    pub fn text(&mut self) -> Result<Cow<'a, str>, XmlError> {
        let mut text = Cow::Borrowed("");
        loop {
            match self.event()? {
                Event::Text(part) => append(&mut text, part.into_inner()),
                Event::CData(part) => append(&mut text, part.into_inner()),
                Event::GeneralRef(reference) => text.to_mut().push_str(&self.resolve(&reference)?),
                Event::Start(_) => self.skip()?,
                Event::End(_) => return Ok(text),
                Event::Eof => return Err(XmlError::Truncated),
                _ => {}
            }
        }
    }

    /// The text of `element`, parsed.
    pub fn parse<T: std::str::FromStr>(
        &mut self,
        element: &Element<'_>,
        expected: &'static str,
    ) -> Result<T, XmlError> {
        let text = self.text()?;
        text.trim().parse().map_err(|_| {
            let found = text.chars().take(100).collect();
            XmlError::Value { element: element.name().to_owned(), expected, found }
        })
    }

    /// Goes to the end of the element that was read last.
    pub fn skip(&mut self) -> Result<(), XmlError> {
        let mut depth = 1usize;
        while depth > 0 {
            match self.event()? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(XmlError::Truncated),
                _ => {}
            }
        }
        Ok(())
    }

    fn resolve(&self, reference: &BytesRef<'_>) -> Result<Cow<'static, str>, XmlError> {
        match reference.resolve_char_ref() {
            Ok(Some(c)) => Ok(Cow::Owned(c.to_string())),
            Ok(None) => quick_xml::escape::resolve_predefined_entity(reference)
                .map(Cow::Borrowed)
                .ok_or_else(|| self.malformed(&format!("unknown entity `{}`", &**reference))),
            // XML has no such character, and guests have put worse into what VMware Tools report.
            Err(_) => Ok(Cow::Borrowed("\u{fffd}")),
        }
    }

    fn event(&mut self) -> Result<Event<'a>, XmlError> {
        match self.reader.read_event() {
            // Entities of its own are the door to expansion attacks, and SOAP forbids a DTD.
            Ok(Event::DocType(_)) => Err(self.malformed(&"a document type, which SOAP does not allow")),
            Ok(event) => Ok(event),
            Err(error) => Err(self.malformed(&error)),
        }
    }

    fn malformed(&self, reason: &dyn std::fmt::Display) -> XmlError {
        XmlError::Malformed { position: self.reader.error_position(), reason: reason.to_string() }
    }
}

fn append<'a>(text: &mut Cow<'a, str>, part: Cow<'a, str>) {
    if text.is_empty() { *text = part } else { text.to_mut().push_str(&part) }
}

/// Text as it may stand in an element or an attribute.
pub(super) fn escape(text: &str) -> Cow<'_, str> {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(xml: &str) -> Result<String, XmlError> {
        let mut xml = Xml::new(xml);
        xml.child()?;
        Ok(xml.text()?.into_owned())
    }

    #[test]
    fn entities_and_sections_become_text() {
        assert_eq!(text_of("<a>x &amp; y&#x20;&lt;<![CDATA[<z>]]></a>").unwrap(), "x & y <<z>");
    }

    #[test]
    fn a_character_that_is_none_is_replaced() {
        assert_eq!(text_of("<a>x&#0;y&#xD800;z&#xZZ;&#x7;</a>").unwrap(), "x\u{fffd}y\u{fffd}z\u{fffd}\u{7}");
    }

    #[test]
    fn an_entity_of_its_own_is_refused() {
        assert!(matches!(text_of("<a>&evil;</a>"), Err(XmlError::Malformed { .. })));
    }

    #[test]
    fn a_document_type_is_refused() {
        assert!(matches!(text_of("<!DOCTYPE a><a>x</a>"), Err(XmlError::Malformed { .. })));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        assert!(matches!(text_of("<a>x"), Err(XmlError::Truncated)));
        assert!(text_of("<a><b></a>").is_err());
    }

    #[test]
    fn the_type_of_a_value_is_told_from_the_type_of_a_reference() {
        let mut xml =
            Xml::new(r#"<val xmlns:i="x" i:type="vim25:ManagedObjectReference" type="HostSystem">host-1</val>"#);
        let element = xml.child().unwrap().unwrap();
        assert_eq!(element.xsi_type().as_deref(), Some("ManagedObjectReference"));
        assert_eq!(element.ref_type().as_deref(), Some("HostSystem"));
    }

    #[test]
    fn a_number_that_is_none_is_named() {
        let mut xml = Xml::new("<interval>soon</interval>");
        let element = xml.child().unwrap().unwrap();
        let error = xml.parse::<u32>(&element, "a whole number").unwrap_err();
        assert_eq!(error.to_string(), "expected a whole number in `interval`, found `soon`");
    }
}
