//! A session on a simulated vCenter, and the few questions that the benchmark has.

use std::collections::BTreeMap;

use anyhow::Context;
use lynceus_demo::parts::{Vcenter, VcsimOptions};
use lynceus_service::tls::ClientTls;
use reqwest::header::{COOKIE, SET_COOKIE};

use crate::text::between;

pub(crate) struct Session {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) cookie: String,
}

/// A client that trusts this certificate, keeps its connections and asks for no compression.
pub(crate) fn client(sha256: &str) -> anyhow::Result<reqwest::Client> {
    let byte = |at: usize| u8::from_str_radix(sha256.get(at..at + 2).unwrap_or_default(), 16);
    let pin = (0..64).step_by(2).map(byte).collect::<Result<Vec<_>, _>>()?;
    let pin = pin.try_into().map_err(|_| anyhow::anyhow!("expected 32 bytes in `{sha256}`"))?;
    let tls = ClientTls::Pinned(vec![pin]).rustls()?;
    Ok(reqwest::Client::builder().no_proxy().no_gzip().tls_backend_preconfigured(tls).build()?)
}

impl Session {
    pub(crate) async fn open(vcenter: &Vcenter) -> anyhow::Result<Self> {
        let VcsimOptions { user, password, .. } = VcsimOptions::default();
        let (http, url) = (client(&vcenter.sha256)?, vcenter.url.clone());
        let mut session = Self { http, url, cookie: String::new() };
        let login = format!(
            r#"<Login xmlns="urn:vim25"><_this type="SessionManager">SessionManager</_this><userName>{user}</userName><password>{password}</password></Login>"#
        );
        let answer = session.call(&login).await?;
        let cookie = answer.headers().get(SET_COOKIE).context("no cookie after the sign-in")?.to_str()?;
        session.cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(session)
    }

    /// Names of all performance counters, such as `cpu.usage.average`, by id.
    pub(crate) async fn counter_names(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let body = r#"<RetrievePropertiesEx xmlns="urn:vim25"><_this type="PropertyCollector">propertyCollector</_this><specSet><propSet><type>PerformanceManager</type><pathSet>perfCounter</pathSet></propSet><objectSet><obj type="PerformanceManager">PerfMgr</obj></objectSet></specSet><options/></RetrievePropertiesEx>"#;
        let answer = self.call(body).await?.text().await?;
        let name = |counter: &str| {
            let key = |of: &str| between(counter.split_once(of)?.1, "<key>", "</key>");
            let id = between(counter, "<key>", "</key>")?;
            let (group, name, rollup) = (key("<groupInfo")?, key("<nameInfo")?, between(counter, "<rollupType>", "<")?);
            Some((id.to_owned(), format!("{group}.{name}.{rollup}")))
        };
        Ok(answer.split("<PerfCounterInfo").skip(1).filter_map(name).collect())
    }

    async fn call(&self, method: &str) -> anyhow::Result<reqwest::Response> {
        let body = format!(
            r#"<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body>{method}</Body></Envelope>"#
        );
        let request = self.http.post(&self.url).header(COOKIE, &self.cookie).body(body);
        Ok(request.send().await?.error_for_status()?)
    }
}
