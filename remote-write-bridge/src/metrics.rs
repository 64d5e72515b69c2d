//! Every metric of the bridge. The registry adds `lynceus_bridge_` and, to counters, `_total`.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use lynceus_service::Host;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use crate::ingest::Written;
use crate::time;

/// From a local engine to the default timeout.
const INSERT_SECONDS: [f64; 10] = [0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];
/// ClickHouse wants 10,000 to 100,000; below 1,000 inserts are dear.
const BATCH_ROWS: [f64; 9] = [10., 100., 1_000., 3_000., 10_000., 30_000., 100_000., 300_000., 1_000_000.];

/// From an hour of a few machines to one of thousands.
const ROLLUP_SECONDS: [f64; 8] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];

/// From a disk with a battery to one that many share.
const SYNC_SECONDS: [f64; 9] = [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0];

/// Those that are inserted into.
const TABLES: [&str; 6] = ["series", "samples", "histograms", "exemplars", "starts", "metadata"];

/// What became of a write request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// All is in the log: 204.
    Accepted,
    /// In the log but for some samples that cannot be stored: 400.
    PartlyRefused,
    /// No message: 400.
    Malformed,
    /// A content type or encoding that is not known: 415.
    Unsupported,
    /// 413.
    TooLarge,
    /// The log is full: 503.
    LogFull,
    /// The log cannot be written, or the bridge is shutting down: 503.
    Unavailable,
    /// The body did not come in time, or not whole: 408.
    Incomplete,
}

impl WriteOutcome {
    const ALL: [Self; 8] = [
        Self::Accepted,
        Self::PartlyRefused,
        Self::Malformed,
        Self::Unsupported,
        Self::TooLarge,
        Self::LogFull,
        Self::Unavailable,
        Self::Incomplete,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::PartlyRefused => "partly_refused",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
            Self::TooLarge => "too_large",
            Self::LogFull => "log_full",
            Self::Unavailable => "unavailable",
            Self::Incomplete => "incomplete",
        }
    }
}

/// Why something in a request cannot be stored, however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    InvalidLabels,
    TooManySeries,
    TooOld,
    TooFarInFuture,
    InvalidHistogram,
    InvalidExemplar,
}

impl Refusal {
    pub(crate) const ALL: [Self; 6] = [
        Self::InvalidLabels,
        Self::TooManySeries,
        Self::TooOld,
        Self::TooFarInFuture,
        Self::InvalidHistogram,
        Self::InvalidExemplar,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidLabels => "invalid_labels",
            Self::TooManySeries => "too_many_series",
            Self::TooOld => "too_old",
            Self::TooFarInFuture => "too_far_in_future",
            Self::InvalidHistogram => "invalid_histogram",
            Self::InvalidExemplar => "invalid_exemplar",
        }
    }
}

/// What became of a read request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    Answered,
    /// Answered with chunks, to the end.
    Streamed,
    /// Who asked for a stream went away, or took nothing of it for too long.
    Abandoned,
    /// Not a request that is understood, or its answer is over a limit: 400 or 415.
    Refused,
    /// ClickHouse did not answer, or too many read already: 503.
    Unavailable,
}

impl ReadOutcome {
    const ALL: [Self; 5] = [Self::Answered, Self::Streamed, Self::Abandoned, Self::Refused, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Streamed => "streamed",
            Self::Abandoned => "abandoned",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        }
    }
}

type Label = [(&'static str, &'static str); 1];
type Labels = [(&'static str, &'static str); 2];

/// The bridge's metrics. Clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    write_requests: Family<Label, Counter>,
    pub(crate) samples_received: Counter,
    samples_accepted: Counter,
    histograms_accepted: Counter,
    exemplars_accepted: Counter,
    metadata_accepted: Counter,
    samples_stored: Counter,
    pub(crate) dead_rows: Counter,
    refused: Family<Label, Counter>,
    pub(crate) wal_bytes: Gauge,
    pub(crate) wal_unshipped: Gauge,
    pub(crate) wal_head_room: Gauge<f64, AtomicU64>,
    caught_up: Gauge<f64, AtomicU64>,
    pub(crate) wal_written: Counter,
    pub(crate) wal_failures: Counter,
    pub(crate) wal_damaged: Counter,
    pub(crate) wal_sync_seconds: Histogram,
    pub(crate) active_series: Gauge,
    inserts: Family<Labels, Counter>,
    insert_seconds: Family<Label, Histogram>,
    insert_rows: Family<Label, Histogram>,
    last_insert: Gauge<f64, AtomicU64>,
    pub(crate) clickhouse_up: Gauge,
    oldest_partition: Family<[(&'static str, String); 1], Gauge>,
    pub(crate) replica_samples_dropped: Counter,
    pub(crate) replica_samples_held: Gauge,
    pub(crate) replica_switches: Counter,
    pub(crate) rollups_pending: Gauge,
    pub(crate) rollup_seconds: Histogram,
    pub(crate) rollup_failures: Counter,
    read_requests: Family<Label, Counter>,
    pub(crate) read_samples: Counter,
    pub(crate) read_series: Counter,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            write_requests: Family::default(),
            samples_received: Counter::default(),
            samples_accepted: Counter::default(),
            histograms_accepted: Counter::default(),
            exemplars_accepted: Counter::default(),
            metadata_accepted: Counter::default(),
            samples_stored: Counter::default(),
            dead_rows: Counter::default(),
            refused: Family::default(),
            wal_bytes: Gauge::default(),
            wal_unshipped: Gauge::default(),
            wal_head_room: Gauge::default(),
            caught_up: Gauge::default(),
            wal_written: Counter::default(),
            wal_failures: Counter::default(),
            wal_damaged: Counter::default(),
            wal_sync_seconds: Histogram::new(SYNC_SECONDS),
            active_series: Gauge::default(),
            inserts: Family::default(),
            insert_seconds: Family::new_with_constructor(|| Histogram::new(INSERT_SECONDS)),
            insert_rows: Family::new_with_constructor(|| Histogram::new(BATCH_ROWS)),
            last_insert: Gauge::default(),
            clickhouse_up: Gauge::default(),
            oldest_partition: Family::default(),
            replica_samples_dropped: Counter::default(),
            replica_samples_held: Gauge::default(),
            replica_switches: Counter::default(),
            rollups_pending: Gauge::default(),
            rollup_seconds: Histogram::new(ROLLUP_SECONDS),
            rollup_failures: Counter::default(),
            read_requests: Family::default(),
            read_samples: Counter::default(),
            read_series: Counter::default(),
        };
        for outcome in WriteOutcome::ALL {
            drop(metrics.write_requests.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for reason in Refusal::ALL {
            drop(metrics.refused.get_or_create(&[("reason", reason.as_str())]));
        }
        for outcome in ReadOutcome::ALL {
            drop(metrics.read_requests.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for table in TABLES {
            drop(metrics.insert_seconds.get_or_create(&[("table", table)]));
            drop(metrics.insert_rows.get_or_create(&[("table", table)]));
            for outcome in ["success", "failure"] {
                drop(metrics.inserts.get_or_create(&[("table", table), ("outcome", outcome)]));
            }
        }
        metrics
    }

    pub(crate) fn register(&self, host: &Host) {
        host.register(|registry| {
            let help =
                "Remote-write requests by what became of them; all but accepted are retried or dropped by the sender";
            registry.register("write_requests", help, self.write_requests.clone());
            let help = "Samples in remote-write requests that could be decoded, repeated ones included";
            registry.register("samples_received", help, self.samples_received.clone());
            let help = "Samples that were acknowledged: they are in the log, repeated ones included";
            registry.register("samples_accepted", help, self.samples_accepted.clone());
            let help = "Native histograms that were acknowledged, repeated ones included";
            registry.register("histograms_accepted", help, self.histograms_accepted.clone());
            let help = "Exemplars that were acknowledged, repeated ones included";
            registry.register("exemplars_accepted", help, self.exemplars_accepted.clone());
            let help = "Descriptions of metrics (type, unit, help) that were acknowledged and not known of this month";
            registry.register("metadata_accepted", help, self.metadata_accepted.clone());
            let help = "Rows of samples that ClickHouse has acknowledged; a sample that came twice for one batch is one";
            registry.register("samples_stored", help, self.samples_stored.clone());
            let help = "Rows that ClickHouse refuses for what is in them, and that were put aside as files";
            registry.register("dead_rows", help, self.dead_rows.clone());
            let help = "Samples, histograms and exemplars answered 400, which the sender does not send again";
            registry.register("refused", help, self.refused.clone());
            let help = "Disk that the log takes, with what ClickHouse has already";
            registry.register_with_unit("wal", help, Unit::Bytes, self.wal_bytes.clone());
            let help = "Bytes of the log that ClickHouse does not have yet";
            registry.register_with_unit("wal_unshipped", help, Unit::Bytes, self.wal_unshipped.clone());
            let help =
                "How long the log could take in what comes if ClickHouse took nothing, at the rate of the last hour";
            registry.register_with_unit("wal_head_room", help, Unit::Seconds, self.wal_head_room.clone());
            let help = "When ClickHouse last had all that was accepted, as Unix time";
            registry.register_with_unit("caught_up_timestamp", help, Unit::Seconds, self.caught_up.clone());
            let help = "Bytes written to the log";
            registry.register_with_unit("wal_written", help, Unit::Bytes, self.wal_written.clone());
            let help = "Failed writes to the log; the senders were asked to send again";
            registry.register("wal_failures", help, self.wal_failures.clone());
            let help = "Records of the log that were damaged and set aside";
            registry.register("wal_damaged_records", help, self.wal_damaged.clone());
            let help = "Duration of a sync of the log, which all requests share that wait for it";
            registry.register_with_unit("wal_sync_duration", help, Unit::Seconds, self.wal_sync_seconds.clone());
            let help = "Series that were sent within two hours";
            registry.register("active_series", help, self.active_series.clone());
            let help = "Tries to insert a batch";
            registry.register("inserts", help, self.inserts.clone());
            let help = "Duration of a try to insert a batch";
            registry.register_with_unit("insert_duration", help, Unit::Seconds, self.insert_seconds.clone());
            let help = "Rows of a batch that was inserted";
            registry.register("insert_rows", help, self.insert_rows.clone());
            let help = "When samples were last stored, as Unix time; 0 before the first";
            registry.register_with_unit("last_insert_timestamp", help, Unit::Seconds, self.last_insert.clone());
            let help = "Whether ClickHouse answered the last check and its tables are as this bridge needs them";
            registry.register("clickhouse_up", help, self.clickhouse_up.clone());
            let help = "First moment of the oldest partition, as Unix time: older than the retention and a day means that ClickHouse does not delete";
            registry.register_with_unit("oldest_partition_timestamp", help, Unit::Seconds, self.oldest_partition.clone());
            let help = "Samples that are not stored because another replica's are, as soon as that is known";
            registry.register("replica_samples_dropped", help, self.replica_samples_dropped.clone());
            let help = "Samples that are held until it is known whether the replica that is stored has a hole";
            registry.register("replica_samples_held", help, self.replica_samples_held.clone());
            let help = "How often another replica of a target was stored from then on, because the one before had a hole";
            registry.register("replica_switches", help, self.replica_switches.clone());
            let help = "Hours with samples that are not rolled up yet, the one of now included";
            registry.register("rollups_pending", help, self.rollups_pending.clone());
            let help = "Duration of rolling up an hour";
            registry.register_with_unit("rollup_duration", help, Unit::Seconds, self.rollup_seconds.clone());
            let help = "Failed tries to roll up, which are tried again";
            registry.register("rollup_failures", help, self.rollup_failures.clone());
            let help = "Remote-read requests by what became of them";
            registry.register("read_requests", help, self.read_requests.clone());
            let help = "Samples and histograms fetched for remote read and queries";
            registry.register("read_samples", help, self.read_samples.clone());
            let help = "Series fetched for remote read and queries";
            registry.register("read_series", help, self.read_series.clone());
        });
    }

    /// ClickHouse has all that was accepted.
    pub(crate) fn caught_up(&self) {
        self.caught_up.set(time::now_millis() as f64 / 1000.);
    }

    /// Seconds since 1970, of one of the bridge's own tables.
    pub(crate) fn oldest_partition(&self, table: &str, oldest: u32) {
        self.oldest_partition.get_or_create(&[("table", table.to_owned())]).set(i64::from(oldest));
    }

    /// Something is in the log.
    pub(crate) fn accepted(&self, written: Written, metadata: usize) {
        self.samples_accepted.inc_by(written.samples);
        self.histograms_accepted.inc_by(written.histograms);
        self.exemplars_accepted.inc_by(written.exemplars);
        self.metadata_accepted.inc_by(metadata as u64);
    }

    /// ClickHouse has rows.
    pub(crate) fn stored(&self, table: &str, rows: usize) {
        if table == "samples" {
            self.samples_stored.inc_by(rows as u64);
        }
    }

    pub(crate) fn write_request(&self, outcome: WriteOutcome) {
        self.write_requests.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn refused(&self, reason: Refusal, count: u64) {
        self.refused.get_or_create(&[("reason", reason.as_str())]).inc_by(count);
    }

    pub(crate) fn read_request(&self, outcome: ReadOutcome) {
        self.read_requests.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn observe_insert(&self, table: &'static str, rows: usize, duration: Duration, success: bool) {
        let outcome = if success { "success" } else { "failure" };
        self.inserts.get_or_create(&[("table", table), ("outcome", outcome)]).inc();
        self.insert_seconds.get_or_create(&[("table", table)]).observe(duration.as_secs_f64());
        if success {
            self.insert_rows.get_or_create(&[("table", table)]).observe(rows as f64);
            if table == "samples" {
                self.last_insert.set(time::now_millis() as f64 / 1000.);
            }
        }
    }
}
