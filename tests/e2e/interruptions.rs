//! Parts that stop and come back: no sample and no alert is lost on the way.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::ensure;
use lynceus_demo::eventually;
use lynceus_demo::parts::{self, VcsimOptions};
use lynceus_demo::smoke::{self, number, pyvmomi, query};
use lynceus_demo::stack::Stack;

use crate::support::start;

const LIMIT: Duration = Duration::from_secs(60);

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// Every sample of a vCenter that Prometheus has taken up to now is in the archive, once.
async fn nothing_is_missing_or_doubled(stack: &Stack) {
    let (ports, time) = (&stack.options.ports, now());
    let names = query(ports.prometheus, r#"group by (__name__) ({job="vsphere"})"#).await.unwrap();
    assert!(names.len() > 30, "only {} metrics were scraped", names.len());
    for name in &names {
        let name = name["metric"]["__name__"].as_str().unwrap();
        let question = format!(r#"sum(count_over_time({name}{{job="vsphere"}}[5m] @ {time:.3}))"#);
        let taken = number(ports.prometheus, &question).await.unwrap();
        eventually(LIMIT, "the archive to have every sample", || async {
            let archived = number(ports.archive, &question).await?;
            ensure!((archived - taken).abs() < f64::EPSILON, "{name}: {taken} samples taken, {archived} archived");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("{error:#}"));
    }
}

#[tokio::test]
async fn no_sample_is_lost_while_clickhouse_or_the_bridge_is_away() {
    let Some((_dir, mut stack)) = start(40).await else { return };
    smoke::every_vm_is_in_the_archive(&stack).await.unwrap();

    // The engine dies without a word, and comes back.
    stack.clickhouse.kill().await;
    tokio::time::sleep(Duration::from_secs(12)).await;
    let dir = stack.options.dir.join("clickhouse");
    stack.clickhouse = parts::clickhouse(&dir, stack.options.ports.clickhouse).await.unwrap();
    nothing_is_missing_or_doubled(&stack).await;

    // The bridge is told to stop while Prometheus writes.
    let status = stack.bridge.terminate(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}: {}", stack.bridge.log());
    stack.bridge = stack.start_daemon("bridge").await.unwrap();
    nothing_is_missing_or_doubled(&stack).await;
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn an_alert_is_mailed_after_the_mail_server_and_the_notifier_were_away() {
    let Some((_dir, mut stack)) = start(40).await else { return };
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    let vm = "DC0_C1_RP0_VM1";
    let seen_on = format!(r#"vsphere_vm_power_state{{vm="{vm}",state="on"}} == 1"#);
    eventually(LIMIT, "the VM to be seen on", || number(stack.options.ports.prometheus, &seen_on)).await.unwrap();

    stack.smtp.kill().await;
    pyvmomi(&stack, &["off", vm]).await.unwrap();
    let metrics = format!("http://127.0.0.1:{}/metrics", stack.options.ports.notifier);
    eventually(LIMIT, "the notifier to fail to mail", || async {
        let text = smoke::client()?.get(&metrics).send().await?.text().await?;
        let mut lines = text.lines().filter(|line| line.starts_with("lynceus_notifier_mails_failed_total{"));
        let failed = lines.any(|line| !line.ends_with(" 0"));
        ensure!(failed, "{text}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));

    let status = stack.notifier.terminate(Duration::from_secs(30)).await.unwrap();
    assert!(status.success(), "{status}: {}", stack.notifier.log());
    stack.notifier = stack.start_daemon("notifier").await.unwrap();
    let dir = stack.options.dir.join("smtp");
    stack.smtp = parts::smtp_sink(&dir, stack.options.ports.smtp).await.unwrap();
    eventually(LIMIT, "the mail", || async {
        let mails = parts::mails(&dir)?;
        ensure!(mails.iter().any(|mail| mail.contains("FIRING") && mail.contains(vm)), "{} mails", mails.len());
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));
    stack.stop().await.unwrap();
}

#[tokio::test]
async fn the_exporter_goes_on_when_vcenter_is_back_with_another_certificate() {
    let Some((_dir, mut stack)) = start(40).await else { return };
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    let ports = stack.options.ports.clone();
    let config = stack.options.dir.join("exporter/exporter.yml");

    stack.vcenter.process.kill().await;
    let old = stack.vcenter.sha256.clone();
    let dir = stack.options.dir.join("vcenter");
    let options = VcsimOptions { port: ports.vcenter, vms: 40, ..VcsimOptions::default() };
    stack.vcenter = parts::vcsim(&dir, &options).await.unwrap();

    // The log names the certificate that is there now, so that pinning it is one copy away.
    eventually(LIMIT, "the exporter to refuse the new certificate", || async {
        let log = stack.exporter.log();
        ensure!(log.contains(&stack.vcenter.sha256), "{log}");
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));
    let text = std::fs::read_to_string(&config).unwrap().replace(&old, &stack.vcenter.sha256);
    std::fs::write(&config, text).unwrap();
    let reload = format!("http://127.0.0.1:{}/-/reload", ports.exporter);
    assert!(smoke::client().unwrap().post(reload).send().await.unwrap().status().is_success());

    let back = now();
    eventually(LIMIT, "news from vCenter", || async {
        let last = number(ports.prometheus, "min(vsphere_collector_last_success_timestamp_seconds)").await?;
        ensure!(last > back, "last success was {} s before", back - last);
        Ok(())
    })
    .await
    .unwrap_or_else(|error| panic!("{error:#}"));
    smoke::every_vm_is_in_prometheus(&stack).await.unwrap();
    stack.stop().await.unwrap();
}

/// Asks `url` without pause, from several connections, until the listener is gone; counts the answers. An answer that
/// breaks off, or another status than 200, fails the test.
async fn ask_until_gone(url: String, cookie: String) -> usize {
    let client = smoke::client().unwrap();
    let mut answers = 0;
    loop {
        match client.get(&url).header("cookie", &cookie).send().await {
            Ok(answer) => {
                assert_eq!(answer.status(), 200, "{url}");
                answer.bytes().await.unwrap_or_else(|error| panic!("{url} broke off: {error:?}"));
                answers += 1;
            }
            Err(error) if error.is_connect() => return answers,
            // The listener went away between two requests of a kept connection, before any byte of an answer.
            Err(error) if error.is_request() => return answers,
            Err(error) => panic!("{url}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn every_daemon_ends_in_time_under_load_and_breaks_off_no_answer() {
    let Some((_dir, mut stack)) = start(200).await else { return };
    smoke::every_vm_is_in_the_archive(&stack).await.unwrap();
    let ports = stack.options.ports.clone();
    let proxy = format!("http://127.0.0.1:{}", ports.proxy);
    let cookie = smoke::sign_in(&proxy, "petra", lynceus_demo::stack::PASSWORD).await.unwrap();
    let page = format!("http://127.0.0.1:{}/vcenter/vc01/metrics", ports.exporter);
    let query = format!("{proxy}/prometheus/api/v1/query?query=vsphere_vm_info");
    let load: Vec<_> = (0..4)
        .flat_map(|_| [page.clone(), query.clone()])
        .map(|url| tokio::spawn(ask_until_gone(url, cookie.clone())))
        .collect();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // Prometheus writes to the bridge and evaluates rules all the while.
    for process in [&mut stack.proxy, &mut stack.exporter, &mut stack.bridge, &mut stack.notifier] {
        let status = process.terminate(Duration::from_secs(30)).await.unwrap();
        assert!(status.success(), "{}: {status}: {}", process.name(), process.log());
        assert!(!process.log().contains("the grace period is over"), "{}", process.log());
    }
    for asked in load {
        let answers = asked.await.unwrap();
        assert!(answers > 3, "only {answers} answers in two seconds");
    }
    stack.bridge = stack.start_daemon("bridge").await.unwrap();
    nothing_is_missing_or_doubled(&stack).await;
}
