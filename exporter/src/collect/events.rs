//! What happened: read by time, so that an answer that was lost is asked for again, and counted once by the book.

use std::sync::Arc;
use std::time::Instant;

use tokio::time::{MissedTickBehavior, interval};

use super::Estate;
use crate::events::Reading;
use crate::state::Health;
use crate::vsphere::methods::{self, PAGE_EVENTS};
use crate::vsphere::{Client, Error, Session};

const COLLECTOR: &str = "events";

/// Reads for as long as it is polled.
pub async fn run(estate: &Estate, client: &Arc<Client>) {
    let mut ticks = interval(estate.collection.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        estate.until_followed().await;
        let start = Instant::now();
        let read = client.within_session(|session| async move { read(estate, client, &session).await }).await;
        let error = read.err().map(|error| error.chain());
        estate.note(Health { collector: COLLECTOR, error, duration: start.elapsed(), ..Health::default() });
    }
}

async fn read(estate: &Estate, client: &Client, session: &Session) -> Result<(), Error> {
    // A server without events has none to tell.
    let Some(manager) = session.content.service("eventManager") else { return Ok(()) };
    let transport = client.transport();
    let server_now = methods::current_time(transport, session).await?;
    let reading = estate.state().events.next(server_now);
    let mut windows = vec![(reading.begin, None)];
    while let Some((begin, end)) = windows.pop() {
        let events = methods::query_events(transport, session, manager, begin, end).await?;
        let times = events.iter().map(|event| event.time);
        let full = times.clone().min().zip(times.max()).filter(|_| events.len() >= PAGE_EVENTS);
        let new = take(estate, reading, events);
        // Of more than a page, vCenter says the newest; of which kind another server is does not matter so.
        if let Some((first, last)) = full.filter(|_| new) {
            windows.extend([(begin, Some(first)), (last, end)]);
        }
    }
    let mut state = estate.state();
    state.events.settle(reading, Instant::now());
    if let Some(inventory) = state.last_inventory().cloned() {
        state.events.name_owners(&inventory);
    }
    Ok(())
}

/// Whether any of them was not known.
fn take(estate: &Estate, reading: Reading, events: Vec<crate::vsphere::Event>) -> bool {
    let mut state = estate.state();
    let inventory = state.last_inventory().cloned();
    let taken = state.events.take(reading, events, inventory.as_deref());
    drop(state);
    if taken.counted > 0 {
        estate.samples_came.notify_one();
    }
    taken.seen > 0
}
