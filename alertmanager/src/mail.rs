//! One mail: what a recipient reads about a notification, as text and as HTML.
//!
//! [`view`] turns alerts into what the templates show, [`clean`] makes what strangers wrote harmless, and this
//! file renders and puts the message together. Pure: the clock is a value.

mod clean;
mod view;

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::memory;
use crate::route::Delivery;
use crate::webhook::Notification;
use view::View;

/// Mail programs put messages that name a common one into one thread. One name per alert, so at most this many.
const REFERENCES: usize = 20;

/// The templates. Those whose name ends in `.html` escape what is put into them.
pub(crate) struct Templates(Environment<'static>);

/// What the recipient reads.
pub(crate) struct Content {
    pub(crate) subject: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("failed to render the mail")]
    Render(#[from] minijinja::Error),
    #[error("failed to put the mail together")]
    Build(#[from] lettre::error::Error),
}

impl Templates {
    pub(crate) fn new() -> Result<Self, MailError> {
        let mut environment = Environment::new();
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        // A misspelt name in a template is an error, not an empty place in a mail.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.add_template("mail.txt", include_str!("../templates/mail.txt"))?;
        environment.add_template("mail.html", include_str!("../templates/mail.html"))?;
        Ok(Self(environment))
    }

    /// Writes what one recipient reads; at most `limit` alerts are shown, the rest is counted.
    pub(crate) fn render(
        &self,
        notification: &Notification,
        delivery: &Delivery<'_>,
        limit: usize,
    ) -> Result<Content, MailError> {
        let view = View::new(notification, delivery, limit);
        let values = Value::from(Serde(&view));
        Ok(Content {
            text: self.0.get_template("mail.txt")?.render(values.clone())?,
            html: self.0.get_template("mail.html")?.render(values)?,
            subject: view.subject,
        })
    }
}

/// The message with its headers. `begun` is when the notification was first seen: a retry after an answer that was
/// lost has the same `Message-ID`, by which mail servers and programs recognise a copy; a reminder has another.
pub(crate) fn message(
    content: Content,
    notification: &Notification,
    delivery: &Delivery<'_>,
    from: &Mailbox,
    begun: Timestamp,
    now: SystemTime,
) -> Result<Message, MailError> {
    let recipient: &str = delivery.recipient.email.as_ref();
    let domain = from.email.domain();
    let name = |parts: &[&str]| format!("<{}@{domain}>", hex(&memory::hash(parts.iter().copied())));

    let id = [memory::notification_id(notification), memory::delivery_id(notification, delivery)].map(|id| hex(&id));
    let message_id = name(&["mail", &id[0], &id[1], &begun.to_string()]);

    // No mail has these names: they are the thread. A mail about the end of an alert has the same as that about its begin.
    let mut alerts: Vec<_> = delivery.alerts.iter().map(|index| &notification.alerts[*index]).collect();
    alerts.sort_by_key(|alert| (alert.starts_at, &alert.fingerprint));
    let threads: Vec<_> = alerts
        .iter()
        .take(REFERENCES)
        .map(|alert| name(&["alert", recipient, &alert.fingerprint, &alert.starts_at.to_string()]))
        .collect();

    let mut message = Message::builder()
        .from(from.clone())
        .to(delivery.recipient.clone())
        .subject(content.subject)
        .date(now)
        .message_id(Some(message_id))
        .in_reply_to(threads[0].clone())
        .references(threads.join(" "))
        .multipart(MultiPart::alternative_plain_html(content.text, content.html))?;
    // RFC 3834: keeps holiday answers away.
    let auto_submitted = HeaderName::new_from_ascii_str("Auto-Submitted");
    message.headers_mut().insert_raw(HeaderValue::new(auto_submitted, "auto-generated".to_owned()));
    Ok(message)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
