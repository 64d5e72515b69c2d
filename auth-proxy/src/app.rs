//! Build, reload, drain.

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use lynceus_service::{Daemon, Host};
use tracing::{info, warn};

use crate::config::Config;
use crate::metrics::Metrics;
use crate::password::Verifier;
use crate::store::Store;
use crate::throttle::Throttle;
use crate::web;
use crate::web::Pages;

/// Prometheus is near; whoever does not answer by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often sessions that nobody can use any more are deleted.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);

/// Flags of this daemon alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address for metrics and reload, which are not served to browsers
    #[arg(long = "web.internal-listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:8081")]
    internal_address: String,
}

/// The running proxy.
pub struct App {
    state: Arc<State>,
}

/// What requests share.
pub(crate) struct State {
    current: RwLock<Arc<Current>>,
    pub(crate) store: Store,
    pub(crate) verifier: Verifier,
    pub(crate) throttle: Mutex<Throttle>,
    pub(crate) metrics: Metrics,
    pub(crate) pages: Pages,
}

/// What a reload replaces.
pub(crate) struct Current {
    pub(crate) config: Config,
    pub(crate) client: reqwest::Client,
}

impl State {
    pub(crate) fn current(&self) -> Arc<Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Current {
    fn new(config: Config) -> anyhow::Result<Current> {
        // No proxy from the environment, no redirects, no cookies: only what the config names is spoken to.
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .no_gzip()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(config.prometheus.timeout)
            .user_agent(concat!("lynceus-auth-proxy/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(config.prometheus.tls.rustls().context("prometheus.tls")?)
            .build()?;
        let loopback = match config.public_url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        if !config.is_https() && !loopback {
            warn!(public_url = %config.public_url, "passwords and sessions travel unencrypted: public_url is not https");
        }
        Ok(Current { config, client })
    }
}

impl Daemon for App {
    const NAME: &'static str = "lynceus-auth-proxy";
    const METRICS_PREFIX: &'static str = "lynceus_auth_proxy";
    type Config = Config;
    type Args = Args;

    async fn start(config: Config, _args: Args, host: &Host) -> anyhow::Result<App> {
        let store = Store::open(&config.database).await?;
        let state = Arc::new(State {
            current: RwLock::new(Arc::new(Current::new(config)?)),
            store,
            verifier: Verifier::new().await?,
            throttle: Mutex::default(),
            metrics: Metrics::register(host),
            pages: Pages::new()?,
        });
        host.spawn("delete idle sessions", delete_idle_sessions(state.clone(), host.shutdown()));
        host.set_ready();
        Ok(App { state })
    }

    fn router(&self) -> axum::Router {
        web::router(self.state.clone())
    }

    fn admin_address(args: &Args) -> Option<String> {
        Some(args.internal_address.clone())
    }

    fn links() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    async fn reload(&self, config: Config) -> anyhow::Result<()> {
        let (old, new) = (&self.state.current().config.database, &config.database);
        if old != new {
            let (old, new) = (old.display(), new.display());
            anyhow::bail!("expected database.path `{old}` as at the start, found `{new}`; restart to change it");
        }
        let current = Arc::new(Current::new(config)?);
        *self.state.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }

    async fn drain(&self) {
        self.state.store.close().await;
    }
}

async fn delete_idle_sessions(state: Arc<State>, stop: tokio_util::sync::CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match state.store.delete_idle_sessions(state.current().config.idle_timeout).await {
            Ok(0) => {}
            Ok(deleted) => info!(deleted, "idle sessions deleted"),
            Err(error) => warn!(%error, "failed to delete idle sessions"),
        }
    }
}
