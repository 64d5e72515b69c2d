//! Values to XML, typed by the schema.

use std::borrow::Cow;
use std::fmt::Write as _;

use super::schema::{self, Kind};
use super::{MoRef, Record, Value};

/// Text as it may stand in an element or an attribute.
pub fn escape(text: &str) -> Cow<'_, str> {
    quick_xml::escape::escape(text)
}

/// Writes `<element>value</element>` for a field that is declared as `declared`.
pub fn write_value(out: &mut String, element: &str, value: &Value, declared: &str) {
    match value {
        Value::List(items) => items.iter().for_each(|item| write_value(out, element, item, declared)),
        Value::Typed(kind, value) => typed(out, element, value, kind, true),
        Value::Record(record) if !record.kind.is_empty() && record.kind != declared => {
            typed(out, element, value, &record.kind, true);
        }
        value => typed(out, element, value, declared, declared == "anyType"),
    }
}

/// Writes the value of a property: `<val xsi:type="…">`, since a property may be of any type.
pub fn write_property(out: &mut String, element: &str, value: &Value, declared: &str, array: bool) {
    if !array {
        let kind = match value {
            Value::Record(record) if !record.kind.is_empty() => &record.kind,
            _ => declared,
        };
        return typed(out, element, value, kind, true);
    }
    let name = capitalised(declared);
    push(out, &["<", element, " xsi:type=\"ArrayOf", &name, "\">"]);
    // The elements of an array of a primitive are named as the primitive, others as their declared type.
    let items = if let Value::List(items) = value { items.as_slice() } else { std::slice::from_ref(value) };
    for item in items {
        let kind = match item {
            Value::Record(record) if !record.kind.is_empty() => &record.kind,
            _ => declared,
        };
        typed(out, declared, item, kind, true);
    }
    push(out, &["</", element, ">"]);
}

fn capitalised(name: &str) -> Cow<'_, str> {
    match name.chars().next() {
        Some(first) if first.is_ascii_lowercase() => Cow::Owned(first.to_ascii_uppercase().to_string() + &name[1..]),
        _ => Cow::Borrowed(name),
    }
}

fn is_primitive(kind: &str) -> bool {
    kind.starts_with(|c: char| c.is_ascii_lowercase())
}

fn typed(out: &mut String, element: &str, value: &Value, kind: &str, say_type: bool) {
    push(out, &["<", element]);
    if let Value::Ref(MoRef { kind, .. }) = value {
        push(out, &[" type=\"", &escape(kind), "\""]);
    }
    if say_type {
        let kind = if kind == "anyType" { primitive_of(value) } else { kind };
        let prefix = if is_primitive(kind) { "xsd:" } else { "" };
        push(out, &[" xsi:type=\"", prefix, kind, "\""]);
    }
    out.push('>');
    content(out, value, kind);
    push(out, &["</", element, ">"]);
}

/// The type of a value that stands where anything may and does not say what it is.
fn primitive_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Int(_) => "int",
        Value::Float(_) => "double",
        Value::Time(_) => "dateTime",
        Value::Ref(_) => "ManagedObjectReference",
        Value::Text(_) | Value::Record(_) | Value::List(_) | Value::Typed(..) => "string",
    }
}

fn content(out: &mut String, value: &Value, kind: &str) {
    match value {
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(number) => push_number(out, *number),
        Value::Float(number) => out.push_str(&number.to_string()),
        Value::Text(text) => out.push_str(&escape(text)),
        Value::Time(milliseconds) => push_time(out, *milliseconds),
        Value::Ref(reference) => out.push_str(&escape(&reference.id)),
        Value::Record(record) => fields(out, record, kind),
        Value::List(items) => items.iter().for_each(|item| content(out, item, kind)),
        Value::Typed(kind, value) => content(out, value, kind),
    }
}

fn fields(out: &mut String, record: &Record, kind: &str) {
    let Some(declared) = schema::find(kind).filter(|found| found.kind != Kind::Enum) else {
        debug_assert!(false, "`{kind}` is not in the schema: add it to the roots in schema.py");
        return;
    };
    for (name, _) in &record.fields {
        debug_assert!(declared.field(name).is_some(), "`{kind}` has no field `{name}`");
    }
    for field in &declared.fields {
        if let Some((_, value)) = record.fields.iter().find(|(name, _)| *name == field.name) {
            write_value(out, field.name, value, field.of);
        }
    }
}

/// Appends a number; `write!` is several times slower, and `QueryPerf` writes tens of thousands of them.
pub(crate) fn push_number(out: &mut String, number: i64) {
    let mut digits = [0u8; 20];
    let mut rest = number.unsigned_abs();
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        out.push('-');
    }
    digits[start..].iter().for_each(|digit| out.push(char::from(*digit)));
}

/// Appends an instant as vCenter writes it.
pub(crate) fn push_time(out: &mut String, milliseconds: i64) {
    // What lies outside of the calendar's thousands of years is no time that anyone asks for.
    let time = jiff::Timestamp::from_millisecond(milliseconds).unwrap_or_default();
    let written = if milliseconds % 1000 == 0 { write!(out, "{time}") } else { write!(out, "{time:.3}") };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
}

pub(crate) fn push(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soap::{list, record};

    fn property(value: impl Into<Value>, object: &str, path: &str) -> String {
        let field = schema::resolve(object, path).unwrap();
        let mut out = String::new();
        write_property(&mut out, "val", &value.into(), field.of, field.array);
        out
    }

    #[test]
    fn properties_say_their_type() {
        assert_eq!(property("a<b", "VirtualMachine", "name"), r#"<val xsi:type="xsd:string">a&lt;b</val>"#);
        assert_eq!(
            property("poweredOn", "VirtualMachine", "runtime.powerState"),
            r#"<val xsi:type="VirtualMachinePowerState">poweredOn</val>"#
        );
        assert_eq!(
            property(MoRef::of("HostSystem", "host-1"), "VirtualMachine", "runtime.host"),
            r#"<val type="HostSystem" xsi:type="ManagedObjectReference">host-1</val>"#
        );
        assert_eq!(property(7u32, "Datastore", "summary.freeSpace"), r#"<val xsi:type="xsd:long">7</val>"#);
    }

    #[test]
    fn arrays_are_named_after_what_they_hold() {
        assert_eq!(
            property(list([MoRef::of("Network", "n-1")]), "VirtualMachine", "network"),
            r#"<val xsi:type="ArrayOfManagedObjectReference"><ManagedObjectReference type="Network" xsi:type="ManagedObjectReference">n-1</ManagedObjectReference></val>"#
        );
        assert_eq!(
            property(list([-1i32]), "VirtualMachine", "effectiveRole"),
            r#"<val xsi:type="ArrayOfInt"><int xsi:type="xsd:int">-1</int></val>"#
        );
        assert_eq!(
            property(Value::List(Vec::new()), "VirtualMachine", "triggeredAlarmState"),
            r#"<val xsi:type="ArrayOfAlarmState"></val>"#
        );
    }

    #[test]
    fn fields_stand_in_the_order_of_the_schema_and_derived_types_say_so() {
        let disk = record("VirtualDisk").with("capacityInKB", 4u32).with("key", 2000);
        assert_eq!(
            property(record("").with("device", list([disk])).with("numCPU", 2), "VirtualMachine", "config.hardware"),
            r#"<val xsi:type="VirtualHardware"><numCPU>2</numCPU><device xsi:type="VirtualDisk"><key>2000</key><capacityInKB>4</capacityInKB></device></val>"#
        );
    }

    #[test]
    fn numbers_and_times_are_written_as_vcenter_does() {
        let mut out = String::new();
        for number in [0, 7, -1, i64::MIN, i64::MAX] {
            push_number(&mut out, number);
            out.push(' ');
        }
        assert_eq!(out, "0 7 -1 -9223372036854775808 9223372036854775807 ");
        let time = |milliseconds| {
            let mut out = String::new();
            push_time(&mut out, milliseconds);
            out
        };
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_709_164_800_250), "2024-02-29T00:00:00.250Z");
        assert_eq!(time(1_795_442_400_000), "2026-11-23T14:00:00Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
    }
}
