//! What vCenter answers when it does not do what was asked.

use super::{HEAD, MoRef, Record, RequestError, TAIL, record, write_value};

/// A fault, with what its detail carries.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[expect(missing_docs, reason = "the names are VMware's")]
pub enum Fault {
    #[error("Cannot complete login due to an incorrect user name or password.")]
    InvalidLogin,
    #[error("The session is not authenticated.")]
    NotAuthenticated { object: MoRef, privilege: &'static str },
    #[error("The object 'vim.{}:{}' has already been deleted or has not been completely created", .0.kind, .0.id)]
    ManagedObjectNotFound(MoRef),
    #[error("A specified parameter was not correct: {0}")]
    InvalidArgument(String),
    #[error("")]
    InvalidProperty(String),
    #[error("")]
    InvalidType(String),
    #[error("A specified parameter was not correct: name {0}")]
    InvalidName(String),
    #[error("")]
    InvalidCollectorVersion,
    #[error("The request was canceled.")]
    RequestCanceled,
    #[error("This operation is restricted by the administrator - '{0}'.")]
    RestrictedByAdministrator(String),
    #[error("The method {method} is not known on {receiver}.")]
    MethodNotFound { receiver: MoRef, method: String },
    #[error("{0}")]
    InvalidRequest(String),
    #[error("A general system error occurred: {0}")]
    SystemError(String),
    #[error("The operation is not supported on the object.")]
    NotSupported,
}

impl From<RequestError> for Fault {
    fn from(error: RequestError) -> Self {
        let text = match error {
            RequestError::TooManyElements(_) => format!("{error}\n\nwhile parsing HTTP request"),
            error => format!(
                "\nwhile parsing SOAP envelope: {error}\n\nwhile parsing HTTP request before method was determined"
            ),
        };
        Self::InvalidRequest(text)
    }
}

impl Fault {
    /// The detail as a data object.
    pub fn detail(&self) -> Record {
        match self {
            Self::InvalidLogin => record("InvalidLogin"),
            Self::NotAuthenticated { object, privilege } => {
                record("NotAuthenticated").with("object", object.clone()).with("privilegeId", *privilege)
            }
            Self::ManagedObjectNotFound(object) => record("ManagedObjectNotFound").with("obj", object.clone()),
            Self::InvalidArgument(name) => record("InvalidArgument").with("invalidProperty", name.clone()),
            Self::InvalidProperty(name) => record("InvalidProperty").with("name", name.clone()),
            Self::InvalidType(argument) => record("InvalidType").with("argument", argument.clone()),
            Self::InvalidName(name) => record("InvalidName").with("name", name.clone()),
            Self::InvalidCollectorVersion => record("InvalidCollectorVersion"),
            Self::RequestCanceled => record("RequestCanceled"),
            Self::RestrictedByAdministrator(option) => {
                record("RestrictedByAdministrator").with("details", option.clone())
            }
            Self::MethodNotFound { receiver, method } => {
                record("MethodNotFound").with("receiver", receiver.clone()).with("method", method.clone())
            }
            Self::InvalidRequest(_) => record("InvalidRequest"),
            Self::SystemError(reason) => record("SystemError").with("reason", reason.clone()),
            Self::NotSupported => record("NotSupported"),
        }
    }

    /// The answer.
    pub fn envelope(&self) -> String {
        let detail = self.detail();
        let text = super::escape(&self.to_string()).into_owned();
        let mut out = format!(
            "{HEAD}<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>{text}</faultstring><detail>"
        );
        let kind = detail.kind.clone();
        let mut fault = String::new();
        // Declared as its base, so that the element says its type, as vCenter's does.
        write_value(&mut fault, &format!("{kind}Fault"), &detail.into(), "MethodFault");
        let name = format!("<{kind}Fault");
        out.push_str(&fault.replacen(&name, &format!("{name} xmlns=\"urn:vim25\""), 1));
        out.push_str("</detail></soapenv:Fault>");
        out.push_str(TAIL);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_carries_its_type_and_detail() {
        let fault = Fault::ManagedObjectNotFound(MoRef::of("VirtualMachine", "vm-1"));
        let envelope = fault.envelope();
        assert!(envelope.contains(
            r#"<faultstring>The object &apos;vim.VirtualMachine:vm-1&apos; has already been deleted or has not been completely created</faultstring><detail><ManagedObjectNotFoundFault xmlns="urn:vim25" xsi:type="ManagedObjectNotFound"><obj type="VirtualMachine">vm-1</obj></ManagedObjectNotFoundFault></detail>"#
        ), "{envelope}");
    }

    #[test]
    fn a_document_over_the_limit_is_named_as_vcenter_names_it() {
        let fault = Fault::from(RequestError::TooManyElements(500_000));
        assert!(fault.to_string().starts_with("XML document element count exceeds configured maximum 500000"));
    }
}
