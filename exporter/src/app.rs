//! The exporter as a daemon: a watch for each vCenter, and the routes in front of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context, bail};
use axum::Router;
use bytes::Bytes;
use lynceus_service::tls::ClientTls;
use lynceus_service::{Daemon, Host};
use tokio::sync;
use tokio_util::sync::CancellationToken;
use tracing::info;
use url::Url;

use crate::collect::Estate;
use crate::config::{Config, VcenterConfig};
use crate::guest::board::Board;
use crate::guest::watch::Shared;
use crate::ha::{self, Ha};
use crate::metrics::{Metrics, PREFIX};
use crate::publish::Published;
use crate::routes;
use crate::store::Store;
use crate::vsphere::{BackOff, Transport};
use crate::watch::watch;

/// The running exporter. Clones are the same exporter.
#[derive(Clone)]
pub struct App {
    host: Host,
    metrics: Metrics,
    targets: Targets,
    /// The guests, as they are served.
    board: Board,
    args: Args,
    ha: Option<Arc<Ha>>,
    /// What is configured, and whether it is watched: not where the other exporter of a pair does it.
    wanted: Arc<sync::Mutex<Wanted>>,
}

struct Wanted {
    config: Config,
    watched: bool,
}

/// A vCenter that can be watched.
struct Prepared {
    name: String,
    settings: Settings,
    transport: Transport,
    store: Store,
    guests: Option<Arc<Shared>>,
}

/// What the command line says beyond what every daemon knows.
#[derive(Debug, Clone)]
pub struct Args {
    /// `--web.external-url`.
    pub external_url: Option<Url>,
    /// `--storage.path`.
    pub storage_path: PathBuf,
}

/// The vCenters that are watched, by name. Clones are the same targets.
#[derive(Clone, Default)]
pub struct Targets(Arc<RwLock<BTreeMap<String, Target>>>);

struct Target {
    settings: Settings,
    guests: Option<Arc<Shared>>,
    estate: Arc<Estate>,
    pages: Arc<sync::watch::Sender<Published>>,
    stop: CancellationToken,
    /// Cancelled once it has stopped.
    ended: CancellationToken,
}

/// All that a watch depends on: where this changes at a reload, the watch is another one.
#[derive(Clone, PartialEq)]
struct Settings {
    vcenter: VcenterConfig,
    /// What is in the CA files: that may change while their paths stay.
    authorities: Vec<Option<Vec<u8>>>,
    rest: Config,
}

impl Settings {
    fn all(config: Config) -> Vec<Self> {
        let rest = Config { vcenters: Vec::new(), ..config };
        let vcenters = config.vcenters.into_iter();
        vcenters.map(|vcenter| Self { authorities: authorities(&vcenter), vcenter, rest: rest.clone() }).collect()
    }
}

/// Unreadable counts as none: setting up the client says what is wrong with it.
fn authorities(vcenter: &VcenterConfig) -> Vec<Option<Vec<u8>>> {
    let of_hosts = vcenter.standby.as_ref().map(|standby| &standby.tls);
    let read = |tls: &ClientTls| match tls {
        ClientTls::CaFile(path) => std::fs::read(path).ok(),
        ClientTls::SystemRoots | ClientTls::Pinned(_) => None,
    };
    [&vcenter.tls].into_iter().chain(of_hosts).map(read).collect()
}

impl Targets {
    /// What is served for a vCenter; `None` where there is no such vCenter.
    pub fn published(&self, name: &str) -> Option<Published> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(name).map(|target| target.pages.borrow().clone())
    }

    /// What is known of a vCenter, however old; `None` where there is no such vCenter.
    pub fn estate(&self, name: &str) -> Option<Arc<Estate>> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(name).map(|target| target.estate.clone())
    }

    /// All names, with where each vCenter is.
    pub fn addresses(&self) -> Vec<(String, Url)> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        targets.iter().map(|(name, target)| (name.clone(), target.settings.vcenter.url.clone())).collect()
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Whether guests are collected.
    pub fn have_guests(&self) -> bool {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        targets.values().any(|target| target.guests.is_some())
    }

    /// What is known of this vCenter, or of all.
    pub fn estates(&self, name: Option<&str>) -> Vec<Arc<Estate>> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let wanted = targets.iter().filter(|(of, _)| name.is_none_or(|name| name == of.as_str()));
        wanted.map(|(_, target)| target.estate.clone()).collect()
    }

    /// How many shards each vCenter has; none before its first page.
    pub fn shards(&self) -> Vec<(String, usize)> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let shards = |target: &Target| match &*target.pages.borrow() {
            Published::Pages(pages) => pages.len(),
            Published::Waiting(_) => 1,
        };
        targets.iter().map(|(name, target)| (name.clone(), shards(target))).collect()
    }

    /// Why there is no page at all yet; `None` once there is one.
    pub fn waiting(&self) -> Option<String> {
        let targets = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut reason = String::new();
        for target in targets.values() {
            match &*target.pages.borrow() {
                Published::Pages(_) => return None,
                Published::Waiting(why) => reason.clone_from(why),
            }
        }
        Some(reason)
    }
}

impl App {
    /// Starts and stops watches until they are as configured. Nothing changes where a part of it cannot be set up.
    fn apply(&self, config: Config) -> anyhow::Result<()> {
        let prepared = self.prepare(config)?;
        let mut targets = self.targets.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *targets);
        for prepared in prepared {
            let name = prepared.name.clone();
            let target = match old.remove(&name) {
                Some(target) if target.settings == prepared.settings => target,
                before => self.watch(prepared, before),
            };
            targets.insert(name, target);
        }
        for (name, target) in old {
            info!(vcenter = name, "no longer watched");
            target.stop.cancel();
            self.board.withdraw(&name);
        }
        Ok(())
    }

    fn prepare(&self, config: Config) -> anyhow::Result<Vec<Prepared>> {
        let mut prepared = Vec::new();
        let guests = self.guests(&config)?;
        for settings in Settings::all(config) {
            let name = settings.vcenter.name.clone();
            let back_off = BackOff::of(&settings.rest.collection);
            let transport = Transport::new(settings.vcenter.clone(), back_off, self.metrics.clone())
                .map_err(|error| anyhow::anyhow!(error.chain()))
                .with_context(|| format!("failed to set up the vCenter `{name}`"))?;
            let (store, guests) = (self.store(&name)?, guests.clone());
            prepared.push(Prepared { name, settings, transport, store, guests });
        }
        Ok(prepared)
    }

    /// What the guests of all vCenters share: the same as before where nothing of it changed, so that limits stay limits.
    fn guests(&self, config: &Config) -> anyhow::Result<Option<Arc<Shared>>> {
        let Some(settings) = config.guests.clone() else { return Ok(None) };
        let targets = self.targets.0.read().unwrap_or_else(PoisonError::into_inner);
        let same =
            targets.values().filter_map(|target| target.guests.as_ref()).find(|shared| shared.settings == settings);
        if let Some(shared) = same {
            return Ok(Some(shared.clone()));
        }
        let shared = Shared::open(settings, &self.args.storage_path, self.board.clone());
        Ok(Some(Arc::new(shared.context("failed to read the host keys of guests")?)))
    }

    fn store(&self, vcenter: &str) -> anyhow::Result<Store> {
        Store::new(&self.args.storage_path, vcenter, self.ha.as_ref().map(|ha| ha.outbox.clone()))
    }

    /// Watches all that is configured, from now on.
    pub(crate) async fn collect(&self) -> anyhow::Result<()> {
        let mut wanted = self.wanted.lock().await;
        self.apply(wanted.config.clone())?;
        wanted.watched = true;
        Ok(())
    }

    /// Watches nothing from now on. What was known is stored when this returns.
    pub(crate) async fn rest(&self) {
        let mut wanted = self.wanted.lock().await;
        wanted.watched = false;
        let targets = std::mem::take(&mut *self.targets.0.write().unwrap_or_else(PoisonError::into_inner));
        targets.values().for_each(|target| target.stop.cancel());
        for target in targets.into_values() {
            target.ended.cancelled().await;
        }
    }

    /// The pages of a vCenter, as they come, while it is watched here.
    pub(crate) fn pages(&self, vcenter: &str) -> Option<sync::watch::Receiver<Published>> {
        let targets = self.targets.0.read().unwrap_or_else(PoisonError::into_inner);
        targets.get(vcenter).map(|target| target.pages.subscribe())
    }

    /// Takes in what another exporter knows of a vCenter.
    pub(crate) async fn join(&self, vcenter: &str, state: Bytes) -> anyhow::Result<()> {
        let known = self.wanted.lock().await.config.vcenters.iter().any(|known| known.name == vcenter);
        if !known {
            bail!("expected a vCenter of the config, which has to be the same on both exporters, found `{vcenter}`");
        }
        let (estate, store) = (self.targets.estate(vcenter), self.store(vcenter)?);
        tokio::task::spawn_blocking(move || match estate {
            Some(estate) => Store::join_live(&estate, &state),
            None => store.join(&state),
        })
        .await?
    }

    fn watch(&self, prepared: Prepared, before: Option<Target>) -> Target {
        let Prepared { name: vcenter, settings, transport, store, guests } = prepared;
        let waiting = || Published::Waiting("the first collection is under way".to_owned());
        let (pages, ended_before) = match before {
            Some(before) => {
                before.stop.cancel();
                (before.pages, Some(before.ended))
            }
            None => (Arc::new(sync::watch::Sender::new(waiting())), None),
        };
        self.metrics.announce(&vcenter);
        let Config { collection, terms, .. } = settings.rest.clone();
        let estate = Estate::new(vcenter.clone(), Arc::new(transport), collection, terms, self.metrics.clone());
        let (stop, ended) = (self.host.shutdown().child_token(), CancellationToken::new());
        let running = {
            let (estate, pages, stop, ended) = (estate.clone(), pages.clone(), stop.clone(), ended.clone());
            let guests = guests.clone();
            async move {
                // The one before stores where it ends, which is where this one begins.
                if let Some(ended_before) = ended_before {
                    ended_before.cancelled().await;
                }
                store.load(&estate);
                watch(estate, store, pages, guests, stop).await;
                ended.cancel();
            }
        };
        let (targets, metrics) = (self.targets.clone(), self.metrics.clone());
        self.host.spawn("watch", async move {
            running.await;
            if targets.published(&vcenter).is_none() {
                metrics.withdraw(&vcenter);
            }
        });
        Target { settings, guests, estate, pages, stop, ended }
    }
}

impl Daemon for App {
    const NAME: &'static str = "lynceus-exporter";
    const METRICS_PREFIX: &'static str = PREFIX;
    type Config = Config;
    type Args = Args;

    async fn start(config: Config, args: Args, host: &Host) -> anyhow::Result<Self> {
        let metrics = Metrics::default();
        host.register(|registry| metrics.register(registry));
        let ha = match (&config.ha, &args.external_url) {
            (None, _) => None,
            (Some(ha), Some(url)) => Some(Ha::new(ha, url, host)?),
            (Some(_), None) => bail!(
                "`ha` needs `--web.external-url`: the address under which Prometheus reaches this exporter, whichever of the two it asks for targets"
            ),
        };
        let wanted = Wanted { config: config.clone(), watched: ha.is_none() };
        let wanted = Arc::new(sync::Mutex::new(wanted));
        let app = Self {
            host: host.clone(),
            metrics,
            targets: Targets::default(),
            board: Board::default(),
            args,
            ha,
            wanted,
        };
        match &app.ha {
            None => app.apply(config)?,
            Some(ha) => {
                app.prepare(config)?;
                host.spawn("ha", ha::run(ha.clone(), app.clone(), host.clone()));
            }
        }
        // Ready to answer; whether a vCenter was reached is for its own page to say.
        host.set_ready();
        Ok(app)
    }

    fn router(&self) -> Router {
        let exporter = self.ha.as_ref().map(|ha| ha.name().to_owned());
        let answers =
            routes::router(self.targets.clone(), self.board.clone(), self.args.external_url.clone(), exporter);
        match &self.ha {
            None => answers,
            Some(ha) => ha::router(ha, self.clone(), answers),
        }
    }

    fn authenticates(path: &str) -> bool {
        // The other exporter of a pair brings the secret that both know; without a pair there is nothing there.
        path.starts_with("/ha/")
    }

    fn links() -> &'static [(&'static str, &'static str)] {
        &[
            ("/sd/vcenters", "the vCenters, as targets for Prometheus' HTTP service discovery"),
            ("/sd/guests", "the guests, as targets for Prometheus' HTTP service discovery"),
            ("/api/v1/events", "the newest events of the vCenters"),
        ]
    }

    fn configured_links(&self) -> Vec<(String, String)> {
        routes::pages(&self.targets)
    }

    async fn reload(&self, config: Config) -> anyhow::Result<()> {
        let mut wanted = self.wanted.lock().await;
        if config.ha != wanted.config.ha {
            bail!("`ha` cannot be changed while the exporter runs: restart it");
        }
        if wanted.watched {
            self.apply(config.clone())?;
        } else {
            self.prepare(config.clone())?;
        }
        wanted.config = config;
        Ok(())
    }

    /// Nothing to flush: the watches end with the host, and sign out.
    async fn drain(&self) {}
}
