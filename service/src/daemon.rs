//! The life of a daemon, from flags to exit code.

use std::future::Future;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use axum::Router;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, error, info, info_span, warn};

use crate::VERSION;
use crate::admin::{ReloadRequest, admin, health, landing_page};
use crate::config::{Config, load};
use crate::flags::Flags;
use crate::log;
use crate::server::{Credentials, SharedWeb, serve};
use crate::web::{Web, WebConfig};

/// A long-running program of Lynceus.
pub trait Daemon: Sized + Send + Sync + 'static {
    /// Binary, as people type it.
    const NAME: &'static str;
    /// What the names of its own metrics begin with.
    const METRICS_PREFIX: &'static str;
    /// Its config file.
    type Config: Config;
    /// Its own flags, beside the shared ones.
    type Args: Send + Sync;

    /// Opens what the config names, and starts background work with [`Host::spawn`]. An error here ends the
    /// daemon, so what may be away for a while (a vCenter, a database) is not an error but tried again.
    fn start(config: Self::Config, args: Self::Args, host: &Host) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Its routes. The shared ones are added.
    fn router(&self) -> Router;

    /// Whether a path on its listeners checks by itself who asks, in place of `basic_auth_users`.
    fn authenticates(_path: &str) -> bool {
        false
    }

    /// Where metrics, reload and the landing page are served in place of the public listener.
    fn admin_address(_args: &Self::Args) -> Option<String> {
        None
    }

    /// Path and meaning of what the landing page links to.
    fn links() -> &'static [(&'static str, &'static str)];

    /// The same for what the config decides; asked for at each visit.
    fn configured_links(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// Takes a new config into use. On an error the old one stays.
    fn reload(&self, config: Self::Config) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Flushes and closes, after the last request was answered.
    fn drain(&self) -> impl Future<Output = ()> + Send;
}

/// What a daemon gets from the process that runs it. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    registry: Arc<Mutex<Registry>>,
    prefix: &'static str,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Why it is not ready; `None` when it is.
    unready: Arc<Mutex<Option<String>>>,
}

impl Host {
    fn new(prefix: &'static str) -> Self {
        Self {
            registry: Arc::default(),
            prefix,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            unready: Arc::new(Mutex::new(Some("starting".to_owned()))),
        }
    }

    /// Registers metrics; names get the daemon's prefix.
    pub fn register(&self, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(self.prefix));
    }

    /// Starts background work. It ends by itself after [`Host::shutdown`] is cancelled, within the grace period.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.instrument(info_span!("task", name)));
    }

    /// Cancelled when the daemon is asked to stop.
    pub fn shutdown(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// `/-/ready` answers 200 from now on.
    pub fn set_ready(&self) {
        if !self.stop.is_cancelled() {
            *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// `/-/ready` answers 503 with this reason from now on.
    pub fn set_unready(&self, reason: impl Into<String>) {
        *self.unready.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }
}

/// Runs a daemon until it is told to stop. Exit codes: 0 fine, 1 failed while running, 2 config or usage.
pub async fn run<D: Daemon>(flags: Flags, args: D::Args) -> ExitCode {
    log::init(flags.log_level, flags.log_format);
    crate::tls::install_provider();
    let (config, web) = match configs::<D>(&flags) {
        Ok(configs) => configs,
        Err(problems) => {
            report(&problems);
            return ExitCode::from(2);
        }
    };
    if flags.check_config {
        report(&format!("{}: valid", flags.config_file.display()));
        return ExitCode::SUCCESS;
    }
    match live::<D>(flags, args, config, web).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{} ends: {error:#}", D::NAME);
            ExitCode::FAILURE
        }
    }
}

/// Config problems are for the person at the terminal, so they are printed as they are, not logged.
#[expect(clippy::print_stderr, reason = "the one place where a daemon speaks to its caller")]
fn report(text: &str) {
    eprintln!("{text}");
}

fn configs<D: Daemon>(flags: &Flags) -> Result<(D::Config, Web), String> {
    let config = load::<D::Config>(&flags.config_file);
    let web = match &flags.web_config_file {
        None => Web::open(WebConfig::default()).map_err(|error| error.to_string()),
        Some(file) => load::<WebConfig>(file)
            .map_err(|error| error.to_string())
            .and_then(|config| Web::open(config).map_err(|error| error.to_string())),
    };
    match (config, web) {
        (Ok(config), Ok(web)) => Ok((config, web)),
        (Err(config), Err(web)) => Err(format!("{config}\n{web}")),
        (Err(config), _) => Err(config.to_string()),
        (_, Err(web)) => Err(web),
    }
}

async fn live<D: Daemon>(flags: Flags, args: D::Args, config: D::Config, web: Web) -> anyhow::Result<()> {
    let host = Host::new(D::METRICS_PREFIX);
    let reloads = ReloadMetrics::register(&host);
    // Listeners first: a port that is taken must end the daemon before it has signed in or migrated anywhere.
    let public = bind(&flags.listen_addresses).await?;
    let internal = match D::admin_address(&args) {
        Some(address) => Some(bind(&[address]).await?),
        None => None,
    };
    let daemon = Arc::new(D::start(config, args, &host).await?);

    let (reload_sender, reload_requests) = mpsc::channel(1);
    let linked = daemon.clone();
    let page = move || landing_page(D::NAME, VERSION, D::links(), &linked.configured_links());
    let admin = admin(page, host.registry.clone(), reload_sender);
    let health = health(host.unready.clone());
    let routers = match internal {
        None => vec![(public, daemon.router().merge(health).merge(admin))],
        Some(internal) => vec![(public, daemon.router().merge(health.clone())), (internal, admin.merge(health))],
    };

    let web: SharedWeb = Arc::new(RwLock::new(Arc::new(web)));
    let connections = TaskTracker::new();
    let acceptors = TaskTracker::new();
    for (listeners, router) in routers {
        for listener in listeners {
            let address = listener.local_addr()?;
            info!(%address, version = VERSION, "{} listens", D::NAME);
            let credentials = Credentials { web: web.clone(), elsewhere: D::authenticates };
            acceptors.spawn(serve(listener, router.clone(), credentials, host.shutdown(), connections.clone()));
        }
    }

    wait_for_stop::<D>(&*daemon, &flags, &web, &reloads, reload_requests).await?;

    let grace = flags.grace_period;
    info!("stopping: finishing work in flight");
    host.stop.cancel();
    host.set_unready("stopping");
    let drained = tokio::time::timeout(grace, async {
        acceptors.close();
        acceptors.wait().await;
        connections.close();
        connections.wait().await;
        daemon.drain().await;
        host.tasks.close();
        host.tasks.wait().await;
    });
    match drained.await {
        Ok(()) => info!("stopped"),
        Err(_) => warn!(?grace, "stopped with work in flight: the grace period is over"),
    }
    Ok(())
}

async fn bind(addresses: &[String]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for address in addresses {
        // `:8080` means every address, as in Prometheus.
        let full = if address.starts_with(':') { format!("[::]{address}") } else { address.clone() };
        listeners.push(TcpListener::bind(&full).await.with_context(|| {
            format!("failed to listen on `{address}` (expected HOST:PORT of this machine that nothing else uses)")
        })?);
    }
    Ok(listeners)
}

async fn wait_for_stop<D: Daemon>(
    daemon: &D,
    flags: &Flags,
    web: &SharedWeb,
    metrics: &ReloadMetrics,
    mut requests: mpsc::Receiver<ReloadRequest>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        let answer = tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => None,
            Some(answer) = requests.recv() => Some(answer),
        };
        let outcome = reload(daemon, flags, web).await;
        metrics.observe(outcome.is_ok());
        match &outcome {
            Ok(()) => info!("config reloaded"),
            Err(problems) => error!("failed to reload the config, the previous one stays in force: {problems}"),
        }
        if let Some(answer) = answer {
            // The client has gone; the outcome is in the log and the metrics.
            drop(answer.send(outcome));
        }
    }
}

async fn reload<D: Daemon>(daemon: &D, flags: &Flags, shared: &SharedWeb) -> Result<(), String> {
    let (config, web) = configs::<D>(flags)?;
    daemon.reload(config).await.map_err(|error| format!("{error:#}"))?;
    *shared.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(web);
    Ok(())
}

struct ReloadMetrics {
    successful: Gauge,
    success_time: Gauge<f64, AtomicU64>,
}

impl ReloadMetrics {
    fn register(host: &Host) -> Self {
        let metrics = Self { successful: Gauge::default(), success_time: Gauge::default() };
        host.register(|registry| {
            registry.register("build", "Version of this binary", Info::new([("version", VERSION)]));
            let help = "Whether the last attempt to load the config was successful";
            registry.register("config_last_reload_successful", help, metrics.successful.clone());
            let help = "When the config was last loaded successfully, as Unix time";
            registry.register_with_unit(
                "config_last_reload_success_timestamp",
                help,
                Unit::Seconds,
                metrics.success_time.clone(),
            );
        });
        metrics.observe(true);
        metrics
    }

    fn observe(&self, success: bool) {
        self.successful.set(i64::from(success));
        if success {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            self.success_time.set(now.as_secs_f64());
        }
    }
}
