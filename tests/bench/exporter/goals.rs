//! What has to be reached.

use serde::Serialize;

use crate::plan::Plan;
use crate::report::{Estate, Measured, Unit};

/// A number that may not be larger. One that could not be measured is not held.
#[derive(Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) value: Option<f64>,
    pub(crate) limit: f64,
    /// Why there is no number.
    pub(crate) why: Option<&'static str>,
}

impl Goal {
    pub(crate) fn held(&self) -> bool {
        self.value.is_some_and(|value| value <= self.limit)
    }
}

const FLOOR: f64 = 1.5;
/// A quarter of its time is four times as fast.
const VMWARE_EXPORTER: f64 = 0.25;
const LINEAR: f64 = 1.3;
const PAGE_MILLISECONDS: f64 = 100.0;

/// MB of memory and seconds of CPU by the number of VMs.
const LIMITS: [(u32, f64, f64); 2] = [(1_500, 60.0, 0.25), (5_000, 150.0, 0.9)];

/// All goals of the sizes that the plan has.
pub(crate) fn all(plan: &Plan, estates: &[Estate]) -> Vec<Goal> {
    let estates: Vec<_> = estates.iter().filter(|estate| estate.simulator == "vcsim").collect();
    let mut goals = Vec::new();
    for estate in &estates {
        let Some(lynceus) = estate.of("lynceus") else { continue };
        goals.push(Goal {
            what: format!("queries for samples, against the floor, {} VMs", estate.vms),
            unit: Unit::Ratio,
            value: ratio(lynceus.performance, estate.of("floor").and_then(|floor| floor.performance)),
            limit: FLOOR,
            why: None,
        });
        if plan.peer_rounds > 0 {
            let peer = estate.of("vmware_exporter").and_then(|peer| peer.wall);
            goals.push(Goal {
                what: format!("collection, against vmware_exporter, {} VMs", estate.vms),
                unit: Unit::Ratio,
                value: ratio(lynceus.wall, peer),
                limit: VMWARE_EXPORTER,
                why: peer.is_none().then_some("vmware_exporter was not measured"),
            });
        }
        goals.push(Goal {
            what: format!("inventory reads in a collection, {} VMs", estate.vms),
            unit: Unit::Count,
            value: Some(inventory_reads(lynceus)),
            limit: 0.0,
            why: None,
        });
        for (_, memory, cpu) in LIMITS.into_iter().filter(|(vms, ..)| *vms == estate.vms) {
            goals.push(Goal {
                what: format!("peak memory, {} VMs", estate.vms),
                unit: Unit::Megabytes,
                value: lynceus.memory,
                limit: memory,
                why: None,
            });
            let enough = lynceus.samples.is_some_and(|samples| samples >= 2.0);
            goals.push(Goal {
                what: format!("CPU of a collection of two samples a counter, {} VMs", estate.vms),
                unit: Unit::Seconds,
                value: lynceus.cpu.filter(|_| enough),
                limit: cpu,
                why: (!enough).then_some("it fetched fewer than two"),
            });
        }
    }
    let by_vms = |vms| estates.iter().find(|estate| estate.vms == vms).and_then(|estate| estate.of("lynceus"));
    if let (Some(small), Some(large)) = (by_vms(1_500), by_vms(5_000)) {
        let slowest = [&small.plain, &small.gzip].into_iter().flatten().map(|times| times.slowest);
        goals.push(Goal {
            what: "slowest page, 1500 VMs".to_owned(),
            unit: Unit::Milliseconds,
            value: slowest.reduce(f64::max),
            limit: PAGE_MILLISECONDS,
            why: None,
        });
        goals.push(Goal {
            what: "collection of 5000 VMs, against 5000/1500 of that of 1500".to_owned(),
            unit: Unit::Ratio,
            value: ratio(large.wall, small.wall.map(|wall| wall * 5_000.0 / 1_500.0)),
            limit: LINEAR,
            why: None,
        });
    }
    goals
}

fn ratio(ours: Option<f64>, other: Option<f64>) -> Option<f64> {
    Some(ours? / other?)
}

fn inventory_reads(lynceus: &Measured) -> f64 {
    let calls = |method: &str| lynceus.calls.get(method).copied().unwrap_or_default();
    calls("RetrievePropertiesEx") + calls("ContinueRetrievePropertiesEx")
}
