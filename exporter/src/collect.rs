//! One collection of one vCenter: the inventory, then performance in batches. What fails costs no more than itself.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tracing::debug;

use crate::catalogue::{Counter, host_counters, vm_counters};
use crate::config::Collection;
use crate::inventory::{self, HostConnection, Inventory, VmPower};
use crate::metrics::Metrics;
use crate::ownership::Ownership;
use crate::state::{Findings, Part, Reading};
use crate::vsphere::{Client, EntityPerformance, Error, FaultKind, Method, PerfRequest, methods};

/// How many objects that vanish between inventory and query are taken out of one batch before it is given up.
const MAX_VANISHED: usize = 20;

/// What a collection needs to know.
#[derive(Debug)]
pub struct Collector {
    /// The vCenter's name.
    pub vcenter: String,
    /// The vCenter.
    pub client: Arc<Client>,
    /// How to ask.
    pub collection: Collection,
    /// Whose VM is whose.
    pub ownership: Ownership,
    /// Where to count.
    pub metrics: Metrics,
}

impl Collector {
    /// Collects everything. `previous` is what performance is asked for when the inventory fails.
    pub async fn collect(&self, previous: Option<Arc<Inventory>>) -> Findings {
        let (found, duration) = timed(self.inventory()).await;
        let inventory = match found {
            Ok(inventory) => Part { found: Some(Arc::new(inventory)), error: None, duration },
            Err(error) => {
                let reason = error.chain();
                // Without a way in, or without a session, the rest would only wait, or try a wrong password again.
                let reading =
                    matches!(error.method, Method::RetrievePropertiesEx | Method::ContinueRetrievePropertiesEx);
                if error.is_unreachable() || !reading || previous.is_none() {
                    let failed = |duration| Part { found: None, error: Some(reason.clone()), duration };
                    let (vm_performance, host_performance) = (failed(Duration::ZERO), failed(Duration::ZERO));
                    return Findings {
                        inventory: Part { found: None, error: Some(reason), duration },
                        vm_performance,
                        host_performance,
                    };
                }
                Part { found: None, error: Some(reason), duration }
            }
        };
        let basis = inventory.found.clone().or(previous).unwrap_or_default();
        let running = basis.vms.iter().filter(|vm| vm.power == Some(VmPower::On) && vm.connected);
        let vms: Vec<_> = running.map(|vm| vm.moref.clone()).collect();
        let connected = basis.hosts.iter().filter(|host| host.connection == Some(HostConnection::Connected));
        let hosts: Vec<_> = connected.map(|host| host.moref.clone()).collect();
        let vm_performance = self.performance("VirtualMachine", &vm_counters(), vms).await;
        let host_performance = self.performance("HostSystem", &host_counters(), hosts).await;
        Findings { inventory, vm_performance, host_performance }
    }

    async fn inventory(&self) -> Result<Inventory, Error> {
        let objects = self.client.within_session(|session| async move {
            let mut objects = Vec::new();
            let transport = self.client.transport();
            methods::retrieve_properties(transport, &session, inventory::PROPERTIES, |object| objects.push(object))
                .await?;
            self.metrics.unavailable_counters(&self.vcenter, unavailable(&session.counters));
            Ok(objects)
        });
        Ok(inventory::build(objects.await?, &self.ownership))
    }

    async fn performance(&self, kind: &'static str, counters: &[Counter], ids: Vec<String>) -> Part<Vec<Reading>> {
        let start = Instant::now();
        let batches: Vec<_> = ids.chunks(self.collection.batch_size).map(<[String]>::to_vec).collect();
        let total = batches.len();
        let answers: Vec<_> = stream::iter(batches)
            .map(|batch| self.batch(kind, counters, batch))
            .buffer_unordered(self.collection.batches_in_flight)
            .collect()
            .await;
        let (mut found, mut failed, mut first_error) = (Vec::new(), 0, None);
        for answer in answers {
            match answer {
                Ok(readings) => found.extend(readings),
                Err(error) => {
                    failed += 1;
                    first_error.get_or_insert(error);
                }
            }
        }
        let error =
            first_error.map(|error| format!("{failed} of {total} batches failed, the first: {}", error.chain()));
        Part { found: Some(found), error, duration: start.elapsed() }
    }

    /// One query. An object that has vanished since the inventory would fail all the others of its batch.
    async fn batch(&self, kind: &str, counters: &[Counter], mut ids: Vec<String>) -> Result<Vec<Reading>, Error> {
        for _ in 0..MAX_VANISHED {
            let error = match self.query(kind, counters, &ids).await {
                Ok(readings) => return Ok(readings),
                Err(error) => error,
            };
            let gone = error.fault().filter(|fault| fault.kind == FaultKind::ManagedObjectNotFound);
            let gone = gone.and_then(|fault| fault.object.as_ref());
            let Some(place) = gone.and_then(|object| ids.iter().position(|id| *id == object.id)) else {
                return Err(error);
            };
            debug!(vcenter = self.vcenter, object = ids[place], "vanished since the inventory");
            ids.swap_remove(place);
        }
        self.query(kind, counters, &ids).await
    }

    async fn query(&self, kind: &str, counters: &[Counter], ids: &[String]) -> Result<Vec<Reading>, Error> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.client
            .within_session(|session| async move {
                let request = PerfRequest::new(&session.content.perf_manager, kind, counters, &session.counters);
                if request.is_empty() {
                    return Ok(Vec::new());
                }
                let body = request.body(ids);
                let entities = methods::query_perf(self.client.transport(), &session, &body).await?;
                self.metrics.unpaired_series(&self.vcenter, entities.iter().map(|entity| entity.unpaired).sum());
                Ok(readings(&request, entities))
            })
            .await
    }
}

/// Samples with the places of their counters in place of ids, which mean something within one vCenter only.
pub fn readings(request: &PerfRequest, entities: Vec<EntityPerformance>) -> Vec<Reading> {
    let place = |(id, sample)| request.place(id).map(|place| (place, sample));
    entities.into_iter().map(|entity| (entity.id, entity.samples.into_iter().filter_map(place).collect())).collect()
}

fn unavailable(counters: &crate::vsphere::CounterIds) -> usize {
    let missing = |wanted: Vec<Counter>| wanted.len() - counters.resolve(&wanted).len();
    missing(vm_counters()) + missing(host_counters())
}

async fn timed<T>(work: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (work.await, start.elapsed())
}
