//! The decoders on answers that are damaged in any way: an error or less content, never a panic.

use lynceus_exporter::inventory::{Terms, build};
use lynceus_exporter::vsphere::{
    Answer, decode_counters, decode_events, decode_objects, decode_performance, decode_updates, open,
};
use proptest::prelude::*;

use crate::golden::{COUNTERS, HOST_PERFORMANCE, INVENTORY, mirror};

fn decode(text: &str) {
    for response in ["RetrievePropertiesExResponse", "QueryPerfResponse", "QueryEventsResponse"] {
        if let Ok(Answer::Response(xml)) = open(text, response) {
            drop(decode_events(xml));
        }
        if let Ok(Answer::Response(xml)) = open(text, response) {
            drop(decode_counters(xml));
        }
        if let Ok(Answer::Response(xml)) = open(text, response) {
            drop(decode_performance(xml));
        }
        if let Ok(Answer::Response(xml)) = open(text, response) {
            drop(decode_updates(xml));
        }
        if let Ok(Answer::Response(xml)) = open(text, response)
            && let Ok(page) = decode_objects(xml)
        {
            build(&mirror(page.objects), &Terms::default());
        }
    }
}

/// What the fleet says.
const EVENTS: &str = r#"<?xml version="1.0"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body><QueryEventsResponse xmlns="urn:vim25">
<returnval xsi:type="DrsVmMigratedEvent"><key>7</key><chainId>7</chainId><createdTime>2026-01-02T03:04:05.678Z</createdTime><userName></userName><host><name>esx-2</name><host type="HostSystem">host-2</host></host><vm><name>a</name><vm type="VirtualMachine">vm-1</vm></vm><fullFormattedMessage>DRS migrated a</fullFormattedMessage><template>false</template></returnval>
</QueryEventsResponse></soapenv:Body></soapenv:Envelope>"#;

/// A part of the text replaced by something else.
fn damaged() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec![INVENTORY, COUNTERS, HOST_PERFORMANCE, EVENTS]);
    let what = prop_oneof![
        Just(String::new()),
        "[<>/&;\"'=a-z]{1,12}",
        Just("</val>".to_owned()),
        Just("<obj type=\"VirtualMachine\">".to_owned()),
        Just("&#x110000;".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("99999999999999999999".to_owned()),
        Just("-1".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    let edit = (any::<prop::sample::Index>(), 0usize..200, what);
    (texts, prop::collection::vec(edit, 1..6)).prop_map(|(text, edits)| {
        let mut text = text.to_owned();
        for (at, length, what) in edits {
            let boundary = |mut at: usize| {
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                at
            };
            let start = boundary(at.index(text.len() + 1));
            let end = boundary((start + length).min(text.len())).max(start);
            text.replace_range(start..end, &what);
        }
        text
    })
}

proptest! {
    #[test]
    fn a_damaged_answer_never_panics(text in damaged()) {
        decode(&text);
    }

    #[test]
    fn noise_never_panics(text in ".{0,200}") {
        decode(&text);
    }
}
