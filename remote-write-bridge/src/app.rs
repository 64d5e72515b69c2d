//! Build, run, drain.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::post;
use lynceus_service::{Daemon, Host};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::archive::Archive;
use crate::body::header_text;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::pairs::Pairs;
use crate::rollup::{Dirty, RollUp};
use crate::series::Registry;
use crate::wal::{self, Wal};
use crate::writer::Writer;
use crate::{api, log, read, write};

/// Between two looks at ClickHouse: soon while it is away, seldom while it is there.
const CHECK_AWAY: Duration = Duration::from_secs(1);
const CHECK_THERE: Duration = Duration::from_secs(5);
/// Between two looks at how old its partitions are.
const PARTITIONS_EVERY: Duration = Duration::from_secs(300);
/// As many bodies of the largest size may be in memory at a time.
const BODIES_IN_MEMORY: usize = 8;
/// Bodies are counted in these, since a semaphore counts to 2^32 only.
const BODY_UNIT: usize = 1024;

/// The bridge.
pub struct App {
    shared: Arc<Shared>,
    closing: CancellationToken,
}

/// What the command line says beyond what every daemon knows.
#[derive(Debug, Clone)]
pub struct Args {
    /// `--storage.path`.
    pub storage_path: PathBuf,
}

/// What requests use.
pub(crate) struct Shared {
    pub(crate) archive: Arc<Archive>,
    pub(crate) registry: Registry,
    pub(crate) wal: Wal,
    pub(crate) dirty: Arc<Dirty>,
    pub(crate) metrics: Metrics,
    /// For what goes on when a handler has answered.
    pub(crate) host: Host,
    lives: Lives,
}

impl Shared {
    /// The config of now. A request keeps the one that it began with.
    pub(crate) fn live(&self) -> Arc<Live> {
        self.lives.get()
    }
}

/// Config and the limits made from it, replaced together.
pub(crate) struct Live {
    pub(crate) config: Config,
    pub(crate) reads: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

impl Live {
    fn new(config: Config) -> Self {
        let reads = Arc::new(Semaphore::new(config.read.max_concurrent));
        let bodies = Arc::new(Semaphore::new(BODIES_IN_MEMORY * units(config.ingest.max_body_bytes)));
        Self { config, reads, bodies }
    }

    /// Waits until there is memory for a body.
    pub(crate) async fn reserve_body(&self, headers: &HeaderMap) -> Option<OwnedSemaphorePermit> {
        let most = self.config.ingest.max_body_bytes;
        let length = header_text(headers, header::CONTENT_LENGTH).parse().unwrap_or(most);
        let wanted = u32::try_from(units(length.min(most))).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        self.bodies.clone().acquire_many_owned(wanted).await.ok()
    }
}

fn units(bytes: usize) -> usize {
    bytes.div_ceil(BODY_UNIT).max(1)
}

/// The present [`Live`]. Clones see the same.
#[derive(Clone)]
pub(crate) struct Lives(Arc<RwLock<Arc<Live>>>);

impl Lives {
    pub(crate) fn get(&self) -> Arc<Live> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, config: Config) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(Live::new(config));
    }
}

impl Daemon for App {
    const NAME: &'static str = "lynceus-bridge";
    const METRICS_PREFIX: &'static str = "lynceus_bridge";
    type Config = Config;
    type Args = Args;

    async fn start(config: Config, args: Args, host: &Host) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        metrics.register(host);
        let archive = Archive::open(config.clone(), metrics.clone()).context("clickhouse.tls")?;
        let archive = Arc::new(archive);
        let lives = Lives(Arc::new(RwLock::new(Arc::new(Live::new(config)))));
        let closing = CancellationToken::new();
        let replica_label = lives.get().config.ingest.replica_label.clone();
        let (wal, reader) = wal::open(&args.storage_path.join("wal"), &replica_label, metrics.clone())?;
        let pairs = Pairs::load(&args.storage_path, metrics.clone())?;
        let dirty = Arc::new(Dirty::load(&args.storage_path)?);
        let shared = Shared {
            archive: archive.clone(),
            registry: Registry::new(),
            wal,
            dirty: dirty.clone(),
            metrics,
            host: host.clone(),
            lives,
        };
        let writer = Writer {
            archive: archive.clone(),
            lives: shared.lives.clone(),
            wal: shared.wal.clone(),
            dirty: dirty.clone(),
            metrics: shared.metrics.clone(),
            closing: closing.clone(),
        };
        let roll_up =
            RollUp { archive: archive.clone(), lives: shared.lives.clone(), dirty, metrics: shared.metrics.clone() };
        let shared = Arc::new(shared);
        host.spawn("log", log::watch(shared.clone(), host.clone()));
        host.spawn("writer", writer.run(reader, pairs));
        host.spawn("roll-up", roll_up.run(host.clone()));
        host.spawn("check", check(archive, host.clone()));
        // What is accepted is kept whether or not ClickHouse is there.
        host.set_ready();
        Ok(Self { shared, closing })
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/api/v1/write", post(write::write))
            .route("/api/v1/read", post(read::read))
            .merge(api::routes())
            .with_state(self.shared.clone())
    }

    fn links() -> &'static [(&'static str, &'static str)] {
        &[]
    }

    async fn reload(&self, config: Config) -> anyhow::Result<()> {
        self.shared.archive.reconfigure(config.clone()).context("clickhouse.tls")?;
        self.shared.lives.set(config);
        Ok(())
    }

    async fn drain(&self) {
        // The writer, a task of the host, ends with the insert that it is at; the log keeps the rest.
        self.closing.cancel();
    }
}

/// Prepares the tables as soon as ClickHouse is there, and says when it goes and comes.
async fn check(archive: Arc<Archive>, host: Host) {
    let stop = host.shutdown();
    let (mut said, mut looked) = (None, None::<Instant>);
    loop {
        let outcome = tokio::select! {
            outcome = archive.check() => outcome,
            () = stop.cancelled() => return,
        };
        // Once for each change, not for each look.
        match (&outcome, &said) {
            (Ok(()), Some(_)) => {
                info!("ClickHouse is back");
                said = None;
            }
            (Err(error), said_before) => {
                let text = error.to_string();
                if said_before.as_ref() != Some(&text) {
                    warn!(%error, "ClickHouse cannot be used: what is accepted stays in the log until this passes");
                }
                said = Some(text);
            }
            (Ok(()), None) => {}
        }
        if outcome.is_ok() && looked.is_none_or(|looked| looked.elapsed() > PARTITIONS_EVERY) {
            looked = Some(Instant::now());
            if let Err(error) = archive.look_at_partitions().await {
                debug!(%error, "the age of partitions is not known");
            }
        }
        let pause = if outcome.is_ok() { CHECK_THERE } else { CHECK_AWAY };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}
