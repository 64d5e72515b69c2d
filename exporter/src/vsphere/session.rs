//! A session on a vCenter, with all that lives as long as it does.

use tokio::sync::OnceCell;

use super::methods::{self, ServiceContent};
use super::transport::Transport;
use super::{CounterIds, Error, Method, MoRef};

/// How many metrics a query of roll-ups may have where the server does not say it: vCenter's default from 6.5 on.
pub const DEFAULT_QUERY_METRICS: usize = 256;

/// A session.
#[derive(Debug)]
pub struct Session {
    pub(super) cookie: String,
    /// Where the services are.
    pub content: ServiceContent,
    view: OnceCell<MoRef>,
    counters: OnceCell<CounterIds>,
    max_query_metrics: OnceCell<usize>,
}

impl Session {
    /// Signs in. The password is read now, so that a changed one is used from the next session on.
    pub(super) async fn open(transport: &Transport) -> Result<Self, Error> {
        let _turn = transport.may_sign_in(Method::Login).await?;
        let config = transport.config();
        let content = methods::retrieve_service_content(transport).await?;
        let password = config.password.read().map_err(|error| transport.error(Method::Login, error.into()))?;
        let manager = &content.session_manager;
        let cookie = methods::login(transport, manager, &config.username, password.expose()).await?;
        transport.metrics().signed_in(&config.name);
        Ok(Self {
            cookie,
            content,
            view: OnceCell::new(),
            counters: OnceCell::new(),
            max_query_metrics: OnceCell::new(),
        })
    }

    /// The view of all objects, which the session has from the first call on.
    pub async fn view(&self, transport: &Transport) -> Result<&MoRef, Error> {
        self.view.get_or_try_init(|| methods::create_container_view(transport, self)).await
    }

    /// Ids of the performance counters, which are read once.
    pub async fn counters(&self, transport: &Transport) -> Result<&CounterIds, Error> {
        self.counters.get_or_try_init(|| methods::perf_counters(transport, self)).await
    }

    /// How many metrics a query of roll-ups may have: `config.vpxd.stats.maxQueryMetrics`.
    pub async fn max_query_metrics(&self, transport: &Transport) -> Result<usize, Error> {
        self.max_query_metrics
            .get_or_try_init(|| async {
                let found = methods::query_option(transport, self, "config.vpxd.stats.maxQueryMetrics").await?;
                // -1 stands for any number.
                Ok(found.map_or(DEFAULT_QUERY_METRICS, |found| {
                    found
                        .parse::<i64>()
                        .map_or(DEFAULT_QUERY_METRICS, |most| usize::try_from(most).unwrap_or(usize::MAX))
                }))
            })
            .await
            .copied()
    }
}
