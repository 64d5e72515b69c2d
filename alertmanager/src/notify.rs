//! One notification, from who gets it to whether all have it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::SystemTime;

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use crate::config::{Limits, Recipients};
use crate::mail::{self, Templates};
use crate::mask::mask;
use crate::memory::{self, Memory};
use crate::metrics::{Metrics, Reason};
use crate::route::{self, Delivery, Reached};
use crate::smtp::{SendError, Smtp};
use crate::webhook::Notification;

/// What a config file decides; replaced as a whole when it is reloaded.
pub(crate) struct Settings {
    pub(crate) smtp: Smtp,
    pub(crate) recipients: Recipients,
    pub(crate) limits: Limits,
    /// Notifications in work.
    pub(crate) in_work: Arc<Semaphore>,
}

pub(crate) struct Notifier {
    settings: RwLock<Arc<Settings>>,
    templates: Templates,
    memory: Mutex<Memory>,
    groups: Groups,
    metrics: Metrics,
}

/// At least one mail was not handed over. The text goes to Alertmanager, which logs it.
#[derive(Debug, thiserror::Error)]
#[error("{failed} of {mails} mails not handed over: {first}")]
pub(crate) struct Incomplete {
    failed: usize,
    mails: usize,
    first: String,
}

impl Notifier {
    pub(crate) fn new(settings: Settings, templates: Templates, metrics: Metrics) -> Self {
        Self {
            settings: RwLock::new(Arc::new(settings)),
            templates,
            memory: Mutex::default(),
            groups: Groups::default(),
            metrics,
        }
    }

    pub(crate) fn settings(&self) -> Arc<Settings> {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace_settings(&self, settings: Settings) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }

    /// Hands over one mail to each recipient that does not have it yet; gives their number.
    pub(crate) async fn notify(&self, settings: &Settings, notification: &Notification) -> Result<usize, Incomplete> {
        // One at a time per group: a resolution never overtakes, and of two copies the second finds what the first did.
        let turn = self.groups.of(&notification.group_key);
        let _turn = turn.lock().await;
        let now = Timestamp::now();
        let id = memory::notification_id(notification);
        let (begun, evicted) = self.memory().begin(id, now);
        if evicted {
            self.metrics.evictions.inc();
        }

        let routed = route::plan(&notification.alerts, &settings.recipients);
        let mut tried = self.deliver_all(settings, notification, begun, routed).await;
        let reached: Vec<_> = tried.iter().map(|(d, result)| (d.clone(), reached(result))).collect();
        let fallback = route::fallback(&reached, notification.alerts.len(), &settings.recipients);
        if !fallback.is_empty() {
            let alerts =
                fallback.iter().flat_map(|delivery| &delivery.alerts).collect::<std::collections::BTreeSet<_>>();
            error!(alerts = alerts.len(), "no recipient of these alerts is accepted, trying the default ones");
            self.metrics.alerts_fallen_back.inc_by(alerts.len() as u64);
            tried.extend(self.deliver_all(settings, notification, begun, fallback).await);
        }
        self.conclude(id, notification, tried)
    }

    fn conclude(
        &self,
        id: memory::Id,
        notification: &Notification,
        tried: Vec<(Delivery<'_>, Result<(), SendError>)>,
    ) -> Result<usize, Incomplete> {
        let reached_one =
            |alert: usize| tried.iter().any(|(delivery, result)| result.is_ok() && delivery.alerts.contains(&alert));
        let waiting = tried.iter().any(|(_, result)| reached(result) == Reached::NotYet);
        let group = &notification.group_key;
        if !waiting && (0..notification.alerts.len()).all(reached_one) {
            self.memory().complete(id, Timestamp::now());
            let mails = tried.iter().filter(|(_, result)| result.is_ok()).count();
            info!(%group, status = %notification.status, alerts = notification.alerts.len(), mails, "notification delivered");
            return Ok(mails);
        }
        let failures: Vec<_> = tried.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
        let first = failures.first().map(ToString::to_string).unwrap_or_default();
        warn!(%group, failed = failures.len(), mails = tried.len(), "notification incomplete, Alertmanager is asked to try again");
        Err(Incomplete { failed: failures.len(), mails: tried.len(), first })
    }

    async fn deliver_all<'a>(
        &self,
        settings: &Settings,
        notification: &Notification,
        begun: Timestamp,
        deliveries: Vec<Delivery<'a>>,
    ) -> Vec<(Delivery<'a>, Result<(), SendError>)> {
        join_all(deliveries.into_iter().map(|delivery| async move {
            let result = self.deliver(settings, notification, begun, &delivery).await;
            (delivery, result)
        }))
        .await
    }

    async fn deliver(
        &self,
        settings: &Settings,
        notification: &Notification,
        begun: Timestamp,
        delivery: &Delivery<'_>,
    ) -> Result<(), SendError> {
        let ids = (memory::notification_id(notification), memory::delivery_id(notification, delivery));
        if self.memory().is_served(ids.0, ids.1) {
            self.metrics.mails_spared.inc();
            return Ok(());
        }
        let result = self.send(settings, notification, begun, delivery).await;
        let recipient = mask(delivery.recipient.email.as_ref());
        match &result {
            Ok(()) => {
                self.memory().serve(ids.0, ids.1);
                self.metrics.mail_sent(Timestamp::now());
            }
            Err(error) => {
                let reason = error.reason();
                self.metrics.mail_failed(reason);
                match error {
                    SendError::Refused { .. } => {
                        error!(%error, %recipient, reason = reason.as_str(), "mail refused for good: correct the recipient");
                    }
                    SendError::Retry { .. } => {
                        warn!(%error, %recipient, reason = reason.as_str(), "mail not handed over")
                    }
                }
            }
        }
        result
    }

    async fn send(
        &self,
        settings: &Settings,
        notification: &Notification,
        begun: Timestamp,
        delivery: &Delivery<'_>,
    ) -> Result<(), SendError> {
        let written =
            self.templates.render(notification, delivery, settings.limits.alerts_per_mail).and_then(|content| {
                mail::message(content, notification, delivery, settings.smtp.from(), begun, SystemTime::now())
            });
        match written {
            Ok(mail) => settings.smtp.send(&mail).await,
            Err(error) => Err(SendError::Retry { reason: Reason::Internal, detail: error.to_string() }),
        }
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reached(result: &Result<(), SendError>) -> Reached {
    match result {
        Ok(()) => Reached::Yes,
        Err(SendError::Refused { .. }) => Reached::Never,
        Err(SendError::Retry { .. }) => Reached::NotYet,
    }
}

/// A lock for each group in work; as many as there are notifications in work.
#[derive(Default)]
struct Groups(Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>);

impl Groups {
    fn of(&self, group: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(turn) = groups.get(group).and_then(Weak::upgrade) {
            return turn;
        }
        groups.retain(|_, turn| turn.strong_count() > 0);
        let turn = Arc::default();
        groups.insert(group.to_owned(), Arc::downgrade(&turn));
        turn
    }
}
