//! Whether data reaches the end of each branch. `make demo SMOKE=1` prints these checks, the end-to-end suite asserts them.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::StatusCode;
use serde_json::Value;

use crate::parts::{self, VcsimOptions};
use crate::stack::{PASSWORD, Simulator, Stack};
use crate::{eventually, history, tool};

const LIMIT: Duration = Duration::from_secs(90);

/// A client that follows no redirects and uses no proxy.
pub fn client() -> anyhow::Result<reqwest::Client> {
    lynceus_service::tls::install_provider();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    Ok(client.timeout(Duration::from_secs(30)).build()?)
}

/// Result of an instant query: the vector's elements.
pub async fn query(port: u16, expression: &str) -> anyhow::Result<Vec<Value>> {
    let url = format!("http://127.0.0.1:{port}/api/v1/query");
    let answer = client()?.get(url).query(&[("query", expression)]).send().await?;
    elements(answer).await
}

async fn elements(answer: reqwest::Response) -> anyhow::Result<Vec<Value>> {
    let status = answer.status();
    let text = answer.text().await?;
    let body: Value = serde_json::from_str(&text).with_context(|| format!("{status}: {text}"))?;
    ensure!(body["status"] == "success", "{status}: {body}");
    Ok(body["data"]["result"].as_array().context("no result")?.clone())
}

/// The one number of a query's answer.
pub async fn number(port: u16, expression: &str) -> anyhow::Result<f64> {
    let result = query(port, expression).await?;
    let value = result.first().with_context(|| format!("`{expression}` has no answer yet"))?;
    Ok(value["value"][1].as_str().context("no value")?.parse()?)
}

/// Prometheus scrapes the exporter's page of the vCenter.
pub async fn exporter_is_scraped(stack: &Stack) -> anyhow::Result<()> {
    eventually(LIMIT, "the exporter's target to be up", || async {
        let up = number(stack.options.ports.prometheus, r#"up{job="vsphere"}"#).await?;
        ensure!((up - 1.0).abs() < f64::EPSILON, "up is {up}");
        Ok(())
    })
    .await
}

/// Prometheus has one power state for each VM that VMware's own client counts.
pub async fn every_vm_is_in_prometheus(stack: &Stack) -> anyhow::Result<()> {
    counts_all_vms(stack, stack.options.ports.prometheus).await
}

/// The archive gives the same count through the remote read of a Prometheus that has no data of its own.
pub async fn every_vm_is_in_the_archive(stack: &Stack) -> anyhow::Result<()> {
    counts_all_vms(stack, stack.options.ports.archive).await
}

/// A day of the past is written, and is of the same series as the present.
pub async fn the_archive_goes_on_from_a_past(stack: &Stack) -> anyhow::Result<()> {
    history::fill(stack, 1).await?;
    let expected = f64::from(count_vms(stack).await?);
    eventually(LIMIT, "the past of all VMs", || async {
        let both = "count((vsphere_vm_power_state == 1) and (vsphere_vm_power_state offset 12h == 1))";
        let found = number(stack.options.ports.archive, both).await?;
        ensure!((found - expected).abs() < f64::EPSILON, "{found} of {expected} VMs have one");
        Ok(())
    })
    .await
}

async fn counts_all_vms(stack: &Stack, port: u16) -> anyhow::Result<()> {
    let expected = f64::from(count_vms(stack).await?);
    ensure!(expected > 0.0, "VMware's own client finds no VM");
    eventually(LIMIT, "all VMs to be counted", || async {
        let found = number(port, "count(vsphere_vm_power_state == 1)").await?;
        ensure!((found - expected).abs() < f64::EPSILON, "found {found} VMs, the vCenter has {expected}");
        Ok(())
    })
    .await
}

/// How many VMs VMware's own client counts, templates aside.
pub async fn count_vms(stack: &Stack) -> anyhow::Result<u32> {
    let counted = pyvmomi(stack, &["count"]).await?;
    Ok(counted.split_whitespace().next().context("no count")?.parse()?)
}

/// A VM is switched off and on again; both mails reach its team, and only its team.
pub async fn an_alert_and_its_end_are_mailed(stack: &Stack) -> anyhow::Result<()> {
    let vm = if stack.options.simulator == Simulator::Vcsim { "DC0_C0_RP0_VM0" } else { "red-web-002" };
    // It is not down unless it was seen up before.
    eventually(LIMIT, "the VM to be seen on", || async {
        let on = format!(r#"vsphere_vm_power_state{{vm="{vm}",state="on"}} == 1"#);
        number(stack.options.ports.prometheus, &on).await.map(drop)
    })
    .await?;
    if stack.options.simulator == Simulator::Vcsim {
        pyvmomi(stack, &["off", vm]).await?;
        mailed(stack, vm, "FIRING").await?;
        pyvmomi(stack, &["on", vm]).await?;
    } else {
        // The fleet's time line does both.
        let scenario = format!(
            "name: smoke\nevents:\n  - at: 0s\n    for: 30s\n    kind: vm_power\n    target: {vm}\n    state: \"off\"\n"
        );
        let answer = client()?.post(format!("{}/scenario", stack.vcenter.control)).body(scenario).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "the fleet refuses the scenario: {status}: {text}");
        mailed(stack, vm, "FIRING").await?;
    }
    mailed(stack, vm, "RESOLVED").await
}

/// A mail that says `state` of `vm` has reached its team, and nobody else.
async fn mailed(stack: &Stack, vm: &str, state: &str) -> anyhow::Result<()> {
    let dir = stack.options.dir.join("smtp");
    eventually(LIMIT, &format!("the mail that says {state}"), || async {
        let mails = parts::mails(&dir)?;
        let about: Vec<_> = mails.iter().filter(|mail| mail.contains(state) && mail.contains(vm)).collect();
        ensure!(!about.is_empty(), "{} mails, none says {state} for {vm}", mails.len());
        for mail in about {
            let to = mail.lines().find(|line| line.starts_with("To:")).unwrap_or_default();
            ensure!(to.contains("red@example.net"), "a mail went to `{to}`");
        }
        Ok(())
    })
    .await
}

/// Nobody sees anything unsigned; two users of two teams see their own VMs, which have none in common.
pub async fn each_team_sees_its_own(stack: &Stack) -> anyhow::Result<()> {
    let proxy = format!("http://127.0.0.1:{}", stack.options.ports.proxy);
    let anonymous = client()?.get(format!("{proxy}/prometheus/api/v1/query?query=up")).send().await?;
    ensure!(anonymous.status() == StatusCode::UNAUTHORIZED, "without sign-in the proxy answers {}", anonymous.status());
    let red = visible_vms(&proxy, "alice").await?;
    let blue = visible_vms(&proxy, "bob").await?;
    let all = visible_vms(&proxy, "petra").await?;
    ensure!(!red.is_empty() && !blue.is_empty(), "alice sees {} VMs, bob {}", red.len(), blue.len());
    ensure!(red.is_disjoint(&blue), "alice and bob share {:?}", red.intersection(&blue).next());
    let expected = count_vms(stack).await?;
    ensure!(all.len() == usize::try_from(expected)?, "petra sees {} VMs of {expected}", all.len());
    Ok(())
}

async fn visible_vms(proxy: &str, user: &str) -> anyhow::Result<BTreeSet<String>> {
    let cookie = sign_in(proxy, user, PASSWORD).await?;
    let request = client()?.get(format!("{proxy}/prometheus/api/v1/query")).header("cookie", cookie);
    let vms = elements(request.query(&[("query", "vsphere_vm_info")]).send().await?).await?;
    Ok(vms.iter().filter_map(|vm| Some(vm["metric"]["vm_id"].as_str()?.to_owned())).collect())
}

/// Signs in as the form of the sign-in page does; gives the cookie.
pub async fn sign_in(proxy: &str, user: &str, password: &str) -> anyhow::Result<String> {
    let form = [("username", user), ("password", password)];
    let request = client()?.post(format!("{proxy}/auth/sign-in")).header("origin", proxy).form(&form);
    let answer = request.send().await?;
    let status = answer.status();
    let cookie = answer.headers().get("set-cookie").with_context(|| format!("sign-in of {user} answers {status}"))?;
    Ok(cookie.to_str()?.split(';').next().unwrap_or_default().to_owned())
}

/// Runs `power.py` against the stack's vCenter.
pub async fn pyvmomi(stack: &Stack, arguments: &[&str]) -> anyhow::Result<String> {
    let VcsimOptions { user, password, .. } = VcsimOptions::default();
    let python = tool("python").context("`python` is missing")?;
    let mut command = tokio::process::Command::new(python);
    command.arg(crate::repository().join("deploy/demo/power.py")).args([&stack.vcenter.url, &user, &password]);
    let output = command.args(arguments).output().await?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "power.py {arguments:?} ended with {}: {errors}", output.status);
    Ok(String::from_utf8(output.stdout)?)
}
