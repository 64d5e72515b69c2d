//! Values of vSphere's data model.

use std::borrow::Cow;
use std::fmt;

/// A reference to a managed object: its type and its id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MoRef {
    /// The object's type, such as `VirtualMachine`.
    pub kind: Cow<'static, str>,
    /// Its id, such as `vm-1017`.
    pub id: Cow<'static, str>,
}

impl MoRef {
    /// A reference whose parts come from a request.
    pub fn new(kind: &str, id: &str) -> Self {
        Self { kind: Cow::Owned(kind.to_owned()), id: Cow::Owned(id.to_owned()) }
    }

    /// A reference to an object of a known type.
    pub fn of(kind: &'static str, id: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: Cow::Borrowed(kind), id: id.into() }
    }
}

impl fmt::Display for MoRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.id)
    }
}

/// A value; what it is on the wire (`int` or `long`, string or enumeration) is up to where it stands.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Value {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'static, str>),
    /// Milliseconds since the Unix epoch.
    Time(i64),
    Ref(MoRef),
    Record(Record),
    List(Vec<Value>),
    /// A value that stands where anything may, so has to say what it is.
    Typed(&'static str, Box<Value>),
}

/// A data object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// Its type; empty for the one that is declared where it stands.
    pub kind: Cow<'static, str>,
    /// Its fields, in any order.
    pub fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Adds a field if there is a value for it.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

/// A data object of this type; `""` for the type that is declared where it stands.
pub fn record(kind: &'static str) -> Record {
    Record { kind: Cow::Borrowed(kind), fields: Vec::new() }
}

/// A list of values.
pub fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::List(items.into_iter().map(Into::into).collect())
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

macro_rules! integers {
    ($($kind:ty)*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::Int(i64::from(value))
            }
        }
    )*};
}
integers!(i16 i32 i64 u8 u16 u32);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl From<MoRef> for Value {
    fn from(value: MoRef) -> Self {
        Self::Ref(value)
    }
}

impl From<Record> for Value {
    fn from(value: Record) -> Self {
        Self::Record(value)
    }
}
