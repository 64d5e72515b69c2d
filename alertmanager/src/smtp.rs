//! Hands a mail to the mail server.
//!
//! The commands are given one by one, not by lettre's `send`: a refusal means something else at each of them. `RCPT`
//! refused for good is about this address; the same answer to `AUTH` or `MAIL FROM` is about our config.

use std::error::Error as _;
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Security};
use crate::mask::mask;
use crate::metrics::{Metrics, Reason};

/// In the order of preference; over a plaintext connection the config has already asked for it.
const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];

/// One mail server.
pub(crate) struct Smtp {
    config: config::Smtp,
    tls: Option<TlsParameters>,
    hello: ClientId,
    slots: Semaphore,
    stop: CancellationToken,
    metrics: Metrics,
}

/// A mail server that cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    #[error("smtp.ca_file: failed to read `{path}`")]
    CaFile { path: String, source: std::io::Error },
    #[error("smtp.ca_file: `{path}`: expected certificates in PEM, found none that can be read")]
    NoCertificate { path: String },
    #[error("smtp: failed to set up TLS")]
    Tls(#[source] Error),
}

/// A mail that was not handed over.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// For this recipient, trying again changes nothing.
    #[error("{detail}")]
    Refused { reason: Reason, detail: String },
    /// A later try may succeed.
    #[error("{detail}")]
    Retry { reason: Reason, detail: String },
}

impl SendError {
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Refused { reason, .. } | Self::Retry { reason, .. } => *reason,
        }
    }
}

/// What was being done when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Connect,
    StartTls,
    Authenticate,
    Sender,
    Recipient,
    Content,
}

impl Smtp {
    pub(crate) fn new(config: config::Smtp, stop: CancellationToken, metrics: Metrics) -> Result<Self, SetupError> {
        let tls = match config.tls {
            Security::None => None,
            Security::Starttls | Security::Implicit => Some(tls_parameters(&config)?),
        };
        let slots = Semaphore::new(config.connections);
        Ok(Self { config, tls, hello: ClientId::default(), slots, stop, metrics })
    }

    /// The sender of all mails.
    pub(crate) fn from(&self) -> &lettre::message::Mailbox {
        &self.config.from
    }

    /// Returns when the server has taken the mail, refused it, or `timeout` is over.
    pub(crate) async fn send(&self, mail: &Message) -> Result<(), SendError> {
        let permit = tokio::select! {
            biased;
            permit = self.slots.acquire() => permit,
            () = self.stop.cancelled() => return Err(stopping()),
        };
        let Ok(_slot) = permit else { return Err(stopping()) };
        let begun = Instant::now();
        let result = match tokio::time::timeout(self.config.timeout, self.transact(mail)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err((step, error))) => Err(self.explain(step, &error)),
            Err(_) => Err(self.timed_out()),
        };
        self.metrics.smtp_duration.observe(begun.elapsed().as_secs_f64());
        result
    }

    async fn transact(&self, mail: &Message) -> Result<(), (Step, Failure)> {
        let envelope = mail.envelope();
        let mut connection = self.connect().await?;
        command(&mut connection, Step::Sender, Mail::new(envelope.from().cloned(), Vec::new())).await?;
        for recipient in envelope.to() {
            command(&mut connection, Step::Recipient, Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        command(&mut connection, Step::Content, Data).await?;
        connection.message(&mail.formatted()).await.map_err(|error| (Step::Content, Failure::Smtp(error)))?;
        // The mail is theirs now; how the goodbye goes changes nothing.
        drop(tokio::time::timeout(Duration::from_secs(1), connection.quit()).await);
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, (Step, Failure)> {
        let config = &self.config;
        let implicit = self.tls.clone().filter(|_| config.tls == Security::Implicit);
        let server = (config.host.as_str(), config.port);
        let mut connection = AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, implicit, None)
            .await
            .map_err(|error| (Step::Connect, Failure::Smtp(error)))?;
        if let (Security::Starttls, Some(tls)) = (config.tls, &self.tls) {
            connection
                .starttls(tls.clone(), &self.hello)
                .await
                .map_err(|error| (Step::StartTls, Failure::Smtp(error)))?;
        }
        if let Some(credentials) = &config.credentials {
            let failed = |failure| (Step::Authenticate, failure);
            let password = credentials.password.read().map_err(|error| failed(Failure::Secret(error)))?;
            let credentials = Credentials::new(credentials.username.clone(), password.expose().clone());
            connection.auth(&MECHANISMS, &credentials).await.map_err(|error| failed(Failure::Smtp(error)))?;
        }
        Ok(connection)
    }

    fn explain(&self, step: Step, failure: &Failure) -> SendError {
        let server = self.server();
        let cause = mask(&failure.cause());
        let reason = reason(step, failure);
        let detail = match reason {
            Reason::RecipientRefused => format!("mail server `{server}` refuses the address: {cause}"),
            Reason::MessageRefused => format!("mail server `{server}` refuses the mail: {cause}"),
            Reason::SenderRefused => {
                format!("mail server `{server}` refuses the sender `{}` (smtp.from): {cause}", self.masked_from())
            }
            Reason::Authentication => {
                format!("failed to sign in at mail server `{server}` (smtp.username, smtp.password): {cause}")
            }
            Reason::Tls => format!("no TLS connection to mail server `{server}` (smtp.tls, smtp.ca_file): {cause}"),
            Reason::Unreachable => format!("failed to connect to mail server `{server}` (smtp.address): {cause}"),
            _ => format!("mail server `{server}` does not take the mail now: {cause}"),
        };
        match reason {
            Reason::RecipientRefused | Reason::MessageRefused => SendError::Refused { reason, detail },
            _ => SendError::Retry { reason, detail },
        }
    }

    fn timed_out(&self) -> SendError {
        let limit = lynceus_service::format_duration(self.config.timeout);
        let detail = format!("mail server `{}` took longer than {limit} (smtp.timeout)", self.server());
        SendError::Retry { reason: Reason::Timeout, detail }
    }

    fn server(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    fn masked_from(&self) -> String {
        mask(self.config.from.email.as_ref())
    }
}

fn stopping() -> SendError {
    SendError::Retry { reason: Reason::Stopping, detail: "this notifier is being stopped".to_owned() }
}

#[derive(Debug)]
enum Failure {
    Smtp(Error),
    Secret(lynceus_service::SecretError),
}

impl Failure {
    /// The server's answer as it gave it, or else the innermost cause: lettre's own layers say nothing more.
    fn cause(&self) -> String {
        let mut innermost: &dyn std::error::Error = match self {
            Self::Smtp(error) => error,
            Self::Secret(error) => error,
        };
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        match self {
            Self::Smtp(error) if let Some(code) = error.status() => format!("{code} {innermost}"),
            Self::Smtp(_) => innermost.to_string(),
            Self::Secret(error) => match error.source() {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            },
        }
    }
}

async fn command(
    connection: &mut AsyncSmtpConnection,
    step: Step,
    command: impl std::fmt::Display,
) -> Result<(), (Step, Failure)> {
    match connection.command(command).await {
        Ok(_) => Ok(()),
        Err(error) => {
            // Says goodbye, so that the server does not wait for us.
            drop(tokio::time::timeout(Duration::from_secs(1), connection.abort()).await);
            Err((step, Failure::Smtp(error)))
        }
    }
}

fn reason(step: Step, failure: &Failure) -> Reason {
    let Failure::Smtp(error) = failure else { return Reason::Authentication };
    if error.is_transient() {
        return Reason::TryLater;
    }
    if is_tls(error) {
        return Reason::Tls;
    }
    match step {
        Step::Recipient if error.is_permanent() => Reason::RecipientRefused,
        Step::Content if error.is_permanent() => Reason::MessageRefused,
        Step::Sender if error.is_permanent() => Reason::SenderRefused,
        Step::Authenticate if error.is_permanent() || error.is_client() => Reason::Authentication,
        Step::StartTls => Reason::Tls,
        Step::Connect => Reason::Unreachable,
        _ => Reason::ConnectionLost,
    }
}

/// lettre reports a failed handshake as a failed connection.
fn is_tls(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    error.is_tls()
}

fn tls_parameters(config: &config::Smtp) -> Result<TlsParameters, SetupError> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let path = file.display().to_string();
        let pem = std::fs::read(file).map_err(|source| SetupError::CaFile { path: path.clone(), source })?;
        let certificates = Certificate::from_pem(&pem);
        let certificates = certificates.map_err(|_| SetupError::NoCertificate { path: path.clone() })?;
        builder = builder.certificate_store(CertificateStore::None).add_root_certificate(certificates);
    }
    builder.build().map_err(SetupError::Tls)
}
