//! The path of the data, from vCenter to each of its ends, with nothing going wrong.

use std::time::Duration;

use lynceus_demo::stack::Simulator;
use lynceus_demo::{parts, smoke};

use crate::support::{start, start_on};

#[tokio::test]
async fn data_of_200_vms_goes_the_whole_path() {
    let Some((_dir, mut stack)) = start(200).await else { return };
    smoke::exporter_is_scraped(&stack).await.unwrap();
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    smoke::every_vm_is_in_the_archive(&stack).await.unwrap();
    smoke::an_alert_and_its_end_are_mailed(&stack).await.unwrap();
    smoke::each_team_sees_its_own(&stack).await.unwrap();

    // Prometheus loses all that it has: what it asks the archive for is still there.
    let port = stack.options.ports.prometheus;
    stack.prometheus.terminate(Duration::from_secs(30)).await.unwrap();
    let dir = stack.options.dir.join("prometheus");
    std::fs::remove_dir_all(dir.join("data")).unwrap();
    let config = std::fs::read_to_string(stack.options.dir.join("archive/prometheus.yml")).unwrap();
    stack.prometheus = parts::prometheus(&dir, &config, port, &[]).await.unwrap();
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn a_fleet_at_work_goes_the_whole_path() {
    let Some((_dir, stack)) = start_on(Simulator::Fleet, 200).await else { return };
    smoke::exporter_is_scraped(&stack).await.unwrap();
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    smoke::every_vm_is_in_the_archive(&stack).await.unwrap();
    smoke::the_archive_goes_on_from_a_past(&stack).await.unwrap();
    smoke::an_alert_and_its_end_are_mailed(&stack).await.unwrap();
    smoke::each_team_sees_its_own(&stack).await.unwrap();
    stack.stop().await.unwrap();
}
