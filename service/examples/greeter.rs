//! The smallest daemon: how one is written, and what the tests of this crate run.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use lynceus_service::{Config, Daemon, Defaults, Flags, Host, Problems, parse, run};

/// Greets whoever asks.
#[derive(clap::Parser)]
#[command(name = "greeter")]
struct Cli {
    #[command(flatten)]
    flags: Flags,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGreeting {
    greeting: String,
}

#[derive(Clone)]
struct Greeting(String);

impl Config for Greeting {
    type Raw = RawGreeting;

    fn validate(raw: RawGreeting, problems: &mut Problems) -> Option<Self> {
        if raw.greeting.is_empty() {
            problems.push("greeting", "a text", "nothing");
        }
        Some(Self(raw.greeting))
    }
}

struct Greeter {
    greeting: std::sync::Arc<Mutex<Greeting>>,
}

impl Daemon for Greeter {
    const NAME: &'static str = "greeter";
    const METRICS_PREFIX: &'static str = "greeter";
    type Config = Greeting;
    type Args = ();

    async fn start(config: Greeting, _args: (), host: &Host) -> anyhow::Result<Self> {
        host.set_ready();
        Ok(Self { greeting: std::sync::Arc::new(Mutex::new(config)) })
    }

    fn router(&self) -> Router {
        let greet = |State(greeting): State<std::sync::Arc<Mutex<Greeting>>>| async move {
            greeting.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
        };
        let slow = || async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            "at last"
        };
        let echo = |body: String| async move { body };
        Router::new()
            .route("/greeting", get(greet))
            .route("/slow", get(slow))
            .route("/echo", post(echo))
            .with_state(self.greeting.clone())
    }

    fn links() -> &'static [(&'static str, &'static str)] {
        &[("/greeting", "the greeting")]
    }

    async fn reload(&self, config: Greeting) -> anyhow::Result<()> {
        *self.greeting.lock().unwrap_or_else(PoisonError::into_inner) = config;
        Ok(())
    }

    async fn drain(&self) {}
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli: Cli = parse(Defaults { config_file: "greeter.yml", listen_address: "127.0.0.1:0" });
    run::<Greeter>(cli.flags, ()).await
}
