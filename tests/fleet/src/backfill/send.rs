//! Sends requests: several at a time, and again when the receiver is busy or away.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, StatusCode, Url};
use tokio::time::sleep;

use super::body::Body;

const TIMEOUT: Duration = Duration::from_secs(60);
/// Between two tries, growing, and for how long there are some.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const GIVE_UP: Duration = Duration::from_secs(600);

pub(super) struct Sender {
    http: Client,
    url: Url,
    at_a_time: usize,
    samples: AtomicU64,
    bytes: AtomicU64,
    repeated: AtomicU64,
}

impl Sender {
    pub(super) fn new(url: Url, at_a_time: usize) -> anyhow::Result<Self> {
        let http = Client::builder().timeout(TIMEOUT).build()?;
        let (samples, bytes, repeated) = Default::default();
        Ok(Self { http, url, at_a_time, samples, bytes, repeated })
    }

    /// Sends all of them, in any order.
    pub(super) async fn send(&self, bodies: Vec<Body>, sent: impl Fn(u64)) -> anyhow::Result<()> {
        let bodies = std::sync::Mutex::new(bodies.into_iter());
        let sender = async || {
            loop {
                let body = bodies.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
                let Some(Body { packed, samples }) = body else { return anyhow::Ok(()) };
                self.bytes.fetch_add(packed.len() as u64, Ordering::Relaxed);
                self.post(packed.into()).await?;
                self.samples.fetch_add(samples as u64, Ordering::Relaxed);
                sent(samples as u64);
            }
        };
        futures_util::future::try_join_all((0..self.at_a_time).map(|_| sender())).await?;
        Ok(())
    }

    /// Samples, bytes, and requests that were sent again.
    pub(super) fn sent(&self) -> (u64, u64, u64) {
        let of = |number: &AtomicU64| number.load(Ordering::Relaxed);
        (of(&self.samples), of(&self.bytes), of(&self.repeated))
    }

    async fn post(&self, body: bytes::Bytes) -> anyhow::Result<()> {
        let (begin, mut pause) = (Instant::now(), PAUSE);
        loop {
            let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/x-protobuf");
            let request = request.header(CONTENT_ENCODING, "snappy");
            let request = request.header("X-Prometheus-Remote-Write-Version", "0.1.0").body(body.clone());
            let (reason, wait) = match request.send().await {
                Err(error) => (format!("{:#}", anyhow::Error::from(error.without_url())), pause),
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    let after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                    let text = answer.text().await.unwrap_or_default();
                    if !status.is_server_error() && status != StatusCode::TOO_MANY_REQUESTS {
                        bail!("`{}` answered {status}: {}", self.url, text.trim_end());
                    }
                    (format!("{status}: {}", text.trim_end()), after.map_or(pause, Duration::from_secs))
                }
            };
            if begin.elapsed() > GIVE_UP {
                return Err(anyhow::anyhow!(reason))
                    .with_context(|| format!("`{}` took nothing for {GIVE_UP:?}", self.url));
            }
            self.repeated.fetch_add(1, Ordering::Relaxed);
            sleep(wait.min(LONGEST_PAUSE)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
