//! The floor: the exporter's own `QueryPerf` requests, sent again by a client that throws the answers away.

use std::time::Instant;

use anyhow::Context;
use axum::body::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use lynceus_demo::parts::Vcenter;
use reqwest::header::{COOKIE, HeaderMap};

use crate::front::{Query, Tape};
use crate::report::Measured;
use crate::soap::Session;
use crate::text::median;
use crate::usage;

/// What the exporter asked in one collection.
pub(crate) struct Recording {
    pub(crate) tape: Tape,
    /// Queries under way at the same time, at most.
    pub(crate) in_flight: usize,
}

impl Recording {
    pub(crate) fn new(tape: Tape) -> anyhow::Result<Self> {
        let queries = &tape.queries;
        anyhow::ensure!(!queries.is_empty(), "the exporter sent no QueryPerf in a whole collection");
        let during =
            |moment: Instant| queries.iter().filter(move |query| query.began <= moment && moment < query.ended);
        let in_flight = queries.iter().map(|query| during(query.began).count()).max().unwrap_or(1);
        Ok(Self { in_flight, tape })
    }

    /// Ids of the counters that objects of this type were asked for.
    pub(crate) fn counters(&self, kind: &str) -> Vec<String> {
        let query = self.tape.queries.iter().find(|query| query.kind() == kind);
        let spec = query.map(|query| query.text()).and_then(|text| text.split("<querySpec").nth(1));
        let ids = spec.into_iter().flat_map(|spec| spec.split("<counterId>").skip(1));
        ids.filter_map(|rest| rest.split('<').next()).map(str::to_owned).collect()
    }
}

impl Query {
    fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap_or_default()
    }

    /// The type of the objects that it asks for.
    fn kind(&self) -> &str {
        let entity = self.text().split_once("<entity type=\"").and_then(|(_, rest)| rest.split_once('"'));
        entity.map_or("", |(kind, _)| kind)
    }

    /// The request as it would be now: a time that stands in it keeps its distance from the present, so that the answer
    /// has as many samples.
    fn now(&self) -> anyhow::Result<Bytes> {
        let passed = SignedDuration::try_from(self.began.elapsed())?;
        Ok(moved(self.text(), passed)?.map_or_else(|| self.body.clone(), Bytes::from))
    }
}

/// A request whose times are moved; `None` where it has none.
fn moved(request: &str, by: SignedDuration) -> anyhow::Result<Option<String>> {
    if !request.contains("Time>") {
        return Ok(None);
    }
    let mut moved = String::with_capacity(request.len());
    // `startTime` and `endTime`; behind the end of such an element stands no time.
    for (number, part) in request.split("Time>").enumerate() {
        if number > 0 {
            moved.push_str("Time>");
        }
        let (text, rest) = part.split_at(part.find('<').context("half a request was recorded")?);
        match text.parse::<Timestamp>() {
            Ok(time) => moved.push_str(&(time + by).to_string()),
            Err(_) => moved.push_str(text),
        }
        moved.push_str(rest);
    }
    Ok(Some(moved))
}

/// The client, and what its rounds took.
pub(crate) struct Floor {
    recording: Recording,
    session: Session,
    vcenter: u32,
    walls: Vec<f64>,
    cpu: Vec<f64>,
    vcenter_cpu: Vec<f64>,
    bytes: Vec<f64>,
}

impl Floor {
    /// Sends everything once, so that the connections are open.
    pub(crate) async fn start(vcenter: &Vcenter, recording: Recording) -> anyhow::Result<Self> {
        let session = Session::open(vcenter).await?;
        let (walls, cpu, vcenter_cpu, bytes) = Default::default();
        let floor = Self { recording, session, vcenter: vcenter.process.pid(), walls, cpu, vcenter_cpu, bytes };
        floor.send_all(floor.requests()?).await?;
        Ok(floor)
    }

    /// Sends everything, with as many requests at once as the exporter.
    pub(crate) async fn round(&mut self) -> anyhow::Result<()> {
        let requests = self.requests()?;
        let (own, simulator) = (usage::cpu(std::process::id())?, usage::cpu(self.vcenter)?);
        let started = Instant::now();
        let bytes = self.send_all(requests).await?;
        self.walls.push(started.elapsed().as_secs_f64());
        self.cpu.push(usage::cpu(std::process::id())? - own);
        self.vcenter_cpu.push(usage::cpu(self.vcenter)? - simulator);
        self.bytes.push(bytes as f64);
        Ok(())
    }

    fn requests(&self) -> anyhow::Result<Vec<(HeaderMap, Bytes)>> {
        self.recording.tape.queries.iter().map(|query| Ok((query.headers.clone(), query.now()?))).collect()
    }

    /// How many bytes came back.
    async fn send_all(&self, requests: Vec<(HeaderMap, Bytes)>) -> anyhow::Result<usize> {
        let answers = stream::iter(requests).map(|(headers, body)| self.send(headers, body));
        answers.buffer_unordered(self.recording.in_flight).try_fold(0, async |sum, size| Ok(sum + size)).await
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> anyhow::Result<usize> {
        let request = self.session.http.post(&self.session.url).headers(headers);
        let mut answer = request.header(COOKIE, &self.session.cookie).body(body).send().await?.error_for_status()?;
        let mut size = 0;
        while let Some(part) = answer.chunk().await? {
            size += part.len();
        }
        Ok(size)
    }

    /// What all rounds have cost the simulator, in seconds of CPU.
    pub(crate) fn vcenter_cpu(&self) -> f64 {
        self.vcenter_cpu.iter().sum()
    }

    pub(crate) fn measured(self) -> Measured {
        Measured {
            name: "floor",
            performance: median(self.walls),
            cpu: median(self.cpu),
            vcenter_cpu: median(self.vcenter_cpu),
            samples: Some(self.recording.tape.samples()),
            calls: self.recording.tape.calls.into_iter().filter(|(method, _)| method == "QueryPerf").collect(),
            bytes: median(self.bytes),
            ..Measured::default()
        }
    }
}
