//! Answers of vCenter: every decoder on any text, and the inventory that is built of what comes out.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lynceus_exporter::inventory::{Mirror, Terms, build};
use lynceus_exporter::vsphere::{
    Answer, ObjectUpdate, UpdateKind, Xml, decode_counters, decode_events, decode_objects, decode_updates, open,
};

fuzz_target!(|text: &str| {
    let open = |response: &str| -> Option<Xml<'_>> {
        match open(text, response) {
            Ok(Answer::Response(xml)) => Some(xml),
            _ => None,
        }
    };
    if let Some(xml) = open("RetrievePropertiesExResponse") {
        drop(decode_counters(xml));
    }
    if let Some(xml) = open("QueryEventsResponse") {
        drop(decode_events(xml));
    }
    let mut mirror = Mirror::default();
    if let Some(Ok(page)) = open("RetrievePropertiesExResponse").map(decode_objects) {
        for object in &page.objects {
            let enter = ObjectUpdate { kind: UpdateKind::Enter, object: object.reference.clone(), changes: Vec::new() };
            assert!(mirror.apply(enter).is_none());
        }
        page.objects.into_iter().for_each(|object| mirror.refresh(object));
        build(&mirror, &Terms::default());
    }
    if let Some(Ok(Some(set))) = open("WaitForUpdatesExResponse").map(decode_updates) {
        for update in set.updates {
            let _again = mirror.apply(update);
        }
        build(&mirror, &Terms::default());
    }
});
