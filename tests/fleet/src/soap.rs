//! vSphere's wire: SOAP 1.1 over HTTP, namespace `urn:vim25`.
//!
//! A request becomes a tree of [`Element`]s, an answer is a tree of [`Value`]s. Values know nothing of types: the
//! [`schema`] gives them their `xsi:type`, the order of their fields, and says which property paths exist.

mod fault;
mod request;
pub mod schema;
mod value;
mod write;

pub use fault::Fault;
pub use request::{Element, MAX_ELEMENTS, RequestError, parse};
pub use value::{MoRef, Record, Value, list, record};
pub use write::{escape, write_property, write_value};
pub(crate) use write::{push_number, push_time};

/// The start of every answer, as vCenter sends it.
pub const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenc=\"http://schemas.xmlsoap.org/soap/encoding/\"\n xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"\n xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"\n xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\n<soapenv:Body>\n";

/// Its end.
pub const TAIL: &str = "\n</soapenv:Body>\n</soapenv:Envelope>";
