//! A fleet from its start to its end: listeners, certificates, and the pulse that tells them what scenarios do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::certificate::{Authority, Certificate};
use crate::condition::Condition;
use crate::control::{self, Control};
use crate::http::{compressed, router};
use crate::lab::{Lab, PULSE, Plan};
use crate::model::{Connection, HostId, Time};
use crate::objects::Scope;
use crate::rest;
use crate::scenario::Scenario;
use crate::server::{Face, serve};
use crate::vcenter::Server;

const DAY: i64 = 86_400_000;
/// As VMware's authority issues machine certificates.
const VALID: i64 = 2 * 365 * DAY;

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The estate.
    pub plan: Plan,
    /// Where the vCenter listens.
    pub listen: SocketAddr,
    /// Where the fleet's own interface listens.
    pub control: SocketAddr,
    /// Whether each host listens on an address of its own.
    pub hosts: bool,
    /// Where `ca.pem` goes.
    pub tls_dir: Option<PathBuf>,
    /// Started at once.
    pub scenarios: Vec<Scenario>,
}

impl Options {
    /// On free ports of loopback, without hosts. Nothing is written, and nothing happens by itself.
    pub fn on_free_ports(plan: Plan) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { plan, listen: any, control: any, hosts: false, tls_dir: None, scenarios: Vec::new() }
    }
}

/// A running fleet. Dropped, it stops at once.
pub struct Fleet {
    /// Where everything is.
    pub addresses: Arc<Addresses>,
    /// The estate.
    pub lab: Arc<Lab>,
    servers: Vec<Arc<Server>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Where everything is.
#[derive(Debug)]
pub struct Addresses {
    /// The vCenter.
    pub vcenter: Address,
    /// The hosts.
    pub hosts: HashMap<HostId, Address>,
    /// The fleet's own interface.
    pub control: String,
    fingerprint: Mutex<String>,
}

/// Where a server is.
#[derive(Debug, Clone)]
pub struct Address {
    /// URL of its SOAP service.
    pub url: String,
    /// SHA-256 fingerprint of the certificate that it started with, in hex.
    pub sha256: String,
}

impl Addresses {
    /// Fingerprint of the certificate that the vCenter shows now.
    pub fn fingerprint(&self) -> String {
        self.fingerprint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Fleet {
    /// Starts a fleet; it listens when this returns.
    pub async fn start(options: Options) -> anyhow::Result<Self> {
        lynceus_service::tls::install_provider();
        let authority = Arc::new(Authority::new()?);
        if let Some(dir) = &options.tls_dir {
            authority.write(dir)?;
        }
        let lab = Arc::new(Lab::new(options.plan));
        for scenario in options.scenarios {
            let name = scenario.name.clone();
            lab.start(scenario).with_context(|| format!("failed to start the scenario `{name}`"))?;
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let listener = bind(options.listen).await?;
        let address = listener.local_addr()?;
        let vcenter = Arc::new(Server::new(lab.clone(), Scope::VCenter));
        let certificate = vcenter_certificate(&authority, &lab, address.ip())?;
        let (face, faces) = watch::channel(Face { up: !lab.condition().down, tls: Some(certificate.config.clone()) });
        let routes = compressed(router(vcenter.clone()).merge(rest::router(vcenter.clone())));
        tasks.spawn(serve(listener, routes, faces, stop.clone(), tasks.clone()));

        let (mut hosts, mut host_faces) = (HashMap::new(), Vec::new());
        for host in if options.hosts { lab.moment().inventory.hosts.clone() } else { Vec::new() } {
            let at = SocketAddr::new(host_address(host.config.index), address.port());
            let listener = bind(at).await?;
            let certificate =
                authority.issue(&host.config.name, at.ip(), lab.now().0 - DAY, host.config.certificate_not_after.0)?;
            let up = host.connection == Connection::Connected;
            let (face, faces) = watch::channel(Face { up, tls: Some(certificate.config.clone()) });
            let server = Arc::new(Server::new(lab.clone(), Scope::Host(host.id)));
            tasks.spawn(serve(listener, compressed(router(server.clone())), faces, stop.clone(), tasks.clone()));
            hosts.insert(host.id, Address { url: format!("https://{at}/sdk"), sha256: certificate.sha256 });
            host_faces.push((host.id, server, face));
        }

        let listener = bind(options.control).await?;
        let addresses = Arc::new(Addresses {
            vcenter: Address { url: format!("https://{address}/sdk"), sha256: certificate.sha256.clone() },
            hosts,
            control: format!("http://{}", listener.local_addr()?),
            fingerprint: Mutex::new(certificate.sha256.clone()),
        });
        let control = control::router(Control { lab: lab.clone(), addresses: addresses.clone() });
        let (always, plain) = watch::channel(Face { up: true, tls: None });
        tasks.spawn(serve(listener, control, plain, stop.clone(), tasks.clone()));

        let servers =
            std::iter::once(&vcenter).chain(host_faces.iter().map(|(_, server, _)| server)).cloned().collect();
        let pulse = Pulse {
            lab: lab.clone(),
            authority,
            addresses: addresses.clone(),
            vcenter,
            face,
            host_faces,
            address: address.ip(),
        };
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = pulse.beat() => {}
                () = stopped.cancelled() => drop(always),
            }
        });
        Ok(Self { addresses, lab, servers, stop, tasks })
    }

    /// What the binary prints when it listens: one line of JSON.
    pub fn ready_line(&self) -> serde_json::Value {
        let inventory = &self.lab.moment().inventory;
        serde_json::json!({
            "url": self.addresses.vcenter.url,
            "sha256": self.addresses.vcenter.sha256,
            "vms": inventory.vms.len(),
            "hosts": inventory.hosts.len(),
            "control": self.addresses.control,
        })
    }

    /// How many sessions are open, on the vCenter and all hosts together.
    pub fn sessions(&self) -> usize {
        self.servers.iter().map(|server| server.sessions.len()).sum()
    }

    /// Ends all listeners and connections.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("failed to listen on `{address}`"))
}

/// Hosts have addresses of their own on loopback, at the vCenter's port: 127.1.0.1, 127.1.0.2 and so on.
pub fn host_address(index: u32) -> IpAddr {
    let [_, high, middle, low] = (index / 254 * 256 + index % 254 + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, high.wrapping_add(1), middle, low))
}

fn vcenter_certificate(authority: &Authority, lab: &Lab, address: IpAddr) -> anyhow::Result<Certificate> {
    let now = lab.now();
    let until = lab.condition().certificate_until.unwrap_or(Time(now.0 + VALID));
    authority.issue("vcenter.fleet.example.net", address, now.0 - DAY, until.0)
}

/// Carries what scenarios do to the listeners.
struct Pulse {
    lab: Arc<Lab>,
    authority: Arc<Authority>,
    addresses: Arc<Addresses>,
    vcenter: Arc<Server>,
    face: watch::Sender<Face>,
    host_faces: Vec<(HostId, Arc<Server>, watch::Sender<Face>)>,
    address: IpAddr,
}

impl Pulse {
    async fn beat(self) {
        let mut before = self.lab.condition();
        loop {
            tokio::time::sleep(PULSE).await;
            let condition = self.lab.condition();
            self.vcenter(&before, &condition);
            before = condition;
            if !self.host_faces.is_empty() {
                let moment = self.lab.moment();
                for (id, server, face) in &self.host_faces {
                    let up = moment.inventory.host(*id).is_some_and(|host| host.connection == Connection::Connected);
                    if face.borrow().up != up {
                        info!(host = %id, up, "host");
                        server.sessions.clear();
                        face.send_modify(|face| face.up = up);
                    }
                }
            }
        }
    }

    fn vcenter(&self, before: &Condition, condition: &Condition) {
        if condition.restarts != before.restarts {
            self.vcenter.sessions.clear();
        }
        if condition.certificate_until != before.certificate_until {
            match vcenter_certificate(&self.authority, &self.lab, self.address) {
                Ok(certificate) => {
                    info!(sha256 = %certificate.sha256, "new certificate");
                    let shown = &self.addresses.fingerprint;
                    *shown.lock().unwrap_or_else(PoisonError::into_inner) = certificate.sha256;
                    self.face.send_modify(|face| face.tls = Some(certificate.config));
                }
                Err(error) => tracing::warn!(%error, "failed to make a certificate"),
            }
        }
        if condition.down == self.face.borrow().up {
            info!(up = !condition.down, "vcenter");
            self.face.send_modify(|face| face.up = !condition.down);
        }
    }
}
