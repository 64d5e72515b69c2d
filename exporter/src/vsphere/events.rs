//! Events as vCenter tells them.

use serde::{Deserialize, Serialize};

use super::value::{Value, decode_value};
use super::xml::{Xml, XmlError};

/// Longer than what a person reads.
const MAX_TEXT: usize = 2000;
/// No event has more.
const MAX_OBJECTS: usize = 16;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in this vCenter.
    pub key: i64,
    /// When, in Unix milliseconds by the server's clock.
    pub time: i64,
    /// Its type: of an `EventEx` or `ExtendedEvent`, the one within.
    pub kind: String,
    /// Who did it; empty for vCenter itself.
    pub user: String,
    /// What happened, in words.
    pub message: String,
    /// What it is about.
    pub objects: Vec<EventObject>,
}

/// An object that an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventObject {
    /// What it is in the event: `vm`, `host`, `sourceHost` and so on.
    pub role: String,
    /// Its name at that time.
    pub name: String,
    /// The type of its reference.
    pub kind: String,
    /// The id of its reference.
    pub id: String,
}

impl Event {
    /// The id of the VM that it is about.
    pub fn vm(&self) -> Option<&str> {
        let mut vms = self.objects.iter().filter(|object| object.kind == "VirtualMachine");
        vms.find(|object| object.role == "vm").or_else(|| vms.next()).map(|object| object.id.as_str())
    }
}

/// Reads the children of a `QueryEventsResponse`. What has no key, no time or no type is left out.
pub fn decode_events(mut xml: Xml<'_>) -> Result<Vec<Event>, XmlError> {
    let mut events = Vec::new();
    while let Some(element) = xml.child()? {
        if element.name() != "returnval" {
            xml.skip()?;
            continue;
        }
        let kind = element.xsi_type();
        let value = decode_value(&mut xml, &element)?;
        events.extend(kind.and_then(|kind| event(&kind, &value)));
    }
    Ok(events)
}

fn event(kind: &str, value: &Value) -> Option<Event> {
    // `EventEx` and `ExtendedEvent` are all alike; what happened is in this.
    let kind = value.text_at("eventTypeId").unwrap_or(kind);
    let text = |path: &str| cut(value.text_at(path).unwrap_or_default());
    Some(Event {
        key: value.parse_at("key")?,
        time: value.parse_at::<jiff::Timestamp>("createdTime")?.as_millisecond(),
        kind: cut(kind),
        user: text("userName"),
        message: text("fullFormattedMessage"),
        objects: value
            .fields()
            .iter()
            .filter_map(|field| object(&field.name, &field.value))
            .take(MAX_OBJECTS)
            .collect(),
    })
}

/// An argument of an event: a name, and a reference beside it.
fn object(role: &str, argument: &Value) -> Option<EventObject> {
    let reference = argument.fields().iter().find_map(|field| field.value.reference())?;
    Some(EventObject {
        role: role.to_owned(),
        name: cut(argument.text_at("name")?),
        kind: reference.kind.clone(),
        id: reference.id.clone(),
    })
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(xml: &str) -> Result<Vec<Event>, XmlError> {
        let mut reader = Xml::new(xml);
        reader.expect("R")?;
        decode_events(reader)
    }

    #[test]
    fn an_event_says_what_happened_to_what() {
        let events = decode(
            r#"<R xmlns:x="y"><returnval x:type="DrsVmMigratedEvent"><key>7</key><chainId>7</chainId>
               <createdTime>2026-01-02T03:04:05.678Z</createdTime><userName></userName>
               <host><name>esx-2</name><host type="HostSystem">host-2</host></host>
               <vm><name>a &amp; b</name><vm type="VirtualMachine">vm-1</vm></vm>
               <fullFormattedMessage>DRS moved it</fullFormattedMessage>
               <sourceHost><name>esx-1</name><host type="HostSystem">host-1</host></sourceHost></returnval></R>"#,
        )
        .unwrap();
        let event = &events[0];
        assert_eq!((event.key, event.time, event.kind.as_str()), (7, 1_767_323_045_678, "DrsVmMigratedEvent"));
        assert_eq!((event.message.as_str(), event.user.as_str(), event.vm()), ("DRS moved it", "", Some("vm-1")));
        let objects: Vec<_> = event.objects.iter().map(|o| (o.role.as_str(), o.name.as_str(), o.id.as_str())).collect();
        assert_eq!(objects, [("host", "esx-2", "host-2"), ("vm", "a & b", "vm-1"), ("sourceHost", "esx-1", "host-1")]);
    }

    #[test]
    fn an_extended_event_is_named_by_what_is_in_it() {
        let events = decode(
            r#"<R xmlns:x="y"><returnval x:type="EventEx"><key>1</key><createdTime>2026-01-02T03:04:05Z</createdTime>
               <eventTypeId>esx.problem.net.redundancy.lost</eventTypeId></returnval>
               <returnval x:type="VmPoweredOnEvent"><key>2</key></returnval><other/>
               <returnval><key>3</key><createdTime>2026-01-02T03:04:05Z</createdTime></returnval></R>"#,
        )
        .unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
        assert_eq!(kinds, ["esx.problem.net.redundancy.lost"]);
    }
}
