//! A vCenter to ask: keeps a session open, and opens another one when it is lost.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tracing::{debug, info};

use super::transport::Transport;
use super::{Error, FaultKind, Session, methods};

/// How long signing out may take when the exporter stops.
const SIGN_OUT_LIMIT: Duration = Duration::from_secs(5);

/// A session of one vCenter at a time. Several clients of one vCenter share its [`Transport`].
#[derive(Debug)]
pub struct Client {
    transport: Arc<Transport>,
    session: Mutex<Option<Arc<Session>>>,
}

impl Client {
    /// Opens no connection yet.
    pub fn new(transport: Arc<Transport>) -> Arc<Self> {
        Arc::new(Self { transport, session: Mutex::default() })
    }

    /// The way to the vCenter, for [`methods`].
    pub fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// Does something within a session: the present one or a new one, and once more in another one if that was lost.
    pub async fn within_session<T, F>(self: &Arc<Self>, work: impl Fn(Arc<Session>) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let session = self.session().await?;
        match work(session.clone()).await {
            Err(error) if error.is_session_lost() => {
                debug!(error = error.chain(), "session lost");
                let ended = error.fault().is_some_and(|fault| fault.kind == FaultKind::NotAuthenticated);
                self.forget(&session, ended).await;
                work(self.session().await?).await
            }
            outcome => outcome,
        }
    }

    /// The present session, or a new one.
    pub async fn session(self: &Arc<Self>) -> Result<Arc<Session>, Error> {
        let this = self.clone();
        // A task of its own: a caller that is cancelled in mid-sign-in must not leave a session on the vCenter that
        // nobody knows. `sign_out` waits for the lock, so for this task.
        let opening = tokio::spawn(async move {
            let mut slot = this.session.lock().await;
            if let Some(session) = &*slot {
                return Ok(session.clone());
            }
            let session = Arc::new(Session::open(&this.transport).await?);
            debug!(vcenter = this.transport.config().name, "signed in");
            *slot = Some(session.clone());
            Ok(session)
        });
        match opening.await {
            Ok(outcome) => outcome,
            Err(stopped) => std::panic::resume_unwind(stopped.into_panic()),
        }
    }

    /// Gives a session up; one that has not ended by itself is closed.
    pub async fn forget(&self, lost: &Arc<Session>, ended: bool) {
        let mut slot = self.session.lock().await;
        if slot.as_ref().is_some_and(|session| Arc::ptr_eq(session, lost)) {
            *slot = None;
            if !ended && let Err(error) = methods::logout(&self.transport, lost).await {
                debug!(error = error.chain(), "could not sign out");
            }
        }
    }

    /// Ends the session, if there is one, so that none is left on the vCenter.
    pub async fn sign_out(&self) {
        let sign_out = async {
            let Some(session) = self.session.lock().await.take() else { return Ok(()) };
            methods::logout(&self.transport, &session).await
        };
        let vcenter = &self.transport.config().name;
        match tokio::time::timeout(SIGN_OUT_LIMIT, sign_out).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => info!(error = error.chain(), vcenter, "could not sign out: the session ends when idle"),
            Err(_) => info!(vcenter, "could not sign out in time: the session ends when idle"),
        }
    }
}
