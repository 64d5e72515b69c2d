//! Every metric of the notifier. The registry adds `lynceus_notifier_` and, to counters, `_total`.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use lynceus_service::Host;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// From a mail server on this machine to the default timeout and beyond.
const SMTP_SECONDS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every mail is handed over: answered 200.
    Delivered,
    /// At least one mail is not: answered 503.
    Incomplete,
    /// Too many in work: answered 503.
    Busy,
    /// Not a notification that is understood: answered 400 or 415.
    Malformed,
    /// Answered 413.
    TooLarge,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Delivered, Self::Incomplete, Self::Busy, Self::Malformed, Self::TooLarge];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Incomplete => "incomplete",
            Self::Busy => "busy",
            Self::Malformed => "malformed",
            Self::TooLarge => "too_large",
        }
    }
}

/// Why a mail was not handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The server does not know the address, or not from us. For good.
    RecipientRefused,
    /// The server does not want the content for this address (size, spam, full mailbox). For good.
    MessageRefused,
    /// The server does not want our sender.
    SenderRefused,
    /// The password cannot be read, or is not accepted.
    Authentication,
    /// No TLS where the config demands it, or an untrusted certificate.
    Tls,
    /// No connection.
    Unreachable,
    /// The connection ended in the middle.
    ConnectionLost,
    /// The server asks to try later.
    TryLater,
    /// `smtp.timeout` is over.
    Timeout,
    /// The notifier is being stopped.
    Stopping,
    /// The mail could not be written: an error of the notifier itself.
    Internal,
}

impl Reason {
    const ALL: [Self; 11] = [
        Self::RecipientRefused,
        Self::MessageRefused,
        Self::SenderRefused,
        Self::Authentication,
        Self::Tls,
        Self::Unreachable,
        Self::ConnectionLost,
        Self::TryLater,
        Self::Timeout,
        Self::Stopping,
        Self::Internal,
    ];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::RecipientRefused => "recipient_refused",
            Self::MessageRefused => "message_refused",
            Self::SenderRefused => "sender_refused",
            Self::Authentication => "authentication",
            Self::Tls => "tls",
            Self::Unreachable => "unreachable",
            Self::ConnectionLost => "connection_lost",
            Self::TryLater => "try_later",
            Self::Timeout => "timeout",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }
}

/// Handles to the metrics; clones count into the same ones.
#[derive(Clone)]
pub(crate) struct Metrics {
    notifications: Family<[(&'static str, &'static str); 1], Counter>,
    mails_sent: Counter,
    mails_failed: Family<[(&'static str, &'static str); 1], Counter>,
    pub(crate) mails_spared: Counter,
    pub(crate) alerts_fallen_back: Counter,
    pub(crate) evictions: Counter,
    pub(crate) smtp_duration: Histogram,
    last_success: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            notifications: Family::default(),
            mails_sent: Counter::default(),
            mails_failed: Family::default(),
            mails_spared: Counter::default(),
            alerts_fallen_back: Counter::default(),
            evictions: Counter::default(),
            smtp_duration: Histogram::new(SMTP_SECONDS),
            last_success: Gauge::default(),
        };
        // Known series begin at 0, so that the first failure is an increase.
        for outcome in Outcome::ALL {
            drop(metrics.notifications.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for reason in Reason::ALL {
            drop(metrics.mails_failed.get_or_create(&[("reason", reason.as_str())]));
        }
        metrics
    }

    pub(crate) fn register(&self, host: &Host) {
        host.register(|registry| {
            registry.register(
                "notifications",
                "Webhook requests of Alertmanager by what became of them",
                self.notifications.clone(),
            );
            registry.register("mails_sent", "Mails that the mail server has accepted", self.mails_sent.clone());
            registry.register(
                "mails_failed",
                "Attempts at a mail that the mail server has not accepted, by reason",
                self.mails_failed.clone(),
            );
            registry.register(
                "mails_spared",
                "Mails not sent because the same one had been accepted before (a retry or a copy of the notification)",
                self.mails_spared.clone(),
            );
            registry.register(
                "fallback_alerts",
                "Alerts sent to the default recipients because the mail server refuses all of their own",
                self.alerts_fallen_back.clone(),
            );
            registry.register(
                "memory_evictions",
                "Incomplete notifications forgotten for lack of room: a retry of them reaches some recipients twice",
                self.evictions.clone(),
            );
            registry.register_with_unit(
                "smtp_duration",
                "Time to hand a mail to the mail server or fail, from connecting to its answer",
                Unit::Seconds,
                self.smtp_duration.clone(),
            );
            registry.register_with_unit(
                "last_success_timestamp",
                "When the mail server last accepted a mail, as Unix time; 0 before the first",
                Unit::Seconds,
                self.last_success.clone(),
            );
        });
    }

    pub(crate) fn notification(&self, outcome: Outcome) {
        self.notifications.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn mail_sent(&self, now: Timestamp) {
        self.mails_sent.inc();
        self.last_success.set(now.as_millisecond() as f64 / 1000.0);
    }

    pub(crate) fn mail_failed(&self, reason: Reason) {
        self.mails_failed.get_or_create(&[("reason", reason.as_str())]).inc();
    }
}
