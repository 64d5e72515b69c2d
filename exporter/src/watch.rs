//! The watch over one vCenter: collect, publish the page, wait, for as long as the exporter runs.
//!
//! One loop, so collections never overlap. While it collects or waits, the page is written anew at each interval:
//! values leave it when they get too old, whatever a vCenter that does not answer does.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::collect::Collector;
use crate::page;
use crate::state::{Findings, State};

/// What is served for a vCenter.
#[derive(Debug, Clone)]
pub enum Published {
    /// Nothing was collected yet: the reason.
    Waiting(String),
    /// A page.
    Page(Bytes),
}

/// The watch over one vCenter.
#[derive(Debug)]
pub struct Watch {
    collector: Collector,
    state: State,
    pages: Arc<watch::Sender<Published>>,
    began: Instant,
    failures: u32,
    last_error: Option<String>,
}

impl Watch {
    /// Publishes to `pages`. A page that is there already, from before the config was reloaded, stays for as long as
    /// its values would.
    pub fn new(collector: Collector, pages: Arc<watch::Sender<Published>>) -> Self {
        let state = State::new(collector.collection.interval);
        Self { collector, state, pages, began: Instant::now(), failures: 0, last_error: None }
    }

    /// Runs until `stop`, then signs out.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let start = Instant::now();
            let (collector, known) = (&self.collector, self.state.inventory(start).cloned());
            let collected = tokio::select! {
                // After a reload another watch publishes here, so this one must not any more.
                biased;
                () = stop.cancelled() => None,
                found = self.publishing(collector.collect(known)) => Some(found),
            };
            let Some(findings) = collected else { break };
            self.take(findings);
            self.publish();
            let wait = self.delay().saturating_sub(start.elapsed());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.publishing(tokio::time::sleep(wait)) => {}
            }
        }
        self.collector.client.sign_out().await;
    }

    async fn publishing<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            match tokio::time::timeout(self.collector.collection.interval, &mut work).await {
                Ok(done) => return done,
                Err(_) => self.publish(),
            }
        }
    }

    fn take(&mut self, findings: Findings) {
        let vcenter = &self.collector.vcenter;
        let parts = [
            ("inventory", &findings.inventory.error),
            ("vm_performance", &findings.vm_performance.error),
            ("host_performance", &findings.host_performance.error),
        ];
        // Where the inventory failed for want of a connection, the others failed for the same reason.
        let first = parts.iter().find_map(|(part, error)| error.as_ref().map(|error| (*part, error)));
        match first {
            Some((part, error)) => warn!(vcenter, part, error, "collection failed"),
            None if self.last_error.is_some() || !self.state.has_begun() => info!(vcenter, "collection succeeds"),
            None => {}
        }
        self.collector.metrics.collection(vcenter, first.is_none());
        self.last_error = first.map(|(_, error)| error.clone());
        self.failures = if findings.inventory.error.is_some() { self.failures.saturating_add(1) } else { 0 };
        self.state.apply(findings, Instant::now(), unix_time());
    }

    /// From the start of the last collection to the start of the next: doubled at each failure after the first.
    fn delay(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        let collection = &self.collector.collection;
        collection.interval.saturating_mul(1 << doublings).min(collection.max_back_off)
    }

    fn publish(&self) {
        let vcenter = &self.collector.vcenter;
        if self.state.has_begun() {
            let (text, series) = page::render(&self.state, Instant::now());
            self.collector.metrics.page(vcenter, text.len(), series);
            self.pages.send_replace(Published::Page(Bytes::from(text)));
            return;
        }
        let inherited = matches!(*self.pages.borrow(), Published::Page(_));
        if !inherited || self.began.elapsed() > self.state.max_age() {
            let reason = self.last_error.as_deref().unwrap_or("the first collection is under way");
            self.pages.send_replace(Published::Waiting(reason.to_owned()));
        }
    }
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
