//! Requests: XML to a tree that borrows from the body. The biggest, a `QueryPerf` of 500,000 elements, is some 12 MB.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::MoRef;

/// vCenter refuses documents with more elements than this.
pub const MAX_ELEMENTS: usize = 500_000;
/// Deeper than any method's arguments; a limit, since a tree of any depth would be walked by recursion.
const MAX_DEPTH: usize = 64;

/// A request that is no request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// Not XML.
    #[error("error parsing the request at byte {position}: {reason}")]
    Malformed {
        /// Where.
        position: u64,
        /// The parser's words.
        reason: String,
    },
    /// XML, but not SOAP.
    #[error("expected a SOAP envelope with a method in its body, found {0}")]
    NotSoap(&'static str),
    /// A document over vCenter's limit.
    #[error("XML document element count exceeds configured maximum {0}")]
    TooManyElements(usize),
}

/// An element with all that is in it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Element<'x> {
    /// Its name, without a prefix.
    pub name: &'x str,
    /// Its `type` attribute: what a reference refers to.
    pub reference_type: Option<Cow<'x, str>>,
    /// Its `xsi:type`, without a prefix.
    pub xsi_type: Option<Cow<'x, str>>,
    /// Its text, whitespace kept.
    pub text: Cow<'x, str>,
    /// Its children.
    pub children: Vec<Element<'x>>,
}

impl<'x> Element<'x> {
    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Element<'x>> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element<'x>> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of a child.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_ref())
    }

    /// The text of a child, parsed.
    pub fn parse<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.text_of(name)?.trim().parse().ok()
    }

    /// Whether a child says true. XML knows two ways of that.
    pub fn flag(&self, name: &str) -> bool {
        matches!(self.text_of(name).map(str::trim), Some("true" | "1"))
    }

    /// What this element refers to.
    pub fn moref(&self) -> MoRef {
        MoRef::new(self.reference_type.as_deref().unwrap_or_default(), self.text.trim())
    }
}

/// Reads an envelope, and gives the element of the method.
pub fn parse(body: &str, max_elements: usize) -> Result<Element<'_>, RequestError> {
    let envelope = document(body, max_elements)?;
    if envelope.name != "Envelope" {
        return Err(RequestError::NotSoap("another root element"));
    }
    let mut children = envelope.children.into_iter();
    let body = children.find(|child| child.name == "Body").ok_or(RequestError::NotSoap("no body"))?;
    body.children.into_iter().next().ok_or(RequestError::NotSoap("an empty body"))
}

fn document(body: &str, max_elements: usize) -> Result<Element<'_>, RequestError> {
    let mut reader = Reader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<Element<'_>> = Vec::new();
    let mut count = 0usize;
    loop {
        let event = reader.read_event();
        let malformed = |reason: String| RequestError::Malformed { position: reader.error_position(), reason };
        match event.map_err(|error| malformed(error.to_string()))? {
            Event::Start(start) => {
                count += 1;
                if count > max_elements {
                    return Err(RequestError::TooManyElements(max_elements));
                }
                if open.len() >= MAX_DEPTH {
                    return Err(malformed(format!("elements nest deeper than {MAX_DEPTH}")));
                }
                open.push(element(body, &start).ok_or_else(|| malformed("a name that cannot be read".to_owned()))?);
            }
            Event::End(_) => {
                let Some(done) = open.pop() else { return Err(malformed("an end without a start".to_owned())) };
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::Text(part) => append(&mut open, part.into_inner()),
            Event::CData(part) => append(&mut open, part.into_inner()),
            Event::GeneralRef(reference) => {
                let resolved = match reference.resolve_char_ref() {
                    Ok(Some(c)) => Cow::Owned(c.to_string()),
                    Ok(None) => quick_xml::escape::resolve_predefined_entity(&reference)
                        .map(Cow::Borrowed)
                        .ok_or_else(|| malformed(format!("unknown entity `{}`", &*reference)))?,
                    Err(error) => return Err(malformed(error.to_string())),
                };
                append(&mut open, resolved);
            }
            Event::DocType(_) => return Err(malformed("a document type, which SOAP does not allow".to_owned())),
            Event::Eof => return Err(malformed("the document ends inside an element".to_owned())),
            _ => {}
        }
    }
}

fn append<'x>(open: &mut [Element<'x>], part: Cow<'x, str>) {
    let Some(element) = open.last_mut() else { return };
    // Indentation between elements is most of the text of a request, and nobody's value.
    if element.text.is_empty() { element.text = part } else { element.text.to_mut().push_str(&part) }
}

fn element<'x>(body: &'x str, start: &BytesStart<'_>) -> Option<Element<'x>> {
    let mut element = Element { name: local(within(body, start.name().into_inner())?), ..Element::default() };
    for attribute in start.attributes().with_checks(false).flatten() {
        let key = attribute.key.into_inner();
        if key != "type" && !key.ends_with(":type") {
            continue;
        }
        let raw = within(body, &attribute.value)?;
        let value = quick_xml::escape::unescape(raw).ok()?;
        if key == "type" {
            element.reference_type = Some(value);
        } else {
            element.xsi_type = Some(match value {
                Cow::Borrowed(text) => Cow::Borrowed(local(text)),
                Cow::Owned(text) => Cow::Owned(local(&text).to_owned()),
            });
        }
    }
    Some(element)
}

fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The part of the body that the parser hands out under a shorter lifetime.
fn within<'x>(body: &'x str, part: &str) -> Option<&'x str> {
    let start = (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize)?;
    body.get(start..start + part.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str) -> String {
        format!(r#"<e:Envelope xmlns:e="x"><e:Header/><e:Body>{method}</e:Body></e:Envelope>"#)
    }

    #[test]
    fn a_method_comes_with_its_arguments() {
        let body = request(
            r#"<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>a&amp;b &#65;</userName><empty/></Login>"#,
        );
        let login = parse(&body, MAX_ELEMENTS).unwrap();
        assert_eq!(login.name, "Login");
        assert_eq!(login.child("_this").unwrap().moref(), MoRef::new("SessionManager", "SessionManager"));
        assert_eq!(login.text_of("userName"), Some("a&b A"));
        assert_eq!(login.text_of("empty"), Some(""));
    }

    #[test]
    fn a_type_attribute_and_an_xsi_type_are_told_apart() {
        let body = request(
            r#"<M><a xsi:type="ns:TraversalSpec"/><b type="Folder" XSI:type="ManagedObjectReference">g</b></M>"#,
        );
        let method = parse(&body, MAX_ELEMENTS).unwrap();
        assert_eq!(method.child("a").unwrap().xsi_type.as_deref(), Some("TraversalSpec"));
        assert_eq!(method.child("b").unwrap().reference_type.as_deref(), Some("Folder"));
    }

    #[test]
    fn what_is_not_a_request_is_an_error() {
        for body in ["", "hello", "<a>", "<a></b>", "<!DOCTYPE a><a/>", "<a>&nosuch;</a>", &"<a>".repeat(100)] {
            assert!(matches!(parse(body, MAX_ELEMENTS), Err(RequestError::Malformed { .. })), "{body}");
        }
        assert_eq!(parse("<a/>", 10), Err(RequestError::NotSoap("another root element")));
        assert_eq!(parse(&request(""), 10), Err(RequestError::NotSoap("an empty body")));
    }

    #[test]
    fn a_document_over_the_limit_is_refused() {
        let body = request("<M><a/><a/><a/></M>");
        assert_eq!(parse(&body, 6), Err(RequestError::TooManyElements(6)));
        assert!(parse(&body, 7).is_ok());
    }
}
