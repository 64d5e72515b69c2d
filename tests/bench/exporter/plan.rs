//! What is measured, and how often.

use std::path::PathBuf;
use std::time::Duration;

/// One run of the benchmark.
pub(crate) struct Plan {
    /// Of the numbers, in target/bench.
    pub(crate) file: &'static str,
    pub(crate) sizes: Vec<Size>,
    /// Between two collections on vcsim, of the exporter and of telegraf. Samples are 20 s apart.
    pub(crate) interval: Duration,
    /// The same on the fleet: the exporter's default.
    pub(crate) fleet_interval: Duration,
    /// Collections that are measured, after [`WARM_UP`](crate::lynceus::WARM_UP).
    pub(crate) cycles: usize,
    /// Whether vmware_exporter and telegraf run as well, and how often.
    pub(crate) peer_rounds: usize,
    /// Folder with `bin/telegraf`.
    pub(crate) peers: Option<PathBuf>,
}

/// Size of an estate on vcsim; the fleet derives all but the VMs by itself.
pub(crate) struct Size {
    pub(crate) vms: u32,
    pub(crate) clusters: u32,
    /// In each cluster.
    pub(crate) hosts: u32,
}

impl Plan {
    /// Two samples of each counter to a collection.
    pub(crate) fn full() -> Self {
        Self {
            file: "exporter.json",
            sizes: vec![Size { vms: 1_500, clusters: 5, hosts: 10 }, Size { vms: 5_000, clusters: 10, hosts: 10 }],
            interval: Duration::from_secs(35),
            fleet_interval: Duration::from_secs(30),
            cycles: 5,
            peer_rounds: 3,
            peers: std::env::var_os("LYNCEUS_PEERS").map(PathBuf::from),
        }
    }

    /// To see whether the benchmark itself works.
    pub(crate) fn quick() -> Self {
        Self {
            file: "exporter-quick.json",
            sizes: vec![Size { vms: 300, clusters: 2, hosts: 5 }],
            interval: Duration::from_secs(5),
            fleet_interval: Duration::from_secs(5),
            cycles: 2,
            peer_rounds: 0,
            peers: None,
        }
    }
}
