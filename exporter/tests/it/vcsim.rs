//! Against VMware's vCenter simulator.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

use lynceus_demo::{free_port, tool};

use crate::front::Reaction;
use crate::support::{Exporter, LIMIT, PASSWORD, all_succeeded, count, estate, start_vcsim, value};

/// Runs Python that uses pyVmomi on the simulator; `content` and `vms` are there. `None` where pyVmomi is missing.
pub(crate) fn pyvmomi(url: &str, code: &str) -> Option<String> {
    let python = tool("python")?;
    let port = url.trim_end_matches("/sdk").rsplit(':').next().unwrap();
    let program = format!(
        "import ssl, sys\nfrom pyVim.connect import SmartConnect, Disconnect\nfrom pyVmomi import vim\n\
         context = ssl._create_unverified_context()\n\
         instance = SmartConnect(host='127.0.0.1', port={port}, user='lynceus', pwd={PASSWORD:?}, sslContext=context)\n\
         content = instance.RetrieveContent()\n\
         view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)\n\
         vms = sorted(view.view, key=lambda vm: vm.name)\n{code}\nDisconnect(instance)\n"
    );
    let mut child = Command::new(python).arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(program.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(String::from_utf8(output.stdout).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_vm_is_on_the_page_once() {
    let Some(estate) = estate(200).await else { return };
    let ownership = "ownership: [{ team: red, vm_name: 'DC0_C0_.*' }]\n";
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", ownership)).await;
    let page = exporter.page_where("a whole collection", all_succeeded).await;

    assert_eq!(count(&page, "vsphere_vm_info{", ""), 200);
    assert_eq!(count(&page, "vsphere_vm_power_state{", "state=\"on\""), 200);
    assert_eq!(count(&page, "vsphere_vm_power_state{", "team=\"red\""), 50);
    assert_eq!(count(&page, "vsphere_vm_power_state{", "team=\"unowned\""), 150);
    assert_eq!(count(&page, "vsphere_vm_info{", "cluster=\"DC0_C0\""), 50);
    assert_eq!(count(&page, "vsphere_vm_info{", "datacenter=\"DC0\",folder=\"/\",resource_pool=\"/\""), 200);
    assert_eq!(count(&page, "vsphere_vm_cpu_ready_ratio{", ""), 200);
    assert_eq!(count(&page, "vsphere_host_connection_state{", "state=\"connected\""), 12);
    assert_eq!(count(&page, "vsphere_host_cpu_usage_ratio{", ""), 12);
    assert_eq!(count(&page, "vsphere_datastore_free_bytes{", ""), 2);
    assert!(!page.contains("vcenter="), "`vcenter` is a label of the target");

    let series: Vec<_> = page.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ')).collect();
    let unique: HashSet<_> = series.iter().map(|series| series.unwrap().0).collect();
    assert_eq!(unique.len(), series.len());
    assert_eq!(exporter.own("lynceus_exporter_page_series{").await as usize, series.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn power_states_are_those_that_pyvmomi_counts() {
    let Some(estate) = estate(40).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let change = "for vm in vms[:7]: vm.PowerOffVM_Task()\nfor vm in vms[7:10]: vm.SuspendVM_Task()";
    let Some(_) = pyvmomi(&estate.vcsim.url, change) else { return };
    let states =
        "print(*[[vm.runtime.powerState for vm in vms].count(s) for s in ('poweredOn', 'poweredOff', 'suspended')])";
    let counted = pyvmomi(&estate.vcsim.url, states).unwrap();
    assert_eq!(counted, "30 7 3\n");

    let of = |page: &str, state: &str| count(page, "vsphere_vm_power_state{", &format!("state=\"{state}\""));
    let page = exporter
        .page_where("the new states", |page| {
            counted == format!("{} {} {}\n", of(page, "on"), of(page, "off"), of(page, "suspended"))
        })
        .await;
    let off =
        page.lines().find(|line| line.starts_with("vsphere_vm_power_state{") && line.ends_with("state=\"off\"} 1"));
    let vm_id = off.unwrap().split('"').nth(1).unwrap();
    assert_eq!(count(&page, "vsphere_vm_cpu_usage_ratio{", vm_id), 0, "a VM that is off uses no CPU");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_vm_leaves_the_page() {
    let Some(estate) = estate(8).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("8 VMs", |page| all_succeeded(page) && count(page, "vsphere_vm_info{", "") == 8).await;
    let Some(_) = pyvmomi(&estate.vcsim.url, "vms[0].PowerOffVM_Task(); vms[0].Destroy_Task()") else { return };
    let page = exporter.page_where("7 VMs", |page| count(page, "vsphere_vm_info{", "") == 7).await;
    assert_eq!(count(&page, "vsphere_vm_", "vm=\"DC0_C0_RP0_VM0\""), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_vcenter_is_survived() {
    let Some(mut estate) = estate(8).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let before = exporter.page_where("a whole collection", all_succeeded).await;
    let port: u16 = estate.vcsim.url.trim_end_matches("/sdk").rsplit(':').next().unwrap().parse().unwrap();

    estate.vcsim.process.kill().await;
    let down = exporter
        .page_where("a failure", |page| page.contains("vsphere_collector_success{collector=\"inventory\"} 0"))
        .await;
    assert_eq!(count(&down, "vsphere_vm_info{", ""), 8, "the last values stay for three intervals");
    let last_success =
        |page: &str| value(page, "vsphere_collector_last_success_timestamp_seconds{collector=\"inventory\"}");
    assert!(last_success(&down) >= last_success(&before));
    assert_eq!(exporter.get("/sd/vcenters").await.unwrap().0, 200);

    estate.vcsim = start_vcsim(estate.dir.path(), 8, port).await;
    let after = exporter.page_where("a whole collection", all_succeeded).await;
    assert!(last_success(&after) > last_success(&down));
    assert_eq!(exporter.own("lynceus_exporter_sign_ins_total{").await, 4.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_session_is_left_behind() {
    let Some(estate) = estate(4).await else { return };
    let mut exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let sessions = "print(len([s for s in content.sessionManager.sessionList if 'lynceus-exporter' in s.userAgent]))";
    // The front does not hand on the user agent; the exporter's session is the one that is not pyVmomi's.
    let sessions =
        sessions.replace("'lynceus-exporter' in s.userAgent", "s.key != content.sessionManager.currentSession.key");
    let Some(before) = pyvmomi(&estate.vcsim.url, &sessions) else { return };
    assert_eq!(before, "2\n");
    let status = exporter.process.terminate(LIMIT).await.unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(pyvmomi(&estate.vcsim.url, &sessions).unwrap(), "0\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_named_and_a_new_one_is_taken_up() {
    let Some(estate) = estate(4).await else { return };
    let password = estate.dir.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    let reason = exporter.reason_with("refused").await;
    assert!(
        reason.contains("vCenter `vc01`: Login failed: user `lynceus` was refused: wrong name or password"),
        "{reason}"
    );
    assert!(!reason.contains("wrong\n") && !exporter.process.log().contains(PASSWORD));

    std::fs::write(&password, PASSWORD).unwrap();
    exporter.page_where("a whole collection", all_succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_file_that_is_missing_is_named() {
    let Some(estate) = estate(4).await else { return };
    std::fs::remove_file(estate.dir.path().join("password")).unwrap();
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.reason_with("no password: failed to read the secret file").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_refused_with_its_fingerprint() {
    let Some(estate) = estate(4).await else { return };
    let pin = format!("tls: {{ pinned_sha256: [{}] }}", estate.front.sha256);
    let ca = estate.dir.path().join("other-ca.pem");
    std::fs::write(&ca, &crate::front::Front::start("").await.ca_pem).unwrap();
    let config = estate.front.config("", "").replace(&pin, "tls: { ca_file: other-ca.pem }");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let reason = exporter.reason_with("certificate").await;
    let expected = format!("its SHA-256 fingerprint is {}: set `tls.ca_file`", estate.front.sha256);
    assert!(
        reason.contains("the server's certificate is not signed by a trusted authority") && reason.contains(&expected),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_trusted_once_the_ca_file_vouches_for_it() {
    let Some(estate) = estate(4).await else { return };
    let pin = format!("tls: {{ pinned_sha256: [{}] }}", estate.front.sha256);
    let ca = estate.dir.path().join("ca.pem");
    std::fs::write(&ca, &crate::front::Front::start("").await.ca_pem).unwrap();
    let config = estate.front.config("", "").replace(&pin, "tls: { ca_file: ca.pem }");
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    exporter.reason_with("certificate").await;
    // The path stays, what is in it changes.
    std::fs::write(&ca, &estate.front.ca_pem).unwrap();
    assert_eq!(exporter.reload().await.0, 200);
    exporter.page_where("a whole collection", all_succeeded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_pinned_is_refused_with_its_fingerprint() {
    let Some(estate) = estate(4).await else { return };
    let config = estate.front.config("", "").replace(&estate.front.sha256, &"00".repeat(32));
    let exporter = Exporter::start(estate.dir.path(), &config).await;
    let reason = exporter.reason_with("certificate").await;
    let expected = format!("is not the pinned one; its SHA-256 fingerprint is {}", estate.front.sha256);
    assert!(reason.contains(&expected), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vcenter_that_is_not_there_is_named_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let front = crate::front::Front::start("").await;
    let port = free_port();
    let config = front.config("", "").replace(&front.url, &format!("https://127.0.0.1:{port}/sdk"));
    let exporter = Exporter::start(dir.path(), &config).await;
    let reason = exporter.reason_with("cannot be reached").await;
    assert!(reason.contains(&format!("127.0.0.1:{port} cannot be reached (Connection refused")), "{reason}");
    let (status, body) = exporter.get("/sd/vcenters").await.unwrap();
    assert_eq!(status, 503, "{body}");
    assert_eq!(exporter.get("/-/healthy").await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scrape_does_not_wait_for_vcenter() {
    let Some(estate) = estate(4).await else { return };
    let exporter = Exporter::start(estate.dir.path(), &estate.front.config("", "")).await;
    exporter.page_where("a whole collection", all_succeeded).await;
    let (sender, mut stalled) = tokio::sync::mpsc::unbounded_channel();
    estate.front.react(move |_, _| {
        sender.send(()).unwrap();
        Reaction::Stall
    });
    tokio::time::timeout(LIMIT, stalled.recv()).await.unwrap().unwrap();
    let page = tokio::time::timeout(std::time::Duration::from_secs(5), exporter.page()).await.unwrap().unwrap();
    assert_eq!(count(&page, "vsphere_vm_info{", ""), 4);
}
