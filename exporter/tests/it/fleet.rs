//! The fleet simulator in this process, with a front before it, for what VMware's simulator does not have.

use std::collections::BTreeSet;
use std::path::Path;

use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::{Size, Tick, Time};
use lynceus_fleet::scenario::Scenario;
use lynceus_fleet::{Fleet, Options};
use tempfile::TempDir;

use crate::front::Front;
use crate::support::{Exporter, PASSWORD};

pub(crate) struct FleetEstate {
    pub(crate) dir: TempDir,
    pub(crate) fleet: Fleet,
    pub(crate) front: Front,
}

/// What to start for tests: one account, and `ca.pem` in the folder, beside the password.
pub(crate) fn options(dir: &Path, plan: Plan) -> Options {
    std::fs::write(dir.join("password"), PASSWORD).unwrap();
    let plan = Plan { account: Some(("lynceus".to_owned(), PASSWORD.to_owned())), ..plan };
    Options { tls_dir: Some(dir.to_owned()), ..Options::on_free_ports(plan) }
}

/// Starts a scenario: its events, as YAML.
pub(crate) fn happen(fleet: &Fleet, events: &str) {
    let yaml = format!("name: test\nevents:\n{events}\n");
    fleet.lab.start(Scenario::parse(&yaml, Path::new("test.yml")).unwrap()).unwrap();
}

impl FleetEstate {
    /// `factor` seconds pass in one.
    pub(crate) async fn start(vms: u32, factor: f64) -> Self {
        Self::of_size(Size::of(vms), factor).await
    }

    pub(crate) async fn of_size(size: Size, factor: f64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fleet = Fleet::start(options(dir.path(), Plan::starting_now(size, factor))).await.unwrap();
        let front = Front::start(&fleet.addresses.vcenter.url).await;
        Self { dir, fleet, front }
    }

    /// With this `collection`, and more lines for the vCenter.
    pub(crate) async fn exporter(&self, collection: &str, vcenter: &str) -> Exporter {
        let config = self.front.config(vcenter, "").replace("{ interval: 1s, max_back_off: 1s }", collection);
        let storage = format!("--storage.path={}", self.dir.path().join("data").display());
        Exporter::start_with(self.dir.path(), &config, &[&storage]).await
    }

    /// Starts a scenario: its events, as YAML.
    pub(crate) fn happen(&self, events: &str) {
        happen(&self.fleet, events);
    }

    /// The newest sample that there is.
    pub(crate) fn tick(&self) -> Tick {
        self.fleet.lab.now().tick()
    }

    /// Identities of VMs, without templates, at a moment.
    pub(crate) fn vms_at(&self, at: Time) -> BTreeSet<String> {
        let inventory = self.fleet.lab.moment().model.inventory(at);
        let vms = inventory.vms.iter().filter(|vm| !vm.config.template);
        vms.map(|vm| vm.config.instance_uuid.to_ascii_lowercase()).collect()
    }
}
