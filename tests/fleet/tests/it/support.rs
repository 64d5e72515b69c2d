//! A fleet in this process, and a client that speaks SOAP by hand.

use lynceus_fleet::lab::Plan;
use lynceus_fleet::model::Size;
use lynceus_fleet::{Fleet, Options};
use lynceus_service::tls::ClientTls;

pub(crate) const USER: &str = "lynceus";
pub(crate) const PASSWORD: &str = "fleet-password";

pub(crate) fn options(vms: u32) -> Options {
    let account = Some((USER.to_owned(), PASSWORD.to_owned()));
    Options::on_free_ports(Plan { account, ..Plan::starting_now(Size::of(vms), 1.0) })
}

pub(crate) async fn fleet(vms: u32) -> Fleet {
    Fleet::start(options(vms)).await.unwrap()
}

/// A client that trusts what the vCenter shows now.
pub(crate) fn http(fleet: &Fleet) -> reqwest::Client {
    let pin = fleet.addresses.fingerprint();
    let bytes = (0..32).map(|at| u8::from_str_radix(&pin[2 * at..2 * at + 2], 16).unwrap()).collect::<Vec<_>>();
    let tls = ClientTls::Pinned(vec![bytes.try_into().unwrap()]);
    reqwest::Client::builder().tls_backend_preconfigured(tls.rustls().unwrap()).no_gzip().build().unwrap()
}

/// A session.
pub(crate) struct Soap {
    pub(crate) http: reqwest::Client,
    pub(crate) url: String,
    pub(crate) cookie: String,
}

impl Soap {
    pub(crate) async fn login(fleet: &Fleet) -> Self {
        let mut soap = Self { http: http(fleet), url: fleet.addresses.vcenter.url.clone(), cookie: String::new() };
        let body = format!("<userName>{USER}</userName><password>{PASSWORD}</password>");
        let (status, _, cookie) = soap.send(&envelope("SessionManager", "SessionManager", "Login", &body)).await;
        assert_eq!(status, 200);
        soap.cookie = cookie;
        soap
    }

    /// Status and answer.
    pub(crate) async fn call(&self, kind: &str, id: &str, method: &str, arguments: &str) -> (u16, String) {
        let (status, body, _) = self.send(&envelope(kind, id, method, arguments)).await;
        (status, body)
    }

    /// Status, answer and cookie.
    pub(crate) async fn send(&self, body: &str) -> (u16, String, String) {
        let request = self.http.post(&self.url).header("cookie", &self.cookie).body(body.to_owned());
        let response = request.send().await.unwrap();
        let cookie = response.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned());
        let cookie = cookie.unwrap_or_default().split(';').next().unwrap().to_owned();
        (response.status().as_u16(), response.text().await.unwrap(), cookie)
    }

    pub(crate) async fn current_time(&self) -> (u16, String) {
        self.call("ServiceInstance", "ServiceInstance", "CurrentTime", "").await
    }
}

pub(crate) fn envelope(kind: &str, id: &str, method: &str, arguments: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><Envelope xmlns="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><Body><{method} xmlns="urn:vim25"><_this type="{kind}">{id}</_this>{arguments}</{method}></Body></Envelope>"#
    )
}

/// Starts a scenario: its events, as YAML.
pub(crate) async fn scenario(fleet: &Fleet, events: &str) -> (u16, String) {
    let url = format!("{}/scenario", fleet.addresses.control);
    let response =
        reqwest::Client::new().post(url).body(format!("name: test\nevents:\n{events}")).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}
