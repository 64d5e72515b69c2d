//! The part of vSphere's SOAP API that the exporter speaks, and nothing above it.
//!
//! A [`Client`] belongs to one vCenter. It signs in when the first [`Session`] is asked for, and again after a session
//! was lost; a session carries what dies with it on the server: the cookie and the container view. [`methods`] has one
//! function for each SOAP method: body out, decoded answer back. Answers are read with a pull parser over one bounded
//! buffer; no tree is built.
//!
//! It never changes anything on a vCenter, except for its own session and the view in it.

mod client;
mod counters;
mod envelope;
mod error;
pub mod methods;
mod performance;
mod properties;
mod session;
mod transport;
mod xml;

pub use client::Client;
pub use counters::{CounterIds, decode_counters};
pub use envelope::{Answer, open};
pub use error::{Error, FailureReason, Fault, FaultKind};
pub use methods::Method;
pub use performance::{EntityPerformance, PerfRequest, Sample, decode_performance};
pub use properties::{Object, Property, decode_objects};
pub use session::Session;
pub use xml::{Xml, XmlError};

/// A reference to an object of vSphere: its type, and an id that is valid in this vCenter only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoRef {
    /// Such as `VirtualMachine`.
    pub kind: String,
    /// Such as `vm-57`.
    pub id: String,
}
