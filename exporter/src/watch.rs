//! The watch over one vCenter: all its loops, for as long as the exporter runs.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::catalogue::Class;
use crate::collect::{Estate, details, events, follow, performance, tags};
use crate::guest;
use crate::publish::{self, Published};
use crate::standby::Standby;
use crate::store::Store;
use crate::vsphere::{Client, TagService};

/// Runs until `stop`, then stores what has to go on, and signs out.
pub async fn watch(
    estate: Arc<Estate>,
    store: Store,
    pages: Arc<watch::Sender<Published>>,
    guests: Option<Arc<guest::watch::Shared>>,
    stop: CancellationToken,
) {
    // A wait for updates must not have to share its session.
    let (following, asking) = (Client::new(estate.transport.clone()), Client::new(estate.transport.clone()));
    let tagging = TagService::new(estate.transport.clone());
    let mut standby = Standby::new(estate.clone());
    let work = async {
        tokio::join!(
            follow::run(&estate, &following),
            details::run(&estate, &asking),
            tags::run(&estate, &tagging),
            events::run(&estate, &asking),
            performance::run(&estate, &asking, Class::Vm),
            performance::run(&estate, &asking, Class::Host),
            performance::run(&estate, &asking, Class::Datastore),
            performance::run(&estate, &asking, Class::Cluster),
            guest::watch::run(&estate, guests.as_ref()),
            publish::run(estate.clone(), pages),
            store.run(&estate),
            standby.run(),
        );
    };
    tokio::select! {
        // After a reload another watch publishes in this one's place, so this one must not any more.
        biased;
        () = stop.cancelled() => {}
        () = work => {}
    }
    store.save(&estate).await;
    tokio::join!(following.sign_out(), asking.sign_out(), tagging.sign_out(), standby.close());
}
