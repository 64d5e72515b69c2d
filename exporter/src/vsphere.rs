//! The part of vSphere's SOAP API that the exporter speaks, the part of REST that tags need, and nothing above it.
//!
//! A [`Transport`] is the way to one vCenter or ESXi host; its limits hold for all who use it. A [`Client`] keeps one
//! session there: it signs in when the first [`Session`] is asked for, and again after a session was lost; a session
//! carries what dies with it on the server: the cookie and the container view. [`methods`] has one function for each
//! SOAP method: body out, decoded answer back. Answers are read with a pull parser over one bounded buffer; only values
//! of properties that are lists or structures become small trees.
//!
//! It never changes anything on a vCenter, except for its own sessions and the views and collectors in them.

mod certificate;
mod client;
mod counters;
mod envelope;
mod error;
mod events;
pub mod methods;
mod performance;
mod properties;
mod rest;
pub mod session;
mod tags;
mod transport;
mod value;
mod xml;

pub use client::Client;
pub use counters::{CounterIds, decode_counters};
pub use envelope::{Answer, open};
pub use error::{Error, FailureReason, Fault, FaultKind};
pub use events::{Event, EventObject, decode_events};
pub use methods::Method;
pub use performance::{EntityPerformance, Format, PerfQuery, PerfRequest, PerfSeries, decode_performance};
pub use properties::{Change, Object, ObjectPage, ObjectUpdate, UpdateKind, UpdateSet, decode_objects, decode_updates};
pub use session::Session;
pub use tags::{Tag, TagService};
pub use transport::{BackOff, Transport, http_client};
pub use value::{Field, Value};
pub use xml::{Xml, XmlError};

/// A reference to an object of vSphere: its type, and an id that is valid in this vCenter only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoRef {
    /// Such as `VirtualMachine`.
    pub kind: String,
    /// Such as `vm-57`.
    pub id: String,
}
