//! From what is known to the pages that are served: built in the background, compressed once, swapped as a whole.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::error;

use crate::collect::Estate;
use crate::exposition::Page;
use crate::page;

/// News that come together make one page.
const SETTLE: Duration = Duration::from_millis(250);

/// Pages take at most this part of the time of one CPU, however fast news come; but for one page in each interval.
const SHARE: u32 = 20;

/// What is served for a vCenter.
#[derive(Debug, Clone)]
pub enum Published {
    /// Nothing was collected yet: the reason.
    Waiting(String),
    /// The pages, one a shard.
    Pages(Arc<Vec<Page>>),
}

/// Publishes for as long as it is polled. Pages that are there already, from before the config was reloaded, stay for as
/// long as their values would.
pub async fn run(estate: Arc<Estate>, pages: Arc<watch::Sender<Published>>) {
    let began = Instant::now();
    let mut shards = 1;
    let mut stale_inventory = false;
    loop {
        let interval = estate.collection.interval;
        // Without news, values leave the page when they get too old.
        let news = async {
            tokio::select! {
                () = estate.mirror_changed.notified() => true,
                () = estate.state_changed.notified() => false,
            }
        };
        stale_inventory |= timeout(interval, news).await.unwrap_or(false);
        sleep(SETTLE).await;
        let start = Instant::now();
        let work = {
            let (estate, build_inventory) = (estate.clone(), std::mem::take(&mut stale_inventory));
            tokio::task::spawn_blocking(move || {
                if build_inventory {
                    estate.build_inventory();
                }
                let begun = estate.state().has_begun();
                begun.then(|| page::render_all(|| estate.state(), Instant::now(), shards))
            })
        };
        match work.await {
            Ok(Some(rendered)) => {
                shards = rendered.len();
                let (bytes, series) = rendered.iter().fold((0, 0), |(b, s), page| (b + page.length, s + page.series));
                estate.metrics.page(&estate.name, bytes, series);
                pages.send_replace(Published::Pages(Arc::new(rendered)));
            }
            Ok(None) => {
                let inherited = matches!(*pages.borrow(), Published::Pages(_));
                if !inherited || began.elapsed() > estate.state().max_age() {
                    pages.send_replace(Published::Waiting(reason(&estate)));
                }
            }
            Err(stopped) => error!(vcenter = estate.name, error = %stopped, "failed to write the page"),
        }
        // On a machine that is busy otherwise that would be long, and queries are planned by this inventory as well.
        sleep((start.elapsed() * (SHARE - 1)).min(interval)).await;
    }
}

/// Why there is no page yet.
fn reason(estate: &Estate) -> String {
    let state = estate.state();
    let error = state.health().iter().find_map(|health| health.error.clone());
    error.unwrap_or_else(|| "the first collection is under way".to_owned())
}
