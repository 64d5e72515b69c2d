//! Every metric of the auth-proxy. The registry adds `lynceus_auth_proxy_` and, to counters, `_total`.

use std::time::Duration;

use lynceus_service::Host;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

/// From an answer out of Prometheus' memory to the default timeout.
const QUERY_SECONDS: [f64; 10] = [0.005, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0];

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$variant_doc])* $variant,)* }
        impl $name {
            const ALL: &[Self] = &[$(Self::$variant,)*];
            pub(crate) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

outcomes!(
    /// What became of an attempt to sign in.
    SignIn {
        Accepted = "accepted",
        /// Unknown name or wrong password.
        Refused = "refused",
        /// Too many failures from this address or for this name.
        Throttled = "throttled",
        /// Too many attempts at once.
        Busy = "busy",
        /// Not a request of our own page.
        Malformed = "malformed",
        /// The database does not answer.
        Failed = "failed",
    }
);

outcomes!(
    /// What became of a query.
    Query {
        /// Prometheus has evaluated it.
        Answered = "answered",
        /// Prometheus has refused it.
        Refused = "refused",
        /// Not PromQL, or PromQL that cannot be narrowed to a team.
        Invalid = "invalid",
        /// Parameters or body in a form that is not taken.
        BadRequest = "bad_request",
        /// The user has no team and is not of the platform.
        Forbidden = "forbidden",
        /// The answer is longer than `prometheus.max_answer_bytes`.
        TooLarge = "too_large",
        /// `prometheus.timeout` is over.
        Timeout = "timeout",
        /// Prometheus does not answer, or not as it should.
        Unavailable = "unavailable",
    }
);

outcomes!(
    /// Why a request got no further.
    Denial {
        /// No session, or one that has ended.
        NoSession = "no_session",
        /// No such page, for anyone.
        UnknownPath = "unknown_path",
        /// A path that could be read in two ways.
        PathForm = "path_form",
        /// A change asked for by a page that is not ours.
        Origin = "origin",
    }
);

type ByOutcome = Family<[(&'static str, &'static str); 1], Counter>;

/// Handles to the metrics; clones count into the same ones.
#[derive(Clone)]
pub(crate) struct Metrics {
    sign_ins: ByOutcome,
    queries: ByOutcome,
    denials: ByOutcome,
    query_duration: Histogram,
}

impl Metrics {
    pub(crate) fn register(host: &Host) -> Metrics {
        let metrics = Metrics {
            sign_ins: ByOutcome::default(),
            queries: ByOutcome::default(),
            denials: ByOutcome::default(),
            query_duration: Histogram::new(QUERY_SECONDS),
        };
        // Known series begin at 0, so that the first failure is an increase.
        for outcome in SignIn::ALL {
            drop(metrics.sign_ins.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for outcome in Query::ALL {
            drop(metrics.queries.get_or_create(&[("outcome", outcome.as_str())]));
        }
        for reason in Denial::ALL {
            drop(metrics.denials.get_or_create(&[("reason", reason.as_str())]));
        }
        host.register(|registry| {
            registry.register("sign_ins", "Attempts to sign in by what became of them", metrics.sign_ins.clone());
            registry.register("queries", "Queries of users by what became of them", metrics.queries.clone());
            registry.register("denied_requests", "Requests that got no further, by reason", metrics.denials.clone());
            registry.register_with_unit(
                "query_duration",
                "Time from a query until Prometheus begins to answer it",
                Unit::Seconds,
                metrics.query_duration.clone(),
            );
        });
        metrics
    }

    pub(crate) fn sign_in(&self, outcome: SignIn) {
        self.sign_ins.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn query(&self, outcome: Query) {
        self.queries.get_or_create(&[("outcome", outcome.as_str())]).inc();
    }

    pub(crate) fn denied(&self, reason: Denial) {
        self.denials.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    pub(crate) fn query_took(&self, duration: Duration) {
        self.query_duration.observe(duration.as_secs_f64());
    }
}
