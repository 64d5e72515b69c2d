//! What changes all the time or is large: file systems, sensors, storage; licences and the certificate as well. Read now and then, as a whole.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use super::tolerant::without_unknown;
use super::{Estate, licences};
use crate::inventory::paths;
use crate::state::Health;
use crate::vsphere::methods::{self, Objects, PropertySet};
use crate::vsphere::{Client, Error, MoRef, Object};

/// Objects of which more is asked than of others, in one call.
const SPECIAL_OBJECTS: usize = 100;

const COLLECTOR: &str = "details";

/// Reads for as long as it is polled.
pub async fn run(estate: &Estate, client: &Arc<Client>) {
    let (mut sets, mut of_some) = (paths::slow(), paths::of_some());
    let mut ticks = interval(estate.collection.details_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        estate.until_followed().await;
        let start = Instant::now();
        let error = match read(estate, client, &mut sets, &mut of_some).await {
            Ok(objects) => {
                estate.mirror().set_slow(objects);
                estate.mirror_changed.notify_one();
                None
            }
            Err(error) => Some(error.chain()),
        };
        let error = match licences::read(client).await {
            Ok(licences) => {
                estate.mirror().licences = licences;
                estate.mirror_changed.notify_one();
                error
            }
            Err(failed) => error.or_else(|| Some(failed.chain())),
        };
        look_at_certificate(client).await;
        estate.note(Health { collector: COLLECTOR, error, duration: start.elapsed(), ..Health::default() });
    }
}

/// A certificate that changed is seen on a new connection only, and this call makes one. How it ends is all the same.
async fn look_at_certificate(client: &Client) {
    if let Err(error) = methods::retrieve_service_content(client.transport()).await {
        debug!(error = error.chain(), "could not look at the certificate");
    }
}

async fn read(
    estate: &Estate,
    client: &Arc<Client>,
    sets: &mut Vec<PropertySet>,
    of_some: &mut Vec<PropertySet>,
) -> Result<Vec<Object>, Error> {
    let transport = client.transport();
    let mut found = without_unknown(estate, sets, |sets| async move {
        let sets = &sets;
        client
            .within_session(|session| async move {
                let (mut found, view) = (Vec::new(), session.view(transport).await?);
                let view = Objects::View(view);
                methods::retrieve_properties(transport, &session, sets, &view, |object| found.push(object)).await?;
                Ok(found)
            })
            .await
    })
    .await?;
    let special = estate.mirror().special();
    for objects in special.chunks(SPECIAL_OBJECTS) {
        found.extend(read_special(estate, client, of_some, objects.to_vec()).await?);
    }
    Ok(found)
}

/// Objects of which more is asked. One that is gone would fail all others.
async fn read_special(
    estate: &Estate,
    client: &Arc<Client>,
    of_some: &mut Vec<PropertySet>,
    mut objects: Vec<MoRef>,
) -> Result<Vec<Object>, Error> {
    let transport = client.transport();
    loop {
        let asked = &objects;
        let outcome = without_unknown(estate, of_some, |sets| async move {
            let sets = &sets;
            client
                .within_session(|session| async move {
                    let (mut found, these) = (Vec::new(), Objects::These(asked));
                    methods::retrieve_properties(transport, &session, sets, &these, |object| found.push(object))
                        .await?;
                    Ok(found)
                })
                .await
        });
        let error = match outcome.await {
            Ok(found) => return Ok(found),
            Err(error) => error,
        };
        let Some(place) = error.gone().and_then(|gone| objects.iter().position(|object| object == gone)) else {
            return Err(error);
        };
        objects.swap_remove(place);
        if objects.is_empty() {
            return Ok(Vec::new());
        }
    }
}
