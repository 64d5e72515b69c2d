//! A session on a vCenter, with all that lives as long as it does.

use tracing::info;

use super::methods::{self, ServiceContent};
use super::transport::Transport;
use super::{CounterIds, Error, Method, MoRef};

/// The types whose objects the view holds.
const VIEW_TYPES: [&str; 8] = [
    "VirtualMachine",
    "HostSystem",
    "Datastore",
    "Folder",
    "Datacenter",
    "ComputeResource",
    "ClusterComputeResource",
    "ResourcePool",
];

/// A session.
#[derive(Debug)]
pub struct Session {
    pub(super) cookie: String,
    /// Where the services are.
    pub content: ServiceContent,
    /// All objects that are read.
    pub view: MoRef,
    /// Ids of the performance counters.
    pub counters: CounterIds,
}

impl Session {
    /// Signs in. The password is read now, so that a changed one is used from the next session on.
    pub(super) async fn open(transport: &Transport) -> Result<Self, Error> {
        let config = transport.config();
        let content = methods::retrieve_service_content(transport).await?;
        let password = config.password.read().map_err(|error| transport.error(Method::Login, error.into()))?;
        let manager = &content.session_manager;
        let cookie = methods::login(transport, manager, &config.username, password.expose()).await?;
        transport.metrics().signed_in(&config.name);
        match Self::equip(transport, &content, &cookie).await {
            Ok((view, counters)) => Ok(Self { cookie, content, view, counters }),
            Err(error) => {
                // Else each attempt would leave a session on the vCenter, which has room for a limited number.
                let closed = methods::logout(transport, &content, &cookie).await;
                closed.unwrap_or_else(|error| info!(error = error.chain(), "could not sign out"));
                Err(error)
            }
        }
    }

    async fn equip(
        transport: &Transport,
        content: &ServiceContent,
        cookie: &str,
    ) -> Result<(MoRef, CounterIds), Error> {
        let view = methods::create_container_view(transport, content, cookie, &VIEW_TYPES).await?;
        Ok((view, methods::perf_counters(transport, content, cookie).await?))
    }
}
