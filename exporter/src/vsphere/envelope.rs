//! SOAP envelopes: around a request, and off an answer.

use super::xml::{Xml, XmlError};
use super::{Fault, FaultKind, MoRef};

/// What an answer holds.
pub enum Answer<'a> {
    /// The reader stands inside the response element: its children are the return values.
    Response(Xml<'a>),
    /// vCenter says no.
    Fault(Fault),
}

/// A request around this body.
pub(super) fn wrap(body: &str) -> String {
    const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>"#;
    const TAIL: &str = "</soapenv:Body></soapenv:Envelope>";
    [HEAD, body, TAIL].concat()
}

/// Takes the envelope off an answer, which has to be this response.
pub fn open<'a>(text: &'a str, response: &str) -> Result<Answer<'a>, XmlError> {
    let mut xml = Xml::new(text);
    xml.expect("Envelope")?;
    while let Some(element) = xml.child()? {
        if element.name() != "Body" {
            xml.skip()?;
            continue;
        }
        return match xml.child()? {
            Some(child) if child.name() == "Fault" => Ok(Answer::Fault(fault(&mut xml)?)),
            Some(child) if child.name() == response => Ok(Answer::Response(xml)),
            other => Err(XmlError::Unexpected {
                expected: response.to_owned(),
                found: other.map_or("nothing".to_owned(), |child| format!("`{}`", child.name())),
            }),
        };
    }
    Err(XmlError::Unexpected { expected: "Body".to_owned(), found: "nothing".to_owned() })
}

fn fault(xml: &mut Xml<'_>) -> Result<Fault, XmlError> {
    let mut found =
        Fault { kind: FaultKind::Other("unknown".to_owned()), message: String::new(), object: None, property: None };
    while let Some(element) = xml.child()? {
        match element.name() {
            "faultstring" => found.message = xml.text()?.trim().to_owned(),
            "detail" => {
                while let Some(detail) = xml.child()? {
                    let name = detail
                        .xsi_type()
                        .unwrap_or_else(|| detail.name().strip_suffix("Fault").unwrap_or(detail.name()).to_owned());
                    found.kind = FaultKind::from_name(&name);
                    (found.object, found.property) = subject(xml)?;
                }
            }
            _ => xml.skip()?,
        }
    }
    Ok(found)
}

/// `obj` of ManagedObjectNotFound, `object` of NotAuthenticated and NoPermission; `name` of InvalidProperty.
fn subject(xml: &mut Xml<'_>) -> Result<(Option<MoRef>, Option<String>), XmlError> {
    let (mut object, mut property) = (None, None);
    while let Some(element) = xml.child()? {
        match (element.name(), element.ref_type()) {
            ("obj" | "object", Some(kind)) => object = Some(MoRef { kind, id: xml.text()?.into_owned() }),
            ("name", None) => property = Some(xml.text()?.into_owned()),
            _ => xml.skip()?,
        }
    }
    Ok((object, property))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let text = wrap(body);
        let found = match open(&text, "LoginResponse") {
            Ok(Answer::Response(mut xml)) => format!("response with {}", xml.child().unwrap().unwrap().name()),
            Ok(Answer::Fault(fault)) => fault.to_string(),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_response_is_opened() {
        check("<LoginResponse xmlns=\"urn:vim25\"><returnval/></LoginResponse>", "response with returnval");
    }

    #[test]
    fn a_fault_is_told_by_its_type() {
        check(
            r#"<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>Login failure</faultstring>
               <detail><Other xmlns="urn:vim25" xsi:type="InvalidLogin"></Other></detail></soapenv:Fault>"#,
            "fault `InvalidLogin`: Login failure",
        );
    }

    #[test]
    fn a_fault_without_a_type_is_told_by_its_element() {
        check(
            r#"<soapenv:Fault><faultstring></faultstring><detail><ManagedObjectNotFoundFault>
               <obj type="VirtualMachine">vm-1</obj></ManagedObjectNotFoundFault></detail></soapenv:Fault>"#,
            "fault `ManagedObjectNotFound` on VirtualMachine `vm-1`",
        );
    }

    #[test]
    fn an_unknown_fault_keeps_its_name() {
        check(r#"<soapenv:Fault><detail><SystemErrorFault/></detail></soapenv:Fault>"#, "fault `SystemError`");
        check("<soapenv:Fault></soapenv:Fault>", "fault `unknown`");
    }

    #[test]
    fn another_response_than_the_one_awaited_is_an_error() {
        check("<LogoutResponse/>", "error: expected the element `LoginResponse`, found `LogoutResponse`");
        check("", "error: expected the element `LoginResponse`, found nothing");
    }

    #[test]
    fn html_is_no_answer() {
        let error = open("<html><body>hello</body></html>", "LoginResponse").err().unwrap();
        assert_eq!(error.to_string(), "expected the element `Envelope`, found `html`");
        assert!(open("", "LoginResponse").is_err());
    }
}
