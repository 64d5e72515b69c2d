//! The fleet simulator in this process, for what VMware's does not have.

use std::net::SocketAddr;
use std::time::SystemTime;

use lynceus_fleet::cost::Cost;
use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::{Size, Time};
use lynceus_fleet::{Fleet, Options};
use tempfile::TempDir;

use crate::front::Front;
use crate::support::PASSWORD;

/// A fleet with a front before it.
pub(crate) struct FleetEstate {
    pub(crate) dir: TempDir,
    pub(crate) fleet: Fleet,
    pub(crate) front: Front,
}

/// A fleet of so many VMs. `ca.pem` in the folder signs its certificate.
pub(crate) async fn fleet(vms: u32) -> FleetEstate {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let loopback: SocketAddr = ([127, 0, 0, 1], 0).into();
    let options = Options {
        plan: Plan {
            seed: 1,
            size: Size::of(vms),
            origin: Time(i64::try_from(now.as_millis()).unwrap()),
            factor: 1.0,
            account: Some(("lynceus".to_owned(), PASSWORD.to_owned())),
            cost: Cost::off(),
        },
        listen: loopback,
        control: loopback,
        hosts: false,
        tls_dir: Some(dir.path().to_owned()),
        scenarios: Vec::new(),
    };
    let fleet = Fleet::start(options).await.unwrap();
    let front = Front::start(&fleet.addresses.vcenter.url).await;
    FleetEstate { dir, fleet, front }
}

impl FleetEstate {
    /// Starts this event of a scenario.
    pub(crate) async fn happen(&self, event: &str) {
        let url = format!("{}/scenario", self.fleet.addresses.control);
        let scenario = format!("name: test\nevents:\n- {event}\n");
        let answer = reqwest::Client::new().post(url).body(scenario).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }
}
