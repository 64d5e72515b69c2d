//! The inventory, kept true: vCenter sends all of it once, then what changes.
//!
//! One property collector with a filter over all objects, in a session of its own, waits for updates. When anything goes
//! wrong (the session has ended, the view or the version is gone, vCenter was restarted, a connection broke), all of it is
//! given up and built anew; what was known stays until the new copy is complete.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tracing::debug;

use super::Estate;
use super::tolerant::without_unknown;
use crate::inventory::{Mirror, paths};
use crate::state::Health;
use crate::vsphere::methods::{self, Objects, PropertySet};
use crate::vsphere::{Client, Error, MoRef, Session, Value};

/// Before the first retry. A vCenter that closes a connection most often takes the next one.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// What has been up for so long has not just failed again.
const STEADY: Duration = Duration::from_secs(60);

/// The value of the label `collector`.
pub const COLLECTOR: &str = "inventory";

/// Follows the inventory for as long as it is polled.
pub async fn run(estate: &Estate, client: &Arc<Client>) {
    let mut wait = FIRST_RETRY;
    let mut sets = paths::live(estate.terms.needs_attributes());
    loop {
        let start = Instant::now();
        let error = match follow(estate, client, &mut sets).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        estate.set_followed(false);
        estate.note(Health {
            collector: COLLECTOR,
            error: Some(error.chain()),
            duration: start.elapsed(),
            ..Health::default()
        });
        // Its filter and view go with it.
        client.sign_out().await;
        if start.elapsed() > STEADY {
            wait = FIRST_RETRY;
        }
        sleep(wait).await;
        wait = (wait * 2).min(estate.collection.interval.max(FIRST_RETRY));
    }
}

/// There is no end of it but an error.
enum Never {}

async fn follow(estate: &Estate, client: &Arc<Client>, sets: &mut Vec<PropertySet>) -> Result<Never, Error> {
    let (start, transport) = (Instant::now(), client.transport());
    let session = client.session().await?;
    estate.state().about = Some(session.content.about.clone());
    let mut fresh = Mirror::default();
    if estate.terms.needs_attributes() {
        read_attribute_names(client, &session, &mut fresh).await?;
    }
    let collector = methods::create_property_collector(transport, &session).await?;
    let view = session.view(transport).await?;
    without_unknown(estate, sets, |sets| {
        let (session, collector, view) = (&session, &collector, view);
        async move { methods::create_filter(transport, session, collector, &sets, &Objects::View(view)).await }
    })
    .await?;
    let (root, triggered) = ([session.content.root_folder.clone()], [("Folder", vec![paths::TRIGGERED])]);
    methods::create_filter(transport, &session, &collector, &triggered, &Objects::These(&root)).await?;

    let (mut version, mut beginning) = (String::new(), Some(fresh));
    loop {
        let set = methods::wait_for_updates(transport, &session, &collector, &version).await?;
        estate.state().answered(Instant::now());
        let Some(set) = set else { continue };
        version = set.version;
        debug!(vcenter = estate.name, updates = set.updates.len(), "inventory updates");
        let mut incomplete = Vec::new();
        match &mut beginning {
            Some(fresh) => incomplete.extend(set.updates.into_iter().filter_map(|update| fresh.apply(update))),
            None => {
                let mut mirror = estate.mirror();
                incomplete.extend(set.updates.into_iter().filter_map(|update| mirror.apply(update)));
            }
        }
        if !set.truncated
            && let Some(fresh) = beginning.take()
        {
            estate.mirror().replace_live(fresh);
            // The others begin with it at once.
            estate.build_inventory();
            estate.set_followed(true);
            estate.note(Health { collector: COLLECTOR, duration: start.elapsed(), ..Health::default() });
        }
        if beginning.is_none() {
            // Before the first set is complete, its objects are not where a second reading would be put.
            read_again(estate, client, &session, sets, incomplete).await?;
            name_alarms(estate, client, &session).await?;
            estate.mirror_changed.notify_one();
            estate.vms_may_be_new.notify_one();
        }
    }
}

/// Objects of which an update named only a part of a property.
async fn read_again(
    estate: &Estate,
    client: &Client,
    session: &Session,
    sets: &[PropertySet],
    objects: Vec<MoRef>,
) -> Result<(), Error> {
    if objects.is_empty() {
        return Ok(());
    }
    let mut found = Vec::new();
    let these = Objects::These(&objects);
    methods::retrieve_properties(client.transport(), session, sets, &these, |object| found.push(object)).await?;
    let mut mirror = estate.mirror();
    found.into_iter().for_each(|object| mirror.refresh(object));
    Ok(())
}

async fn name_alarms(estate: &Estate, client: &Client, session: &Session) -> Result<(), Error> {
    let nameless = estate.mirror().nameless_alarms();
    if nameless.is_empty() {
        return Ok(());
    }
    let (sets, mut names) = ([("Alarm", vec!["info.name"])], Vec::new());
    methods::retrieve_properties(client.transport(), session, &sets, &Objects::These(&nameless), |object| {
        let name = object.get("info.name").and_then(Value::text).unwrap_or(&object.reference.id).to_owned();
        names.push((object.reference.id, name));
    })
    .await?;
    estate.mirror().alarm_names.extend(names);
    Ok(())
}

async fn read_attribute_names(client: &Client, session: &Session, mirror: &mut Mirror) -> Result<(), Error> {
    // An ESXi host has none.
    let Some(manager) = session.content.service("customFieldsManager").cloned() else { return Ok(()) };
    let sets = [("CustomFieldsManager", vec!["field"])];
    methods::retrieve_properties(client.transport(), session, &sets, &Objects::These(&[manager]), |object| {
        for field in object.get("field").into_iter().flat_map(Value::fields) {
            if let Some((key, name)) = field.value.parse_at("key").zip(field.value.text_at("name")) {
                mirror.attribute_names.insert(key, name.to_owned());
            }
        }
    })
    .await
}
