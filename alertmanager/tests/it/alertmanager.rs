//! Debian's Alertmanager sends, people get mails.

use std::process::Command;

use anyhow::Context;
use lynceus_demo::{Process, free_port, parts, tool};

use crate::harness::{Setup, header, start};

/// Alertmanager with intervals of a second, in place of the minutes of `alertmanager.example.yml`.
async fn alertmanager(setup: &Setup) -> anyhow::Result<(Process, String)> {
    let port = free_port();
    let config = format!(
        "route: {{ receiver: lynceus, group_by: [alertname, team], group_wait: 0s, group_interval: 2s }}\n\
         receivers: [{{ name: lynceus, webhook_configs: [{{ url: '{}/alertmanager/webhook' }}] }}]\n",
        setup.url
    );
    let process = parts::alertmanager(&setup.path().join("alertmanager"), &config, port).await?;
    Ok((process, format!("http://127.0.0.1:{port}")))
}

/// As Prometheus does: fires, or is over when `end` is given.
async fn send(alertmanager: &str, end: Option<&str>) -> anyhow::Result<()> {
    let end = end.map(|end| format!(",\"endsAt\":\"{end}\"")).unwrap_or_default();
    let body = format!(
        r#"[{{"labels":{{"alertname":"VsphereVmWentDown","team":"red","severity":"critical","vm":"web-01","vcenter":"vc01"}},
        "annotations":{{"summary":"web-01 in vc01 is powered off."}},
        "generatorURL":"http://prometheus.example.net/graph?g0.expr=up","startsAt":"2026-01-01T00:00:00Z"{end}}}]"#
    );
    let request = reqwest::Client::new()
        .post(format!("{alertmanager}/api/v2/alerts"))
        .header("content-type", "application/json")
        .body(body);
    request.send().await?.error_for_status().context("Alertmanager refuses the alert")?;
    Ok(())
}

#[tokio::test]
async fn a_fired_and_a_resolved_alert_arrive_as_one_thread() {
    if tool("alertmanager").is_none() {
        return;
    }
    let setup = start("tls: none", "").await.unwrap();
    let Some(_mail_server) = setup.mail_server(&[]).await.unwrap() else { return };
    let (_alertmanager, url) = alertmanager(&setup).await.unwrap();

    send(&url, None).await.unwrap();
    let fired = setup.wait_for_mails(1).await.unwrap().remove(0);
    assert_eq!(header(&fired, "Subject"), "[FIRING:1] VsphereVmWentDown (critical): web-01");
    assert_eq!(header(&fired, "To"), "red@example.net");
    assert!(fired.contains("web-01 in vc01 is powered off."), "{fired}");
    assert!(fired.contains("Since: 2026-01-01 00:00:00 UTC"), "{fired}");

    send(&url, Some("2026-01-01T00:01:30Z")).await.unwrap();
    let resolved = setup.wait_for_mails(2).await.unwrap().remove(1);
    assert_eq!(header(&resolved, "Subject"), "[RESOLVED:1] VsphereVmWentDown (critical): web-01");
    assert!(resolved.contains("Until: 2026-01-01 00:01:30 UTC (1m30s)"), "{resolved}");
    assert_eq!(header(&fired, "References"), header(&resolved, "References"));
}

#[tokio::test]
async fn while_the_mail_server_is_down_alertmanager_tries_again_and_one_mail_arrives() {
    if tool("alertmanager").is_none() {
        return;
    }
    let setup = start("tls: none", "").await.unwrap();
    let (_alertmanager, url) = alertmanager(&setup).await.unwrap();
    send(&url, None).await.unwrap();
    setup.wait_for_metric("notifications_total{outcome=\"incomplete\"}", 2.0).await.unwrap();
    assert!(setup.metric("mails_failed_total{reason=\"unreachable\"}").await.unwrap() >= 2.0);

    let Some(_mail_server) = setup.mail_server(&[]).await.unwrap() else { return };
    setup.wait_for_metric("notifications_total{outcome=\"delivered\"}", 1.0).await.unwrap();
    assert_eq!(setup.recipients().unwrap(), ["red@example.net"]);
    assert_eq!(setup.metric("mails_sent_total").await.unwrap(), 1.0);
}

#[test]
fn the_example_config_is_one_that_alertmanager_takes() {
    let Some(amtool) = tool("amtool") else { return };
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/alertmanager.example.yml");
    let checked = Command::new(amtool).arg("check-config").arg(example).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("2 inhibit rules"), "{checked:?}");
}
